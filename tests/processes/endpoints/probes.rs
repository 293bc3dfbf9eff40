//! The probes: `/healthz` and `/readyz`.

use crate::endpoints::watched::{spawn, watch, watch_two};
use crate::support::process::{Fixture, LEASE};
use crate::support::wire::exchange;
use crate::support::{eventually, never_for};

#[test]
fn outage_keeps_candidates_healthy_and_ready() {
    let fixture = Fixture::new();
    let (first, second) = watch_two(&fixture);
    fixture.set_faults(r#"{"outage":true}"#);
    never_for(LEASE * 2, "a probe failed", || {
        [&first, &second].iter().any(|elector| {
            elector.get("/healthz").status != 200 || elector.get("/readyz").status != 200
        })
    });
    assert_eq!(first.get("/healthz").text(), "ok\n");
}

#[test]
fn candidate_ready_after_answer_or_lease() {
    let fixture = Fixture::new();
    fixture.set_faults(r#"{"outage":true}"#);
    let start = fixture.elector("patient").with("LEASE_DURATION", "1h");
    let patient = spawn(&fixture, start);
    eventually("a read failed", || patient.has_text("failed"));
    let refused = patient.get("/readyz");
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("no answer"), "{}", refused.text());
    let other = watch(&fixture, "other");
    eventually("it is ready without an answer", || {
        other.get("/readyz").status == 200
    });
    assert_eq!(
        other.status()["answeredSecondsAgo"],
        serde_json::Value::Null
    );
    assert_eq!(patient.get("/readyz").status, 503);
    fixture.set_faults("{}");
    eventually("it is ready after an answer", || {
        patient.get("/readyz").status == 200
    });
}

#[test]
fn ready_when_leader_follows_leadership() {
    let fixture = Fixture::new();
    let of_leaders = |name| fixture.elector(name).with("READY_WHEN", "leader");
    let first = spawn(&fixture, of_leaders("first"));
    first.await_leading();
    let second = spawn(&fixture, of_leaders("second"));
    second.await_observed("first");
    assert_eq!(first.get("/readyz").status, 200);
    assert_eq!(second.get("/readyz").status, 503);
    assert_eq!(first.ask("POST", "/step-down", &[]).status, 202);
    second.await_leading();
    eventually("readiness follows", || {
        first.get("/readyz").status == 503 && second.get("/readyz").status == 200
    });
}

/// HAProxy asks so unless a method is named: `option httpchk /leader`.
#[test]
fn options_answers_as_get() {
    let fixture = Fixture::new();
    let (first, second) = watch_two(&fixture);
    for (elector, leads) in [(&first, 200), (&second, 503)] {
        for (path, status) in [
            ("/leader", leads),
            ("/isLeader", 200),
            ("/healthz", 200),
            ("/readyz", 200),
            ("/", 200),
        ] {
            let asked = format!("OPTIONS {path} HTTP/1.0\r\n\r\n");
            let answer = exchange(elector.addr, asked.into_bytes()).unwrap();
            assert_eq!(answer.status, status, "{path}");
            let (options, get) = (elector.ask("OPTIONS", path, &[]), elector.get(path));
            assert_eq!((options.status, get.status), (status, status), "{path}");
            if path != "/leader" {
                assert_eq!(options.text(), get.text(), "{path}");
            }
        }
    }
    let refused = first.ask("POST", "/leader", &[]);
    let allowed = refused.header("allow");
    assert_eq!((refused.status, allowed), (405, Some("GET, HEAD, OPTIONS")));
    let refused = first.ask("OPTIONS", "/step-down", &[]);
    assert_eq!(refused.status, 405);
    assert_eq!(first.get("/leader").status, 200);
}
