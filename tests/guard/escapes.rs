//! Workloads that try to get away: nothing of them is left when the guard says so.

use std::time::Duration;

use elector::workload::message::ToGuard;
use nix::sys::signal::Signal;

use crate::support::eventually;
use crate::trial::{Folder, LONG, SHORT_GRACE, Setup, Trial, in_time};

/// How a workload's end can come.
const ENDS: [fn(&mut Trial); 3] = [
    |trial| trial.disconnect(),
    |trial| trial.send(ToGuard::Kill),
    |trial| trial.stop(Signal::SIGTERM, in_time(Duration::from_millis(200))),
];

/// Runs a script that makes so many processes, and then ends them in every way.
fn ends_whole(script: &str, processes: usize) {
    for end in ENDS {
        let mut trial = Setup::sh(script).grace(SHORT_GRACE).run();
        eventually("all of them run", || trial.living().len() > processes);
        end(&mut trial);
        trial.await_exit();
        trial.await_gone();
    }
}

const DEAF: &str = "trap '' TERM HUP INT; while :; do sleep 1; done";

#[test]
fn children_that_ignore_term_are_killed() {
    ends_whole(&format!("({DEAF}) & ({DEAF}) & {DEAF}"), 3);
}

#[test]
fn grandchildren_that_hold_on_are_killed() {
    // Each level waits for the next.
    let script = format!("sh -c 'sh -c \"sh -c \\\"{DEAF}\\\"; :\"; :'; :");
    ends_whole(&script, 4);
}

#[test]
fn who_leaves_the_group_and_the_session_is_found() {
    let script = format!("setsid sh -c \"{DEAF}\" & {DEAF}");
    ends_whole(&script, 2);
}

#[test]
fn who_forks_twice_and_leaves_the_session_is_found() {
    // The parents are gone: to the outermost it is a stranger.
    let script = format!("(setsid sh -c '(setsid sh -c \"{DEAF}\" &) &' &); {DEAF}");
    ends_whole(&script, 2);
}

#[test]
fn who_left_the_group_is_asked_politely_as_well() {
    let script = "
        trap 'wait; exit 0' TERM
        setsid sh -c 'trap \"echo asked >> said; exit\" TERM; echo > ready
                      while :; do sleep 0.01; done' &
        while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.disconnect();
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.folder.read("said"), "asked\n");
}

#[test]
fn what_cleans_up_is_not_asked_to_end() {
    // In the group, and out of it; many, so that some of them are seen in the middle of it.
    let clean_up =
        "trap 'sh -c \"sleep 0.3; echo cleaned >> said\"; exit 0' TERM; echo ready >> ready";
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
    assert_eq!(trial.folder.read("said"), "cleaned\n".repeat(16));
}

#[test]
fn everything_is_asked_to_end_once() {
    // In the group, and out of it.
    let count = "trap 'echo asked >> said' TERM; echo ready >> ready";
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
    assert_eq!(trial.folder.read("said"), "asked\n".repeat(30));
}

#[test]
fn stopped_children_are_ended() {
    let stopped = "trap 'echo asked >> said; exit' TERM; kill -STOP $$";
    let script = format!(
        "sh -c '{}' & setsid sh -c '{}' &
         trap 'wait; exit 0' TERM; echo > ready; while :; do sleep 0.01; done",
        stopped.replace('\'', "\""),
        stopped.replace('\'', "\""),
    );
    let mut trial = Setup::sh(&script).run();
    trial.await_text("ready", "\n");
    eventually("both are stopped", || trial.mark.stopped() == 2);
    trial.disconnect();
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.folder.read("said"), "asked\nasked\n");
}

#[test]
fn a_crowd_is_ended() {
    let script = "
        i=0
        while [ $i -lt 150 ]; do
            (trap '' TERM; exec sleep 1000) &
            i=$((i + 1))
        done
        wait";
    ends_whole(script, 150);
}

#[test]
fn a_workload_that_forks_all_the_time_is_ended() {
    // Each one starts another and ends; some in the group, some in sessions of their own. None of
    // them outlives the folder, whatever becomes of this test.
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
        trial.await_gone();
    }
}

#[test]
fn a_workload_that_leaves_its_own_group_is_told_nevertheless() {
    // An interactive shell gives every job a group of its own, and leaves its own one to do so.
    let script = "
        set -m
        trap 'wait; exit 0' TERM
        sh -c 'trap \"echo asked >> said; exit\" TERM; echo > ready; while :; do sleep 0.01; done' &
        while :; do sleep 0.01; done";
    let mut trial = Setup::sh(script).run();
    trial.await_text("ready", "\n");
    trial.send(ToGuard::ValidUntil(in_time(LONG)));
    trial.disconnect();
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.folder.read("said"), "asked\n");
}
