//! Reads `LOCK` of the form `SCHEME://NAME/…/KEY[?PARAMETER=VALUE&…]`.

use crate::lock::Place;
use crate::lock::settings::{Noted, Reader};
use crate::net::{Url, is_loopback};

/// Longest key, in bytes.
const LONGEST_KEY: usize = 512;

/// Parameter with the address of a server that is not the service's own.
pub const ENDPOINT: &str = "endpoint";

/// Parts of `LOCK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Names before the key.
    pub names: Vec<&'a str>,
    /// Name of the object.
    pub key: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    /// Returns a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        let found = self.parameters.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    /// Returns the address of the server that `LOCK` or else this setting names.
    ///
    /// # Errors
    /// What is wrong with it, and the fix.
    pub fn endpoint(
        &self,
        other: Option<&str>,
        allow_insecure: bool,
    ) -> Result<Option<Url>, String> {
        let Some(text) = self.parameter(ENDPOINT).or(other) else {
            return Ok(None);
        };
        let form = || "give the endpoint as http://HOST[:PORT] or https://HOST[:PORT]".to_owned();
        let url: Url = text.trim_end_matches('/').parse().map_err(|_| form())?;
        if url.uri().query().is_some() || url.has_password() {
            return Err(form());
        }
        if !url.is_https() && !is_loopback(url.host()) && !allow_insecure {
            return Err(
                "use an endpoint with https://, or set ALLOW_INSECURE_HTTP=true to send the \
                        record and the credentials unencrypted"
                    .to_owned(),
            );
        }
        Ok(Some(url))
    }
}

/// Splits `//NAME/…/KEY?PARAMETER=VALUE` with this number of names before the key.
///
/// # Errors
/// What is wrong, and the fix. `form` is what the place must look like.
pub fn split<'a>(
    rest: &'a str,
    names: usize,
    parameters: &[&str],
    form: &str,
) -> Result<Parts<'a>, String> {
    let use_form = || format!("use {form}");
    let rest = rest.strip_prefix("//").ok_or_else(use_form)?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts: Vec<&str> = path.splitn(names + 1, '/').collect();
    if parts.len() != names + 1 || parts.iter().any(|part| part.is_empty()) {
        return Err(use_form());
    }
    let key = parts.pop().unwrap_or_default();
    if !is_key(key) {
        return Err(format!(
            "the name of the object has at most {LONGEST_KEY} letters, digits and - _ . /, and no empty \
             part"
        ));
    }
    let mut known = Vec::new();
    for parameter in query.split('&').filter(|part| !part.is_empty()) {
        match parameter.split_once('=') {
            Some((name, value)) if parameters.contains(&name) && !value.is_empty() => {
                known.push((name, value));
            }
            _ => return Err(use_form()),
        }
    }
    Ok(Parts {
        names: parts,
        key,
        parameters: known,
    })
}

/// Returns a parameter with the endpoint, if there is one, after `separator`.
#[must_use]
pub fn endpoint_parameter(separator: char, endpoint: Option<&Url>) -> String {
    endpoint.map_or(String::new(), |url| {
        let path = url.uri().path().trim_end_matches('/');
        format!("{separator}{ENDPOINT}={}{path}", url.origin())
    })
}

/// Returns whether a key is the same in a URL, and safe in every store.
fn is_key(key: &str) -> bool {
    let permitted = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let part = |part: &str| !["", ".", ".."].contains(&part);
    key.len() <= LONGEST_KEY && key.bytes().all(permitted) && key.split('/').all(part)
}

/// Returns whether a name has from `least` to `most` letters and digits, and others of these characters
/// inside.
#[must_use]
pub fn is_name(name: &str, (least, most): (usize, usize), others: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (least..=most).contains(&name.len())
        && name.chars().all(|c| plain(c) || others.contains(c))
        && name.starts_with(plain)
        && name.ends_with(plain)
}

/// Returns what `parse` makes of a place.
///
/// # Errors
/// If the place is wrong, which is noted.
pub fn read<'a, T>(
    reader: &mut Reader<'_>,
    place: &'a Place,
    parse: impl FnOnce(&'a str) -> Result<T, String>,
) -> Result<T, Noted> {
    parse(&place.rest).map_err(|why| place.refuse(reader, &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "x://A/B/KEY[?endpoint=]";

    #[test]
    fn key_may_contain_slashes() {
        let parts = split("//a/b/c/d.json?endpoint=https://h:1/", 2, &[ENDPOINT], FORM).unwrap();
        assert_eq!(
            (parts.names.clone(), parts.key),
            (vec!["a", "b"], "c/d.json")
        );
        let endpoint = parts.endpoint(Some("https://other"), false);
        assert_eq!(endpoint.unwrap().unwrap().origin(), "https://h:1");
        let parts = split("//a/b/c", 2, &[ENDPOINT], FORM).unwrap();
        assert_eq!(parts.endpoint(None, false), Ok(None));
    }

    #[test]
    fn bad_parts_are_refused() {
        for (rest, part) in [
            ("a/b/c", FORM),
            ("//a/b", FORM),
            ("//a//c", FORM),
            ("///b/c", FORM),
            ("//a/b/c?region=x", FORM),
            ("//a/b/c?endpoint", FORM),
            ("//a/b/c?endpoint=", FORM),
            ("//a/b/c//d", "name of the object"),
            ("//a/b/c/", "name of the object"),
            ("//a/b/../c", "name of the object"),
            ("//a/b/c%41", "name of the object"),
            ("//a/b/c d", "name of the object"),
        ] {
            let problem = split(rest, 2, &[ENDPOINT], FORM).unwrap_err();
            assert!(problem.contains(part), "{rest}: {problem}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for (endpoint, allow, expected) in [
            ("http://127.0.0.1:9000", false, Ok("http://127.0.0.1:9000")),
            ("http://h", true, Ok("http://h")),
            ("http://h", false, Err("ALLOW_INSECURE_HTTP")),
            ("ftp://h", true, Err("endpoint")),
            ("https://h/?x=y", true, Err("endpoint")),
        ] {
            let rest = "//a/b/c";
            let parts = split(rest, 2, &[ENDPOINT], FORM).unwrap();
            match (parts.endpoint(Some(endpoint), allow), expected) {
                (Ok(Some(url)), Ok(expected)) => assert_eq!(url.origin(), expected),
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem}"),
                (other, _) => panic!("{endpoint}: {other:?}"),
            }
        }
    }

    #[test]
    fn names_begin_and_end_plain() {
        for (name, expected) in [
            ("abc", true),
            ("a-b.c", true),
            ("ab", false),
            ("-bc", false),
            ("ab-", false),
            ("aBc", false),
            ("a_c", false),
        ] {
            assert_eq!(is_name(name, (3, 63), "-."), expected, "{name}");
        }
    }
}
