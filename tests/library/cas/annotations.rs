//! Annotations: what they change, and what they leave as it was.

use std::time::Duration;

use elector::election::lock::{LockError, Written};
use serde_json::{Value, json};

use super::{NOW, Process, held_by};
use elector::lock::cas::origin::Stored;

use crate::support::cell::{CellServer, Fate};
use crate::support::{changed_fields, record};

/// Fields that each write changes.
const ORIGIN: [&str; 2] = ["check", "writeId"];

impl Process {
    fn annotate(&mut self, server: &mut CellServer, fields: Value) -> Result<Written, LockError> {
        let Value::Object(annotation) = fields else {
            panic!("no object");
        };
        let step = self.protocol.start_annotate(&annotation);
        match self.drive(server, step) {
            super::Outcome::Wrote(result) => result,
            super::Outcome::Got(result) => panic!("{result:?}"),
        }
    }

    fn renew(&mut self, server: &mut CellServer) {
        self.update(server, &led()).unwrap();
    }
}

/// Returns the record of a leader that left a field.
fn led() -> elector::LeaderElectionRecord {
    let mut led = record("napoleon", 7);
    led.other
        .insert("note".into(), json!({"x": [1, null, 0.1]}));
    led
}

/// Returns a leader that has renewed once, and an operator that has read its record.
fn renewed() -> (CellServer, Process, Process) {
    let mut leader = Process::new("a");
    let mut server = CellServer::new(NOW);
    server.written_at = Some(NOW);
    leader.get(&mut server).unwrap();
    leader.renew(&mut server);
    leader.renew(&mut server);
    let mut operator = Process::new("b");
    operator.get(&mut server).unwrap();
    (server, leader, operator)
}

fn stored(server: &CellServer) -> Value {
    serde_json::from_str(&server.text()).unwrap()
}

#[test]
fn annotation_changes_only_named_fields() {
    let (mut server, _, mut operator) = renewed();
    let before = stored(&server);
    let annotation = json!({"paused": {"reason": "x"}, "z": [1]});
    operator.annotate(&mut server, annotation).unwrap();
    let after = stored(&server);
    assert_eq!(
        changed_fields(&before, &after),
        [ORIGIN[0], "paused", ORIGIN[1], "z"]
    );
    for field in ["term", "renewId", "note", "renewTime", "leaderTransitions"] {
        assert!(!after[field].is_null(), "{field}: {after}");
    }
    let annotation = json!({"paused": null, "z": null, "absent": null});
    operator.annotate(&mut server, annotation).unwrap();
    assert_eq!(changed_fields(&before, &stored(&server)), ORIGIN);
}

#[test]
fn leader_keeps_write_under_annotation() {
    let (mut server, mut leader, mut operator) = renewed();
    let mut standby = Process::new("c");
    let before = [
        leader.get(&mut server).unwrap(),
        standby.get(&mut server).unwrap(),
    ];
    let annotation = json!({"handover": {"by": "ops"}});
    operator.annotate(&mut server, annotation).unwrap();
    let after = [
        leader.get(&mut server).unwrap(),
        standby.get(&mut server).unwrap(),
    ];
    for (before, after) in before.iter().zip(&after) {
        assert!(before.age.is_some() && before.dated.is_some() && before.renewed);
        assert_eq!((after.age, after.dated, after.renewed), (None, None, false));
        assert_eq!(
            (after.mine, &after.renew_id),
            (before.mine, &before.renew_id)
        );
        assert_eq!(after.lease_id(), before.lease_id());
        assert_ne!(after.resource_version, before.resource_version);
        assert_eq!(
            (after.content.holder(), after.foreign_wait),
            ("napoleon", None)
        );
    }
    assert_eq!((after[0].mine, after[1].mine), (Some(2), None));
    assert_eq!(operator.get(&mut server).unwrap().mine, None);
    leader.renew(&mut server);
    let renewed = standby.get(&mut server).unwrap();
    assert!(renewed.renewed && renewed.age.is_some());
    assert_ne!(renewed.lease_id(), after[1].lease_id());
}

#[test]
fn claim_is_not_renewed() {
    let mut server = held_by(&mut Process::new("a"));
    let mut operator = Process::new("b");
    assert!(!operator.get(&mut server).unwrap().renewed);
    operator.annotate(&mut server, json!({"z": 1})).unwrap();
    let observed = operator.get(&mut server).unwrap();
    assert!(!observed.renewed && observed.renew_id.is_some());
}

#[test]
fn own_annotation_is_not_counted() {
    let (mut server, mut leader, _) = renewed();
    leader.get(&mut server).unwrap();
    for _ in 0..3 {
        leader.annotate(&mut server, json!({"z": 1})).unwrap();
    }
    let observed = leader.get(&mut server).unwrap();
    assert_eq!((observed.mine, observed.renewed), (Some(2), false));
    leader.renew(&mut server);
    assert_eq!(leader.get(&mut server).unwrap().mine, Some(3));
}

#[test]
fn race_with_renewal_has_loser() {
    let (mut server, mut leader, mut operator) = renewed();
    leader.get(&mut server).unwrap();
    operator
        .annotate(&mut server, json!({"paused": true}))
        .unwrap();
    let lost = leader.update(&mut server, &led()).unwrap_err();
    assert_eq!(lost, LockError::Conflict);
    let observed = leader.get(&mut server).unwrap();
    assert_eq!(observed.mine, Some(2));
    let paused = observed.content.record().unwrap();
    assert!(paused.is_paused());
    leader.update(&mut server, paused).unwrap();
    let text = server.text();
    let lost = operator.annotate(&mut server, json!({"paused": null}));
    assert_eq!(lost, Err(LockError::Conflict));
    assert_eq!(server.text(), text);
    assert_eq!(stored(&server)["paused"], true);
}

#[test]
fn foreign_record_takes_only_pause() {
    let (mut server, _, mut operator) = renewed();
    let foreign =
        r#"{"holderIdentity":"x","leaseDurationSeconds":5,"leaderTransitions":8,"note":1}"#;
    server.put(foreign);
    operator.get(&mut server).unwrap();
    let before = stored(&server);
    for field in ["preferredHolder", "handover", "movedTo", "note"] {
        let annotation = json!({"paused": true, field: "x"});
        let error = operator.annotate(&mut server, annotation).unwrap_err();
        assert!(matches!(error, LockError::Refused(_)), "{error:?}");
    }
    operator
        .annotate(&mut server, json!({"paused": true}))
        .unwrap();
    assert_eq!(
        changed_fields(&before, &stored(&server)),
        ["acquireTime", "paused", "renewTime"]
    );
    let observed = operator.get(&mut server).unwrap();
    assert_eq!(observed.foreign_wait, Some(Duration::from_secs(15)));
    assert_eq!(
        (observed.mine, observed.renew_id, observed.age),
        (None, None, None)
    );
    operator
        .annotate(&mut server, json!({"paused": null}))
        .unwrap();
    assert!(stored(&server)["paused"].is_null());
}

#[test]
fn checkpoint_mark_is_not_copied() {
    let mut operator = Process::new("b");
    let mut server = CellServer::new(NOW);
    operator.get(&mut server).unwrap();
    let step = operator.protocol.start_checkpoint(&record("", 7));
    operator.drive(&mut server, step);
    assert_eq!(stored(&server)["checkpoint"], true);
    operator
        .annotate(&mut server, json!({"paused": true}))
        .unwrap();
    let after = stored(&server);
    for field in ["checkpoint", "term", "renewId"] {
        assert!(after[field].is_null(), "{after}");
    }
    let observed = Process::new("c").get(&mut server).unwrap();
    assert_eq!(
        (observed.content.holder(), observed.foreign_wait),
        ("", None)
    );
    assert!(observed.content.record().unwrap().is_paused());
}

#[test]
fn refused_records_stay_unchanged() {
    let older = |text: &str| text.replace("renewId", "renewedId");
    for text in [
        r#"{"holderIdentity":"x","protocol":99}"#.to_owned(),
        "{}".to_owned(),
        r#"{"holderIdentity":7}"#.to_owned(),
        String::new(),
    ] {
        let (mut server, _, mut operator) = renewed();
        server.put(&text);
        let _ = operator.get(&mut server);
        let error = operator.annotate(&mut server, json!({"paused": true}));
        assert!(error.is_err(), "{text}");
        assert_eq!(server.text(), text);
    }
    let (mut server, _, mut operator) = renewed();
    let edited = older(&server.text());
    server.put(&edited);
    // Its checksum does not fit, so it is foreign.
    operator.get(&mut server).unwrap();
    let error = operator.annotate(&mut server, json!({"handover": true}));
    assert!(matches!(error, Err(LockError::Refused(_))), "{error:?}");
    let error = Process::new("c").annotate(&mut server, json!({"paused": true}));
    assert!(matches!(error, Err(LockError::Unfinished(_))), "{error:?}");
}

#[test]
fn lost_answer_is_settled_by_read() {
    for fate in [
        Fate::AnswerLost,
        Fate::Lost,
        Fate::Doubled,
        Fate::Status(500),
    ] {
        let (mut server, mut leader, mut operator) = renewed();
        let version = server.version;
        operator.fates.push_back(fate);
        operator
            .annotate(&mut server, json!({"paused": true}))
            .unwrap();
        assert_eq!(server.version, version + 1, "{fate:?}");
        let observed = leader.get(&mut server).unwrap();
        assert!(observed.content.record().unwrap().is_paused());
        assert_eq!(observed.mine, Some(2));
    }
}

#[test]
fn removed_annotation_is_no_older_record() {
    let (mut server, mut leader, mut operator) = renewed();
    let before = server.text();
    operator.annotate(&mut server, json!({"z": 1})).unwrap();
    leader.get(&mut server).unwrap();
    leader.renew(&mut server);
    // A backup from before the renewal.
    server.put(&before);
    let error = leader.get(&mut server).unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
}

#[test]
fn claim_drops_pause_of_corrupt_record() {
    let mut server = CellServer::new(NOW);
    server.put(r#"{"holderIdentity":7,"leaderTransitions":7,"paused":true,"note":1}"#);
    Process::new("a").claim(&mut server, "napoleon", 9);
    let stored = Stored::parse(&server.text());
    let record = &stored.record().unwrap().record;
    assert!(!record.is_paused());
    assert_eq!(record.other["note"], 1);
}
