//! Guards and electors that are killed or suspended. Each test runs in a separate process, because it reaps
//! all its children.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use elector::system::clock::BootClock;
use elector::workload::process::become_subreaper;
use elector::workload::process::descendants::{descendants, kill_descendants};
use elector::workload::process::procfs::{Process, all_processes};
use elector::workload::process::reaping::{Remaining, reap_exited, reap_exited_after};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PATIENCE, eventually};
use crate::trial::{Folder, GRACE, LONG, Mark, SHORT_GRACE, Setup, alone, from_now, start};

const SOON: Duration = Duration::from_secs(1);

const STRAYS: &str = "
    setsid sh -c 'trap \"\" TERM; echo > out; while :; do sleep 1; done' &
    (trap '' TERM; echo > in; while :; do sleep 1; done) &
    until [ -s in ] && [ -s out ]; do sleep 0.01; done
    trap '' TERM; echo > ready
    while :; do sleep 1; done";

/// Kills all descendants, and returns process id and exit code of each reaped child.
fn clear_all() -> Vec<(i32, i32)> {
    let mut ended = Vec::new();
    let done = kill_descendants(from_now(PATIENCE), |one| ended.push((one.pid, one.code)));
    assert!(done.unwrap(), "a descendant is left");
    ended
}

#[test]
fn elector_adopts_workload_of_killed_guard() {
    if !alone("orphaned::elector_adopts_workload_of_killed_guard") {
        return;
    }
    become_subreaper().unwrap();
    let mut trial = Setup::sh(STRAYS).run();
    trial.await_text("ready", "\n");
    trial.signal_guard(Signal::SIGKILL);
    assert_eq!(trial.next_report(), None, "the guard's pipe must end");
    // The guard and then the program die. The others become children of this process.
    let mut ended = Vec::new();
    eventually("the program dies with its guard", || {
        ended.extend(reap_exited().unwrap().exited);
        ended.len() == 2
    });
    assert!(
        ended
            .iter()
            .any(|one| one.pid == trial.pid && one.code == 137)
    );
    assert!(
        ended
            .iter()
            .any(|one| one.pid == trial.program && one.code == 137)
    );
    let orphans = descendants().unwrap();
    assert!(orphans.len() >= 2, "{orphans:?}");
    clear_all();
    assert_eq!(descendants().unwrap(), []);
    assert_eq!(trial.living(), []);
    trial.forget();
}

#[test]
fn suspended_guard_is_killed_with_workload() {
    if !alone("orphaned::suspended_guard_is_killed_with_workload") {
        return;
    }
    become_subreaper().unwrap();
    let mut trial = Setup::sh(STRAYS).spawn();
    trial.begin(SOON);
    trial.await_text("ready", "\n");
    trial.signal_guard(Signal::SIGSTOP);
    let codes = clear_all();
    assert!(codes.contains(&(trial.pid, 137)), "{codes:?}");
    assert!(codes.contains(&(trial.program, 137)), "{codes:?}");
    assert_eq!(trial.living(), []);
    assert_eq!(trial.next_report(), None);
    trial.forget();
}

#[test]
fn continuously_forking_descendants_are_killed() {
    if !alone("orphaned::continuously_forking_descendants_are_killed") {
        return;
    }
    become_subreaper().unwrap();
    // Each one starts another and exits. They end when the folder is removed.
    let folder = Folder::new();
    let flee = folder.script("flee", "#!/bin/sh\n[ -x \"$0\" ] && setsid \"$0\" &\n");
    let mut starts = (0..5).map(|_| Command::new(&flee).stdin(Stdio::null()).spawn());
    let mut first = starts.next().unwrap().unwrap();
    starts.for_each(|start| drop(start.unwrap()));
    let mut ended = 0;
    eventually("they fork and exit", || {
        ended += reap_exited().unwrap().exited.len();
        ended > 20
    });
    clear_all();
    assert_eq!(descendants().unwrap(), []);
    // It was reaped like the others.
    assert!(first.try_wait().is_err());
}

#[test]
fn kill_without_descendants_does_nothing() {
    if !alone("orphaned::kill_without_descendants_does_nothing") {
        return;
    }
    assert_eq!(reap_exited().unwrap().remaining, Remaining::None);
    assert_eq!(clear_all(), []);
}

/// Why: a caller that forgets the process id of a child that has exited must do so before the kernel may assign
/// the id again.
#[test]
fn child_is_reaped_after_its_callback() {
    if !alone("orphaned::child_is_reaped_after_its_callback") {
        return;
    }
    // Death by a real-time signal is found in another way.
    for script in ["exit 3", "kill -34 $$"] {
        #[expect(clippy::zombie_processes)]
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pid = child.id().cast_signed();
        let mut called = Vec::new();
        eventually("it is reaped", || {
            let reaped = reap_exited_after(|child| {
                let all = all_processes().unwrap();
                let is_zombie = |it: &Process| it.pid == child.pid && it.is_zombie;
                called.push((child.pid, all.iter().any(is_zombie)));
            });
            reaped.unwrap().remaining == Remaining::None
        });
        assert_eq!(called, [(pid, true)], "{script}");
    }
}

#[test]
fn kill_returns_at_its_deadline() {
    if !alone("orphaned::kill_returns_at_its_deadline") {
        return;
    }
    // It is reaped below.
    #[expect(clippy::zombie_processes)]
    Command::new("sleep").arg("1000").spawn().unwrap();
    assert!(!kill_descendants(from_now(Duration::ZERO), |_| ()).unwrap());
    eventually("it is killed", || {
        reap_exited().unwrap().remaining == Remaining::None
    });
}

/// Acts as an elector in a separate process: starts the script, prints its folder, and sends nothing after the
/// first deadline.
fn act_as_elector(script: &str, time: Duration, grace: Duration) {
    let mut trial = Setup::sh(script).grace(grace).spawn();
    trial.begin(time);
    trial.await_text("ready", "\n");
    println!("\nruns in {}", trial.folder.path().display());
    loop {
        std::thread::park();
    }
}

/// Starts such an elector, sends it a signal, and waits until its workload has ended.
fn signal_elector(test: &str, signal: Signal) {
    let mut elector = start(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("ELECTOR_GUARD_ROLE", "elector")
            .stdout(Stdio::piped()),
    );
    let mut lines = BufReader::new(elector.stdout.take().unwrap()).lines();
    let folder = lines
        .find_map(|line| line.unwrap().strip_prefix("runs in ").map(str::to_owned))
        .unwrap();
    let pid = Pid::from_raw(elector.id().cast_signed());
    kill(pid, signal).unwrap();
    let mark = Mark(folder.clone());
    let deadline = from_now(PATIENCE);
    while !mark.living().is_empty() && BootClock::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let left = mark.living();
    mark.clear();
    let _ = kill(pid, Signal::SIGKILL);
    elector.wait().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(left, []);
}

fn is_elector() -> bool {
    std::env::var_os("ELECTOR_GUARD_ROLE").is_some()
}

#[test]
fn workload_ends_after_elector_is_killed() {
    if is_elector() {
        // During this test, only the elector's death can end the workload.
        return act_as_elector(STRAYS, LONG, SHORT_GRACE);
    }
    signal_elector(
        "orphaned::workload_ends_after_elector_is_killed",
        Signal::SIGKILL,
    );
}

#[test]
fn workload_ends_while_elector_is_suspended() {
    if is_elector() {
        return act_as_elector(STRAYS, SOON, SHORT_GRACE);
    }
    signal_elector(
        "orphaned::workload_ends_while_elector_is_suspended",
        Signal::SIGSTOP,
    );
}

#[test]
fn workload_of_killed_elector_gets_grace() {
    let script = "trap 'exit 0' TERM; echo > ready; while :; do sleep 0.01; done";
    if is_elector() {
        return act_as_elector(script, LONG, GRACE);
    }
    signal_elector(
        "orphaned::workload_of_killed_elector_gets_grace",
        Signal::SIGKILL,
    );
}
