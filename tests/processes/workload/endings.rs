//! Ends of the program that end the elector, and the reverse.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::process::LEASE;
use crate::support::{eventually, for_each, never_for};
use crate::workload::scene::{HANGS, IGNORES_TERM, NO_FAULTS, Scene, WORKS, is_running, read};

#[test]
fn program_runs_only_while_leading() {
    let scene = Scene::new();
    let mut first = scene.spawn(scene.with_script("first", WORKS));
    assert_eq!(scene.await_noted("works").fencing_token, 0);
    let second = scene.spawn(scene.with_script("second", WORKS));
    second.await_observed("first");
    never_for(LEASE, "the standby's program runs", || {
        scene.journal().iter().any(|entry| entry.fencing_token > 0)
    });
    first.leave();
    assert_eq!(scene.count("termed"), 1);
    assert_eq!(scene.await_noted_times("began", 2).fencing_token, 1);
}

#[test]
fn program_gets_environment_without_secrets() {
    let scene = Scene::new();
    let out = scene.path("out");
    let script = "env >\"$OUT\".new; cat >\"$OUT\".in; mv \"$OUT\".new \"$OUT\"";
    let (read_end, mut write_end) = std::io::pipe().unwrap();
    let start = scene
        .with_script("first", script)
        .with("OUT", &out)
        .with("HTTP_ADDR", "not for the elector")
        .with("ELECTOR_RUST_LOG", "info")
        .with("SOME_SETTING", "kept")
        .reading(read_end);
    let mut elector = scene.spawn(start);
    write_end
        .write_all(b"what stands on standard input")
        .unwrap();
    drop(write_end);
    assert_eq!(elector.await_exit(), Some(0), "{}", elector.text());
    let environment = read(&out);
    let lines: Vec<&str> = environment.lines().collect();
    for expected in [
        "LEADER_ELECTION_IDENTITY=first",
        "LEADER_ELECTION_FENCING_TOKEN=0",
        "SOME_SETTING=kept",
        "HTTP_ADDR=not for the elector",
    ] {
        assert!(lines.contains(&expected), "{expected} in {environment}");
    }
    for forbidden in ["GITHUB_API_TOKEN", "ELECTOR_"] {
        assert!(!environment.contains(forbidden), "{environment}");
    }
    let input = read(&out.with_extension("in"));
    assert_eq!(input, "what stands on standard input");
}

#[test]
fn program_exit_releases_lease() {
    let cases = [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -KILL $$", 128 + 9),
        ("kill -USR1 $$", 128 + 10),
        ("exec /nowhere/at/all", 127),
    ];
    for_each(&cases, |(script, code)| {
        let scene = Scene::new();
        let mut elector = scene.spawn(scene.with_script("first", script));
        assert_eq!(
            elector.await_exit(),
            Some(*code),
            "{script}\n{}",
            elector.text()
        );
        assert_eq!(scene.holder(), "", "{script}");
        assert!(elector.has_logged("released"), "{}", elector.text());
    });
}

#[test]
fn processes_left_behind_are_logged() {
    let scene = Scene::new();
    let script = r#"setsid sh -c 'echo "$LEADER_ELECTION_FENCING_TOKEN left $$" >>"$JOURNAL"; exec sleep 1000' &
        while ! grep -q left "$JOURNAL"; do sleep 0.02; done; exit 0"#;
    let mut elector = scene.spawn(scene.with_script("first", script));
    assert_eq!(elector.await_exit(), Some(0), "{}", elector.text());
    let daemon = scene.await_noted("left").pid;
    let line = elector.last_logged("left_behind");
    assert_eq!((line.level(), line.text("name")), ("warn", "sleep"));
    assert_eq!(
        (line.get("pid"), line.get("count")),
        (&daemon.into(), &1.into())
    );
    assert_eq!(elector.last_logged("left_behind_killed").get("count"), &1);
    assert!(!is_running(daemon));
}

#[test]
fn unexecutable_program_is_reported_before_leading() {
    let scene = Scene::new();
    let file = scene.path("no-program");
    fs::write(&file, "text").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let file = file.to_str().unwrap();
    for (program, code) in [("no-such-program-anywhere", 127), (file, 126)] {
        let start = scene.elector("first").with("PATH", "/usr/bin:/bin");
        let mut elector = scene.spawn(start.running(&[program]));
        assert_eq!(elector.await_exit(), Some(code), "{}", elector.text());
        assert!(elector.has_text(program), "{}", elector.text());
        assert_eq!(
            scene.record()["holderIdentity"],
            Value::Null,
            "no candidate may lead"
        );
    }
}

#[test]
fn graceful_shutdown_renews_until_program_exits() {
    let scene = Scene::new();
    let script = r#"
        trap 'note termed; for n in 1 2 3 4 5 6 7 8; do sleep 1; note busy; done; exit 7' TERM
        note began
        while true; do idle; done
    "#;
    let mut first = scene.spawn(scene.with_script("first", script));
    scene.await_noted("began");
    let second = scene.spawn(scene.with_script("second", WORKS));
    second.await_observed("first");
    first.signal(Signal::SIGTERM);
    scene.await_noted("termed");
    // Eight seconds are longer than a lease.
    assert_eq!(first.await_exit(), Some(0), "{}", first.text());
    assert_eq!(scene.count("busy"), 8, "its shutdown was not cut short");
    assert!(first.has_logged("released"), "{}", first.text());
    assert_eq!(scene.await_noted_times("began", 2).fencing_token, 1);
}

#[test]
fn stop_timeout_kills_and_releases() {
    let scene = Scene::new();
    let start = scene.with_script("first", IGNORES_TERM);
    let mut elector = scene.spawn(start.with("STOP_TIMEOUT", "1s"));
    let program = scene.await_noted("works").pid;
    elector.signal(Signal::SIGTERM);
    scene.await_noted("ignored");
    assert_eq!(elector.await_exit(), Some(0), "{}", elector.text());
    assert!(!is_running(program));
    assert_eq!(scene.holder(), "");
}

#[test]
fn second_signal_kills_program_and_exits() {
    let scene = Scene::new();
    let start = scene.with_script("first", IGNORES_TERM);
    let mut elector = scene.spawn(start.with("STOP_TIMEOUT", "1h"));
    let program = scene.await_noted("works").pid;
    elector.signal(Signal::SIGTERM);
    scene.await_noted("ignored");
    // A signal shortly after the first is ignored as a duplicate, so wait some rounds.
    scene.await_noted_times("works", scene.count("works") + 3);
    elector.signal(Signal::SIGTERM);
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    assert!(!is_running(program), "{}", elector.text());
}

#[test]
fn lost_lease_stops_program_until_reelected() {
    let scene = Scene::new();
    let elector = scene.spawn(scene.with_script("first", WORKS));
    scene.await_noted("works");
    // Its requests hang until after its leadership deadline.
    scene.set_faults(HANGS);
    scene.await_noted("termed");
    elector.await_not_leading();
    scene.set_faults(NO_FAULTS);
    assert!(scene.await_noted_times("began", 2).fencing_token > 0);
}

#[test]
fn stubborn_program_dies_before_next_term() {
    let scene = Scene::new();
    let first = scene.spawn(scene.with_script("first", IGNORES_TERM));
    scene.await_noted("works");
    let second = scene.spawn(scene.with_script("second", WORKS));
    second.await_observed("first");
    scene.set_faults(HANGS);
    scene.await_noted("ignored");
    first.await_not_leading();
    scene.set_faults(NO_FAULTS);
    // Either candidate may be next. Dropping the scene checks that no two programs ran simultaneously.
    eventually("a program runs again", || scene.count("began") >= 2);
}

#[test]
fn exit_on_lost_lease_awaits_program() {
    let scene = Scene::new();
    let start = scene.with_script("first", IGNORES_TERM);
    let mut elector = scene.spawn(start.with("EXIT_ON_LOST_LEASE", "true"));
    let program = scene.await_noted("works").pid;
    scene.set_faults(HANGS);
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    assert!(!is_running(program));
}
