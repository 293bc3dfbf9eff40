//! Exits of the wrapped program, and the guard's reports of them.

use std::thread;

use elector::workload::message::FromGuard;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::trial::{Folder, LONG, SHORT_GRACE, Setup, from_now};

/// Tests all cases on four threads.
fn for_each<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    for some in cases.chunks(cases.len().div_ceil(4)) {
        let test = &test;
        thread::scope(|scope| {
            scope.spawn(move || some.iter().for_each(test));
        });
    }
}

#[test]
fn guard_reports_every_exit_code() {
    let codes: Vec<i32> = (0..256).collect();
    for_each(&codes, |code| {
        let mut trial = Setup::sh(&format!("exit {code}")).run();
        assert_eq!(trial.await_end(), *code);
    });
}

#[test]
fn death_by_signal_is_128_plus() {
    // 34 to 64 are real-time signals.
    let signals = [1, 2, 3, 6, 8, 9, 10, 11, 13, 14, 15, 34, 35, 50, 64];
    for_each(&signals, |signal| {
        let mut trial = Setup::sh(&format!("ulimit -c 0; kill -{signal} $$")).run();
        assert_eq!(trial.await_end(), 128 + signal);
    });
}

#[test]
fn orphans_killed_by_signals_are_reaped() {
    // A separate shell leaves each orphan behind. Only the guard can reap the last one.
    let script = "
        for signal in 1 9 34 64; do
            sh -c 'sleep 1000 & echo $! > orphan'
            kill -$signal $(cat orphan)
        done
        while kill -0 $(cat orphan) 2>/dev/null; do :; done
        exit 7";
    let mut trial = Setup::sh(script).run();
    assert_eq!(trial.await_end(), 7);
}

#[test]
fn background_child_ends_with_program() {
    let mut trial = Setup::sh("sleep 1000 & exit 4").run();
    assert_eq!(trial.await_end(), 4);
}

#[test]
fn leftovers_are_reported_with_names() {
    // A child, one in a separate session, and an orphan.
    let script = "
        sleep 1000 & echo $! > pids
        setsid sh -c 'echo $$ >> pids; exec tail -f /dev/null' &
        sh -c 'setsid cat ready & echo $! >> pids'
        names() { (cd /proc && cat $(sed s:$:/comm: $OLDPWD/pids) | sort | xargs); }
        until [ \"$(names)\" = 'cat sleep tail' ]; do sleep 0.01; done
        exit 5";
    let folder = Folder::new();
    nix::unistd::mkfifo(&folder.file("ready"), Mode::S_IRWXU).unwrap();
    let mut trial = Setup::sh(script).spawn_in(folder);
    trial.begin(LONG);
    assert_eq!(trial.await_end(), 5);
    let mut left = Vec::new();
    for note in &trial.notes {
        let FromGuard::LeftBehind { pid, name, count } = note else {
            panic!("{note:?}");
        };
        assert_eq!(*count, 3);
        left.push((pid.to_string(), name.to_string()));
    }
    left.sort_by_key(|(_, name)| name.clone());
    let names: Vec<&str> = left.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["cat", "sleep", "tail"]);
    let pids = trial.folder.read("pids");
    assert!(
        left.iter()
            .all(|(pid, _)| pids.lines().any(|line| line == pid))
    );
}

#[test]
fn few_of_many_leftovers_are_listed() {
    let script = "
        i=0
        while [ $i -lt 30 ]; do sleep 1000 & i=$((i + 1)); done
        exit 5";
    let mut trial = Setup::sh(script).run();
    assert_eq!(trial.await_end(), 5);
    assert_eq!(trial.notes.len(), 10);
    for note in &trial.notes {
        assert!(
            matches!(note, FromGuard::LeftBehind { count: 30, .. }),
            "{note:?}"
        );
    }
}

#[test]
fn stop_reports_no_leftovers() {
    let script = "sleep 1000 & trap 'exit 0' TERM; echo > ready; while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.stop(Signal::SIGTERM, from_now(LONG));
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.notes, []);
}

#[test]
fn leftovers_get_grace_then_kill() {
    let script = "
        (trap 'echo term >> output; exit' TERM; echo ready > exits; while :; do sleep 0.01; done) &
        (trap '' TERM; echo ready > ignores; while :; do sleep 0.01; done) &
        until [ -s exits ] && [ -s ignores ]; do sleep 0.01; done
        exit 5";
    let mut trial = Setup::sh(script).grace(SHORT_GRACE).run();
    assert_eq!(trial.await_exit(), 5);
    assert_eq!(trial.await_workload_stopped(), Some(5));
    assert_eq!(trial.folder.read("output"), "term\n");
}

#[test]
fn guard_exits_after_last_report() {
    let mut trial = Setup::sh("exit 0").spawn();
    trial.begin(LONG);
    assert_eq!(trial.await_exit(), 0);
    assert_eq!(trial.await_workload_stopped(), Some(0));
    // The guard closed its end of the pipe.
    let message = elector::workload::message::ToGuard::Kill;
    let error = trial.control().send(message).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}
