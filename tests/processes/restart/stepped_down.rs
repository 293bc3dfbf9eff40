//! A step-down is kept in the state file: a restarted candidate does not acquire before its end.

use std::path::Path;

use crate::endpoints::watched::{Watched, spawn};
use crate::operating::command::Run;
use crate::restart::stage::Stage;
use crate::support::process::LEASE;
use crate::support::{eventually, for_each, never_for};
use crate::workload::scene::WORKS;

fn step_down(elector: &Watched, period: &str) -> String {
    let run = Run::new(&["step-down", "--for", period]);
    run.with("HTTP_ADDR", elector.addr.to_string()).ran().well()
}

fn start(stage: &Stage) -> Watched {
    spawn(stage, stage.sidecar())
}

/// Asserts that an elector waits as an earlier process was asked to, although nobody holds the lease.
#[track_caller]
fn assert_waits(elector: &Watched) {
    eventually("/status shows the end", || {
        elector.status()["steppedDownUntil"].is_string()
    });
    never_for(LEASE + LEASE / 2, "it leads", || elector.leads().is_some());
    assert_eq!(
        elector.count_logged("stepping_down"),
        1,
        "{}",
        elector.text()
    );
}

/// Starts a leader, and kills it after it was asked to step down.
fn stepped_down(stage: &Stage) {
    let mut first = start(stage);
    first.await_leading();
    let printed = step_down(&first, "1h");
    assert!(!printed.contains("STATE_DIR"), "{printed}");
    first.kill();
}

#[test]
fn step_down_survives_kill_boot_and_copy() {
    let cases: [fn(&Stage); 3] = [
        |_| {},
        |stage| stage.edit(|state| state["bootId"] = "b".into()),
        |stage| stage.edit(|state| state["inode"] = 1.into()),
    ];
    for_each(&cases, |change| {
        let stage = Stage::new();
        stepped_down(&stage);
        change(&stage);
        assert_waits(&start(&stage));
    });
}

#[test]
fn end_of_step_down_is_kept() {
    let stage = Stage::new();
    stepped_down(&stage);
    let mut second = start(&stage);
    eventually("it shows the step-down", || {
        second.status()["steppedDownUntil"].is_string()
    });
    assert_eq!(
        step_down(&second, "0"),
        "The elector may acquire the lease.\n"
    );
    second.kill();
    let third = start(&stage);
    third.await_leading();
    assert!(!third.has_logged("stepping_down"), "{}", third.text());
}

#[test]
fn other_lock_or_name_is_not_stepped_down() {
    let cases = [("lock", "x"), ("name", "other")];
    for_each(&cases, |(field, value)| {
        let stage = Stage::new();
        stepped_down(&stage);
        stage.edit(|state| state[*field] = (*value).into());
        let second = start(&stage);
        second.await_leading();
        assert!(!second.has_logged("stepping_down"), "{}", second.text());
    });
}

/// The file's lock is not free, so the second process cannot note anything.
#[test]
fn process_beside_living_one_waits_too() {
    let stage = Stage::new();
    let first = start(&stage);
    first.await_leading();
    step_down(&first, "1h");
    let second = start(&stage);
    assert_waits(&second);
    let printed = step_down(&second, "0");
    assert!(printed.contains("state file was not changed"), "{printed}");
    second.await_leading();
}

#[test]
fn wrapped_program_waits_after_kill() {
    let stage = Stage::new();
    let start = || {
        let start = stage
            .wrapping(WORKS)
            .with("ELECTOR_HTTP_ADDR", "127.0.0.1:0");
        spawn(&stage, start)
    };
    let mut first = start();
    stage.await_noted("works");
    let printed = step_down(&first, "1h");
    assert!(!printed.contains("STATE_DIR"), "{printed}");
    first.kill();
    assert_waits(&start());
    assert_eq!(stage.count("began"), 1);
}

#[test]
fn unusable_directory_keeps_nothing() {
    let stage = Stage::new();
    let start = stage.sidecar().with("STATE_DIR", Path::new("/proc"));
    let first = spawn(&stage, start);
    first.await_leading();
    let printed = step_down(&first, "1h");
    assert!(
        printed.contains("This ends with the elector's process"),
        "{printed}"
    );
}
