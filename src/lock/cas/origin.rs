//! Fields by which a lock with a conditional write recognises a write of an elector, and the text that
//! it writes.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use crate::election::record::LeaderElectionRecord;
use crate::lock::stored::{self, WRITE_ID};

/// Protocol of the records. It is above that of the gist lock, so that electors which share a gist over
/// its REST API do not act on a record that was written through git.
pub const PROTOCOL: u64 = 2;

const CHECK: &str = "check";

/// Number of bytes of the checksum that a record carries. It detects edits by hand, not attacks.
const CHECK_LENGTH: usize = 8;

/// Parsed content of the lock's place.
pub type Stored = stored::Stored<CasOrigin>;

/// Unique id of a write whose checksum fits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CasOrigin {
    /// The id; up to the last `-`, it names the process.
    pub write_id: Arc<str>,
}

impl stored::Origin for CasOrigin {
    const FIELDS: &'static [&'static str] = &[WRITE_ID, CHECK];

    fn take(fields: &mut Map<String, Value>) -> Option<CasOrigin> {
        let fits = take_check(fields);
        match fields.remove(WRITE_ID) {
            Some(Value::String(write_id)) if fits => Some(CasOrigin {
                write_id: write_id.into(),
            }),
            _ => None,
        }
    }

    fn write_id(&self) -> &Arc<str> {
        &self.write_id
    }
}

/// Returns the text of `record` as the write with this id.
///
/// `kept` are additional fields; those of the record take precedence.
pub fn to_text(
    record: &LeaderElectionRecord,
    kept: Option<&Map<String, Value>>,
    write_id: &str,
    checkpoint: bool,
) -> String {
    let record = stored::prepare::<CasOrigin>(record, kept, PROTOCOL, checkpoint);
    to_annotated_text(record, Some(write_id))
}

/// Returns the text of an annotated record as the write with this id; without one, it stays a foreign write.
pub fn to_annotated_text(mut record: LeaderElectionRecord, write_id: Option<&str>) -> String {
    let Some(write_id) = write_id else {
        return record.to_json();
    };
    record.other.remove(CHECK);
    record.other.insert(WRITE_ID.to_owned(), write_id.into());
    if let Ok(Value::Object(mut fields)) = serde_json::to_value(&record) {
        add_check(&mut fields);
        let check = fields.remove(CHECK).unwrap_or_default();
        record.other.insert(CHECK.to_owned(), check);
    }
    record.to_json()
}

/// Returns the text of `record` as a foreign write.
pub fn to_foreign_text(record: &LeaderElectionRecord, checkpoint: bool) -> String {
    let mut record = stored::prepare::<CasOrigin>(record, None, PROTOCOL, checkpoint);
    record.other.remove(CHECK);
    record.other.remove(WRITE_ID);
    record.to_json()
}

/// Adds the checksum over the other fields.
pub fn add_check(fields: &mut Map<String, Value>) {
    let check = checksum(fields);
    fields.insert(CHECK.to_owned(), check.into());
}

/// Takes the checksum out of the fields. Returns whether it fits the others.
pub fn take_check(fields: &mut Map<String, Value>) -> bool {
    let check = fields.remove(CHECK);
    check.as_ref().and_then(Value::as_str) == Some(&checksum(fields))
}

/// Returns a checksum over all fields, in the order of their names.
fn checksum(fields: &Map<String, Value>) -> String {
    // Serializing a JSON value cannot fail.
    let text = serde_json::to_string(fields).unwrap_or_default();
    let digest = digest(&SHA256, text.as_bytes());
    let bytes = &digest.as_ref()[..CHECK_LENGTH];
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> LeaderElectionRecord {
        LeaderElectionRecord {
            holder_identity: "napoleon".into(),
            lease_duration_seconds: 15,
            leader_transitions: 7,
            other: [("note".to_owned(), 1.5.into())].into_iter().collect(),
            ..LeaderElectionRecord::default()
        }
    }

    #[test]
    fn write_round_trips() {
        let text = to_text(&record(), None, "a-1", false);
        let stored = Stored::parse(&text);
        let stored = stored.record().unwrap();
        assert_eq!(&*stored.origin.as_ref().unwrap().write_id, "a-1");
        assert_eq!(*stored.record, record());
        assert_eq!((stored.protocol, stored.checkpoint), (PROTOCOL, false));
    }

    #[test]
    fn reordered_fields_keep_origin() {
        let text = to_text(&record(), None, "a-1", true);
        let fields: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let text = serde_json::to_string_pretty(&fields).unwrap();
        assert!(Stored::parse(&text).origin().is_some());
    }

    #[test]
    fn edited_record_is_foreign() {
        let text = to_text(&record(), None, "a-1", false);
        for (from, to) in [
            ("napoleon", "cleopatra"),
            (":15", ":16"),
            ("a-1", "a-2"),
            ("1.5", "1.6"),
            ("\"check\":\"", "\"check\":\"0"),
            ("\"writeId\"", "\"written\""),
        ] {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text);
            assert!(Stored::parse(&edited).record().is_some(), "{edited}");
            assert_eq!(Stored::parse(&edited).origin(), None, "{edited}");
        }
        let foreign = Stored::parse(&to_foreign_text(&record(), true));
        assert_eq!(foreign.origin(), None);
        assert!(foreign.record().unwrap().checkpoint);
    }
}
