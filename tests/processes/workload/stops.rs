//! Number and time of the SIGTERMs that each process of a workload gets, in each way in which it is stopped.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::endpoints::watched;
use crate::support::process::Elector;
use crate::support::process::program::Start;
use crate::support::{eventually, for_each, never_for};
use crate::workload::scene::{HANGS, IGNORES_TERM, Scene, is_running};

/// Records each TERM under the name `$0`. `wait` runs a trap immediately, so that two TERMs a millisecond
/// apart are two entries.
const COUNTS: &str = r#"
    note() { echo "$LEADER_ELECTION_FENCING_TOKEN $1 $$" >>"$JOURNAL"; }
    trap 'note $0' TERM
    (trap '' TERM; exec sleep 1000) &
    note runs
    while :; do wait; done"#;

/// Descendants of [`FAMILY`].
const DESCENDANTS: [&str; 5] = ["child", "grandchild", "orphan", "parent", "session"];

/// A program with every kind of descendant, and a job. At TERM it starts another process, waits until the job is
/// done, and exits.
const FAMILY: &str = r#"
    sh -c "$COUNTS" child &
    sh -c 'sh -c "$COUNTS" grandchild & eval "$COUNTS"' parent &
    setsid sh -c "$COUNTS" session &
    sh -c 'setsid sh -c "$COUNTS" orphan & exit'
    sh -c 'until [ -e "$DONE" ]; do sleep 0.05; done; exit 7' & job=$!
    trap 'note program
          sh -c "$COUNTS" late & late=$!
          (until grep -q "runs $late" "$JOURNAL"; do sleep 0.05; done; sleep 0.5; : >"$DONE") &' TERM
    note runs
    while kill -0 $job 2>/dev/null; do wait $job; code=$?; done
    note job-$code"#;

/// A program that does not exit, below a shell. The shell has no trap.
const BELOW_SHELL: &str = r#"
    sh -c "$COUNTS" program
    note more"#;

fn start(scene: &Scene, script: &str) -> Start {
    let start = scene.with_script("first", script);
    // It ends the processes that only count.
    let start = start.with("STOP_TIMEOUT", "5s");
    start
        .with("COUNTS", COUNTS)
        .with("DONE", scene.path("done"))
}

fn spawn(scene: &Scene, script: &str, processes: usize) -> Elector {
    let elector = scene.spawn(start(scene, script));
    scene.await_noted_times("runs", processes);
    elector
}

/// Waits until the processes that count have ended.
fn await_end(scene: &Scene) {
    eventually("the workload has ended", || {
        let journal = scene.journal();
        let mut running = journal.iter().filter(|entry| entry.word == "runs");
        running.all(|entry| !is_running(entry.pid))
    });
}

/// Asserts that the program and its descendants got TERM, each once.
#[track_caller]
fn assert_terminated_once(scene: &Scene, more: &[&str]) {
    for name in [&DESCENDANTS, more].concat() {
        assert_eq!(scene.count(name), 1, "{name}: {:#?}", scene.journal());
    }
}

/// Asserts that the program's job was finished before another process got TERM.
#[track_caller]
fn assert_graceful(scene: &Scene) {
    assert_terminated_once(scene, &["program", "late"]);
    let journal = scene.journal();
    let position = |word: &str| journal.iter().position(|entry| entry.word == word);
    let done = position("job-7").expect("its job was killed");
    for name in [&DESCENDANTS[..], &["late"]].concat() {
        assert!(position(name).unwrap() > done, "{name}: {journal:#?}");
    }
}

#[test]
fn stop_ends_rest_after_job() {
    let scene = Scene::new();
    let mut elector = spawn(&scene, FAMILY, DESCENDANTS.len() + 1);
    elector.signal(Signal::SIGTERM);
    assert_eq!(elector.await_exit(), Some(0), "{}", elector.text());
    assert_graceful(&scene);
}

#[test]
fn step_down_ends_rest_after_job() {
    let scene = Scene::new();
    let start = start(&scene, FAMILY).with("ELECTOR_HTTP_ADDR", "127.0.0.1:0");
    let elector = watched::spawn(&scene, start);
    scene.await_noted_times("runs", DESCENDANTS.len() + 1);
    assert_eq!(elector.ask("POST", "/step-down", &[]).status, 202);
    elector.await_logged("backing_off");
    assert_graceful(&scene);
}

#[test]
fn second_signal_kills_without_further_term() {
    let scene = Scene::new();
    let script = r#"sh -c "$COUNTS" child & exec sh -c "$COUNTS" program"#;
    let mut elector = spawn(&scene, script, 2);
    elector.signal(Signal::SIGTERM);
    scene.await_noted("program");
    // Longer than the time in which a second signal counts as a duplicate.
    never_for(Duration::from_millis(200), "the child gets TERM", || {
        scene.count("child") > 0
    });
    elector.signal(Signal::SIGTERM);
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    assert_eq!((scene.count("program"), scene.count("child")), (1, 0));
}

/// A record of a foreign program that holds the lease.
const FOREIGN: &str =
    r#"{"holderIdentity":"somebody","leaseDurationSeconds":3600,"leaderTransitions":9}"#;

#[test]
fn lost_lease_terminates_every_process_once() {
    let losses: [fn(&Scene, &mut Elector); 4] = [
        // The guard's timer and the elector, a few milliseconds apart.
        |scene, _| scene.set_faults(HANGS),
        // The elector alone, long before the guard's timer.
        |scene, _| scene.put(FOREIGN),
        // The guard's timer, and the elector after that.
        |scene, elector| {
            elector.freeze();
            await_end(scene);
            scene.set_faults(HANGS);
            elector.signal(Signal::SIGCONT);
            elector.await_logged("workload_stopped");
        },
        // The end of the pipe.
        |_, elector| elector.kill(),
    ];
    for_each(&losses, |lose| {
        let scene = Scene::new();
        scene.passed_over.set(true);
        let mut elector = spawn(&scene, FAMILY, DESCENDANTS.len() + 1);
        lose(&scene, &mut elector);
        await_end(&scene);
        assert_terminated_once(&scene, &["program"]);
    });
}

#[test]
fn program_below_shell_gets_term_once() {
    let ends: [fn(&Scene, &Elector); 2] = [
        |_, elector| elector.signal(Signal::SIGTERM),
        |scene, _| scene.set_faults(HANGS),
    ];
    for_each(&ends, |end| {
        let scene = Scene::new();
        let elector = spawn(&scene, BELOW_SHELL, 1);
        end(&scene, &elector);
        await_end(&scene);
        assert_eq!((scene.count("program"), scene.count("more")), (1, 0));
    });
}

/// Why: a leader that loses its lease while it stops must not wait for the rest of `STOP_TIMEOUT`.
#[test]
fn lease_lost_during_stop_advances_kill() {
    let scene = Scene::new();
    let times = [
        ("LEASE_DURATION", "20m"),
        ("RENEW_DEADLINE", "10m"),
        ("STOP_TIMEOUT", "1h"),
    ];
    let start = scene.with_script("first", IGNORES_TERM).with_all(times);
    let mut elector = scene.spawn(start);
    let program = scene.await_noted("works").pid;
    elector.signal(Signal::SIGTERM);
    scene.await_noted("ignored");
    scene.put(FOREIGN);
    elector.await_exit();
    assert!(!is_running(program));
    assert_eq!(scene.count("ignored"), 1);
}
