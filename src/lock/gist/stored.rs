//! Content of the lock's file in one revision: a record and its origin, or something else.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::revision::Revision;
use super::wire::Text;
use crate::election::record::{
    BYTE_ORDER_MARK, HIGHEST_TOKEN, LeaderElectionRecord, RELEASED_BY, RecordError, STOP_REASON,
    read_fields, read_number,
};

/// Version of the rule by which every process computes the effective revision.
pub const PROTOCOL: u64 = 1;

/// Revision that the first record of a new gist supersedes: git's name for no commit.
///
/// The record is effective as the oldest revision; the same text, pasted later, never is.
const NO_REVISION: Revision = Revision::from_bytes([0; 20]);

/// Highest fencing token that counts in a foreign record: a higher one is a mistake and would leave too
/// few to continue with. A record of an elector may have up to [`HIGHEST_TOKEN`].
const HIGHEST_FOREIGN_TOKEN: u64 = 1 << 52;

const WRITE_ID: &str = "writeId";
const SUPERSEDES: &str = "supersedes";
const PROTOCOL_FIELD: &str = "protocol";
const CHECKPOINT: &str = "checkpoint";

/// Fields that no other program's JSON is likely to have.
const ELECTION_FIELDS: [&str; 3] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "leaderTransitions",
];

/// Fields that client-go lets an operator set before there is a holder.
const PREPARED_FIELDS: [&str; 2] = ["preferredHolder", "strategy"];

/// Fields that every write sets anew.
const OWN_FIELDS: [&str; 11] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaderTransitions",
    RELEASED_BY,
    STOP_REASON,
    PROTOCOL_FIELD,
    WRITE_ID,
    SUPERSEDES,
    CHECKPOINT,
];

/// Parsed content of the lock's file in one revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stored {
    /// The file is missing or blank.
    Blank,
    /// Text that is not a record: not a JSON object, without any field of a record, or truncated.
    Unrelated(Arc<str>),
    /// A JSON object that is empty or holds only fields that an operator may prepare.
    Empty(Map<String, Value>),
    /// A record that cannot be read.
    Corrupt {
        /// Reason, for display.
        why: Arc<str>,
        /// Fencing token, if it can be read.
        token: Option<u64>,
        /// All fields.
        fields: Map<String, Value>,
    },
    /// A record.
    Record(StoredRecord),
}

/// A record and the fields of the gist lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredRecord {
    /// The record, without the fields of the gist lock.
    pub record: Arc<LeaderElectionRecord>,
    /// Origin of an elector's write; `None` for a foreign write.
    pub origin: Option<Origin>,
    /// Protocol that the writer follows.
    pub protocol: u64,
    /// Whether the record ends a history scan: its fencing token is at least as high as any below.
    pub checkpoint: bool,
}

/// Origin of a write of the gist lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Unique id of the write; up to the last `-`, it names the process.
    pub write_id: Arc<str>,
    /// Revision that the write replaces.
    pub supersedes: Revision,
}

impl Stored {
    /// Parses the text of a revision.
    #[must_use]
    pub fn read(text: &Text) -> Stored {
        let text = match text {
            Text::Missing => return Stored::Blank,
            Text::Cut(_) => return Stored::Unrelated("it is too large to be shown whole".into()),
            Text::Whole(text) => text,
        };
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        if unmarked.trim().is_empty() {
            return Stored::Blank;
        }
        match read_fields(text) {
            Ok(fields) => Stored::from_fields(fields),
            Err(error) => Stored::Unrelated(error.to_string().into()),
        }
    }

    fn from_fields(fields: Map<String, Value>) -> Stored {
        let error = match read_record(fields.clone()) {
            Ok(record) => return Stored::Record(record),
            Err(error) => error,
        };
        let has = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
        if has(&OWN_FIELDS) {
            let token = fields.get("leaderTransitions").and_then(read_number);
            return Stored::Corrupt {
                why: error.to_string().into(),
                token: token.filter(|token| *token <= HIGHEST_FOREIGN_TOKEN),
                fields,
            };
        }
        if fields.is_empty() || has(&PREPARED_FIELDS) {
            return Stored::Empty(fields);
        }
        Stored::Unrelated("it is a JSON object without any field of a lease record".into())
    }

    /// Returns whether it is an election's record, perhaps a corrupt one.
    #[must_use]
    pub fn is_election(&self) -> bool {
        match self {
            Stored::Record(_) => true,
            Stored::Corrupt { fields, .. } => ELECTION_FIELDS
                .iter()
                .any(|name| fields.contains_key(*name)),
            _ => false,
        }
    }

    /// Returns the fencing token, also of a corrupt record if it can be read.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        match self {
            Stored::Record(stored) => Some(stored.record.leader_transitions),
            Stored::Corrupt { token, .. } => *token,
            _ => None,
        }
    }

    /// Returns the lease of a record, zero if it is corrupt; `None` without a record.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        match self {
            Stored::Record(stored) => Some(stored.record.lease_duration()),
            Stored::Corrupt { .. } => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Returns the fields that a rewrite keeps unless it sets them.
    #[must_use]
    pub fn kept(&self) -> Option<&Map<String, Value>> {
        match self {
            Stored::Record(stored) => Some(&stored.record.other),
            Stored::Empty(fields) | Stored::Corrupt { fields, .. } => Some(fields),
            _ => None,
        }
    }

    /// Returns the record, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&StoredRecord> {
        match self {
            Stored::Record(stored) => Some(stored),
            _ => None,
        }
    }

    /// Returns the protocol of an elector's record, if it is older than this elector's.
    #[must_use]
    pub fn older_protocol(&self) -> Option<u64> {
        let record = self.record()?;
        (record.origin.is_some() && record.protocol < PROTOCOL).then_some(record.protocol)
    }

    /// Returns the origin of an elector's write; `None` for a foreign write.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.record()?.origin.as_ref()
    }
}

fn read_record(mut fields: Map<String, Value>) -> Result<StoredRecord, RecordError> {
    let write_id = fields.remove(WRITE_ID);
    let supersedes = fields.remove(SUPERSEDES);
    let protocol = match fields.remove(PROTOCOL_FIELD) {
        None | Some(Value::Null) => 0,
        Some(value) => value
            .as_u64()
            .ok_or(RecordError::BadField(PROTOCOL_FIELD))?,
    };
    let checkpoint = fields.remove(CHECKPOINT) == Some(Value::Bool(true));
    let record = LeaderElectionRecord::from_fields(fields)?;
    let origin = read_origin(write_id, supersedes);
    let highest = match origin {
        Some(_) => HIGHEST_TOKEN,
        None => HIGHEST_FOREIGN_TOKEN,
    };
    if record.leader_transitions > highest {
        return Err(RecordError::BadField("leaderTransitions"));
    }
    Ok(StoredRecord {
        record: Arc::new(record),
        origin,
        protocol,
        checkpoint,
    })
}

fn read_origin(write_id: Option<Value>, supersedes: Option<Value>) -> Option<Origin> {
    let (Some(Value::String(write_id)), Some(Value::String(supersedes))) = (write_id, supersedes)
    else {
        return None;
    };
    Some(Origin {
        write_id: write_id.into(),
        supersedes: supersedes.parse().ok()?,
    })
}

/// Returns the text of `record` as a write of the gist lock.
///
/// `kept` are additional fields; those of the record take precedence.
#[must_use]
pub fn to_text(
    record: &LeaderElectionRecord,
    kept: Option<&Map<String, Value>>,
    origin: &Origin,
    checkpoint: bool,
) -> String {
    let mut record = record.clone();
    for (name, value) in kept.into_iter().flatten() {
        if !OWN_FIELDS.contains(&name.as_str()) {
            let field = record.other.entry(name.clone());
            field.or_insert_with(|| value.clone());
        }
    }
    let supersedes = origin.supersedes.to_string();
    let other = &mut record.other;
    other.remove(CHECKPOINT);
    other.insert(PROTOCOL_FIELD.to_owned(), PROTOCOL.into());
    other.insert(WRITE_ID.to_owned(), (*origin.write_id).into());
    other.insert(SUPERSEDES.to_owned(), supersedes.into());
    if checkpoint {
        other.insert(CHECKPOINT.to_owned(), true.into());
    }
    record.to_json()
}

/// Returns the text of `record` as the first write of a new gist, a checkpoint.
#[must_use]
pub fn to_first_text(record: &LeaderElectionRecord, write_id: &str) -> String {
    let origin = Origin {
        write_id: write_id.into(),
        supersedes: NO_REVISION,
    };
    to_text(record, None, &origin, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Stored {
        Stored::read(&Text::Whole(text.into()))
    }

    fn origin() -> Origin {
        Origin {
            write_id: "9f2c-17".into(),
            supersedes: Revision::from_bytes([7; 20]),
        }
    }

    #[test]
    fn write_round_trips_with_unknown_fields() {
        let mut record = LeaderElectionRecord {
            holder_identity: "napoleon".into(),
            leader_transitions: HIGHEST_TOKEN,
            ..LeaderElectionRecord::default()
        };
        record.other.insert("strategy".into(), "x".into());
        let stored = read(&to_text(&record, None, &origin(), false));
        let stored = stored.record().unwrap();
        assert_eq!(stored.origin, Some(origin()));
        assert_eq!(stored.protocol, PROTOCOL);
        assert_eq!(*stored.record, record);
    }

    #[test]
    fn rewrite_keeps_only_unknown_fields() {
        let corrupt = read(
            r#"{"writeId":"x","checkpoint":true,"leaderTransitions":"many","note":"keep me"}"#,
        );
        let record = LeaderElectionRecord::default();
        let text = to_text(&record, corrupt.kept(), &origin(), false);
        let stored = read(&text);
        let stored = stored.record().unwrap();
        assert_eq!(stored.record.other["note"], "keep me");
        assert_eq!(stored.record.leader_transitions, 0);
        assert!(!stored.checkpoint);
    }

    #[test]
    fn release_fields_end_with_release() {
        let mut release = LeaderElectionRecord::default();
        release.other.insert(RELEASED_BY.into(), "napoleon".into());
        release.other.insert(STOP_REASON.into(), "stopped".into());
        let released = read(&to_text(&release, None, &origin(), false));
        assert_eq!(released.record().unwrap().record.released_by(), "napoleon");
        let claim = LeaderElectionRecord::default();
        let claimed = read(&to_text(&claim, released.kept(), &origin(), false));
        assert_eq!(*claimed.record().unwrap().record, claim);
    }

    #[test]
    fn unknown_numbers_survive_rewrites() {
        let mut stored = read(r#"{"holderIdentity":"a","x":123965478012345678901234567890}"#);
        let first = stored.kept().unwrap()["x"].clone();
        for _ in 0..100 {
            let record = Arc::clone(&stored.record().unwrap().record);
            stored = read(&to_text(&record, stored.kept(), &origin(), false));
        }
        assert_eq!(stored.kept().unwrap()["x"], first);
    }

    #[test]
    fn checkpoint_lasts_for_one_write() {
        let record = LeaderElectionRecord::default();
        let checkpoint = read(&to_text(&record, None, &origin(), true));
        assert!(checkpoint.record().unwrap().checkpoint);
        let next = read(&to_text(&record, checkpoint.kept(), &origin(), false));
        assert!(!next.record().unwrap().checkpoint);
        let first = read(&to_first_text(&record, "a-1"));
        assert!(first.record().unwrap().checkpoint);
        assert_eq!(first.origin().unwrap().supersedes, NO_REVISION);
    }

    #[test]
    fn record_without_both_fields_is_foreign() {
        let supersedes = "7".repeat(40);
        for text in [
            r#"{"holderIdentity":"a"}"#.to_owned(),
            r#"{"holderIdentity":"a","writeId":"b"}"#.to_owned(),
            format!(r#"{{"holderIdentity":"a","supersedes":"{supersedes}"}}"#),
            r#"{"holderIdentity":"a","writeId":"b","supersedes":"short"}"#.to_owned(),
            format!(r#"{{"holderIdentity":"a","writeId":1,"supersedes":"{supersedes}"}}"#),
        ] {
            let stored = read(&text);
            assert!(stored.record().is_some(), "{text}");
            assert_eq!(stored.origin(), None, "{text}");
        }
    }

    #[test]
    fn too_high_foreign_token_is_corrupt() {
        let text = format!(
            r#"{{"holderIdentity":"a","leaderTransitions":{}}}"#,
            (1u64 << 52) + 1
        );
        assert_eq!(read(&text).token(), None);
        assert!(matches!(read(&text), Stored::Corrupt { .. }));
    }

    #[test]
    fn foreign_numbers_count_in_every_notation() {
        for token in ["7", "7.0", "7e0", r#""7""#, r#"" 7.0 ""#] {
            for start in [r#""holderIdentity":"a""#, r#""renewTime":1"#] {
                let text = format!(r#"{{{start},"leaderTransitions":{token}}}"#);
                assert_eq!(read(&text).token(), Some(7), "{text}");
            }
        }
        for token in ["-7", "1e300", r#""1e300""#, r#""-7""#, "7.5", "{}"] {
            let text = format!(r#"{{"holderIdentity":"a","leaderTransitions":{token}}}"#);
            assert!(matches!(read(&text), Stored::Corrupt { .. }), "{text}");
            assert_eq!(read(&text).token(), None, "{text}");
        }
    }

    #[test]
    fn byte_order_mark_hides_no_record() {
        let text = to_text(&LeaderElectionRecord::default(), None, &origin(), false);
        let marked = read(&format!("\u{feff}{text}"));
        assert_eq!(marked, read(&text));
        assert_eq!(marked.origin(), Some(&origin()));
        assert_eq!(read("\u{feff}"), Stored::Blank);
        assert!(matches!(read("\u{feff}hello"), Stored::Unrelated(_)));
    }

    #[test]
    fn blank_unrelated_and_cut_texts_differ() {
        assert_eq!(Stored::read(&Text::Missing), Stored::Blank);
        assert_eq!(read(" \n\t"), Stored::Blank);
        assert!(matches!(read("hello"), Stored::Unrelated(_)));
        assert!(matches!(read("[]"), Stored::Unrelated(_)));
        assert!(matches!(read("{}"), Stored::Empty(_)));
        assert!(matches!(read(r#"{"strategy":"x"}"#), Stored::Empty(_)));
        assert!(matches!(read(r#"{"name":"my-app"}"#), Stored::Unrelated(_)));
        let corrupt =
            read(r#"{"holderIdentity":"x","leaseDurationSeconds":1.5,"leaderTransitions":9}"#);
        assert_eq!(corrupt.token(), Some(9));
        assert!(matches!(
            Stored::read(&Text::Cut("{".into())),
            Stored::Unrelated(_)
        ));
    }
}
