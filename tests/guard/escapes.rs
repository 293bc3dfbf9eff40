//! Workloads that try to escape: no process is left when the guard reports the end.

use std::time::Duration;

use elector::workload::message::ToGuard;
use nix::sys::signal::Signal;

use crate::support::eventually;
use crate::trial::{Folder, LONG, SHORT_GRACE, Setup, Trial, from_now};

/// Ways in which a workload is ended.
const ENDS: [fn(&mut Trial); 3] = [
    |trial| trial.disconnect(),
    |trial| trial.send(ToGuard::Kill),
    |trial| trial.stop(Signal::SIGTERM, from_now(Duration::from_millis(200))),
];

/// Runs a script that starts this many processes, and ends them in each way.
fn assert_all_end(script: &str, processes: usize) {
    for end in ENDS {
        let mut trial = Setup::sh(script).grace(SHORT_GRACE).run();
        eventually("all processes run", || trial.living().len() > processes);
        end(&mut trial);
        trial.await_exit();
        trial.await_workload_stopped();
    }
}

const IGNORES_TERM: &str = "trap '' TERM HUP INT; while :; do sleep 1; done";

#[test]
fn children_ignoring_term_are_killed() {
    assert_all_end(
        &format!("({IGNORES_TERM}) & ({IGNORES_TERM}) & {IGNORES_TERM}"),
        3,
    );
}

#[test]
fn grandchildren_ignoring_term_are_killed() {
    // Each level waits for the next.
    let script = format!("sh -c 'sh -c \"sh -c \\\"{IGNORES_TERM}\\\"; :\"; :'; :");
    assert_all_end(&script, 4);
}

#[test]
fn process_in_new_session_is_killed() {
    let script = format!("setsid sh -c \"{IGNORES_TERM}\" & {IGNORES_TERM}");
    assert_all_end(&script, 2);
}

#[test]
fn double_forked_daemon_is_killed() {
    // Its parents have exited, so that the program does not know it.
    let script =
        format!("(setsid sh -c '(setsid sh -c \"{IGNORES_TERM}\" &) &' &); {IGNORES_TERM}");
    assert_all_end(&script, 2);
}

#[test]
fn process_outside_group_gets_term() {
    let script = "
        trap 'wait; exit 0' TERM
        setsid sh -c 'trap \"echo term >> output; exit\" TERM; echo > ready
                      while :; do sleep 0.01; done' &
        while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.disconnect();
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.folder.read("output"), "term\n");
}

#[test]
fn cleanup_processes_get_no_term() {
    // In the group and outside it; many, so that the guard reads `/proc` while some clean up.
    let clean_up =
        "trap 'sh -c \"sleep 0.3; echo cleaned >> output\"; exit 0' TERM; echo ready >> ready";
    let script = format!(
        "i=0
         while [ $i -lt 15 ]; do setsid sh -c \"$OUTSIDE\" & i=$((i + 1)); done
         {clean_up}
         while :; do sleep 0.01; done"
    );
    let mut setup = Setup::sh(&script);
    let outside = format!("{clean_up}; while :; do sleep 0.01; done");
    let outside = ("OUTSIDE".into(), Some(outside.into()));
    setup.environment.push(outside);
    let mut trial = setup.run();
    trial.await_text("ready", &"ready\n".repeat(16));
    trial.disconnect();
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.folder.read("output"), "cleaned\n".repeat(16));
}

#[test]
fn every_process_gets_term_once() {
    // In the group and outside it.
    let count = "trap 'echo term >> output' TERM; echo ready >> ready";
    let script = "
        trap : TERM
        i=0
        while [ $i -lt 15 ]; do
            setsid sh -c \"$OUTSIDE\" & sh -c \"$OUTSIDE\" &
            i=$((i + 1))
        done
        while :; do sleep 0.01; done";
    let mut setup = Setup::sh(script).grace(SHORT_GRACE * 3);
    let outside = format!("{count}; while :; do sleep 0.01; done");
    let outside = ("OUTSIDE".into(), Some(outside.into()));
    setup.environment.push(outside);
    let mut trial = setup.run();
    trial.await_text("ready", &"ready\n".repeat(30));
    trial.disconnect();
    assert_eq!(trial.await_end(), 137);
    assert_eq!(trial.folder.read("output"), "term\n".repeat(30));
}

#[test]
fn suspended_children_are_ended() {
    let stopped = "trap 'echo term >> output; exit' TERM; kill -STOP $$";
    let script = format!(
        "sh -c '{}' & setsid sh -c '{}' &
         trap 'wait; exit 0' TERM; echo > ready; while :; do sleep 0.01; done",
        stopped.replace('\'', "\""),
        stopped.replace('\'', "\""),
    );
    let mut trial = Setup::sh(&script).run();
    trial.await_text("ready", "\n");
    eventually("both are suspended", || trial.mark.suspended() == 2);
    trial.disconnect();
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.folder.read("output"), "term\nterm\n");
}

#[test]
fn many_processes_are_killed() {
    let script = "
        i=0
        while [ $i -lt 150 ]; do
            (trap '' TERM; exec sleep 1000) &
            i=$((i + 1))
        done
        wait";
    assert_all_end(script, 150);
}

#[test]
fn continuously_forking_workload_is_ended() {
    // Each one starts another and exits; some in the group, some in separate sessions. They end when
    // the folder is removed, even if this test fails.
    let folder = Folder::new();
    let flee = folder.script(
        "flee",
        "#!/bin/sh
         trap '' TERM
         [ -x \"$0\" ] || exit
         case $1 in
             in) \"$0\" in & ;;
             out) setsid \"$0\" out & ;;
         esac",
    );
    let flee = flee.display();
    let script = format!(
        "trap '' TERM
         for i in 1 2 3; do '{flee}' in & setsid '{flee}' out & done
         echo > ready
         while :; do sleep 0.01; done"
    );
    for end in ENDS {
        let mut trial = Setup::sh(&script).grace(SHORT_GRACE).run();
        trial.await_text("ready", "\n");
        end(&mut trial);
        trial.await_exit();
        trial.await_workload_stopped();
    }
}

#[test]
fn program_outside_own_group_gets_term() {
    // An interactive shell gives each job a separate group, and leaves its own for that.
    let script = "
        set -m
        trap 'wait; exit 0' TERM
        sh -c 'trap \"echo term >> output; exit\" TERM; echo > ready; while :; do sleep 0.01; done' &
        while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.send(ToGuard::ValidUntil(from_now(LONG)));
    trial.disconnect();
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.folder.read("output"), "term\n");
}
