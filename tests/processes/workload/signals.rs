//! Signals to the elector, and the reaping of orphans.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::eventually;
use crate::support::process::Elector;
use crate::workload::scene::{Scene, WORKS, children_of, command_line, guard_of, is_running, send};

#[test]
fn elector_passes_signals_to_program() {
    let scene = Scene::new();
    let script = r#"
        for name in HUP USR1 USR2 QUIT WINCH; do trap "note $name" $name; done
        note began
        while true; do idle; done
    "#;
    let mut elector = scene.spawn(scene.with_script("first", script));
    scene.await_noted("began");
    for (signal, word) in [
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGWINCH, "WINCH"),
    ] {
        elector.signal(signal);
        scene.await_noted(word);
    }
    assert!(elector.is_running());
}

#[test]
fn program_signals_do_not_end_standby() {
    let scene = Scene::new();
    let _leader = scene.spawn(scene.with_script("first", WORKS));
    scene.await_noted("began");
    let mut standby = scene.spawn(scene.with_script("second", WORKS));
    standby.await_observed("first");
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGQUIT] {
        standby.signal(signal);
    }
    standby.leave();
}

#[test]
fn interrupt_reaches_program_as_interrupt() {
    let scene = Scene::new();
    let script = r#"
        trap 'note interrupted; exit 0' INT
        note began
        while true; do idle; done
    "#;
    let mut elector = scene.spawn(scene.with_script("first", script));
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

/// Runs a command as PID 1 of a new namespace that ends with the test.
const UNSHARE: &[&str] = &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// Starts an elector as PID 1 of a namespace. Returns `None` if `unshare` is not permitted.
fn as_pid_1(scene: &Scene, script: &str) -> Option<Elector> {
    let may = Command::new(UNSHARE[0])
        .args(&UNSHARE[1..])
        .arg("true")
        .status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: `unshare --pid` is not permitted here, it takes root");
        return None;
    }
    let start = scene.with_script("first", script);
    Some(scene.spawn(start.under(UNSHARE)))
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
