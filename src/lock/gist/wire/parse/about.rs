//! The part of a gist's body for display: visibility and owner. No decision depends on it, so any value
//! in its place is accepted.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Most characters of a login that are kept; GitHub's have at most 39.
const LONGEST_LOGIN: usize = 100;

/// A value of any kind; a flag, a text and an owner's login are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loose {
    Flag(bool),
    Text(String),
    /// An object, with the login in it.
    Owner(Option<String>),
    Other,
}

impl Loose {
    pub(super) fn flag(self) -> Option<bool> {
        match self {
            Loose::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    pub(super) fn owner(self) -> Option<String> {
        match self {
            Loose::Owner(login) => login,
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Loose, E> {
        Ok(Loose::Flag(flag))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(text.chars().take(LONGEST_LOGIN).collect()))
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Loose, E> {
        Ok(Loose::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        let mut login = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "login" {
                map.next_value::<IgnoredAny>()?;
            } else if let Loose::Text(text) = map.next_value()? {
                login = Some(text);
            }
        }
        Ok(Loose::Owner(login))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Loose {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn other_kinds_count_as_unknown() {
        assert_eq!(read("true").flag(), Some(true));
        assert_eq!(
            read(r#"{"id":1,"login":"someone"}"#).owner().as_deref(),
            Some("someone")
        );
        for odd in [
            "null",
            "-1",
            "1",
            "1.5",
            "\"x\"",
            "[[1],{}]",
            "{}",
            r#"{"login":{}}"#,
        ] {
            assert_eq!(read(odd).flag(), None, "{odd}");
            assert_eq!(read(odd).owner(), None, "{odd}");
        }
    }

    #[test]
    fn long_login_is_cut() {
        let long = format!(r#"{{"login":"{}"}}"#, "é".repeat(10_000));
        assert_eq!(read(&long).owner().unwrap().chars().count(), LONGEST_LOGIN);
    }
}
