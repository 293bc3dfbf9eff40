//! How a workload ends by itself, and what the guard says of that.

use std::thread;

use crate::trial::{LONG, SHORT_GRACE, Setup};

/// Tries each case, some at a time.
fn for_each<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    for some in cases.chunks(cases.len().div_ceil(4)) {
        let test = &test;
        thread::scope(|scope| {
            scope.spawn(move || some.iter().for_each(test));
        });
    }
}

#[test]
fn every_exit_code_comes_through_the_guard() {
    let codes: Vec<i32> = (0..256).collect();
    for_each(&codes, |code| {
        let mut trial = Setup::sh(&format!("exit {code}")).run();
        assert_eq!(trial.await_end(), *code);
    });
}

#[test]
fn death_by_a_signal_is_128_and_its_number() {
    // 34 to 64 are the real-time signals.
    let signals = [1, 2, 3, 6, 8, 9, 10, 11, 13, 14, 15, 34, 35, 50, 64];
    for_each(&signals, |signal| {
        let mut trial = Setup::sh(&format!("ulimit -c 0; kill -{signal} $$")).run();
        assert_eq!(trial.await_end(), 128 + signal);
    });
}

#[test]
fn orphans_that_any_signal_killed_are_reaped() {
    // Each is left behind by a shell of its own; the last one's end is seen by nobody else.
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
fn a_workload_that_forks_and_exits_leaves_nothing_behind() {
    let mut trial = Setup::sh("sleep 1000 & exit 4").run();
    assert_eq!(trial.await_end(), 4);
}

#[test]
fn leftovers_get_their_grace_and_are_killed_then() {
    let script = "
        (trap 'echo asked >> said; exit' TERM; echo ready > polite; while :; do sleep 0.01; done) &
        (trap '' TERM; echo ready > deaf; while :; do sleep 0.01; done) &
        until [ -s polite ] && [ -s deaf ]; do sleep 0.01; done
        exit 5";
    let mut trial = Setup::sh(script).grace(SHORT_GRACE).run();
    assert_eq!(trial.await_exit(), 5);
    assert_eq!(trial.await_gone(), Some(5));
    assert_eq!(trial.folder.read("said"), "asked\n");
}

#[test]
fn a_guard_that_ends_says_nothing_more() {
    let mut trial = Setup::sh("exit 0").spawn();
    trial.begin(LONG);
    assert_eq!(trial.await_exit(), 0);
    assert_eq!(trial.await_gone(), Some(0));
    // It closed its end of the pipe.
    let message = elector::workload::message::ToGuard::Kill;
    let error = trial.control().send(message).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}
