//! An elector as PID 1: the kernel ends everything else with it.

use std::fs::OpenOptions;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;

use crate::restart::stage::{CLOSED, LONG, SESSION, Stage, assert_resumes, await_reason, time_of};
use crate::support::process::Elector;
use crate::support::process::program::Start;
use crate::support::{for_each, never_for};
use crate::workload::scene::{IGNORES_TERM, WORKS, children_of, pid_1_launcher, send};

/// A lease that a resumed term is far from.
const TIMES: [(&str, &str); 2] = [("LEASE_DURATION", "90s"), ("RENEW_DEADLINE", "60s")];

/// A thirtieth of that lease.
const DELAY: Duration = Duration::from_secs(3);

/// Notes no process ids, because those in a namespace are of others outside.
const NO_PIDS: &str = r#"
note() { echo "$LEADER_ELECTION_FENCING_TOKEN $1 0" >>"$JOURNAL"; }
export PID=0
"#;

fn in_container(stage: &Stage, script: &str) -> Option<Start> {
    let launcher = pid_1_launcher()?;
    let start = stage.wrapping(&format!("{NO_PIDS}{script}"));
    Some(start.with_all(TIMES).under(launcher))
}

/// Kills PID 1 alone.
fn kill_pid_1(container: &mut Elector) {
    send(children_of(container.pid())[0], Signal::SIGKILL);
    container.await_exit();
}

#[test]
fn container_restart_resumes_after_delay() {
    let programs = [
        WORKS.to_owned(),
        format!("{SESSION}{IGNORES_TERM}"),
        format!("{CLOSED}{SESSION}{WORKS}"),
    ];
    for_each(&programs, |script| {
        let stage = Stage::new();
        let Some(start) = in_container(&stage, script) else {
            return;
        };
        let mut first = stage.spawn(start);
        stage.await_noted("works");
        if script.contains("setsid") {
            stage.await_noted("session");
        }
        kill_pid_1(&mut first);
        let state = stage.state();
        assert_eq!(
            (&state["stopped"], &state["pid"]),
            (&false.into(), &1.into())
        );
        let second = stage.spawn(in_container(&stage, script).unwrap());
        assert_resumes(&second, 1);
        let waited = time_of(&second, "started_leading") - time_of(&second, "running");
        assert!(waited >= DELAY, "{waited}\n{}", second.text());
        stage.await_noted_times("began", 2);
        stage.assert_alone();
    });
}

#[test]
fn lock_after_container_leads_to_waiting() {
    let stage = Stage::new();
    let Some(start) = in_container(&stage, WORKS) else {
        return;
    };
    let mut first = stage.spawn(start.with_all(LONG));
    stage.await_noted("works");
    kill_pid_1(&mut first);
    let file = OpenOptions::new().write(true).open(stage.file()).unwrap();
    let held = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
    let start = in_container(&stage, WORKS).unwrap();
    let second = stage.spawn(start.with_all(LONG));
    await_reason(&second, "a living process holds the lock");
    drop(held);
    await_reason(&second, "a process that outlived the container");
    never_for(Duration::from_secs(2), "it leads", || {
        second.leads().is_some()
    });
}

#[test]
fn elector_below_init_leads_to_waiting() {
    let stage = Stage::new();
    if pid_1_launcher().is_none() {
        return;
    }
    // `docker run --init`: PID 1 is another program.
    let init: Vec<&str> = pid_1_launcher()
        .unwrap()
        .iter()
        .copied()
        .chain(INIT)
        .collect();
    let start = || {
        let start = stage.wrapping(&format!("{NO_PIDS}{WORKS}"));
        start.with_all(LONG).under(&init)
    };
    let mut first = stage.spawn(start());
    stage.await_noted("works");
    kill_pid_1(&mut first);
    let second = stage.spawn(start());
    await_reason(&second, "its guard did not report its end");
    never_for(Duration::from_secs(2), "it leads", || {
        second.leads().is_some()
    });
}

/// A shell as PID 1, with the elector as its child.
const INIT: [&str; 3] = ["sh", "-c", "\"$0\" \"$@\"; exit"];
