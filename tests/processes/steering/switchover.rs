//! `elector switchover`.

use serde_json::json;

use super::Scene;
use crate::support::process::steering::{Place, stop_reason, switches_over};
use crate::support::process::{Fixture, LEASE};
use crate::support::{eventually, never_for};

#[test]
fn named_candidate_leads_next() {
    let fixture = Fixture::new();
    switches_over(&Place::gist(&fixture));
}

#[test]
fn handover_needs_no_wait() {
    let scene = Scene::new();
    let first = scene.start_leader("first");
    let second = scene.start_standby("second", "first");
    let out = scene.run(&["switchover"]).ran().well();
    assert_eq!(out, "asked first to hand over to another candidate\n");
    assert_eq!(second.await_leading(), 1);
    assert_eq!(stop_reason(&first), "handed_over");
}

#[test]
fn absent_name_exits_1() {
    let scene = Scene::new();
    let first = scene.start_leader("first");
    let second = scene.start_standby("second", "first");
    let ran = scene.run(&["switchover", "--to", "nobody", "--wait"]).ran();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.out,
        "asked first to hand over to nobody, for which the others wait one lease\n"
    );
    let names = ["second leads, not nobody", "first leads still, or again"];
    assert!(names.iter().any(|part| ran.err.contains(part)), "{ran:?}");
    eventually("one of them leads", || {
        first.leads().or(second.leads()) == Some(1)
    });
}

#[test]
fn sole_candidate_leads_again() {
    let scene = Scene::new();
    let first = scene.start_leader("first");
    let ran = scene.run(&["switchover", "--wait"]).ran();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let part = "first leads still, or again; check that another candidate runs";
    assert!(ran.err.contains(part), "{ran:?}");
    assert_eq!(first.await_leading(), 1);
}

#[test]
fn leader_itself_goes_on_leading() {
    let scene = Scene::new();
    let first = scene.start_leader("first");
    let out = scene.run(&["switchover", "--to", "first"]).ran().well();
    assert_eq!(out, "nothing to do: first leads already\n");
    never_for(LEASE / 2, "it stops", || first.leads() != Some(0));
    assert!(scene.field("handover").is_null());
}

#[test]
fn switchovers_follow_each_other() {
    let scene = Scene::new();
    let names = ["first", "second", "third"];
    let first = scene.start_leader("first");
    let electors = [
        first,
        scene.start_standby("second", "first"),
        scene.start_standby("third", "first"),
    ];
    for next in [1, 2, 1] {
        let args = ["switchover", "--to", names[next], "--wait"];
        let out = scene.run(&args).ran().well();
        assert!(out.contains(&format!("{} leads;", names[next])), "{out}");
        electors[next].await_leading();
    }
    assert_eq!(scene.field("leaderTransitions"), 3);
}

#[test]
fn later_request_replaces_earlier() {
    let scene = Scene::new();
    let (first, _) = scene.start_slow_leader("first");
    let second = scene.start_standby("second", "first");
    let third = scene.start_standby("third", "first");
    scene.run(&["switchover", "--to", "second"]).ran().well();
    // The leader renews while its program ends.
    scene.run(&["switchover", "--to", "third"]).ran().well();
    assert_eq!(scene.field("preferredHolder"), "third");
    scene.permit_end();
    assert_eq!(third.await_leading(), 1);
    assert_eq!(second.count_logged("started_leading"), 0);
    first.await_not_leading();
}

#[test]
fn fields_of_others_survive() {
    let scene = Scene::new();
    scene.put(r#"{"strategy":"x","note":{"x":[1,null]}}"#);
    let _first = scene.start_leader("first");
    let second = scene.start_standby("second", "first");
    scene
        .run(&["switchover", "--to", "second", "--wait"])
        .ran()
        .well();
    second.await_leading();
    assert_eq!(scene.field("note"), json!({"x": [1, null]}));
}

#[test]
fn foreign_leader_refuses_request() {
    let scene = Scene::new();
    scene.put(r#"{"holderIdentity":"client-go","leaseDurationSeconds":5}"#);
    let ran = scene.run(&["switchover"]).ran();
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    for part in ["does not follow requests", "it can only be paused"] {
        assert!(ran.err.contains(part), "{ran:?}");
    }
    assert_eq!(scene.field("handover"), json!(null));
}

#[test]
fn handover_without_leader_exits_1() {
    let scene = Scene::new();
    let failed = scene.run(&["switchover"]).ran().failed(1);
    assert!(failed.contains("there is no readable record"), "{failed}");
    let mut first = scene.start_leader("first");
    first.leave();
    let failed = scene.run(&["switchover", "--wait"]).ran().failed(1);
    assert!(failed.contains("nobody leads, so nobody can"), "{failed}");
    let failed = scene.run(&["switchover", "--to="]).ran().failed(2);
    assert!(failed.contains("--to: no name"), "{failed}");
}
