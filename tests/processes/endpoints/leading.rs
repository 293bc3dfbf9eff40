//! `/leader`, `/isLeader` and `/`: no candidate claims to lead past its leadership deadline.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::endpoints::watched::{watch, watch_two};
use crate::support::eventually;
use crate::support::process::{Fixture, LEASE};
use crate::support::wire::request;

#[test]
fn standby_names_the_leader() {
    let fixture = Fixture::new();
    let (first, second) = watch_two(&fixture);
    let leads = first.get("/leader");
    assert_eq!(leads.status, 200);
    let body = leads.json();
    assert_eq!(
        (&body["leading"], &body["holder"], &body["identity"]),
        (&json!(true), &json!("first"), &json!("first"))
    );
    assert_eq!(body["fencingToken"], 0);
    let left = body["secondsLeft"].as_f64().unwrap();
    assert!(left > 0.0 && left <= 2.5, "{body}");
    // The clock of the leader file.
    let valid_until = body["validUntil"].as_f64().unwrap();
    assert!((valid_until - uptime() - left).abs() < 2.5, "{body}");
    assert_eq!(first.get("/isLeader").text(), "true");

    let waits = second.get("/leader");
    assert_eq!(waits.status, 503);
    assert_eq!(
        waits.json(),
        json!({"leading": false, "identity": "second", "holder": "first"})
    );
    let is = second.get("/isLeader");
    assert_eq!((is.status, is.text().as_str()), (200, "false"));
    assert_eq!(second.get("/").text(), r#"{"name":"first"}"#);
}

fn uptime() -> f64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    uptime.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn outage_makes_leader_unknown_after_lease() {
    let fixture = Fixture::new();
    let (first, second) = watch_two(&fixture);
    fixture.set_faults(r#"{"outage":true}"#);
    for (elector, other) in [(&first, &second), (&second, &first)] {
        eventually("the leader is unknown", || {
            elector.get("/leader").json()["holder"].is_null()
        });
        let answer = elector.get("/leader");
        assert_eq!(
            (answer.status, &answer.json()["leading"]),
            (503, &json!(false))
        );
        assert!(
            answer.json()["unknownSince"].is_string(),
            "{}",
            answer.text()
        );
        assert_eq!(elector.get("/").text(), r#"{"name":""}"#);
        let status = elector.status();
        for unknown in ["holder", "lease", "term"] {
            assert_eq!(status[unknown], json!(null), "{unknown}: {status:#}");
        }
        let since = |key: &str| status[key].as_str().unwrap().to_owned();
        assert!(
            since("unreachableSince") <= since("unknownSince"),
            "{status:#}"
        );
        let term = &status["terms"][0];
        assert_eq!(term["holder"], "first");
        assert!(term["endReason"].is_string(), "{status:#}");
        assert!(
            term["to"].as_str() <= Some(&*since("unknownSince")),
            "{status:#}"
        );
        let page = elector.ask("GET", "/", &[("Accept", "text/html")]).text();
        for part in [
            ">Leader unknown</h2>",
            ">Unknown since <time",
            "Store unreachable.</b> Since <time",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("first leads"), "{page}");
        assert!(other.leads().is_none());
    }
    fixture.set_faults("{}");
    eventually("the leader is known", || {
        let holders = [&first, &second].map(|elector| elector.status()["holder"].clone());
        holders[0] == holders[1] && holders[0].as_str().is_some_and(|name| !name.is_empty())
    });
}

/// Durations in JSON are cut to milliseconds.
const CUT_OFF: Duration = Duration::from_millis(1);

#[test]
fn outage_never_extends_reported_leadership() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    fixture.set_faults(r#"{"outage":true}"#);
    // A renewal under way may still have succeeded.
    first.await_text("failed");
    // The leadership deadline, by the earlier responses.
    let mut until = Instant::now() + LEASE;
    loop {
        let asked = Instant::now();
        let answer = first.get("/leader");
        if answer.status == 503 {
            break;
        }
        assert!(asked < until, "it leads past its own limit");
        let left = answer.json()["secondsLeft"].as_f64().unwrap();
        until = until.min(Instant::now() + Duration::from_secs_f64(left) + CUT_OFF);
    }
    assert_eq!(first.get("/isLeader").text(), "false");
    // Programs compare the name with their own.
    assert_eq!(first.get("/").text(), r#"{"name":""}"#);
}

#[test]
fn thawed_leader_reports_not_leading() {
    let fixture = Fixture::new();
    fixture.passed_over.set(true);
    let (first, second) = watch_two(&fixture);
    first.freeze();
    // They wait in the kernel's queue for the threads of the thawed process.
    let mut waiting: Vec<_> = ["/leader", "/isLeader", "/"]
        .into_iter()
        .cycle()
        .take(30)
        .map(|path| {
            let mut wire = first.connect();
            wire.send(request("GET", path, &[], ""));
            (path, wire)
        })
        .collect();
    second.await_leading();
    first.signal(Signal::SIGCONT);
    for (path, wire) in &mut waiting {
        let answer = wire.answer().unwrap();
        match *path {
            "/leader" => assert_eq!(answer.status, 503, "{}", answer.text()),
            "/isLeader" => assert_eq!(answer.text(), "false"),
            _ => assert!(!answer.text().contains("first"), "{}", answer.text()),
        }
    }
}

#[test]
fn stopping_leader_reports_it_immediately() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    // Releasing the lease takes a while.
    fixture.set_faults(r#"{"hang_reads":1,"hang_writes":1,"hang_ms":3000}"#);
    first.signal(Signal::SIGTERM);
    first.await_logged("stopping");
    eventually("it does not lead any more", || {
        first.get("/leader").status == 503
    });
    assert_eq!(first.get("/isLeader").text(), "false");
    let ready = first.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().contains("leaving"), "{}", ready.text());
}
