//! Candidates that share a directory.

use std::time::Duration;

use crate::restart::stage::{LONG, Stage, assert_resumes, await_reason, reasons, time_of};
use crate::support::{file_names, never_for};
use crate::workload::scene::WORKS;

const HELD: &str = "a living process holds the lock";

#[test]
fn second_of_same_name_resumes_later() {
    let stage = Stage::new();
    let start = || stage.wrapping(WORKS).with_all(LONG);
    let mut first = stage.spawn(start());
    stage.await_noted("works");
    let second = stage.spawn(start());
    await_reason(&second, HELD);
    never_for(Duration::from_secs(1), "it leads", || {
        second.leads().is_some()
    });
    assert_eq!(reasons(&second).len(), 1, "{}", second.text());
    first.kill();
    assert_resumes(&second, 1);
    stage.assert_alone();
}

#[test]
fn other_name_waits_for_lease() {
    let stage = Stage::new();
    let mut first = stage.leader(stage.sidecar());
    let start = stage.elector("second").with("STATE_DIR", stage.directory());
    let second = stage.spawn(start);
    second.await_observed("first");
    await_reason(&second, HELD);
    first.kill();
    let lease_end = stage.lease_end();
    await_reason(&second, "a candidate of another name");
    assert_eq!(second.await_leading(), 1);
    assert!(time_of(&second, "started_leading") >= lease_end);
    assert_eq!(stage.state()["name"], "second");
}

#[test]
fn locks_have_separate_files() {
    let stage = Stage::new();
    stage.several_locks.set(true);
    let gist = stage.service.create_gist(&[("leader.json", "{}")]).unwrap();
    let start = || stage.sidecar().with_all(LONG);
    let mut electors = [
        stage.leader(start()),
        stage.leader(start().with("GIST_ID", &gist)),
    ];
    assert_eq!(file_names(stage.directory()).len(), 2);
    for elector in &mut electors {
        assert_eq!(reasons(elector), [""; 0]);
        elector.kill();
    }
    assert_resumes(&stage.spawn(start()), 1);
    assert_resumes(&stage.spawn(start().with("GIST_ID", &gist)), 1);
}
