//! A wrapped program: its guard knows when nothing of it is left.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::restart::stage::{
    CLOSED, LONG, SESSION, Stage, assert_resumes, assert_waits, await_reason,
};
use crate::support::process::Elector;
use crate::support::{eventually, for_each, never_for};
use crate::workload::scene::{IGNORES_TERM, WORKS, guard_of, is_running, read, send};

/// Reason of a candidate whose guard did not note the end of the workload.
const NOT_REPORTED: &str = "its guard did not report its end";

/// Programs that end in different ways, or not at all before KILL.
fn programs() -> [String; 4] {
    [
        WORKS.to_owned(),
        IGNORES_TERM.to_owned(),
        format!("{SESSION}{WORKS}"),
        format!("{CLOSED}{SESSION}{IGNORES_TERM}"),
    ]
}

/// Kills the elector alone, and does not wait for its guard, which inherited its output.
fn kill_alone(elector: &Elector) {
    elector.freeze();
    elector.signal(Signal::SIGKILL);
}

#[test]
fn killed_elector_resumes_after_guard() {
    for_each(&programs(), |script| {
        let stage = Stage::new();
        let start = || {
            let start = stage.wrapping(script).with_all(LONG);
            start.with("TERMINATION_GRACE", "5s")
        };
        let first = stage.spawn(start());
        stage.await_noted("works");
        if script.contains(SESSION) {
            stage.await_noted("session");
        }
        let guard = guard_of(first.pid());
        kill_alone(&first);
        let second = stage.spawn(start());
        // The guard waits for a program that ignores TERM.
        if script.contains(IGNORES_TERM) {
            await_reason(&second, "a living process holds the lock");
        }
        assert_resumes(&second, 1);
        assert!(!is_running(guard));
        assert_eq!(stage.await_noted_times("began", 2).fencing_token, 1);
        stage.assert_alone();
    });
}

#[test]
fn guard_notes_end_of_workload() {
    let stage = Stage::new();
    let start = || stage.wrapping(IGNORES_TERM).with_all(LONG);
    let mut processes = Vec::new();
    for life in 1..=3 {
        let mut elector = stage.spawn(start());
        assert_eq!(elector.await_leading(), life - 1);
        stage.await_noted_times("began", usize::try_from(life).unwrap());
        assert_eq!(stage.state()["stopped"], false);
        elector.kill();
        eventually("the guard notes the end", || {
            stage.state()["stopped"] == true
        });
        assert!(stage.journal().iter().all(|entry| !is_running(entry.pid)));
        processes.push(stage.state()["processes"].as_array().unwrap().clone());
    }
    assert_eq!(
        processes.iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(processes[2].starts_with(&processes[1]));
    stage.assert_alone();
}

#[test]
fn killed_guard_leads_to_waiting() {
    let stage = Stage::new();
    let mut first = stage.spawn(stage.wrapping(WORKS));
    let program = stage.await_noted("works").pid;
    let guard = guard_of(first.pid());
    first.freeze();
    send(guard, Signal::SIGKILL);
    first.kill();
    let lease_end = stage.lease_end();
    eventually("the program has ended", || !is_running(program));
    let second = stage.spawn(stage.wrapping(WORKS));
    assert_waits(&second, lease_end, NOT_REPORTED);
    stage.assert_alone();
}

/// A process in another session survives elector and guard, and has none of their descriptors.
#[test]
fn surviving_session_leads_to_waiting() {
    for_each(&["", CLOSED], |closed| {
        let stage = Stage::new();
        let start = || {
            let script = format!("{closed}{SESSION}{WORKS}");
            stage.wrapping(&script).with_all(LONG)
        };
        let mut first = stage.spawn(start());
        stage.await_noted("works");
        let survivor = stage.await_noted("session").pid;
        let guard = guard_of(first.pid());
        first.freeze();
        send(guard, Signal::SIGKILL);
        first.kill();
        let second = stage.spawn(start());
        await_reason(&second, NOT_REPORTED);
        never_for(Duration::from_secs(2), "it leads", || {
            second.leads().is_some()
        });
        assert!(is_running(survivor), "not tested");
        send(survivor, Signal::SIGKILL);
    });
}

#[test]
fn standby_killed_before_leading_is_harmless() {
    let stage = Stage::new();
    let other = stage.with_script("other", WORKS).with_all(LONG);
    let mut other = stage.spawn(other);
    stage.await_noted("works");
    let start = || stage.wrapping(WORKS).with_all(LONG);
    let mut first = stage.spawn(start());
    first.await_observed("other");
    first.kill();
    let second = stage.spawn(start());
    second.await_observed("other");
    await_reason(&second, NOT_REPORTED);
    other.leave();
    assert_eq!(second.await_leading(), 1);
}

#[test]
fn program_does_not_inherit_lock() {
    let stage = Stage::new();
    let out = stage.path("out");
    let script = r#"ls -l /proc/self/fd >"$OUT"; ls -l "/proc/$$/fd" >>"$OUT"; note listed"#;
    let script = format!("{script}; while true; do idle; done");
    // Without the lock file of the script itself.
    let start = stage
        .with_script("first", &script)
        .with("OUT", &out)
        .with("ELECTOR_STATE_DIR", stage.directory());
    let elector = stage.spawn(start);
    stage.await_noted("listed");
    let file = stage.file();
    let guard = guard_of(elector.pid());
    let open = fs::read_dir(format!("/proc/{guard}/fd")).unwrap();
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    assert_eq!(links.filter(|link| *link == file).count(), 1);
    let listed = read(&out);
    assert!(
        listed.contains("/fd") && !listed.contains(".state"),
        "{listed}"
    );
}
