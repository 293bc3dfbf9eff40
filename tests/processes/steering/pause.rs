//! `elector pause` and `elector resume`.

use std::process::{Child, Stdio};

use serde_json::json;

use super::Scene;
use crate::operating::command::Ran;
use crate::support::process::steering::{
    Place, is_running, logged_pause, pauses_and_resumes, stop_reason,
};
use crate::support::process::{Fixture, LEASE};
use crate::support::{eventually, never_for};

impl Scene {
    /// Starts `elector pause`, and waits until the record is paused.
    fn start_pause(&self) -> Child {
        let mut command = self.run(&["pause", "--reason", "migration"]).command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        eventually("the record is paused", || self.field("paused").is_object());
        child
    }

    fn pause(&self, reason: &str) -> Ran {
        self.run(&["pause", "--reason", reason]).ran()
    }
}

#[test]
fn nobody_leads_until_resumed() {
    let fixture = Fixture::new();
    pauses_and_resumes(&Place::gist(&fixture), LEASE);
}

#[test]
fn pause_waits_for_workload() {
    let scene = Scene::new();
    let (first, program) = scene.start_slow_leader("first");
    let mut pause = scene.start_pause();
    first.await_logged("stopped_leading");
    never_for(LEASE * 3 / 2, "the command returns", || {
        pause.try_wait().unwrap().is_some()
    });
    assert_eq!(scene.holder(), "first", "it renews until then");
    scene.permit_end();
    let ran = Ran::of(pause.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.err.contains("waiting until first has stopped"),
        "{ran:?}"
    );
    assert!(!is_running(program));
    assert_eq!(scene.holder(), "");
    assert_eq!(stop_reason(&first), "paused");
}

#[test]
fn pause_outlives_its_command() {
    let scene = Scene::new();
    let (first, _) = scene.start_slow_leader("first");
    let second = scene.start_standby("second", "first");
    let mut pause = scene.start_pause();
    pause.kill().unwrap();
    pause.wait().unwrap();
    scene.permit_end();
    eventually("the leader releases", || scene.holder().is_empty());
    logged_pause(&second);
    never_for(LEASE * 3 / 2, "a candidate acquires", || {
        !scene.holder().is_empty()
    });
    first.await_not_leading();
    scene.run(&["resume"]).ran().well();
    eventually("a candidate leads", || {
        first.leads().or(second.leads()) == Some(1)
    });
}

#[test]
fn second_pause_keeps_first_reason() {
    let scene = Scene::new();
    let first = scene.start_leader("first");
    let pause = scene.pause("migration");
    assert_eq!(pause.code, Some(0), "{pause:?}");
    let out = scene.pause("audit").well();
    assert!(out.starts_with("paused by operator at 2"), "{out}");
    assert!(
        out.contains(": migration\nIt was paused before; that reason stays.\nNobody leads"),
        "{out}"
    );
    assert_eq!(scene.field("paused")["reason"], "migration");
    scene.run(&["resume"]).ran().well();
    assert_eq!(first.await_leading(), 1);
}

#[test]
fn pause_needs_reason() {
    let scene = Scene::new();
    let long = "x".repeat(501);
    for (args, part) in [
        (&["pause"][..], "--reason: required"),
        (&["pause", "--reason", " "], "--reason: required"),
        (&["pause", "--reason", &long], "more than 500 characters"),
        (&["pause", "migration"], "`migration`"),
        (&["resume", "--reason", "x"], "--reason"),
    ] {
        let failed = scene.run(args).ran().failed(2);
        assert!(failed.contains(part), "{failed}");
    }
    let failed = scene.pause("migration").failed(1);
    assert!(failed.contains("there is no readable record"), "{failed}");
    assert_eq!(scene.content(), "{}");
}

#[test]
fn long_rate_limit_is_named() {
    let scene = Scene::new();
    let first = scene.start_leader("first");
    scene.set_faults(r#"{"primary_limit":0}"#);
    for args in [
        &["pause", "--reason", "x"][..],
        &["resume"],
        &["switchover"],
    ] {
        let failed = scene.run(args).ran().failed(1);
        for part in ["gave up waiting", "rate limited"] {
            assert!(failed.contains(part), "{failed}");
        }
    }
    first.await_not_leading();
}

#[test]
fn released_election_can_be_paused() {
    let scene = Scene::new();
    scene.start_leader("first").leave();
    let out = scene.pause("migration").well();
    assert!(out.contains("Nobody leads"), "{out}");
    let second = scene.start("second");
    logged_pause(&second);
    never_for(LEASE, "it acquires", || !scene.holder().is_empty());
    scene.run(&["resume"]).ran().well();
    assert_eq!(second.await_leading(), 1);
    second.await_logged("resumed");
}

#[test]
fn killed_leader_stays_paused() {
    let scene = Scene::new();
    let (mut first, program) = scene.start_slow_leader("first");
    let second = scene.start_standby("second", "first");
    let pause = scene.start_pause();
    first.kill();
    let ran = Ran::of(pause.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!is_running(program));
    // Its lease expired, and nobody took over.
    assert_eq!(scene.holder(), "first");
    logged_pause(&second);
    never_for(LEASE, "it acquires", || scene.holder() != "first");
    scene.run(&["resume"]).ran().well();
    assert_eq!(second.await_leading(), 1);
}

#[test]
fn foreign_record_stays_foreign() {
    let scene = Scene::new();
    scene.put(r#"{"holderIdentity":"client-go","leaseDurationSeconds":5,"note":"x"}"#);
    let ran = scene.pause("migration");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("client-go ignores requests"), "{ran:?}");
    let record = scene.record();
    assert_eq!(record["paused"]["reason"], "migration");
    assert_eq!(record["note"], "x");
    for field in ["writeId", "supersedes", "renewId", "term", "protocol"] {
        assert!(record[field].is_null(), "{record}");
    }
    let first = scene.start("first");
    logged_pause(&first);
    never_for(LEASE * 3 / 2, "it acquires", || {
        scene.holder() != "client-go"
    });
    scene.run(&["resume"]).ran();
    assert_eq!(first.await_leading(), 1);
    assert_eq!(scene.field("note"), "x");
}

#[test]
fn pause_in_any_form_counts() {
    for paused in [json!(true), json!("by hand"), json!({})] {
        let scene = Scene::new();
        scene.start_leader("first").leave();
        let mut record = scene.record();
        for field in ["writeId", "supersedes"] {
            record.as_object_mut().unwrap().remove(field);
        }
        record["paused"] = paused;
        scene.put(&record.to_string());
        let second = scene.start("second");
        logged_pause(&second);
        never_for(LEASE * 3 / 2, "it acquires", || !scene.holder().is_empty());
        scene.run(&["resume"]).ran().well();
        second.await_leading();
    }
}
