//! When the guard or the elector is killed or stopped. Each of these is a process of its own, as it
//! reaps every child it has.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use elector::system::clock::BootClock;
use elector::workload::process::become_subreaper;
use elector::workload::process::descendants::{descendants, kill_descendants};
use elector::workload::process::reaping::{Remaining, reap_exited};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PATIENCE, eventually};
use crate::trial::{Folder, GRACE, LONG, Mark, SHORT_GRACE, Setup, alone, in_time, start};

const SOON: Duration = Duration::from_secs(1);

const STRAYS: &str = "
    setsid sh -c 'trap \"\" TERM; echo > out; while :; do sleep 1; done' &
    (trap '' TERM; echo > in; while :; do sleep 1; done) &
    until [ -s in ] && [ -s out ]; do sleep 0.01; done
    trap '' TERM; echo > ready
    while :; do sleep 1; done";

/// Kills everything below this process, and says what it reaped.
fn clear_all() -> Vec<(i32, i32)> {
    let mut ended = Vec::new();
    let done = kill_descendants(in_time(PATIENCE), |one| ended.push((one.pid, one.code)));
    assert!(done.unwrap(), "something is left");
    ended
}

#[test]
fn a_workload_dies_with_its_guard_and_the_rest_falls_to_the_elector() {
    if !alone("orphaned::a_workload_dies_with_its_guard_and_the_rest_falls_to_the_elector") {
        return;
    }
    become_subreaper().unwrap();
    let mut trial = Setup::sh(STRAYS).run();
    trial.await_text("ready", "\n");
    trial.signal_guard(Signal::SIGKILL);
    assert_eq!(
        trial.next_report(),
        None,
        "the end of a guard shows in its pipe"
    );
    // The guard, and CMD after it; the others live on, below this process.
    let mut ended = Vec::new();
    eventually("CMD dies with its guard", || {
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
            .any(|one| one.pid == trial.command && one.code == 137)
    );
    let orphans = descendants().unwrap();
    assert!(orphans.len() >= 2, "{orphans:?}");
    clear_all();
    assert_eq!(descendants().unwrap(), []);
    assert_eq!(trial.living(), []);
    trial.forget();
}

#[test]
fn a_guard_that_was_stopped_is_killed_with_all_that_is_below() {
    if !alone("orphaned::a_guard_that_was_stopped_is_killed_with_all_that_is_below") {
        return;
    }
    become_subreaper().unwrap();
    let mut trial = Setup::sh(STRAYS).spawn();
    trial.begin(SOON);
    trial.await_text("ready", "\n");
    trial.signal_guard(Signal::SIGSTOP);
    let codes = clear_all();
    assert!(codes.contains(&(trial.pid, 137)), "{codes:?}");
    assert!(codes.contains(&(trial.command, 137)), "{codes:?}");
    assert_eq!(trial.living(), []);
    assert_eq!(trial.next_report(), None);
    trial.forget();
}

#[test]
fn everything_below_is_killed_however_it_forks() {
    if !alone("orphaned::everything_below_is_killed_however_it_forks") {
        return;
    }
    become_subreaper().unwrap();
    // Each one starts another and ends, and none of them outlives the folder.
    let folder = Folder::new();
    let flee = folder.script("flee", "#!/bin/sh\n[ -x \"$0\" ] && setsid \"$0\" &\n");
    let mut starts = (0..5).map(|_| Command::new(&flee).stdin(Stdio::null()).spawn());
    let mut first = starts.next().unwrap().unwrap();
    starts.for_each(|start| drop(start.unwrap()));
    let mut ended = 0;
    eventually("they fork and end", || {
        ended += reap_exited().unwrap().exited.len();
        ended > 20
    });
    clear_all();
    assert_eq!(descendants().unwrap(), []);
    // It was reaped with the others.
    assert!(first.try_wait().is_err());
}

#[test]
fn with_nothing_below_there_is_nothing_to_do() {
    if !alone("orphaned::with_nothing_below_there_is_nothing_to_do") {
        return;
    }
    assert_eq!(reap_exited().unwrap().remaining, Remaining::None);
    assert_eq!(clear_all(), []);
}

#[test]
fn patience_has_an_end() {
    if !alone("orphaned::patience_has_an_end") {
        return;
    }
    // Killed, but not waited for: that is done below.
    #[expect(clippy::zombie_processes)]
    Command::new("sleep").arg("1000").spawn().unwrap();
    assert!(!kill_descendants(in_time(Duration::ZERO), |_| ()).unwrap());
    eventually("it is killed", || {
        reap_exited().unwrap().remaining == Remaining::None
    });
}

/// An elector in a process of its own, whose workload is this script: it says where that runs, and
/// nothing more to its guard after the first time.
fn play_elector(script: &str, time: Duration, grace: Duration) {
    let mut trial = Setup::sh(script).grace(grace).spawn();
    trial.begin(time);
    trial.await_text("ready", "\n");
    println!("\nruns in {}", trial.folder.path().display());
    loop {
        std::thread::park();
    }
}

/// Starts such an elector, does something to it, and waits until its workload has ended.
fn torment(test: &str, signal: Signal) {
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
    let deadline = in_time(PATIENCE);
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
fn a_workload_ends_when_its_elector_is_killed() {
    if is_elector() {
        // Nothing but the elector's death would end it while this test lives.
        return play_elector(STRAYS, LONG, SHORT_GRACE);
    }
    torment(
        "orphaned::a_workload_ends_when_its_elector_is_killed",
        Signal::SIGKILL,
    );
}

#[test]
fn a_workload_ends_in_time_when_its_elector_is_stopped() {
    if is_elector() {
        return play_elector(STRAYS, SOON, SHORT_GRACE);
    }
    torment(
        "orphaned::a_workload_ends_in_time_when_its_elector_is_stopped",
        Signal::SIGSTOP,
    );
}

#[test]
fn a_polite_workload_gets_its_grace_when_its_elector_is_killed() {
    let script = "trap 'exit 0' TERM; echo > ready; while :; do sleep 0.01; done";
    if is_elector() {
        return play_elector(script, LONG, GRACE);
    }
    torment(
        "orphaned::a_polite_workload_gets_its_grace_when_its_elector_is_killed",
        Signal::SIGKILL,
    );
}
