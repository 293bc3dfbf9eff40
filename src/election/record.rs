//! The record that candidates share: its fields, and the JSON it is stored as.
//!
//! The names are those of client-go's `resourcelock.LeaderElectionRecord`, so that candidates of
//! both kinds can share one store. Fields that a store adds for its own use, and all unknown fields,
//! are kept in [`LeaderElectionRecord::other`] and survive a rewrite.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};

/// Longest lease that a candidate waits for, whatever the record says. Why: a typing error in the store
/// must not lock out all candidates for years.
pub const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// Highest fencing token of a claim: the largest integer that every JSON reader keeps, including those
/// that store numbers as doubles.
pub const HIGHEST_TOKEN: u64 = (1 << 53) - 1;

/// Field of a release: why its holder stopped leading, as
/// [`StopReason::as_str`](super::action::StopReason::as_str).
pub const STOP_REASON: &str = "stopReason";

/// Field of a release: name of the holder that released the lease.
pub const RELEASED_BY: &str = "releasedBy";

/// Character at the beginning of a text that some editors write.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// Lease record: holder, lease duration and times.
///
/// The times are for operators. No decision compares them with a clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeaderElectionRecord {
    /// Holder of the lease; empty if nobody holds it.
    pub holder_identity: String,
    /// Lease duration in seconds, counted from when a candidate first observes this record.
    pub lease_duration_seconds: u64,
    /// Time of the acquisition, as RFC 3339 text; empty if unknown.
    pub acquire_time: String,
    /// Time of the last renewal, as RFC 3339 text; empty if unknown.
    pub renew_time: String,
    /// Number of changes of the holder, which is the fencing token of this record's term.
    pub leader_transitions: u64,
    /// All other fields of the stored object, unchanged.
    pub other: Map<String, Value>,
}

/// Reason why a text is not a readable record.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The text is not JSON, or not a JSON object.
    NotAnObject,
    /// The text is a JSON object without a `holderIdentity` text.
    NoHolder,
    /// The named field has a value of the wrong type.
    BadField(&'static str),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::NotAnObject => f.write_str("it is not a JSON object"),
            RecordError::NoHolder => f.write_str("it is a JSON object without a holderIdentity"),
            RecordError::BadField(name) => write!(f, "its field {name} has the wrong type"),
        }
    }
}

impl std::error::Error for RecordError {}

impl LeaderElectionRecord {
    /// Reads a record from its JSON.
    ///
    /// # Errors
    /// Returns the reason why `json` is not a readable record. An absent or null field counts as empty
    /// or 0.
    pub fn from_json(json: &str) -> Result<Self, RecordError> {
        Self::from_fields(read_fields(json)?)
    }

    /// Returns a record without a holder, written `now` (RFC 3339 text), with a lease of one second as
    /// client-go writes it in a release.
    #[must_use]
    pub fn without_holder(fencing_token: u64, now: String) -> Self {
        LeaderElectionRecord {
            lease_duration_seconds: 1,
            acquire_time: now.clone(),
            renew_time: now,
            leader_transitions: fencing_token,
            ..LeaderElectionRecord::default()
        }
    }

    /// Returns the name of the holder that released the lease; empty if the record does not say.
    #[must_use]
    pub fn released_by(&self) -> &str {
        let name = self.other.get(RELEASED_BY);
        name.and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns why that holder stopped leading; empty if the record does not say.
    #[must_use]
    pub fn stop_reason(&self) -> &str {
        let reason = self.other.get(STOP_REASON);
        reason.and_then(Value::as_str).unwrap_or_default()
    }

    /// Reads a record from the fields of a JSON object. Unknown fields are kept in `other`.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json).
    pub fn from_fields(mut fields: Map<String, Value>) -> Result<Self, RecordError> {
        let Some(Value::String(holder_identity)) = fields.remove("holderIdentity") else {
            return Err(RecordError::NoHolder);
        };
        Ok(LeaderElectionRecord {
            holder_identity,
            lease_duration_seconds: take_number(&mut fields, "leaseDurationSeconds")?,
            acquire_time: take_text(&mut fields, "acquireTime")?,
            renew_time: take_text(&mut fields, "renewTime")?,
            leader_transitions: take_number(&mut fields, "leaderTransitions")?,
            other: fields,
        })
    }

    /// Returns the record as the JSON text that is stored.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serializing text keys and values that came from JSON cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the lease duration, at most [`LONGEST_LEASE`].
    #[must_use]
    pub fn lease_duration(&self) -> Duration {
        Duration::from_secs(self.lease_duration_seconds).min(LONGEST_LEASE)
    }
}

/// Reads the fields of a JSON object, also after a byte order mark, which some editors write.
///
/// # Errors
/// [`RecordError::NotAnObject`].
pub fn read_fields(json: &str) -> Result<Map<String, Value>, RecordError> {
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    serde_json::from_str(json).map_err(|_| RecordError::NotAnObject)
}

/// Reads a whole number as other programs may write it: `7`, `7.0` or `"7"`. A record with the latter two is
/// corrupt, for client-go too, but its fencing token counts. A number above the range counts as the highest;
/// `None` for a negative number, a fraction and anything else.
#[must_use]
pub fn read_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            let number = text.parse().ok();
            number.or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    }
}

fn whole(number: f64) -> Option<u64> {
    // The conversion saturates.
    (number.is_finite() && number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
}

fn take_number(fields: &mut Map<String, Value>, name: &'static str) -> Result<u64, RecordError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value.as_u64().ok_or(RecordError::BadField(name)),
    }
}

fn take_text(fields: &mut Map<String, Value>, name: &'static str) -> Result<String, RecordError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(RecordError::BadField(name)),
    }
}

impl Serialize for LeaderElectionRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The order and the null for an unknown time are client-go's.
        let time = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("holderIdentity", &self.holder_identity)?;
        map.serialize_entry("leaseDurationSeconds", &self.lease_duration_seconds)?;
        map.serialize_entry("acquireTime", &time(&self.acquire_time))?;
        map.serialize_entry("renewTime", &time(&self.renew_time))?;
        map.serialize_entry("leaderTransitions", &self.leader_transitions)?;
        for (name, value) in &self.other {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive_storing() {
        let json = r#"{"holderIdentity":"napoleon/\"quoted\"\n皇帝","leaseDurationSeconds":30,"acquireTime":"2026-11-22T10:00:00Z","renewTime":"2026-11-22T10:04:08Z","leaderTransitions":3,"preferredHolder":"cleopatra","strategy":"OldestEmulationVersion","x":{"y":[1,null]}}"#;
        let record = LeaderElectionRecord::from_json(json).unwrap();
        assert_eq!(record.holder_identity, "napoleon/\"quoted\"\n皇帝");
        assert_eq!(record.lease_duration(), Duration::from_secs(30));
        assert_eq!(record.leader_transitions, 3);
        assert_eq!(record.other["preferredHolder"], "cleopatra");
        assert_eq!(record.to_json(), json);
        assert_eq!(
            LeaderElectionRecord::from_json(&record.to_json()).unwrap(),
            record
        );
    }

    #[test]
    fn absent_and_null_fields_are_empty() {
        let record =
            LeaderElectionRecord::from_json(r#"{"holderIdentity":"","renewTime":null}"#).unwrap();
        assert_eq!(record, LeaderElectionRecord::default());
    }

    #[test]
    fn lease_is_capped_at_one_hour() {
        let record = LeaderElectionRecord {
            lease_duration_seconds: u64::MAX,
            ..LeaderElectionRecord::default()
        };
        assert_eq!(record.lease_duration(), LONGEST_LEASE);
    }

    #[test]
    fn whole_numbers_count_in_every_notation() {
        for (json, expected) in [
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("7e1", Some(70)),
            ("-0.0", Some(0)),
            (r#""7""#, Some(7)),
            (r#"" 7.0 ""#, Some(7)),
            (r#""9007199254740993""#, Some((1 << 53) + 1)),
            ("18446744073709551615", Some(u64::MAX)),
            ("1e300", Some(u64::MAX)),
            (r#""99999999999999999999""#, Some(u64::MAX)),
            ("-1", None),
            (r#""-1""#, None),
            ("7.5", None),
            (r#""1e400""#, None),
            (r#""inf""#, None),
            (r#""NaN""#, None),
            (r#""""#, None),
            (r#""seven""#, None),
            ("true", None),
            ("[7]", None),
        ] {
            let value = serde_json::from_str(json).unwrap();
            assert_eq!(read_number(&value), expected, "{json}");
        }
    }

    #[test]
    fn byte_order_mark_is_not_kept() {
        let record = LeaderElectionRecord::from_json("\u{feff}{\"holderIdentity\":\"a\"}").unwrap();
        assert_eq!(record.holder_identity, "a");
        assert!(record.to_json().starts_with('{'));
    }

    #[test]
    fn unreadable_text_gives_reason() {
        let cases = [
            ("", RecordError::NotAnObject),
            ("hello", RecordError::NotAnObject),
            ("[1]", RecordError::NotAnObject),
            ("{}", RecordError::NoHolder),
            (r#"{"holderIdentity":null}"#, RecordError::NoHolder),
            (r#"{"holderIdentity":7}"#, RecordError::NoHolder),
            (
                r#"{"holderIdentity":"a","leaseDurationSeconds":-1}"#,
                RecordError::BadField("leaseDurationSeconds"),
            ),
            (
                r#"{"holderIdentity":"a","leaderTransitions":1.5}"#,
                RecordError::BadField("leaderTransitions"),
            ),
            (
                r#"{"holderIdentity":"a","leaderTransitions":"seven"}"#,
                RecordError::BadField("leaderTransitions"),
            ),
            (
                r#"{"holderIdentity":"a","renewTime":{}}"#,
                RecordError::BadField("renewTime"),
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(
                LeaderElectionRecord::from_json(json),
                Err(expected),
                "{json}"
            );
        }
    }
}
