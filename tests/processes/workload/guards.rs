//! Electors and guards that are killed or suspended: the program ends in time.

use nix::sys::signal::Signal;

use crate::support::eventually;
use crate::workload::scene::{
    HANGS, IGNORES_TERM, NO_FAULTS, Scene, WORKS, guard_of, is_running, send,
};

#[test]
fn killed_electors_program_ends_before_next() {
    for script in [WORKS, IGNORES_TERM] {
        let scene = Scene::new();
        let mut first = scene.spawn(scene.with_script("first", script));
        let program = scene.await_noted("works").pid;
        let second = scene.spawn(scene.with_script("second", WORKS));
        second.await_observed("first");
        first.kill();
        eventually("the program has ended", || !is_running(program));
        assert_eq!(second.await_leading(), 1);
        assert_eq!(scene.await_noted_times("began", 2).fencing_token, 1);
    }
}

#[test]
fn suspended_electors_program_ends_in_time() {
    for script in [WORKS, IGNORES_TERM] {
        let scene = Scene::new();
        scene.passed_over.set(true);
        let mut first = scene.spawn(scene.with_script("first", script));
        let program = scene.await_noted("works").pid;
        let second = scene.spawn(scene.with_script("second", WORKS));
        second.await_observed("first");
        first.freeze();
        assert_eq!(second.await_leading(), 1);
        assert!(!is_running(program), "the guard has not ended it");
        first.signal(Signal::SIGCONT);
        first.await_observed("second");
        assert!(first.is_running());
        first.leave();
    }
}

#[test]
fn killed_guard_ends_program_releases_lease() {
    let scene = Scene::new();
    let script = r#"
        (trap '' TERM; note child; while true; do sleep 0.05; done) &
        note began
        while true; do idle; done
    "#;
    let mut elector = scene.spawn(scene.with_script("first", script));
    scene.await_noted("child");
    scene.await_noted("began");
    send(guard_of(elector.pid()), Signal::SIGKILL);
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    assert!(elector.has_logged("guard_lost"), "{}", elector.text());
    assert!(scene.journal().iter().all(|entry| !is_running(entry.pid)));
    assert_eq!(scene.holder(), "");
}

#[test]
fn suspended_guard_is_killed_at_deadline() {
    let scene = Scene::new();
    let elector = scene.spawn(scene.with_script("first", WORKS));
    let program = scene.await_noted("works").pid;
    send(guard_of(elector.pid()), Signal::SIGSTOP);
    scene.set_faults(HANGS);
    eventually("the program has ended", || !is_running(program));
    elector.await_not_leading();
    scene.set_faults(NO_FAULTS);
    // The next term has a new guard.
    assert!(scene.await_noted_times("began", 2).fencing_token > 0);
}

#[test]
fn leftovers_stop_before_release() {
    // A child that ignores TERM, one in a separate session, and an orphan.
    let children = [
        "(trap '' TERM; note child; while true; do sleep 0.05; done) & ",
        "setsid sh -c 'trap \"\" TERM; echo \"$LEADER_ELECTION_FENCING_TOKEN child $$\" >>\"$JOURNAL\"; while true; do sleep 0.05; done' & ",
        "(setsid sh -c 'echo \"$LEADER_ELECTION_FENCING_TOKEN child $$\" >>\"$JOURNAL\"; exec sleep 1000' & exit 0); ",
    ];
    for child in children {
        let scene = Scene::new();
        let script = format!(
            "{child} while [ $(grep -c child \"$JOURNAL\") = 0 ]; do sleep 0.02; done; note began; exit 4"
        );
        let mut elector = scene.spawn(scene.with_script("first", &script));
        assert_eq!(elector.await_exit(), Some(4), "{child}\n{}", elector.text());
        let journal = scene.journal();
        assert!(journal.iter().any(|entry| entry.word == "child"));
        assert!(
            journal.iter().all(|entry| !is_running(entry.pid)),
            "{child}"
        );
        assert_eq!(scene.holder(), "");
    }
}
