//! Programs beside the elector: no new term begins before the end of what was announced to them.

use std::fs::{self, OpenOptions};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;

use crate::endpoints::watched;
use crate::restart::stage::{
    LONG, SHORT_TERM, Stage, assert_resumes, await_reason, began_since_boot,
};
use crate::support::process::Elector;
use crate::support::{eventually, for_each};

/// Deviation of two clocks, and of times in logs.
const INACCURACY: f64 = 0.01;

fn leads_until(state: &Value) -> f64 {
    state["leadsUntil"].as_u64().unwrap() as f64 / 1e9
}

/// Returns the deadline in a leader file.
fn announced(file: &Path) -> f64 {
    let line: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    line["validUntil"].as_f64().unwrap()
}

#[track_caller]
fn assert_resumes_after(elector: &Elector, leads_until: f64) {
    assert_resumes(elector, 1);
    let began = began_since_boot(elector);
    assert!(
        began >= leads_until - INACCURACY,
        "{began} {leads_until}\n{}",
        elector.text()
    );
}

#[test]
fn followed_term_ends_before_next() {
    let stage = Stage::new();
    let file = stage.path("leader");
    let start = || {
        stage
            .sidecar()
            .with_all(SHORT_TERM)
            .with("LEADER_FILE", &file)
    };
    let mut first = stage.leader(start());
    eventually("the file is there", || file.exists());
    first.kill();
    let state = stage.state();
    assert_eq!(
        (&state["followed"], &state["stopped"]),
        (&true.into(), &true.into())
    );
    let until = leads_until(&state);
    assert!(until >= announced(&file), "{until}");
    assert_resumes_after(&stage.spawn(start()), until);
}

#[test]
fn unfollowed_term_is_not_awaited() {
    let stage = Stage::new();
    let start = || stage.sidecar().with_all(LONG);
    stage.leader(start()).kill();
    assert_eq!(stage.state()["followed"], false);
    assert_resumes(&stage.spawn(start()), 1);
}

#[test]
fn answered_program_is_followed() {
    let paths = ["/leader", "/isLeader", "/"];
    for_each(&paths, |path| {
        let stage = Stage::new();
        let start = || stage.sidecar().with_all(SHORT_TERM);
        stage.set_faults(r#"{"outage":true}"#);
        let mut first = watched::spawn(&stage, start());
        // No program relies on an answer that it does not lead.
        first.get(path);
        assert_eq!(stage.state()["followed"], false);
        stage.set_faults("{}");
        first.await_leading();
        eventually("the answer says that it leads", || {
            first.get(path);
            stage.state()["followed"] == true
        });
        first.kill();
        assert_resumes_after(&stage.spawn(start()), leads_until(&stage.state()));
    });
}

#[test]
fn page_and_status_are_not_followed() {
    let stage = Stage::new();
    let start = || stage.sidecar().with_all(LONG);
    let mut first = watched::spawn(&stage, start());
    first.await_leading();
    first.status();
    first.ask("GET", "/", &[("Accept", "text/html")]);
    first.get("/metrics");
    first.get("/healthz");
    first.kill();
    assert_eq!(stage.state()["followed"], false);
    assert_resumes(&stage.spawn(start()), 1);
}

/// The second process is killed before it leads.
#[test]
fn repeated_restart_awaits_announced_term() {
    let stage = Stage::new();
    let file = stage.path("leader");
    let start = || {
        stage
            .sidecar()
            .with_all(SHORT_TERM)
            .with("LEADER_FILE", &file)
    };
    stage.leader(start()).kill();
    let until = leads_until(&stage.state());
    let mut second = stage.spawn(start());
    second.await_logged("resuming");
    assert!(second.leads().is_none(), "not tested");
    second.kill();
    assert_resumes_after(&stage.spawn(start()), until);
}

/// Another process holds the file's lock when the answer is given. The leader tries again when it reads the
/// record, after a write without an answer.
#[test]
fn earlier_answer_is_noted_later() {
    let stage = Stage::new();
    let start = || stage.sidecar().with_all(LONG);
    stage.leader(start()).leave();
    let file = OpenOptions::new().write(true).open(stage.file()).unwrap();
    let held = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
    let first = watched::spawn(&stage, start());
    await_reason(&first, "a living process holds the lock");
    first.await_leading();
    let answer = first.get("/leader").json();
    assert_eq!(answer["leading"], true);
    let before = stage.state()["processes"].clone();
    drop(held);
    stage.set_faults(r#"{"lost_answers": 1}"#);
    eventually("it has the lock", || stage.state()["processes"] != before);
    let state = stage.state();
    stage.set_faults("{}");
    assert_eq!(state["followed"], true, "{state}");
    assert!(leads_until(&state) >= answer["validUntil"].as_f64().unwrap());
}
