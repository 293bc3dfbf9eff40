//! The record: any text in the lock's file.

use std::time::Duration;

use elector::LeaderElectionRecord;
use elector::election::annotation::IN_FORCE;
use elector::election::record::{HIGHEST_TOKEN, LONGEST_LEASE};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::stored::{Origin, PROTOCOL, Stored, StoredRecord, to_text};
use elector::lock::gist::wire::Text;
use serde_json::{Map, Value};

use super::assert_safe_line;

const HIGHEST_PLAIN_TOKEN: u64 = 1 << 52;

/// Fields that client-go and the gist lock define, and that every write replaces.
const OWN: [&str; 9] = [
    "holderIdentity",
    "leaseDurationSeconds",
    "acquireTime",
    "renewTime",
    "leaderTransitions",
    "protocol",
    "writeId",
    "supersedes",
    "checkpoint",
];

/// Parses `data` as the content of the file. It is UTF-8, because the client refuses JSON in another
/// encoding.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let stored = read(text);
    let unmarked = text.strip_prefix('\u{feff}').unwrap_or(text);
    let tree = serde_json::from_str::<Value>(unmarked).ok();
    let fields = tree.as_ref().and_then(Value::as_object);
    check_classification(&stored, unmarked, fields);
    keeps_its_bounds(&stored);
    if let (Stored::Record(stored), Some(fields)) = (&stored, fields) {
        check_fields(stored, fields);
    }
    survives_a_rewrite(&stored, text.len());
    reads_back(text);
    let cut = Stored::read(&Text::Cut(text.into()));
    assert!(matches!(cut, Stored::Unrelated(_)), "{cut:?}");
}

fn read(text: &str) -> Stored {
    Stored::read(&Text::Whole(text.into()))
}

/// Checks the classification with a second implementation.
fn check_classification(stored: &Stored, text: &str, fields: Option<&Map<String, Value>>) {
    let Some(fields) = fields else {
        let blank = text.trim().is_empty();
        assert_eq!(matches!(stored, Stored::Blank), blank, "{stored:?}");
        assert!(
            blank || matches!(stored, Stored::Unrelated(_)),
            "{stored:?}"
        );
        return;
    };
    let any = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
    let fits = match stored {
        Stored::Blank => false,
        Stored::Record(_) => is_record(fields),
        Stored::Corrupt { .. } => !is_record(fields) && any(&OWN),
        Stored::Empty(_) => {
            !any(&OWN) && (fields.is_empty() || any(&["preferredHolder", "strategy"]))
        }
        Stored::Unrelated(_) => {
            !any(&OWN) && !fields.is_empty() && !any(&["preferredHolder", "strategy"])
        }
    };
    assert!(fits, "{stored:?}");
}

fn is_record(fields: &Map<String, Value>) -> bool {
    let number = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Some(0),
        Some(value) => value.as_u64(),
    };
    let text = |name: &str| {
        matches!(
            fields.get(name),
            None | Some(Value::Null | Value::String(_))
        )
    };
    let highest = match is_elector_write(fields) {
        true => HIGHEST_TOKEN,
        false => HIGHEST_PLAIN_TOKEN,
    };
    matches!(fields.get("holderIdentity"), Some(Value::String(_)))
        && number("leaseDurationSeconds").is_some()
        && number("leaderTransitions").is_some_and(|token| token <= highest)
        && number("protocol").is_some()
        && text("acquireTime")
        && text("renewTime")
}

/// Returns whether both of the lock's fields are well-formed.
fn is_elector_write(fields: &Map<String, Value>) -> bool {
    let supersedes = fields.get("supersedes").and_then(Value::as_str);
    fields.get("writeId").is_some_and(Value::is_string)
        && supersedes
            .is_some_and(|name| name.len() == 40 && name.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn keeps_its_bounds(stored: &Stored) {
    assert!(stored.lease().unwrap_or_default() <= Duration::from_secs(3600));
    let highest = match stored.origin() {
        Some(_) => HIGHEST_TOKEN,
        None => HIGHEST_PLAIN_TOKEN,
    };
    assert!(stored.token().unwrap_or_default() <= highest, "{stored:?}");
    match stored {
        Stored::Unrelated(why) | Stored::Corrupt { why, .. } => assert_safe_line(why),
        _ => {}
    }
}

fn check_fields(stored: &StoredRecord, fields: &Map<String, Value>) {
    let record = &stored.record;
    assert_eq!(record.holder_identity, fields["holderIdentity"]);
    assert!(record.lease_duration() <= LONGEST_LEASE);
    let number = |name: &str| fields.get(name).and_then(Value::as_u64).unwrap_or(0);
    assert_eq!(
        record.lease_duration_seconds,
        number("leaseDurationSeconds")
    );
    assert_eq!(record.leader_transitions, number("leaderTransitions"));
    assert_eq!(stored.protocol, number("protocol"));
    assert_eq!(
        stored.checkpoint,
        fields.get("checkpoint") == Some(&Value::Bool(true))
    );
    assert_eq!(stored.origin.is_some(), is_elector_write(fields));
    if let Some(origin) = &stored.origin {
        assert_eq!(*origin.write_id, *fields["writeId"].as_str().unwrap());
        let supersedes = fields["supersedes"].as_str().unwrap().to_ascii_lowercase();
        assert_eq!(origin.supersedes.to_string(), supersedes);
    }
    let unknown = |name: &&String| !OWN.contains(&name.as_str());
    assert!(record.other.keys().eq(fields.keys().filter(unknown)));
}

/// Checks that a rewrite is an elector's write and keeps every unknown field, also when it is
/// repeated.
fn survives_a_rewrite(stored: &Stored, length: usize) {
    let record = stored
        .record()
        .map_or_else(LeaderElectionRecord::default, |stored| {
            (*stored.record).clone()
        });
    let origin = Origin {
        write_id: "process-1".into(),
        supersedes: Revision::from_bytes([0xa7; 20]),
    };
    let text = to_text(&record, stored.kept(), &origin, false);
    assert!(text.len() <= 8 * length + 512, "{length} became {text}");
    let again = read(&text);
    let ours = again.record().expect("what we write is a record");
    assert_eq!(ours.origin.as_ref(), Some(&origin));
    assert_eq!(ours.protocol, PROTOCOL);
    assert!(!ours.checkpoint);
    assert_eq!(ours.record.leader_transitions, record.leader_transitions);
    // Requests in force stay only if the writer says so.
    let is_kept = |name: &str| {
        !OWN.contains(&name) && (stored.record().is_some() || !IN_FORCE.contains(&name))
    };
    let unknown: Map<String, Value> = stored
        .kept()
        .into_iter()
        .flatten()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    assert_eq!(
        ours.record.other, unknown,
        "a rewrite changed what it does not know"
    );
    let twice = to_text(&ours.record, again.kept(), &origin, false);
    assert_eq!(twice, text);
}

/// Checks that a write replaces all of the lock's fields.
fn check_rewrite(record: &LeaderElectionRecord) {
    let origin = Origin {
        write_id: "process-2".into(),
        supersedes: Revision::from_bytes([0x7a; 20]),
    };
    let stored = read(&to_text(record, None, &origin, false));
    if record.leader_transitions <= HIGHEST_TOKEN {
        let ours = stored.record().expect("what we write is a record");
        assert_eq!(
            (ours.origin.as_ref(), ours.checkpoint),
            (Some(&origin), false)
        );
        assert_eq!(ours.protocol, PROTOCOL);
    }
}

/// Checks the core's parser, without the gist lock's fields.
fn reads_back(text: &str) {
    match LeaderElectionRecord::from_json(text) {
        Ok(record) => {
            check_rewrite(&record);
            let json = record.to_json();
            assert_eq!(LeaderElectionRecord::from_json(&json), Ok(record), "{json}");
        }
        Err(error) => assert_safe_line(&error.to_string()),
    }
}
