//! Lost, late and repeated writes; other clients of the same Lease; access tokens.

use std::fs;
use std::time::{Duration, Instant};

use elector::AccessTokenSource;
use elector::election::lock::{Content, LockError, ResourceLock};
use serde_json::{Value, json};

use crate::client::{AMPLE, PATH, held, kind, open, open_with, spec};
use crate::leases::status;
use crate::server::{ApiServer, Fault, http};
use crate::support::server::unanswered;
use crate::support::{eventually, never_for, record};

/// Delay of a late write.
const LATE: Duration = Duration::from_millis(300);

/// Returns an answer of a busy server to a write that may have landed.
fn timeout(code: u16) -> Vec<u8> {
    let (code, body) = status(code, "Timeout", "request timed out", "leases");
    http(code, &[], body.to_string().as_bytes())
}

#[test]
fn unanswered_writes_land_once() {
    let other = [
        ("conflict after", vec![Fault::Instead(timeout(409))]),
        (
            "404 before",
            vec![Fault::Answer(http(404, &[], b"no backend"))],
        ),
    ];
    for (case, faults) in unanswered(timeout).into_iter().chain(other) {
        let (server, mut lock) = held();
        let version = |server: &ApiServer| {
            let object = server.with(|leases| leases.object("report"));
            let version = object["metadata"]["resourceVersion"]
                .as_str()
                .unwrap()
                .to_owned();
            version.parse::<u64>().unwrap()
        };
        let before = version(&server);
        server.next("PUT", faults);
        lock.update(&record("napoleon", 8), AMPLE)
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(version(&server), before + 1, "{case}");
        assert_eq!(spec(&server)["leaseTransitions"], 8, "{case}");
        assert_eq!(lock.get(AMPLE).unwrap().mine, Some(2), "{case}");
    }
}

#[test]
fn unanswered_creation_lands_once() {
    for fault in [Fault::Lost, Fault::AnswerLost, Fault::Doubled] {
        let server = ApiServer::start(None);
        let mut lock = open(&server, "a");
        lock.get(AMPLE).unwrap();
        server.next("POST", [fault.clone()]);
        let result = lock.create(&record("napoleon", 1), AMPLE);
        result.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(lock.get(AMPLE).unwrap().mine, Some(1), "{fault:?}");
    }
}

#[test]
fn lasting_failure_leaves_outcome_unknown() {
    for fault in [
        Fault::Lost,
        Fault::Answer(timeout(409)),
        Fault::Answer(timeout(500)),
    ] {
        let (server, mut lock) = held();
        server.always("PUT", fault);
        let error = lock.update(&record("napoleon", 8), AMPLE).unwrap_err();
        assert_eq!(kind(&error), "unknown", "{error}");
        server.without_faults();
        lock.get(AMPLE).unwrap();
        lock.update(&record("napoleon", 8), AMPLE).unwrap();
    }
}

#[test]
fn late_write_cannot_replace_newer() {
    let (server, mut first) = held();
    server.next("PUT", [Fault::Late(LATE)]);
    server.always("GET", Fault::Lost);
    let error = first.update(&record("napoleon", 8), AMPLE).unwrap_err();
    assert_eq!(kind(&error), "unknown", "{error}");
    server.without_faults();
    let mut second = open(&server, "b");
    second.get(AMPLE).unwrap();
    second.update(&record("cleopatra", 9), AMPLE).unwrap();
    never_for(2 * LATE, "the late write lands", || {
        spec(&server)["holderIdentity"] != "cleopatra"
    });
    let error = first.update(&record("napoleon", 8), AMPLE).unwrap_err();
    assert_eq!(kind(&error), "conflict", "{error}");
    assert_eq!(first.get(AMPLE).unwrap().content.holder(), "cleopatra");
}

#[test]
fn late_write_is_recognised() {
    let (server, mut lock) = held();
    server.next("PUT", [Fault::Late(LATE)]);
    server.always("GET", Fault::Lost);
    lock.update(&record("napoleon", 8), AMPLE).unwrap_err();
    server.without_faults();
    eventually("the write lands", || spec(&server)["leaseTransitions"] == 8);
    assert_eq!(lock.get(AMPLE).unwrap().mine, Some(2));
}

#[test]
fn silent_server_costs_only_timeout() {
    let (server, mut lock) = held();
    let slow = b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n{".to_vec();
    for method in ["GET", "PUT"] {
        server.always(method, Fault::Answer(slow.clone()));
    }
    let timeout = Duration::from_millis(400);
    for write in [false, true] {
        let began = Instant::now();
        let error = match write {
            true => lock.update(&record("napoleon", 8), timeout).unwrap_err(),
            false => lock.get(timeout).unwrap_err(),
        };
        let expected = if write { "unknown" } else { "unavailable" };
        assert_eq!(kind(&error), expected, "{error}");
        assert!(began.elapsed() < 3 * timeout, "{:?}", began.elapsed());
    }
}

#[test]
fn unanswered_probe_is_repeated() {
    let (server, _lock) = held();
    let before = spec(&server);
    let mut second = open(&server, "b");
    for (method, fault) in [
        ("PUT", Fault::AnswerLost),
        ("PUT", Fault::Answer(timeout(504))),
        ("POST", Fault::Lost),
        ("POST", Fault::Answer(timeout(429))),
    ] {
        server.next(method, [fault]);
        let error = second.get(AMPLE).unwrap_err();
        assert!(!error.is_permanent(), "{error}");
    }
    assert_eq!(second.get(AMPLE).unwrap().content.holder(), "napoleon");
    assert_eq!(spec(&server), before);
}

// ---- other clients ----

#[test]
fn deleted_lease_is_not_created_again() {
    let (server, mut lock) = held();
    server.with(|leases| leases.delete("report"));
    let error = lock.update(&record("napoleon", 7), AMPLE).unwrap_err();
    assert_eq!(kind(&error), "conflict", "{error}");
    assert_eq!(spec(&server), Value::Null);
    assert_eq!(lock.get(AMPLE).unwrap().content, Content::Deleted);
    lock.create(&record("napoleon", 8), AMPLE).unwrap();
}

#[test]
fn replaced_lease_is_conflict() {
    let (server, mut lock) = held();
    let old = server.with(|leases| leases.object("report"));
    server.with(|leases| {
        leases.delete("report");
        leases.edit("report", |object| *object = old);
    });
    // The same bytes are the same record, whatever the version.
    lock.update(&record("napoleon", 7), AMPLE).unwrap();
    server.with(|leases| {
        leases.delete("report");
        leases.edit("report", |object| {
            *object = json!({"metadata": {"name": "report"}, "spec": {"holderIdentity": "client-go", "leaseTransitions": 7}});
        });
    });
    let error = lock.update(&record("napoleon", 7), AMPLE).unwrap_err();
    assert_eq!(kind(&error), "conflict", "{error}");
    let observed = lock.get(AMPLE).unwrap();
    assert_eq!(observed.content.holder(), "client-go");
    assert_eq!(observed.foreign_wait, Some(Duration::from_secs(15)));
}

#[test]
fn labels_of_others_are_kept() {
    let (server, mut lock) = held();
    server.with(|leases| {
        leases.edit("report", |object| {
            object["metadata"]["labels"] = json!({"team": "web"});
            object["metadata"]["annotations"]["note"] = "x".into();
        });
    });
    lock.update(&record("napoleon", 7), AMPLE).unwrap();
    let metadata = server.with(|leases| leases.object("report")["metadata"].clone());
    assert_eq!(metadata["labels"]["team"], "web");
    assert_eq!(metadata["annotations"]["note"], "x");
}

#[test]
fn client_go_record_is_foreign() {
    let (server, mut lock) = held();
    server.with(|leases| {
        // client-go keeps the annotation, which does not belong to this `spec`.
        leases.edit("report", |object| {
            object["spec"] = json!({
                "holderIdentity": "client-go",
                "leaseDurationSeconds": 40,
                "acquireTime": "2026-11-22T10:00:00.123456Z",
                "renewTime": "2026-11-22T10:00:00.123456Z",
                "leaseTransitions": 8,
            });
        });
    });
    let observed = lock.get(AMPLE).unwrap();
    assert_eq!(
        (observed.content.holder(), observed.mine),
        ("client-go", None)
    );
    assert_eq!(observed.foreign_wait, Some(Duration::from_secs(40)));
    assert!(observed.highest_fencing_token > Some(1_700_000_000));
    // A patch of one field.
    lock.update(&record("napoleon", 9), AMPLE).unwrap();
    server.with(|leases| {
        leases.edit("report", |object| {
            object["spec"]["holderIdentity"] = "".into();
        });
    });
    let observed = lock.get(AMPLE).unwrap();
    assert_eq!((observed.content.holder(), observed.mine), ("", None));
    assert!(observed.foreign_wait.is_some());
}

#[test]
fn restored_record_is_noticed() {
    let (server, mut lock) = held();
    let old = server.with(|leases| leases.object("report"));
    lock.update(&record("napoleon", 7), AMPLE).unwrap();
    server.with(|leases| leases.edit("report", |object| *object = old));
    let error = lock.get(AMPLE).unwrap_err();
    assert_eq!(kind(&error), "unavailable", "{error}");
    assert!(error.to_string().contains("backup"), "{error}");
    let error = lock.update(&record("napoleon", 7), AMPLE).unwrap_err();
    assert_eq!(kind(&error), "unfinished", "{error}");
}

#[test]
fn empty_lease_can_be_acquired() {
    // Created by an operator, so that the elector needs no right to create.
    let server = ApiServer::start(None);
    let metadata = json!({"metadata": {"name": "report"}, "spec": {}});
    server.with(|leases| leases.edit("report", |object| *object = metadata));
    let mut lock = open(&server, "a");
    let observed = lock.get(AMPLE).unwrap();
    assert_eq!(observed.content.holder(), "");
    assert!(observed.foreign_wait.is_some());
    lock.update(&record("napoleon", 7), AMPLE).unwrap();
}

#[test]
fn unusual_probe_answer_is_not_final() {
    // For example of an admission webhook.
    for code in [400, 403, 422] {
        let (server, _lock) = held();
        let mut second = open(&server, "b");
        server.next("PUT", [Fault::Answer(timeout(code))]);
        let error = second.get(AMPLE).unwrap_err();
        assert!(error.is_permanent(), "{error}");
        second.get(AMPLE).unwrap();
    }
}

#[test]
fn unprobed_creation_is_unknown() {
    let server = ApiServer::start(None);
    let mut lock = open(&server, "a");
    lock.get(AMPLE).unwrap();
    server.next("PUT", [Fault::Answer(timeout(422))]);
    let error = lock.create(&record("napoleon", 7), AMPLE).unwrap_err();
    // The creation itself has landed.
    assert_eq!(kind(&error), "unknown", "{error}");
    assert_eq!(lock.get(AMPLE).unwrap().mine, Some(1));
}

#[test]
fn ignoring_server_is_refused() {
    let (server, _lock) = held();
    server.with(|leases| leases.ignores_conditions = true);
    let mut second = open(&server, "b");
    for _ in 0..2 {
        let error = second.get(AMPLE).unwrap_err();
        assert!(matches!(error, LockError::Refused(_)), "{error}");
    }
    // What the probe left behind is foreign.
    server.with(|leases| leases.ignores_conditions = false);
    let observed = open(&server, "c").get(AMPLE).unwrap();
    assert!(observed.foreign_wait.is_some());
}

#[test]
fn reads_never_ask_cache() {
    let (server, mut lock) = held();
    lock.get(AMPLE).unwrap();
    let received = server.received();
    let reads: Vec<_> = received
        .iter()
        .filter(|request| request.method == "GET")
        .collect();
    assert!(!reads.is_empty() && reads.iter().all(|request| request.path == PATH));
}

// ---- access tokens ----

#[test]
fn token_file_is_read_again() {
    let (server, _lock) = held();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "TheSecret-first").unwrap();
    server.permit(&["TheSecret-first"]);
    let mut lock = open_with(&server, "b", &AccessTokenSource::File(path.clone()));
    lock.get(AMPLE).unwrap();
    lock.update(&record("cleopatra", 8), AMPLE).unwrap();
    // Expired, until the kubelet replaces it.
    server.permit(&["TheSecret-second"]);
    let error = lock.update(&record("cleopatra", 8), AMPLE).unwrap_err();
    assert_eq!(kind(&error), "unauthorized", "{error}");
    fs::write(&path, "TheSecret-second\n").unwrap();
    lock.update(&record("cleopatra", 8), AMPLE).unwrap();
    // A missing file keeps the last one.
    fs::remove_file(&path).unwrap();
    lock.update(&record("cleopatra", 8), AMPLE).unwrap();
    // A bad one does not replace a good one.
    fs::write(&path, "TheSecret-third").unwrap();
    lock.update(&record("cleopatra", 8), AMPLE).unwrap();
    lock.get(AMPLE).unwrap();
}
