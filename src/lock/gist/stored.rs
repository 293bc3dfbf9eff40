//! What our file held in one revision: a record and where it came from, or something else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::revision::Revision;
use super::wire::target::check_file_name;
use super::wire::{GistId, Text};
use crate::election::record::{HIGHEST_TOKEN, LeaderElectionRecord, RecordError};
use crate::fmt::one_line;

/// The version of the rule by which everybody computes the revision in effect.
pub const PROTOCOL: u64 = 1;

/// What a record of a lock that is being moved carries in its place: nobody claims on top of it, and
/// only who moves the lock writes on.
pub const PROTOCOL_MOVED: u64 = 2;

/// What the first record of a new gist supersedes: git's name for no commit at all. It is in effect
/// as the oldest revision, and its text, pasted later, never is.
const NOTHING_BEFORE: Revision = Revision::from_bytes([0; 20]);

/// A token above this in a plain record is a slip of the hand, and does not count: it would leave
/// too few to go on with. One of ours may go up to [`HIGHEST_TOKEN`].
const HIGHEST_PLAIN_TOKEN: u64 = 1 << 52;

const WRITE_ID: &str = "writeId";
const SUPERSEDES: &str = "supersedes";
const PROTOCOL_FIELD: &str = "protocol";
const CHECKPOINT: &str = "checkpoint";
const MOVED_TO: &str = "movedTo";
const MOVED_TO_FILE: &str = "movedToFile";
const MOVED_FROM: &str = "movedFrom";
const MOVED_FROM_FILE: &str = "movedFromFile";

/// The content of our file in one revision, as read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stored {
    /// The file is missing or blank.
    Blank,
    /// Other people's text: no JSON object, one with nothing of a record in it, or cut off.
    Unrelated(Arc<str>),
    /// A JSON object that holds nothing, or nothing but what a record may be prepared with.
    Empty(Map<String, Value>),
    /// A record that cannot be read.
    Corrupt {
        /// What is wrong with it.
        why: Arc<str>,
        /// Its token, if that much can be read.
        token: Option<u64>,
        /// All that it holds.
        fields: Map<String, Value>,
    },
    /// A record.
    Record(StoredRecord),
}

/// A record, and what the gist lock wrote beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredRecord {
    /// The record, without the fields of the gist lock.
    pub record: Arc<LeaderElectionRecord>,
    /// Set if the gist lock wrote it, absent for a plain overwrite.
    pub origin: Option<Origin>,
    /// The rule its writer goes by.
    pub protocol: u64,
    /// It stands for all that came before it: its token is at least as high as any below.
    pub checkpoint: bool,
    /// The lock is being moved.
    pub moved: Option<Moved>,
}

/// Where a lock is kept, beside the API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The gist.
    pub gist: GistId,
    /// The file in it.
    pub file: Arc<str>,
}

/// By the settings that lead there.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "GIST_ID={} GIST_FILE={}",
            self.gist,
            one_line(&self.file)
        )
    }
}

/// What is said of a lock that is being moved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Moved {
    /// Nobody leads by this record any more, but by the one there.
    To(Place),
    /// Nobody leads by this record yet, but perhaps still by the one there.
    From(Place),
}

/// What a record says beyond who holds the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Nothing.
    #[default]
    None,
    /// That it stands for all that came before it.
    Checkpoint,
    /// That the lock is being moved.
    Moved(Moved),
}

/// Which write of the gist lock a record is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Unique for each write; up to the last `-`, it names the process.
    pub write_id: Arc<str>,
    /// The revision that this write replaces.
    pub supersedes: Revision,
}

impl Stored {
    /// Reads what a revision holds.
    #[must_use]
    pub fn read(text: &Text) -> Stored {
        let text = match text {
            Text::Missing => return Stored::Blank,
            Text::Cut(_) => return Stored::Unrelated("it is too large to be shown whole".into()),
            Text::Whole(text) => text,
        };
        if text.trim().is_empty() {
            return Stored::Blank;
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Stored::from_fields(fields),
            _ => Stored::Unrelated(RecordError::NotAnObject.to_string().into()),
        }
    }

    fn from_fields(fields: Map<String, Value>) -> Stored {
        let error = match read_record(fields.clone()) {
            Ok(record) => return Stored::Record(record),
            Err(error) => error,
        };
        let holds = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
        if holds(&OWN_FIELDS) {
            let token = fields.get("leaderTransitions").and_then(Value::as_u64);
            return Stored::Corrupt {
                why: error.to_string().into(),
                token: token.filter(|token| *token <= HIGHEST_PLAIN_TOKEN),
                fields,
            };
        }
        if fields.is_empty() || holds(&PREPARED_FIELDS) {
            return Stored::Empty(fields);
        }
        Stored::Unrelated("it is a JSON object with nothing of a lease record in it".into())
    }

    /// The token that it shows, readable as a whole or not.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        match self {
            Stored::Record(stored) => Some(stored.record.leader_transitions),
            Stored::Corrupt { token, .. } => *token,
            _ => None,
        }
    }

    /// The lease that it stands for; `None` if there is no record.
    #[must_use]
    pub fn lease(&self) -> Option<Duration> {
        match self {
            Stored::Record(stored) => Some(stored.record.lease_duration()),
            Stored::Corrupt { .. } => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// The fields that a rewrite keeps, unless it has its own.
    #[must_use]
    pub fn kept(&self) -> Option<&Map<String, Value>> {
        match self {
            Stored::Record(stored) => Some(&stored.record.other),
            Stored::Empty(fields) | Stored::Corrupt { fields, .. } => Some(fields),
            _ => None,
        }
    }

    /// The record, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&StoredRecord> {
        match self {
            Stored::Record(stored) => Some(stored),
            _ => None,
        }
    }

    /// Which write of the gist lock it is; `None` for a plain overwrite of whatever kind.
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
    let moved = read_moved(&mut fields, protocol);
    let record = LeaderElectionRecord::from_fields(fields)?;
    let origin = read_origin(write_id, supersedes);
    let highest = match origin {
        Some(_) => HIGHEST_TOKEN,
        None => HIGHEST_PLAIN_TOKEN,
    };
    if record.leader_transitions > highest {
        return Err(RecordError::BadField("leaderTransitions"));
    }
    Ok(StoredRecord {
        record: Arc::new(record),
        origin,
        protocol,
        checkpoint,
        moved,
    })
}

/// What is said of a move counts only where the protocol is the one for that.
fn read_moved(fields: &mut Map<String, Value>, protocol: u64) -> Option<Moved> {
    let to = read_place(fields, MOVED_TO, MOVED_TO_FILE);
    let from = read_place(fields, MOVED_FROM, MOVED_FROM_FILE);
    let moved = to.map(Moved::To).or(from.map(Moved::From));
    moved.filter(|_| protocol == PROTOCOL_MOVED)
}

fn read_place(fields: &mut Map<String, Value>, gist: &str, file: &str) -> Option<Place> {
    let (gist, file) = (fields.remove(gist), fields.remove(file));
    Some(Place {
        gist: gist?.as_str()?.parse().ok()?,
        file: check_file_name(file?.as_str()?).ok()?,
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

/// The text that stores `record` as the first write to a new gist.
#[must_use]
pub fn to_first_text(record: &LeaderElectionRecord, write_id: &str, mark: &Mark) -> String {
    let origin = Origin {
        write_id: write_id.into(),
        supersedes: NOTHING_BEFORE,
    };
    to_marked_text(record, None, &origin, mark)
}

/// The text that stores `record` as a write of the gist lock. `kept` are further fields, which give
/// way to those of the record.
#[must_use]
pub fn to_text(
    record: &LeaderElectionRecord,
    kept: Option<&Map<String, Value>>,
    origin: &Origin,
) -> String {
    to_marked_text(record, kept, origin, &Mark::None)
}

/// The same for a record that says more.
#[must_use]
pub fn to_marked_text(
    record: &LeaderElectionRecord,
    kept: Option<&Map<String, Value>>,
    origin: &Origin,
    mark: &Mark,
) -> String {
    let mut record = record.clone();
    for (name, value) in kept.into_iter().flatten() {
        if !OWN_FIELDS.contains(&name.as_str()) {
            record
                .other
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
    }
    for name in MARKS {
        record.other.remove(name);
    }
    let protocol = match mark {
        Mark::Moved(_) => PROTOCOL_MOVED,
        Mark::None | Mark::Checkpoint => PROTOCOL,
    };
    let mut own = vec![
        (PROTOCOL_FIELD, Value::from(protocol)),
        (WRITE_ID, Value::from(origin.write_id.as_ref())),
        (SUPERSEDES, Value::from(origin.supersedes.to_string())),
    ];
    own.extend(mark_fields(mark));
    for (name, value) in own {
        record.other.insert(name.to_owned(), value);
    }
    record.to_json()
}

fn mark_fields(mark: &Mark) -> Vec<(&'static str, Value)> {
    let (names, place) = match mark {
        Mark::None => return Vec::new(),
        Mark::Checkpoint => return vec![(CHECKPOINT, Value::Bool(true))],
        Mark::Moved(Moved::To(place)) => ([MOVED_TO, MOVED_TO_FILE], place),
        Mark::Moved(Moved::From(place)) => ([MOVED_FROM, MOVED_FROM_FILE], place),
    };
    let (gist, file) = (place.gist.as_str(), place.file.as_ref());
    vec![(names[0], gist.into()), (names[1], file.into())]
}

/// What client-go lets a record be prepared with before there is a holder.
const PREPARED_FIELDS: [&str; 2] = ["preferredHolder", "strategy"];

/// The fields of [`Mark`].
const MARKS: [&str; 5] = [
    CHECKPOINT,
    MOVED_TO,
    MOVED_TO_FILE,
    MOVED_FROM,
    MOVED_FROM_FILE,
];

/// The fields that every write sets anew.
const OWN_FIELDS: [&str; 13] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaderTransitions",
    PROTOCOL_FIELD,
    WRITE_ID,
    SUPERSEDES,
    CHECKPOINT,
    MOVED_TO,
    MOVED_TO_FILE,
    MOVED_FROM,
    MOVED_FROM_FILE,
];

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
    fn a_write_reads_back_as_ours_with_the_fields_it_does_not_know() {
        let mut record = LeaderElectionRecord {
            holder_identity: "napoleon".into(),
            leader_transitions: HIGHEST_TOKEN,
            ..LeaderElectionRecord::default()
        };
        record.other.insert("strategy".into(), "x".into());
        let stored = read(&to_text(&record, None, &origin()));
        let stored = stored.record().unwrap();
        assert_eq!(stored.origin, Some(origin()));
        assert_eq!(stored.protocol, PROTOCOL);
        assert_eq!(*stored.record, record);
    }

    #[test]
    fn a_rewrite_keeps_foreign_fields_but_none_of_the_lock() {
        let spoilt = read(
            r#"{"writeId":"x","checkpoint":true,"leaderTransitions":"many","note":"keep me"}"#,
        );
        let record = LeaderElectionRecord::default();
        let text = to_text(&record, spoilt.kept(), &origin());
        let stored = read(&text);
        let stored = stored.record().unwrap();
        assert_eq!(stored.record.other["note"], "keep me");
        assert_eq!(stored.record.leader_transitions, 0);
        assert!(!stored.checkpoint);
    }

    #[test]
    fn numbers_that_it_does_not_know_do_not_drift_with_every_rewrite() {
        let mut stored = read(r#"{"holderIdentity":"a","x":123965478012345678901234567890}"#);
        let first = stored.kept().unwrap()["x"].clone();
        for _ in 0..100 {
            let record = Arc::clone(&stored.record().unwrap().record);
            stored = read(&to_text(&record, stored.kept(), &origin()));
        }
        assert_eq!(stored.kept().unwrap()["x"], first);
    }

    fn marked(mark: &Mark) -> StoredRecord {
        let record = LeaderElectionRecord::default();
        let text = to_marked_text(&record, None, &origin(), mark);
        read(&text).record().unwrap().clone()
    }

    #[test]
    fn marks_read_back_and_do_not_outlive_their_write() {
        let place = Place {
            gist: "aa5a".parse().unwrap(),
            file: "b.json".into(),
        };
        assert!(marked(&Mark::Checkpoint).checkpoint);
        for moved in [Moved::To(place.clone()), Moved::From(place)] {
            let stored = marked(&Mark::Moved(moved.clone()));
            assert_eq!(stored.protocol, PROTOCOL_MOVED);
            assert_eq!(stored.moved, Some(moved));
            assert!(stored.record.other.is_empty(), "{stored:?}");
        }
        assert_eq!(marked(&Mark::None).moved, None);
        let first = to_first_text(&LeaderElectionRecord::default(), "a-1", &Mark::Checkpoint);
        let first = read(&first);
        assert_eq!(first.origin().unwrap().supersedes, NOTHING_BEFORE);
    }

    #[test]
    fn what_is_said_of_a_move_counts_only_under_its_protocol_and_whole() {
        for (text, counts) in [
            (r#""protocol":2,"movedTo":"aa","movedToFile":"b""#, true),
            (r#""protocol":1,"movedTo":"aa","movedToFile":"b""#, false),
            (r#""protocol":3,"movedTo":"aa","movedToFile":"b""#, false),
            (r#""protocol":2,"movedTo":"a/a","movedToFile":"b""#, false),
            (r#""protocol":2,"movedTo":"aa","movedToFile":"a/b""#, false),
            (r#""protocol":2,"movedTo":"aa""#, false),
            (r#""protocol":2,"movedTo":7,"movedToFile":"b""#, false),
        ] {
            let stored = read(&format!(r#"{{"holderIdentity":"",{text}}}"#));
            let stored = stored.record().unwrap();
            assert_eq!(stored.moved.is_some(), counts, "{text}");
        }
    }

    #[test]
    fn a_record_without_both_fields_of_ours_is_plain() {
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
    fn a_plain_token_that_leaves_no_room_is_unreadable() {
        let text = format!(
            r#"{{"holderIdentity":"a","leaderTransitions":{}}}"#,
            (1u64 << 52) + 1
        );
        assert_eq!(read(&text).token(), None);
        assert!(matches!(read(&text), Stored::Corrupt { .. }));
    }

    #[test]
    fn blank_foreign_and_cut_texts_are_told_apart() {
        assert_eq!(Stored::read(&Text::Missing), Stored::Blank);
        assert_eq!(read(" \n\t"), Stored::Blank);
        assert!(matches!(read("hello"), Stored::Unrelated(_)));
        assert!(matches!(read("[]"), Stored::Unrelated(_)));
        assert!(matches!(read("{}"), Stored::Empty(_)));
        assert!(matches!(read(r#"{"strategy":"x"}"#), Stored::Empty(_)));
        assert!(matches!(read(r#"{"name":"my-app"}"#), Stored::Unrelated(_)));
        let spoilt =
            read(r#"{"holderIdentity":"x","leaseDurationSeconds":1.5,"leaderTransitions":9}"#);
        assert_eq!(spoilt.token(), Some(9));
        assert!(matches!(
            Stored::read(&Text::Cut("{".into())),
            Stored::Unrelated(_)
        ));
    }
}
