//! Annotations of the record in a Lease.

use std::time::Duration;

use elector::election::lock::{LockError, ResourceLock, Written};
use serde_json::{Value, json};

use crate::client::{AMPLE, LeaseLock, held, open, spec};
use crate::server::{ApiServer, Fault};
use crate::support::record;

/// Returns a leader that has renewed once, and an operator that has read its record.
fn renewed() -> (ApiServer, LeaseLock, LeaseLock) {
    let (server, mut leader) = held();
    leader.update(&record("napoleon", 7), AMPLE).unwrap();
    let mut operator = open(&server, "b");
    operator.get(AMPLE).unwrap();
    (server, leader, operator)
}

fn annotate(lock: &mut LeaseLock, fields: Value) -> Result<Written, LockError> {
    let Value::Object(annotation) = fields else {
        panic!("no object");
    };
    lock.annotate(&annotation, AMPLE)
}

/// Returns the record in the annotation of the Lease.
fn stored(server: &ApiServer) -> Value {
    let object = server.with(|leases| leases.object("report"));
    let text = object["metadata"]["annotations"]["elector/record"].as_str();
    serde_json::from_str(text.unwrap()).unwrap()
}

/// Writes the `spec` as client-go does.
fn put_foreign(server: &ApiServer) {
    server.with(|leases| {
        leases.edit("report", |object| {
            object["spec"] = json!({
                "holderIdentity": "client-go",
                "leaseDurationSeconds": 15,
                "acquireTime": "2026-11-22T10:00:00.123456Z",
                "renewTime": "2026-11-22T10:00:00.123456Z",
                "leaseTransitions": 8,
            });
        });
    });
}

#[test]
fn annotation_leaves_spec_unchanged() {
    let (server, mut leader, mut operator) = renewed();
    server.with(|leases| {
        leases.edit("report", |object| {
            object["metadata"]["labels"] = json!({"team": "web"});
        });
    });
    operator.get(AMPLE).unwrap();
    let (before, spec_before) = (stored(&server), spec(&server));
    let fields = json!({"paused": {"reason": "x"}, "preferredHolder": "cleopatra"});
    annotate(&mut operator, fields).unwrap();
    // The server would refuse `spec.preferredHolder`.
    assert_eq!(spec(&server), spec_before);
    let after = stored(&server);
    assert_eq!(after["paused"], json!({"reason": "x"}));
    for (name, value) in before.as_object().unwrap() {
        let changes = ["check", "writeId"].contains(&name.as_str());
        assert_eq!(after[name] != *value, changes, "{name}: {after}");
    }
    let labels = server.with(|leases| leases.object("report")["metadata"]["labels"].clone());
    assert_eq!(labels, json!({"team": "web"}));
    let observed = leader.get(AMPLE).unwrap();
    assert_eq!((observed.mine, observed.renewed), (Some(2), false));
    assert_eq!((observed.foreign_wait, observed.age), (None, None));
    let record = observed.content.record().unwrap().clone();
    leader.update(&record, AMPLE).unwrap();
    assert_eq!(stored(&server)["paused"], json!({"reason": "x"}));
    assert!(operator.get(AMPLE).unwrap().renewed);
}

#[test]
fn foreign_lease_takes_only_pause() {
    let (server, _, mut operator) = renewed();
    put_foreign(&server);
    operator.get(AMPLE).unwrap();
    let before = spec(&server);
    for field in ["handover", "movedTo", "preferredHolder"] {
        let error = annotate(&mut operator, json!({field: "x"})).unwrap_err();
        assert!(matches!(error, LockError::Refused(_)), "{error:?}");
    }
    annotate(&mut operator, json!({"paused": true})).unwrap();
    assert_eq!(spec(&server), before);
    assert!(stored(&server)["writeId"].is_null());
    let observed = operator.get(AMPLE).unwrap();
    assert!(observed.content.record().unwrap().is_paused());
    assert_eq!(observed.foreign_wait, Some(Duration::from_secs(15)));
    assert_eq!((observed.mine, observed.renew_id), (None, None));
    annotate(&mut operator, json!({"paused": null})).unwrap();
    let observed = operator.get(AMPLE).unwrap();
    assert!(!observed.content.record().unwrap().is_paused());
    assert!(observed.foreign_wait.is_some());
}

#[test]
fn foreign_renewal_removes_pause() {
    let (server, _, mut operator) = renewed();
    put_foreign(&server);
    operator.get(AMPLE).unwrap();
    annotate(&mut operator, json!({"paused": true})).unwrap();
    // client-go keeps the annotation, which does not belong to its `spec` any more.
    server.with(|leases| {
        leases.edit("report", |object| {
            object["spec"]["renewTime"] = "2026-11-22T10:00:02.123456Z".into();
        });
    });
    let error = annotate(&mut operator, json!({"paused": null})).unwrap_err();
    assert_eq!(error, LockError::Conflict);
    let observed = operator.get(AMPLE).unwrap();
    assert!(!observed.content.record().unwrap().is_paused());
}

#[test]
fn annotation_loses_to_earlier_renewal() {
    let (server, mut leader, mut operator) = renewed();
    leader.update(&record("napoleon", 7), AMPLE).unwrap();
    let error = annotate(&mut operator, json!({"paused": true})).unwrap_err();
    assert_eq!(error, LockError::Conflict);
    assert!(stored(&server)["paused"].is_null());
}

#[test]
fn unanswered_annotation_lands_once() {
    for fault in [Fault::Lost, Fault::AnswerLost, Fault::Doubled] {
        let (server, mut leader, mut operator) = renewed();
        server.next("PUT", [fault]);
        annotate(&mut operator, json!({"paused": true})).unwrap();
        assert_eq!(stored(&server)["paused"], true);
        assert_eq!(leader.get(AMPLE).unwrap().mine, Some(2));
    }
}
