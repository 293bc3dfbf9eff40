//! Signals: those for the workload reach it, those at the guard do nothing.

use std::io::ErrorKind;

use elector::workload::message::ToGuard;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::support::eventually;
use crate::trial::{LONG, Setup, in_time};

/// Notes each signal that arrives.
const NOTES: &str = "
    for name in HUP INT QUIT USR1 USR2 WINCH TERM; do trap \"echo $name >> said\" $name; done
    echo > ready
    while [ ! -e end ]; do sleep 0.01; done
    exit 9";

#[test]
fn signals_for_the_workload_reach_it() {
    let mut trial = Setup::sh(NOTES).run();
    trial.await_text("ready", "\n");
    let mut said = String::new();
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
    ] {
        trial.send(ToGuard::Signal(signal as i32));
        said += signal.as_str().trim_start_matches("SIG");
        said += "\n";
        trial.await_text("said", &said);
    }
    std::fs::write(trial.folder.file("end"), "").unwrap();
    assert_eq!(trial.await_end(), 9);
    assert_eq!(trial.folder.read("said"), said, "each of them once");
}

#[test]
fn a_signal_reaches_the_whole_group_and_nobody_else() {
    let script = "
        trap 'echo group >> said' HUP
        (trap 'echo group >> said; exit' HUP; echo > in; while :; do sleep 0.01; done) &
        setsid sh -c 'trap \"echo stranger >> said\" HUP; echo > out; while :; do sleep 0.01; done' &
        until [ -s in ] && [ -s out ]; do sleep 0.01; done
        echo > ready
        wait
        while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.send(ToGuard::Signal(Signal::SIGHUP as i32));
    trial.await_text("said", "group\ngroup\n");
    trial.send(ToGuard::Kill);
    trial.await_exit();
    trial.await_gone();
    assert_eq!(trial.folder.read("said"), "group\ngroup\n");
}

#[test]
fn a_signal_reaches_the_group_also_when_its_first_process_has_ended() {
    let script = "
        (trap '' TERM; trap 'echo told > said; exit' USR1; echo > ready
         while :; do sleep 0.01; done) &
        until [ -s ready ]; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    assert_eq!(trial.await_exit(), 0);
    trial.send(ToGuard::Signal(Signal::SIGUSR1 as i32));
    assert_eq!(trial.await_gone(), Some(0));
    assert_eq!(trial.folder.read("said"), "told\n");
}

#[test]
fn a_signal_that_stops_stops_it_until_it_is_continued() {
    let script = "trap 'echo hup >> said' HUP; echo > ready; while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.send(ToGuard::Signal(Signal::SIGSTOP as i32));
    trial.send(ToGuard::Signal(Signal::SIGHUP as i32));
    // A shell that has just forked may be waiting in the kernel for what it forked, which is stopped.
    eventually("it is stopped", || trial.mark.stopped() > 0);
    trial.send(ToGuard::Signal(Signal::SIGCONT as i32));
    trial.await_text("said", "hup\n");
    trial.send(ToGuard::Kill);
    trial.await_end();
}

#[test]
fn signals_at_the_guard_do_nothing() {
    let mut trial = Setup::sh(NOTES).run();
    trial.await_text("ready", "\n");
    for signal in Signal::iterator() {
        // Nobody can do anything about these two.
        if ![Signal::SIGKILL, Signal::SIGSTOP].contains(&signal) {
            trial.signal_guard(signal);
        }
    }
    // It is alive, and has read all that came before this.
    trial.send(ToGuard::Signal(Signal::SIGUSR1 as i32));
    trial.await_text("said", "USR1\n");
    trial.stop(Signal::SIGTERM, in_time(LONG));
    trial.await_text("said", "USR1\nTERM\n");
    std::fs::write(trial.folder.file("end"), "").unwrap();
    assert_eq!(trial.await_end(), 9);
}

#[test]
fn a_guard_that_is_stopped_does_not_stop_the_elector() {
    let mut trial = Setup::sh(NOTES).run();
    trial.await_text("ready", "\n");
    trial.signal_guard(Signal::SIGSTOP);
    let mut sent = 0;
    let error = loop {
        match trial
            .control()
            .send(ToGuard::Signal(Signal::SIGWINCH as i32))
        {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1_000_000);
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(sent > 1_000, "there is room for much: {sent}");
    trial.signal_guard(Signal::SIGCONT);
    // Whole lines were sent, so that it understands them all.
    eventually("it goes on", || trial.control().send(ToGuard::Kill).is_ok());
    trial.await_end();
}

#[test]
fn a_terminals_signals_do_not_reach_guard_and_workload() {
    let mut trial = Setup::sh(NOTES).run();
    let group = |pid: i32| nix::unistd::getpgid(Some(Pid::from_raw(pid))).unwrap();
    let groups = [group(0), group(trial.pid), group(trial.command)];
    assert_eq!(groups[1].as_raw(), trial.pid);
    assert_eq!(groups[2].as_raw(), trial.command);
    assert!(groups[0] != groups[1] && groups[1] != groups[2]);
    // The elector's own mask is none of theirs.
    assert_eq!(SigSet::thread_get_mask().unwrap(), SigSet::empty());
    kill(Pid::from_raw(trial.command), Signal::SIGKILL).unwrap();
    assert_eq!(trial.await_end(), 137);
}
