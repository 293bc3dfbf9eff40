//! Signals to the elector, and the reaping of orphans.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::process::Elector;
use crate::support::{eventually, for_each};
use crate::workload::scene::{
    Scene, WORKS, children_of, command_line, guard_of, is_running, pid_1_launcher, send, state_of,
};

/// A launcher that undoes what an ancestor of the tests ignores.
const DEFAULT_SIGNALS: &[&str] = &["env", "--default-signal"];

/// Returns the numbers of all signals that can be caught except these, without real-time signals.
fn catchable_except(except: &[Signal]) -> Vec<i32> {
    let uncatchable = [Signal::SIGKILL, Signal::SIGSTOP];
    Signal::iterator()
        .filter(|signal| !uncatchable.contains(signal) && !except.contains(signal))
        .map(|signal| signal as i32)
        .collect()
}

#[test]
fn every_signal_is_documented() {
    let usage = include_str!("../../../docs/usage.md");
    let (_, signals) = usage.split_once("### Signals").unwrap();
    let (signals, _) = signals.split_once("\n## ").unwrap();
    let rows = signals.lines().filter(|line| line.starts_with("| "));
    let named: String = rows.filter_map(|row| row.split('|').nth(1)).collect();
    let named: Vec<&str> = named.split([' ', ',']).collect();
    for signal in Signal::iterator() {
        let name = signal.as_str().trim_start_matches("SIG");
        assert!(named.contains(&name), "{name}: {named:?}");
    }
}

/// Sends a signal by its number, which may be that of a real-time signal.
fn send_number(pid: i32, number: i32) {
    let kill = format!("kill -{number} {pid}");
    let status = Command::new("sh").args(["-c", &kill]).status();
    assert!(status.unwrap().success(), "{kill}");
}

/// Returns the numbers of the real-time signals that no C library reserves.
fn real_time() -> impl Iterator<Item = i32> {
    35..=64
}

#[test]
fn every_catchable_signal_reaches_program() {
    let scene = Scene::new();
    let stops = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD];
    let signals = catchable_except(&stops);
    let traps: String = signals
        .iter()
        .map(|number| format!("trap 'note got-{number}' {number}\n"))
        .collect();
    let script = format!("{traps} note began; while true; do idle; done");
    let start = scene.with_script("first", &script).under(DEFAULT_SIGNALS);
    let mut elector = scene.spawn(start);
    scene.await_noted("began");
    for number in signals {
        send_number(elector.pid(), number);
        scene.await_noted(&format!("got-{number}"));
        assert_eq!(state_of(elector.pid()), Some('S'), "{number}");
    }
    real_time().for_each(|number| send_number(elector.pid(), number));
    send_number(elector.pid(), Signal::SIGUSR1 as i32);
    scene.await_noted_times("got-10", 2);
    assert_eq!(scene.count("began"), 1);
    elector.signal(Signal::SIGTERM);
    assert_eq!(elector.await_exit(), Some(0), "{}", elector.text());
    assert_eq!(scene.holder(), "");
}

#[test]
fn signals_end_no_standby() {
    let scene = Scene::new();
    let _leader = scene.spawn(scene.with_script("first", WORKS));
    scene.await_noted("began");
    let stops = [Signal::SIGTERM, Signal::SIGINT];
    let more_stops = [stops[0], stops[1], Signal::SIGHUP, Signal::SIGQUIT];
    for (start, stops) in [
        (scene.with_script("second", WORKS), &stops[..]),
        (scene.elector("third"), &more_stops),
    ] {
        let mut standby = scene.spawn(start.under(DEFAULT_SIGNALS));
        standby.await_observed("first");
        let signals = catchable_except(stops).into_iter().chain(real_time());
        for number in signals {
            send_number(standby.pid(), number);
            assert_ne!(state_of(standby.pid()), Some('T'), "{number}");
        }
        standby.leave();
        assert_eq!(standby.count_logged("stopping"), 1);
    }
}

#[test]
fn stop_signals_without_program_release_lease() {
    let stops = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ];
    for_each(&stops, |signal| {
        let scene = Scene::new();
        let mut elector = scene.spawn(scene.elector("first").under(DEFAULT_SIGNALS));
        elector.await_leading();
        for number in real_time().chain(catchable_except(&stops)) {
            send_number(elector.pid(), number);
        }
        elector.signal(*signal);
        assert_eq!(elector.await_exit(), Some(0), "{}", elector.text());
        assert_eq!(scene.holder(), "", "{signal}");
    });
}

#[test]
fn signals_ignored_at_start_stay_ignored() {
    let may_be_ignored = [
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGQUIT, "QUIT"),
    ];
    let script = r#"
        trap 'note asked' USR1
        note "$(sed -n 's/^SigIgn:\t//p' /proc/self/status)"
        while true; do idle; done
    "#;
    for_each(&["HUP", "INT,QUIT", "HUP,INT,QUIT"], |ignored| {
        let scene = Scene::new();
        let ignore = format!("--ignore-signal={ignored}");
        let start = scene.with_script("first", script);
        let start = start.under(&["env", "--default-signal", &ignore]);
        let mut elector = scene.spawn(start);
        eventually("the program runs", || !scene.journal().is_empty());
        let mask = u64::from_str_radix(&scene.journal()[0].word, 16).unwrap();
        for (signal, name) in may_be_ignored {
            let is_ignored = ignored.split(',').any(|ignored| ignored == name);
            let bit = mask >> (signal as i32 - 1) & 1;
            assert_eq!(bit == 1, is_ignored, "{name}: {mask:x}");
            if is_ignored {
                elector.signal(signal);
            }
        }
        elector.signal(Signal::SIGUSR1);
        scene.await_noted("asked");
        assert!(!elector.has_logged("stopping"), "{}", elector.text());
        elector.signal(Signal::SIGTERM);
        assert_eq!(elector.await_exit(), Some(0), "{}", elector.text());
    });
}

#[test]
fn interrupt_reaches_program_as_interrupt() {
    let scene = Scene::new();
    let script = r#"
        trap 'note interrupted; exit 0' INT
        note began
        while true; do idle; done
    "#;
    let start = scene.with_script("first", script).under(DEFAULT_SIGNALS);
    let mut elector = scene.spawn(start);
    scene.await_noted("began");
    elector.signal(Signal::SIGINT);
    assert_eq!(elector.await_exit(), Some(0), "{}", elector.text());
    assert_eq!(scene.count("interrupted"), 1);
}

#[test]
fn suspended_program_shuts_down_gracefully() {
    let scene = Scene::new();
    let mut elector = scene.spawn(scene.with_script("first", WORKS));
    let program = scene.await_noted("works").pid;
    send(program, Signal::SIGSTOP);
    elector.leave();
    assert_eq!(scene.count("termed"), 1);
    assert!(!is_running(program));
}

/// Starts an elector as PID 1 of a namespace. Returns `None` if `unshare` is not permitted.
fn as_pid_1(scene: &Scene, script: &str) -> Option<Elector> {
    let launcher = pid_1_launcher()?;
    let start = scene.with_script("first", script);
    Some(scene.spawn(start.under(launcher)))
}

#[test]
fn pid_1_reaps_foreign_orphans() {
    let scene = Scene::new();
    let Some(unshare) = as_pid_1(&scene, WORKS) else {
        return;
    };
    scene.await_noted("works");
    let elector = children_of(unshare.pid())[0];
    // Like `kubectl exec`: a process in the namespace whose child outlives it.
    let entered = Command::new("nsenter")
        .args(["--pid", "--target", &elector.to_string(), "sh", "-c"])
        .arg("sh -c 'exec sleep 0.3' & exit 0")
        .status();
    assert!(entered.unwrap().success());
    eventually("the orphan is reaped", || {
        let guard = guard_of(elector);
        children_of(elector) == [guard]
    });
    assert!(command_line(elector).contains("run"));
}

#[test]
fn pid_1_exits_with_program() {
    let scene = Scene::new();
    let Some(mut unshare) = as_pid_1(&scene, "note began; exit 5") else {
        return;
    };
    assert_eq!(unshare.await_exit(), Some(5), "{}", unshare.text());
    assert_eq!(scene.holder(), "");
}
