//! Who leads, for load balancers and programs beside: never said past the term's own limit.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::endpoints::watched::watch;
use crate::support::eventually;
use crate::support::process::{LEASE, World};
use crate::support::wire::request;

#[test]
fn only_the_leader_says_that_it_leads_and_the_others_say_who_does() {
    let world = World::new();
    let first = watch(&world, "first");
    first.await_leading();
    let second = watch(&world, "second");
    second.await_said("All hail first");
    let leads = first.get("/leader");
    assert_eq!(leads.status, 200);
    let body = leads.json();
    assert_eq!(
        (&body["leading"], &body["leader"], &body["identity"]),
        (&json!(true), &json!("first"), &json!("first"))
    );
    assert_eq!(body["fencingToken"], 0);
    let left = body["secondsLeft"].as_f64().unwrap();
    assert!(left > 0.0 && left <= 2.5, "{body}");
    assert_eq!(first.get("/isLeader").text(), "true");

    let waits = second.get("/leader");
    assert_eq!(waits.status, 503);
    assert_eq!(
        waits.json(),
        json!({"leading": false, "identity": "second", "leader": "first"})
    );
    let is = second.get("/isLeader");
    assert_eq!((is.status, is.text().as_str()), (200, "false"));
    assert_eq!(second.get("/").text(), r#"{"name":"first"}"#);
}

/// What is told of a time is cut to milliseconds.
const CUT_OFF: Duration = Duration::from_millis(1);

#[test]
fn in_an_outage_no_answer_comes_later_than_the_one_before_said_that_it_leads() {
    let world = World::new();
    let first = watch(&world, "first");
    first.await_leading();
    world.set_faults(r#"{"outage":true}"#);
    // A renewal that was under way may still have been good.
    first.await_said("failed");
    // The last moment at which it may say that it leads, by what it said before.
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
    // A program beside it may compare the name with its own.
    assert_eq!(first.get("/").text(), r#"{"name":""}"#);
}

#[test]
fn a_leader_that_was_frozen_past_its_limit_does_not_say_that_it_leads() {
    let world = World::new();
    world.passed_over.set(true);
    let first = watch(&world, "first");
    first.await_leading();
    let second = watch(&world, "second");
    second.await_said("All hail first");
    first.freeze();
    // They wait in the system's queue, and are answered by whichever thread runs first.
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
fn a_leader_that_is_told_to_stop_says_so_at_once() {
    let world = World::new();
    let first = watch(&world, "first");
    first.await_leading();
    // Giving the lease back takes its time.
    world.set_faults(r#"{"hang_reads":1,"hang_writes":1,"hang_ms":3000}"#);
    first.signal(Signal::SIGTERM);
    first.await_said("SIGTERM: stopping");
    eventually("it does not lead any more", || {
        first.get("/leader").status == 503
    });
    assert_eq!(first.get("/isLeader").text(), "false");
    let ready = first.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().contains("leaving"), "{}", ready.text());
}
