//! Signals to the program and to the guard.

use std::io::ErrorKind;

use elector::workload::message::{FromGuard, ToGuard};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::support::eventually;
use crate::trial::{LONG, Setup, from_now};

/// A script that records each signal.
const RECORDS_SIGNALS: &str = "
    for name in HUP INT QUIT USR1 USR2 WINCH TERM; do trap \"echo $name >> output\" $name; done
    echo > ready
    while [ ! -e end ]; do sleep 0.01; done
    exit 9";

#[test]
fn signals_reach_program() {
    let mut trial = Setup::sh(RECORDS_SIGNALS).run();
    trial.await_text("ready", "\n");
    let mut output = String::new();
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
    ] {
        trial.send(ToGuard::Signal(signal as i32));
        output += signal.as_str().trim_start_matches("SIG");
        output += "\n";
        trial.await_text("output", &output);
    }
    std::fs::write(trial.folder.file("end"), "").unwrap();
    assert_eq!(trial.await_end(), 9);
    assert_eq!(trial.folder.read("output"), output, "each once");
}

#[test]
fn signal_reaches_program_alone() {
    let script = "
        trap 'echo program >> output' HUP
        (trap 'echo child >> output; exit' HUP; echo > in; while :; do sleep 0.01; done) &
        setsid sh -c 'trap \"echo outside >> output\" HUP; echo > out; while :; do sleep 0.01; done' &
        until [ -s in ] && [ -s out ]; do sleep 0.01; done
        echo > ready
        wait
        while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.send(ToGuard::Signal(Signal::SIGHUP as i32));
    trial.await_text("output", "program\n");
    trial.send(ToGuard::Kill);
    trial.await_exit();
    trial.await_workload_stopped();
    assert_eq!(trial.folder.read("output"), "program\n");
}

#[test]
fn job_control_signals_reach_group() {
    let script = "
        (trap 'echo hup >> output' HUP; echo > in; while :; do sleep 0.01; done) &
        echo $! > child
        until [ -s in ]; do sleep 0.01; done
        echo > ready
        while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    let child: i32 = trial.folder.read("child").trim().parse().unwrap();
    trial.send(ToGuard::Signal(Signal::SIGTSTP as i32));
    eventually("both are suspended", || trial.mark.suspended() > 1);
    kill(Pid::from_raw(child), Signal::SIGHUP).unwrap();
    trial.send(ToGuard::Signal(Signal::SIGCONT as i32));
    trial.await_text("output", "hup\n");
    trial.send(ToGuard::Kill);
    trial.await_end();
}

#[test]
fn signal_after_exit_reaches_nothing() {
    let script = "
        (trap '' TERM; trap 'echo told > output' USR1; echo > ready
         while :; do sleep 0.01; done) &
        until [ -s ready ]; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    assert_eq!(trial.await_exit(), 0);
    trial.send(ToGuard::Signal(Signal::SIGUSR1 as i32));
    trial.send(ToGuard::Kill);
    assert_eq!(trial.await_workload_stopped(), Some(0));
    assert_eq!(trial.folder.read("output"), "");
}

#[test]
fn stop_signal_suspends_until_continue() {
    let script = "trap 'echo hup >> output' HUP; echo > ready; while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.send(ToGuard::Signal(Signal::SIGSTOP as i32));
    trial.send(ToGuard::Signal(Signal::SIGHUP as i32));
    // A shell that has just forked may wait in the kernel for its suspended child.
    eventually("it is suspended", || trial.mark.suspended() > 0);
    trial.send(ToGuard::Signal(Signal::SIGCONT as i32));
    trial.await_text("output", "hup\n");
    trial.send(ToGuard::Kill);
    trial.await_end();
}

#[test]
fn lasting_suspension_is_reported() {
    let script = "trap 'exit 3' TERM; echo > ready; while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    let program = Pid::from_raw(trial.program);
    for _ in 0..5 {
        kill(program, Signal::SIGSTOP).unwrap();
        kill(program, Signal::SIGCONT).unwrap();
    }
    kill(program, Signal::SIGTSTP).unwrap();
    let suspended = FromGuard::Suspended(Signal::SIGTSTP as i32);
    trial.await_note(suspended);
    kill(program, Signal::SIGCONT).unwrap();
    trial.await_note(FromGuard::Continued);
    trial.stop(Signal::SIGTERM, from_now(LONG));
    assert_eq!(trial.await_end(), 3);
    assert_eq!(trial.notes, [suspended, FromGuard::Continued]);
}

#[test]
fn guard_ignores_signals() {
    let mut trial = Setup::sh(RECORDS_SIGNALS).run();
    trial.await_text("ready", "\n");
    for signal in Signal::iterator() {
        // No process can block these two.
        if ![Signal::SIGKILL, Signal::SIGSTOP].contains(&signal) {
            trial.signal_guard(signal);
        }
    }
    // The guard lives, and has handled all earlier signals.
    trial.send(ToGuard::Signal(Signal::SIGUSR1 as i32));
    trial.await_text("output", "USR1\n");
    trial.stop(Signal::SIGTERM, from_now(LONG));
    trial.await_text("output", "USR1\nTERM\n");
    std::fs::write(trial.folder.file("end"), "").unwrap();
    assert_eq!(trial.await_end(), 9);
}

#[test]
fn suspended_guard_never_blocks_elector() {
    let mut trial = Setup::sh(RECORDS_SIGNALS).run();
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
    assert!(sent > 1_000, "the pipe holds only {sent} messages");
    trial.signal_guard(Signal::SIGCONT);
    // Only whole lines were sent, so that the guard can parse them.
    eventually("the guard reads again", || {
        trial.control().send(ToGuard::Kill).is_ok()
    });
    trial.await_end();
}

#[test]
fn guard_and_program_have_own_groups() {
    let mut trial = Setup::sh(RECORDS_SIGNALS).run();
    let group = |pid: i32| nix::unistd::getpgid(Some(Pid::from_raw(pid))).unwrap();
    let groups = [group(0), group(trial.pid), group(trial.program)];
    assert_eq!(groups[1].as_raw(), trial.pid);
    assert_eq!(groups[2].as_raw(), trial.program);
    assert!(groups[0] != groups[1] && groups[1] != groups[2]);
    // The guard's signal mask does not affect the elector.
    assert_eq!(SigSet::thread_get_mask().unwrap(), SigSet::empty());
    kill(Pid::from_raw(trial.program), Signal::SIGKILL).unwrap();
    assert_eq!(trial.await_end(), 137);
}
