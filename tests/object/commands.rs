//! Commands for operators, and the environment of the wrapped program.

use std::time::{Duration, Instant};

use crate::client::Bucket;
use crate::objects::{ALL, Kind};
use crate::support::for_each;
use crate::support::process::check;
use crate::support::process::program::Start;

/// Runs a command to its end. Returns its exit code and output.
fn run(start: Start) -> (Option<i32>, String) {
    let mut command = start.spawn();
    let code = command.await_exit();
    command.output().check();
    (code, command.text())
}

/// Checks that a text contains all of these.
#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

#[test]
fn init_creates_record_after_lease() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let began = Instant::now();
        let (code, text) = run(bucket.command("init"));
        assert_eq!(code, Some(0), "{text}");
        assert!(began.elapsed() >= Duration::from_secs(3), "{text}");
        let place = bucket.place("elector");
        assert_has(&text, &["holds nothing; waiting 3s", "created ", &place]);
        assert_eq!(bucket.record()["checkpoint"], true);
        // The place that it prints leads to the same object.
        let printed = text.lines().find_map(|line| line.split_once("LOCK="));
        let (_, printed) = printed.unwrap();
        let printed = printed.trim_matches(['\'', '"']);
        let (code, text) = run(bucket.command("init").with("LOCK", printed));
        assert_eq!(code, Some(0), "{text}");
        assert_has(&text, &["nothing to do", "without a holder"]);
        // The first candidate need not wait.
        let began = Instant::now();
        let first = bucket.start("first");
        first.await_leading();
        assert!(
            began.elapsed() < Duration::from_millis(2500),
            "{}",
            first.text()
        );
        check(&[&first]);
    });
}

#[test]
fn init_reports_delete_marker() {
    let bucket = Bucket::new(Kind::S3);
    bucket.with(|objects| {
        objects.put("{}");
        objects.keeps_markers = true;
        objects.delete();
    });
    let (code, text) = run(bucket.command("init").with("LEASE_DURATION", "2500ms"));
    assert_eq!(code, Some(1), "{text}");
    assert_has(&text, &["jobs/nightly", "refused 3 times"]);
}

#[test]
fn commands_show_and_depose_leader() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let first = bucket.start("first");
        let token = first.await_leading();
        let (code, text) = run(bucket.command("status"));
        assert_eq!(code, Some(0), "{text}");
        assert_has(&text, &["first", &token.to_string(), "jobs/nightly"]);
        let (code, text) = run(bucket.command("doctor"));
        assert_eq!(code, Some(0), "{text}");
        assert_has(
            &text,
            &[
                "ok    credentials",
                "the server answers",
                "reads and writes are permitted, and a stale write is refused",
                "jobs/nightly",
                "agrees with the server's",
                "no old versions of the object are kept",
            ],
        );
        let (code, text) = run(bucket.command("depose").args(&["--yes"]));
        assert_eq!(code, Some(0), "{text}");
        first.await_logged("workload_stopped");
        check(&[&first]);
    });
}

#[test]
fn doctor_races_in_scratch_place() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        bucket.hold();
        let before = bucket.record();
        let (code, text) = run(bucket.command("doctor").args(&["--race"]));
        assert_eq!(code, Some(0), "{text}");
        assert_has(
            &text,
            &["8 writers raced 20 times", "elector-doctor", "never two"],
        );
        assert_eq!(bucket.record(), before);
        bucket.with(|objects| objects.ignores_conditions = true);
        let (code, text) = run(bucket.command("doctor").args(&["--race"]));
        assert_eq!(code, Some(1), "{text}");
        assert_has(&text, &["FAIL", "honours conditional writes"]);
    });
}

#[test]
fn doctor_warns_of_versions() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        bucket.with(|objects| objects.versioned = true);
        bucket.hold();
        let (code, text) = run(bucket.command("doctor"));
        assert_eq!(code, Some(0), "{text}");
        assert_has(&text, &["warn  versioning", "add a"]);
    });
}

#[test]
fn doctor_names_bad_credentials() {
    for_each(&ALL, |service| {
        let bucket = Bucket::without_passes(*service);
        let (code, text) = run(bucket.command("doctor"));
        assert_eq!(code, Some(1), "{text}");
        assert_has(&text, &["FAIL  rights"]);
    });
}

#[test]
fn wrapped_program_keeps_own_variables() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let own = [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "GCE_METADATA_HOST",
        ];
        let mut start = bucket
            .elector("first")
            .without("LOCK")
            .without("LOCK_TOKEN");
        for (variable, value) in bucket.variables() {
            start = start.with(&format!("ELECTOR_{variable}"), value);
        }
        for variable in own {
            start = start.with(variable, format!("{variable}-of-workload"));
        }
        let first = start.running(&["sh", "-c", "env; sleep 60"]).spawn();
        first.await_leading();
        for variable in own {
            first.await_text(&format!("{variable}={variable}-of-workload"));
        }
        assert!(!first.has_text("ELECTOR_AWS"), "{}", first.text());
        assert!(!first.has_text("ELECTOR_LOCK"), "{}", first.text());
        check(&[&first]);
    });
}
