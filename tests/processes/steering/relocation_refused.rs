//! What `elector init --from` refuses before it writes anything.

use serde_json::{Value, json};

use super::relocation::Move;
use crate::operating::command::ours;
use crate::support::for_each;
use crate::support::process::Fixture;
use crate::support::process::steering::{Place, ran};

/// Returns a released record with fencing token 3.
fn released(fixture: &Fixture) -> Value {
    ours(fixture, "", 3)
}

fn with(mut record: Value, field: &str, value: impl Into<Value>) -> String {
    record[field] = value.into();
    record.to_string()
}

/// Contents of the old and the new place, and a part of the message.
type Case = (
    &'static str,
    fn(&Fixture) -> String,
    fn(&Fixture) -> String,
    &'static str,
);

const CASES: [Case; 11] = [
    (
        "no record",
        |_| "{}".into(),
        |_| "{}".into(),
        "has no election to move",
    ),
    (
        "no election",
        |_| "dear diary".into(),
        |_| "{}".into(),
        "has no election to move",
    ),
    (
        "moved elsewhere",
        |old| with(released(old), "movedTo", "lease:jobs/report"),
        |_| "{}".into(),
        "moved to lease:jobs/report already",
    ),
    (
        "foreign record",
        |_| json!({"holderIdentity": "client-go", "leaseDurationSeconds": 5}).to_string(),
        |_| "{}".into(),
        "was written by hand or by another program",
    ),
    (
        "foreign release",
        |_| json!({"holderIdentity": "", "leaseDurationSeconds": 5}).to_string(),
        |_| "{}".into(),
        "was written by hand or by another program",
    ),
    (
        "newer protocol",
        |old| with(released(old), "protocol", 99),
        |_| "{}".into(),
        "protocol 99",
    ),
    (
        "other election",
        |old| released(old).to_string(),
        |new| ours(new, "hannibal", 2).to_string(),
        "holds something else already",
    ),
    (
        "other election with higher token",
        |old| released(old).to_string(),
        |new| ours(new, "hannibal", 7).to_string(),
        "holds something else already",
    ),
    (
        "other content",
        |old| released(old).to_string(),
        |_| "dear diary".into(),
        "holds something else already",
    ),
    (
        "corrupt record",
        |old| released(old).to_string(),
        |_| json!({"holderIdentity": 7, "leaderTransitions": 5}).to_string(),
        "holds something else already",
    ),
    (
        "newer protocol in new place",
        |old| released(old).to_string(),
        |new| with(ours(new, "", 7), "protocol", 99),
        "protocol 99",
    ),
];

#[test]
fn unusable_places_stay_unchanged() {
    for_each(&CASES, |(name, old, new, part)| {
        let both = Move::new();
        let (old, new) = (old(&both.old), new(&both.new));
        for (fixture, text) in [(&both.old, &old), (&both.new, &new)] {
            if text != "{}" {
                fixture.put(text);
            }
        }
        let text = both.run().failed(part);
        assert!(text.contains("nothing was written"), "{name}: {text}");
        assert_eq!(both.old.content(), old, "{name}");
        assert_eq!(both.new.content(), new, "{name}");
    });
}

#[test]
fn unreachable_place_leaves_other_unchanged() {
    for at_new in [false, true] {
        let both = Move::new();
        let text = released(&both.old).to_string();
        both.old.put(&text);
        let broken = if at_new { &both.new } else { &both.old };
        broken.set_faults(r#"{"outage":true}"#);
        let printed = both.run().failed("nothing was written");
        assert!(printed.contains("closed the connection"), "{printed}");
        assert_eq!(
            (both.old.content(), both.new.content()),
            (text, "{}".to_owned())
        );
    }
}

#[test]
fn wrong_usage_exits_2() {
    let fixture = Fixture::new();
    fixture.put(&released(&fixture).to_string());
    let before = fixture.content();
    let same = format!("gist:{}", fixture.gist);
    for (from, part) in [
        (same.as_str(), "is the lock of the settings too"),
        ("", "--from"),
        ("nothing", "use one of"),
        ("gist:not an id", "--from: `gist:not an id` is not valid"),
    ] {
        let refused = ran(Place::gist(&fixture).command(&["init", "--from", from]));
        assert_eq!(refused.code, Some(2), "{from}: {refused:?}");
        assert!(refused.text.contains(part), "{from}: {refused:?}");
    }
    assert_eq!(fixture.content(), before);
}
