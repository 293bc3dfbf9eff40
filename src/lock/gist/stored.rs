//! Content of the lock's file in one revision: a record and its origin, or something else.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::revision::Revision;
use super::wire::Text;
use crate::election::record::LeaderElectionRecord;
use crate::lock::stored::{self, WRITE_ID};

/// Version of the rule by which every process computes the effective revision.
pub const PROTOCOL: u64 = 1;

/// Revision that the first record of a new gist supersedes: git's name for no commit.
///
/// The record is effective as the oldest revision; the same text, pasted later, never is.
const NO_REVISION: Revision = Revision::from_bytes([0; 20]);

const SUPERSEDES: &str = "supersedes";

/// Parsed content of the lock's file in one revision.
pub type Stored = stored::Stored<Origin>;

/// A record and the fields of the gist lock.
pub type StoredRecord = stored::StoredRecord<Origin>;

/// Origin of a write of the gist lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Unique id of the write; up to the last `-`, it names the process.
    pub write_id: Arc<str>,
    /// Revision that the write replaces.
    pub supersedes: Revision,
}

impl stored::Origin for Origin {
    const FIELDS: &'static [&'static str] = &[WRITE_ID, SUPERSEDES];

    fn take(fields: &mut Map<String, Value>) -> Option<Origin> {
        let [write_id, supersedes] = [WRITE_ID, SUPERSEDES].map(|name| fields.remove(name));
        let (Some(Value::String(write_id)), Some(Value::String(supersedes))) =
            (write_id, supersedes)
        else {
            return None;
        };
        Some(Origin {
            write_id: write_id.into(),
            supersedes: supersedes.parse().ok()?,
        })
    }

    fn write_id(&self) -> &Arc<str> {
        &self.write_id
    }
}

impl Stored {
    /// Parses the text of a revision.
    #[must_use]
    pub fn read(text: &Text) -> Stored {
        match text {
            Text::Missing => Stored::Blank,
            Text::Cut(_) => Stored::Unrelated("it is too large to be shown whole".into()),
            Text::Whole(text) => Stored::parse(text),
        }
    }

    /// Returns the protocol of an elector's record, if it is older than this elector's.
    #[must_use]
    pub fn older_protocol(&self) -> Option<u64> {
        let record = self.record()?;
        (record.origin.is_some() && record.protocol < PROTOCOL).then_some(record.protocol)
    }
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
    let mut record = stored::prepare::<Origin>(record, kept, PROTOCOL, checkpoint);
    origin.add_to(&mut record);
    record.to_json()
}

/// Returns the text of an annotated record; `origin` is `None` for one that stays a foreign write.
#[must_use]
pub fn to_annotated_text(mut record: LeaderElectionRecord, origin: Option<&Origin>) -> String {
    if let Some(origin) = origin {
        origin.add_to(&mut record);
    }
    record.to_json()
}

impl Origin {
    fn add_to(&self, record: &mut LeaderElectionRecord) {
        let other = &mut record.other;
        other.insert(WRITE_ID.to_owned(), (*self.write_id).into());
        other.insert(SUPERSEDES.to_owned(), self.supersedes.to_string().into());
    }
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
    use crate::election::record::{HIGHEST_TOKEN, RELEASED_BY, STOP_REASON};

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
