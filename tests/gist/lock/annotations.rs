//! Annotations: what they change, and what they leave as it was.

use std::time::Duration;

use elector::election::lock::{Content, LockError, Observed, ResourceLock, Written};
use serde_json::{Value, json};

use crate::lock::support::{
    FILE, Lock, PATIENCE, RENEW_DEADLINE, Rig, assert_unknown, get, held, plain, put_clock_forward,
    record, settled, try_get, try_update, update,
};
use crate::support::changed_fields;

/// Fields of the gist lock that each write changes.
const ORIGIN: [&str; 2] = ["supersedes", "writeId"];

/// Returns a leader that has renewed once and left a field, and an operator that has read its record.
fn led() -> (Rig, Lock, Lock) {
    let rig = Rig::new();
    let mut leader = rig.lock("a");
    let mut led = record("baz", 7);
    led.other
        .insert("note".into(), json!({"x": [1, null, 0.1]}));
    leader.create(&led, PATIENCE).unwrap();
    leader.update(&led, PATIENCE).unwrap();
    let mut operator = rig.lock("b");
    get(&mut operator);
    (rig, leader, operator)
}

fn annotate(lock: &mut Lock, fields: Value) -> Result<Written, LockError> {
    let Value::Object(annotation) = fields else {
        panic!("no object");
    };
    lock.annotate(&annotation, PATIENCE)
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, LockError>, part: &str) {
    match result {
        Err(LockError::Refused(why)) if why.contains(part) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn annotation_changes_only_named_fields() {
    let (rig, _, mut operator) = led();
    let before = rig.json();
    let head = rig.service.history(&rig.id)[0].revision.to_string();
    annotate(&mut operator, json!({"paused": {"reason": "x"}, "z": [1]})).unwrap();
    let after = rig.json();
    let fields = [ORIGIN[0], ORIGIN[1], "paused", "z"].map(str::to_owned);
    let mut expected = fields.to_vec();
    expected.sort();
    assert_eq!(changed_fields(&before, &after), expected);
    assert_eq!(after["supersedes"], head);
    assert_eq!(after["paused"], json!({"reason": "x"}));
    for field in ["term", "renewId", "note", "leaderTransitions"] {
        assert!(!after[field].is_null(), "{field}: {after}");
    }
    annotate(
        &mut operator,
        json!({"paused": null, "z": null, "absent": null}),
    )
    .unwrap();
    assert_eq!(changed_fields(&before, &rig.json()), ORIGIN);
}

#[test]
fn leader_keeps_write_under_annotation() {
    let (rig, mut leader, mut operator) = led();
    let mut standby = rig.lock("c");
    let before: [Observed; 2] = [get(&mut leader), get(&mut standby)];
    annotate(&mut operator, json!({"handover": {"by": "ops"}})).unwrap();
    let after = [get(&mut leader), get(&mut standby)];
    for (before, after) in before.iter().zip(&after) {
        assert!(before.age.is_some() && before.dated.is_some() && before.renewed);
        assert_eq!((after.age, after.dated, after.renewed), (None, None, false));
        assert_eq!(
            (after.mine, &after.renew_id),
            (before.mine, &before.renew_id)
        );
        assert_eq!(after.lease_id(), before.lease_id());
        assert_eq!(after.resource_version, before.resource_version + 1);
        assert_eq!((held(after), after.foreign_wait), (("baz", 7), None));
        assert!(!after.record_lost);
    }
    assert_eq!((after[0].mine, after[1].mine), (Some(2), None));
    assert_eq!(get(&mut operator).mine, None);
    update(&mut leader, "baz", 7);
    let renewed = get(&mut standby);
    assert!(renewed.renewed && renewed.age.is_some());
    assert_ne!(renewed.lease_id(), after[1].lease_id());
}

#[test]
fn own_annotation_is_not_counted() {
    let (_rig, mut leader, _) = led();
    get(&mut leader);
    for _ in 0..3 {
        annotate(&mut leader, json!({"z": 1})).unwrap();
    }
    let observed = get(&mut leader);
    assert_eq!((observed.mine, observed.renewed), (Some(2), false));
    assert!(observed.renew_id.unwrap().ends_with("-2"));
    update(&mut leader, "baz", 7);
    assert_eq!(get(&mut leader).mine, Some(3));
}

#[test]
fn annotation_loses_to_earlier_renewal() {
    let (rig, mut leader, mut operator) = led();
    update(&mut leader, "baz", 7);
    let result = annotate(&mut operator, json!({"paused": true}));
    assert_eq!(result, Err(LockError::Conflict));
    assert_eq!(rig.read_afresh().mine, None);
    assert!(!held_record(&get(&mut operator)).is_paused());
    annotate(&mut operator, json!({"paused": true})).unwrap();
    assert!(held_record(&get(&mut leader)).is_paused());
}

#[test]
fn renewal_loses_to_earlier_annotation() {
    let (_rig, mut leader, mut operator) = led();
    annotate(&mut operator, json!({"paused": true})).unwrap();
    assert_eq!(try_update(&mut leader, "baz", 7), Err(LockError::Conflict));
    let observed = get(&mut leader);
    assert_eq!(observed.mine, Some(2));
    let paused = held_record(&observed);
    assert!(paused.is_paused());
    leader.update(&paused, PATIENCE).unwrap();
    assert!(held_record(&get(&mut operator)).is_paused());
}

fn held_record(observed: &Observed) -> elector::LeaderElectionRecord {
    observed.content.record().unwrap().clone()
}

#[test]
fn foreign_record_takes_only_pause() {
    let (rig, _, mut operator) = led();
    rig.paste(&plain("go", 15, 8));
    let before = rig.json();
    get(&mut operator);
    for field in ["preferredHolder", "handover", "movedTo", "note"] {
        let result = annotate(&mut operator, json!({"paused": true, field: "x"}));
        assert_refused(result, "it can only be paused");
    }
    assert_eq!(rig.json(), before);
    annotate(&mut operator, json!({"paused": {"reason": "x"}})).unwrap();
    assert_eq!(changed_fields(&before, &rig.json()), ["paused"]);
    let observed = rig.read_afresh();
    assert_eq!(held(&observed), ("go", 8));
    assert_eq!(observed.foreign_wait, Some(Duration::from_secs(15)));
    assert_eq!(
        (observed.mine, observed.renew_id, observed.age),
        (None, None, None)
    );
    get(&mut operator);
    annotate(&mut operator, json!({"paused": null})).unwrap();
    assert_eq!(rig.json(), before);
}

#[test]
fn repeated_foreign_pause_knows_head() {
    let (rig, _, mut operator) = led();
    rig.paste(&plain("go", 15, 8));
    get(&mut operator);
    annotate(&mut operator, json!({"paused": true})).unwrap();
    let (since, depth) = (get(&mut operator).head_known_since, rig.depth());
    assert!(since.is_some());
    // A write that changes nothing makes no revision.
    let written = annotate(&mut operator, json!({"paused": true})).unwrap();
    assert_eq!((written.head_known_since, rig.depth()), (since, depth));
    rig.paste(&plain("go", 15, 9));
    let written = annotate(&mut operator, json!({"paused": true})).unwrap();
    assert_eq!(written.head_known_since, None);
    assert_eq!(held(&rig.read_afresh()), ("go", 8));
}

#[test]
fn checkpoint_mark_is_not_copied() {
    let rig = Rig::new();
    let mut operator = rig.lock("b");
    get(&mut operator);
    operator.write_checkpoint(&record("", 7), PATIENCE).unwrap();
    assert_eq!(rig.json()["checkpoint"], true);
    get(&mut operator);
    annotate(&mut operator, json!({"paused": true})).unwrap();
    let after = rig.json();
    assert!(after["checkpoint"].is_null(), "{after}");
    for field in ["term", "renewId"] {
        assert!(after[field].is_null(), "{after}");
    }
    let observed = rig.read_afresh();
    assert_eq!((held(&observed), observed.foreign_wait), (("", 7), None));
    assert_eq!((observed.renew_id, observed.renewed), (None, false));
}

#[test]
fn newer_protocol_is_not_annotated() {
    let (rig, _, mut operator) = led();
    let newer = plain("new", 15, 8).replace('}', r#","protocol":2}"#);
    rig.paste(&newer);
    assert!(matches!(try_get(&mut operator), Err(LockError::Refused(_))));
    let depth = rig.depth();
    for lock in [&mut operator, &mut rig.lock("fresh")] {
        let _ = try_get(lock);
        assert!(annotate(lock, json!({"paused": true})).is_err());
    }
    assert_eq!((rig.depth(), rig.text()), (depth, newer));
}

#[test]
fn record_without_renewals_is_refused() {
    let (rig, _, mut operator) = led();
    // As an elector wrote it before it knew annotations.
    let mut older = rig.json();
    for field in ["term", "renewId"] {
        older.as_object_mut().unwrap().remove(field);
    }
    let head = rig.service.history(&rig.id)[0].revision;
    older["supersedes"] = head.to_string().into();
    older["writeId"] = "older-9".into();
    rig.paste(&older.to_string());
    let observed = get(&mut operator);
    assert_eq!((observed.foreign_wait, observed.renew_id), (None, None));
    assert_refused(
        annotate(&mut operator, json!({"paused": true})),
        "upgrade it",
    );
    assert_eq!(rig.json(), older);
}

#[test]
fn missing_record_is_not_annotated() {
    for text in ["{}", r#"{"holderIdentity":7}"#] {
        let rig = Rig::with(&[(FILE, text)]);
        let mut operator = rig.lock("b");
        let result = annotate(&mut operator, json!({"paused": true}));
        assert!(
            matches!(result, Err(LockError::Unfinished(_))),
            "{result:?}"
        );
        get(&mut operator);
        let result = annotate(&mut operator, json!({"paused": true}));
        assert_refused(result, "no record");
        assert_eq!(rig.text(), text);
    }
}

#[test]
fn unanswered_annotation_is_unknown() {
    let (rig, mut leader, mut operator) = led();
    rig.faults(r#"{"lost_answers":1}"#);
    assert_unknown(annotate(&mut operator, json!({"paused": true})));
    rig.heal();
    for lock in [&mut operator, &mut leader] {
        assert!(held_record(&get(lock)).is_paused());
    }
    assert_eq!(get(&mut leader).mine, Some(2));
}

#[test]
fn lost_annotation_loses_no_term() {
    let (rig, mut leader, operator) = led();
    rig.faults(r#"{"race":"lose","race_window_ms":[300,400]}"#);
    // Both replace the same head, and the later one survives.
    let thread = std::thread::spawn(move || {
        let mut operator = operator;
        let result = annotate(&mut operator, json!({"paused": true}));
        (operator, result)
    });
    let result = try_update(&mut leader, "baz", 7);
    let (mut operator, annotated) = thread.join().unwrap();
    rig.heal();
    assert!(result.is_ok() || annotated.is_ok());
    // The lock whose write was lost waits until no answer can be an old one.
    for lock in [&mut leader, &mut operator] {
        let _ = try_get(lock);
    }
    put_clock_forward(RENEW_DEADLINE);
    let observed = [
        settled(&mut leader),
        settled(&mut operator),
        rig.read_afresh(),
    ];
    for observed in &observed {
        assert_eq!(held(observed), ("baz", 7));
        assert_eq!(observed.foreign_wait, None);
        assert!(matches!(observed.content, Content::Record(_)));
    }
    assert!(observed[0].mine.is_some());
}

#[test]
fn undisturbed_annotation_knows_head() {
    let (rig, mut leader, mut operator) = led();
    let first = get(&mut operator).head_known_since;
    assert!(first.is_some(), "a read showed it before");
    let written = annotate(&mut operator, json!({"paused": true})).unwrap();
    assert_eq!(written.head_known_since, first);
    // Another write comes between the read and the annotation, beside the record.
    get(&mut leader);
    rig.service
        .edit(&rig.id, |files| {
            files.insert("other".into(), "x".into());
        })
        .unwrap();
    let written = annotate(&mut operator, json!({"paused": true, "z": 1})).unwrap();
    assert_eq!(written.head_known_since, None);
}
