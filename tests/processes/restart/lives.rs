//! What may differ between two processes of a candidate: its program file, the record, and their ends.

use std::fs;
use std::time::Duration;

use crate::restart::stage::{LONG, Stage, assert_resumes, await_reason, reasons, time_of};
use crate::support::process::Elector;
use crate::support::{eventually, never_for};
use crate::workload::scene::WORKS;

#[test]
fn upgraded_elector_resumes() {
    let stage = Stage::new();
    let binary = stage.path("elector");
    let launch = r#"exec "$BINARY" "$@""#;
    let start = || {
        let start = stage.wrapping(WORKS).with_all(LONG);
        start.with("BINARY", &binary).under(&["sh", "-c", launch])
    };
    let install = |more: &[u8]| {
        let mut bytes = fs::read(env!("CARGO_BIN_EXE_elector")).unwrap();
        bytes.extend(more);
        let new = binary.with_extension("new");
        fs::write(&new, bytes).unwrap();
        let permissions = fs::metadata(env!("CARGO_BIN_EXE_elector"))
            .unwrap()
            .permissions();
        fs::set_permissions(&new, permissions).unwrap();
        fs::rename(new, &binary).unwrap();
    };
    install(b"");
    let mut first = stage.spawn(start());
    stage.await_noted("works");
    install(b"next version");
    first.kill();
    let second = stage.spawn(start());
    assert_resumes(&second, 1);
    stage.await_noted_times("began", 2);
    stage.assert_alone();
}

/// Asserts that an elector's log says nothing of its predecessor.
#[track_caller]
fn assert_ordinary(elector: &Elector) {
    assert_eq!(reasons(elector), [""; 0], "{}", elector.text());
    assert!(!elector.has_logged("resuming"), "{}", elector.text());
}

#[test]
fn first_start_is_ordinary() {
    let stage = Stage::new();
    let first = stage.leader(stage.sidecar().with_all(LONG));
    assert_ordinary(&first);
}

#[test]
fn released_lease_is_ordinary() {
    let stage = Stage::new();
    stage.leader(stage.sidecar().with_all(LONG)).leave();
    assert_eq!(stage.holder(), "");
    let second = stage.spawn(stage.sidecar().with_all(LONG));
    assert_eq!(second.await_leading(), 1);
    assert_ordinary(&second);
}

#[test]
fn stopped_wrapper_starts_normally() {
    let stage = Stage::new();
    let start = || stage.wrapping(WORKS).with_all(LONG);
    let mut first = stage.spawn(start());
    stage.await_noted("works");
    first.leave();
    assert_eq!((stage.holder().as_str(), stage.count("termed")), ("", 1));
    let second = stage.spawn(start());
    assert_eq!(second.await_leading(), 1);
    assert!(!second.has_logged("resuming"), "{}", second.text());
    stage.await_noted_times("began", 2);
    stage.assert_alone();
}

#[test]
fn record_of_another_is_awaited() {
    let stage = Stage::new();
    stage.leader(stage.sidecar()).kill();
    let mut other = stage.start("other");
    assert_eq!(other.await_leading(), 1);
    let second = stage.spawn(stage.sidecar());
    await_reason(&second, "the last write of other is not of a dead process");
    never_for(Duration::from_secs(1), "it leads", || {
        second.leads().is_some()
    });
    other.kill();
    let lease_end = stage.lease_end();
    assert_eq!(second.await_leading(), 2);
    assert!(time_of(&second, "started_leading") >= lease_end);
    assert!(!second.has_logged("resuming"), "{}", second.text());
}

/// Another candidate may take over while the predecessor's record is stored, but not both.
#[test]
fn standby_waits_while_predecessor_resumes() {
    let stage = Stage::new();
    let mut first = stage.leader(stage.sidecar().with_all(LONG));
    let other = stage.spawn(stage.elector("other").with_all(LONG));
    other.await_observed("first");
    first.kill();
    assert_resumes(&stage.spawn(stage.sidecar().with_all(LONG)), 1);
    other.await_observed_term("first", 1);
    assert!(!other.has_logged("started_leading"));
}

#[test]
fn predecessor_counts_as_recent_leader() {
    let stage = Stage::new();
    let start = || {
        let start = stage.wrapping_with(&["--unless-led-within", "1h"], WORKS);
        start.with_all(LONG)
    };
    let mut first = stage.spawn(start());
    stage.await_noted("works");
    first.kill();
    eventually("the guard notes the end", || {
        stage.state()["stopped"] == true
    });
    let mut second = stage.spawn(start());
    assert_eq!(second.await_exit(), Some(75), "{}", second.text());
    assert_eq!(second.last_logged("led_recently").text("leader"), "first");
    assert_eq!(stage.count("began"), 1);
}
