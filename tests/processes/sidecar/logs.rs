//! The log of a whole election, in both forms.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::process::{Elector, Fixture, LEASE};
use crate::support::{eventually, never_for};

/// Returns the events logged at a level, in order.
fn logged_at(elector: &Elector, level: &str) -> Vec<String> {
    let log = elector.log();
    let lines = log.iter().filter(|line| line.level() == level);
    lines.map(|line| line.event().to_owned()).collect()
}

#[test]
fn each_transition_is_one_event() {
    let fixture = Fixture::new();
    let mut first = fixture.start_leader("first");
    let second = fixture.start("second");
    second.await_observed_term("first", 0);
    first.leave();
    assert_eq!(second.await_leading(), 1);
    let log = first.log();
    let mut events: Vec<_> = log.iter().map(|line| line.event()).collect();
    let expected = [
        "running",
        "claimed",
        "started_leading",
        "stopping",
        "stopped_leading",
        "workload_stopped",
    ];
    assert_eq!(events[..6], expected, "{}", first.text());
    events[6..].sort_unstable();
    assert_eq!(events[6..], ["new_leader", "released"]);
    for line in &log {
        assert_eq!(line.text("identity"), "first");
        assert!(line.text("lock").contains(&fixture.gist), "{line:?}");
        assert!(!line.message().is_empty(), "{line:?}");
        assert_eq!(line.level(), "info");
    }
    for event in ["started_leading", "stopped_leading", "workload_stopped"] {
        assert_eq!(first.last_logged(event).fencing_token(), Some(0), "{event}");
    }
    let stopped = first.last_logged("stopped_leading");
    assert_eq!(stopped.text("detail"), "asked to stop");
    assert_eq!(first.last_logged("new_leader").get("leader"), &json!(""));
    assert_eq!(
        second.count_logged("new_leader"),
        2,
        "first, then no leader"
    );
}

#[test]
fn text_line_is_phrase_with_fields() {
    let fixture = Fixture::new();
    let start = fixture.elector("first").with("ELECTOR_LOG_FORMAT", "text");
    let mut first = fixture.spawn(start);
    first.await_text(" INFO  started leading fencing_token=0 uptime=");
    fixture.put(r#"{"holderIdentity":"a person","leaseDurationSeconds":5}"#);
    fixture.passed_over.set(true);
    first.await_text(" INFO  observed new leader leader=\"a person\" fencing_token=0");
    first
        .await_text(" WARN  stopped leading fencing_token=0 reason=deposed detail=\"the lease is ");
    first.await_text(" INFO  workload stopped fencing_token=0 uptime=");
    first.leave();
    assert!(first.lines()[0].contains(" INFO  running for election identity=first lock="));
    assert!(first.log().is_empty(), "{}", first.text());
}

#[test]
fn steady_election_logs_nothing() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    let second = fixture.start("second");
    second.await_observed("first");
    let (lines, records) = ((first.lines(), second.lines()), fixture.records().len());
    eventually("it renews", || fixture.records().len() > records + 6);
    assert_eq!((first.lines(), second.lines()), lines);
}

#[test]
fn healthy_election_logs_no_warning() {
    let fixture = Fixture::new();
    let quiet = |name: &str| fixture.spawn(fixture.elector(name).with("RUST_LOG", "warn"));
    let mut first = quiet("first");
    fixture.await_holder("first");
    let mut second = quiet("second");
    let records = fixture.records().len();
    eventually("it renews", || fixture.records().len() > records + 2);
    first.leave();
    fixture.await_holder("second");
    let records = fixture.records().len();
    eventually("it renews", || fixture.records().len() > records + 2);
    second.leave();
    assert_eq!(first.lines(), [""; 0]);
    assert_eq!(second.lines(), [""; 0]);
}

#[test]
fn lost_lease_and_outage_warn_once() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    fixture.set_faults(r#"{"outage":true}"#);
    first.await_logged("workload_stopped");
    never_for(LEASE, "it leads", || first.leads().is_some());
    fixture.set_faults("{}");
    eventually("it leads again", || first.leads() == Some(1));
    let warnings = logged_at(&first, "warn");
    let lost = warnings.iter().filter(|event| *event == "stopped_leading");
    assert_eq!(lost.count(), 1, "{}", first.text());
    let lost = first.last_logged("stopped_leading");
    assert_eq!(lost.fencing_token(), Some(0));
    assert_eq!(lost.text("reason"), "not_renewed");
    assert!(
        lost.text("detail").contains(" calls failed since "),
        "{lost:?}"
    );
    // A dozen and more calls failed: one warning, and one more line for each error.
    let failures = warnings.iter().filter(|event| *event == "call_failed");
    assert_eq!(failures.count(), 1, "{}", first.text());
    assert!((1..=4).contains(&first.count_logged("call_failed")));
    // The failed reads and the failed renewal.
    assert_eq!(first.count_logged("calls_recovered"), 2, "{}", first.text());
}

#[test]
fn permanent_error_is_warning_immediately() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    fixture.set_faults(r#"{"unauthorized":1}"#);
    first.await_logged("call_failed");
    let log = first.log();
    let failed = log.iter().find(|line| line.event() == "call_failed");
    let failed = failed.unwrap();
    assert_eq!(failed.level(), "warn");
    let error = failed.text("error");
    assert!(error.contains("GITHUB_API_TOKEN"), "{error}");
    assert!(failed.get("retry_in").is_string(), "{failed:?}");
}

#[test]
fn dead_leader_is_reported_once() {
    let fixture = Fixture::new();
    let mut first = fixture.start_leader("first");
    let second = fixture.start("second");
    second.await_observed("first");
    first.kill();
    second.await_logged("lease_not_renewed");
    assert_eq!(
        second.last_logged("lease_not_renewed").text("holder"),
        "first"
    );
    assert!(second.leads().is_none());
    assert_eq!(second.await_leading(), 1);
    assert_eq!(second.count_logged("lease_not_renewed"), 1);
    assert_eq!(logged_at(&second, "warn"), [""; 0], "{}", second.text());
}

#[test]
fn same_leaders_new_term_is_reported() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    let second = fixture.start("second");
    second.await_observed_term("first", 0);
    fixture.passed_over.set(true);
    // The first acquires again as soon as it may, and the frozen second does not notice.
    second.freeze();
    first.freeze();
    let thaw = std::time::Instant::now() + LEASE;
    eventually("its lease has expired", || std::time::Instant::now() > thaw);
    first.signal(Signal::SIGCONT);
    eventually("it leads again", || first.leads() == Some(1));
    second.signal(Signal::SIGCONT);
    second.await_observed_term("first", 1);
}

#[test]
fn debug_level_leaves_out_http() {
    let fixture = Fixture::new();
    let debug = |filter: &str| {
        let start = fixture.elector("first").with("RUST_LOG", filter);
        let mut first = fixture.spawn(start);
        first.await_leading();
        never_for(Duration::from_millis(300), "it ends", || {
            !first.is_running()
        });
        first.leave();
        first
    };
    let plain = debug("debug");
    assert!(plain.has_logged("polled"), "{}", plain.text());
    assert!(!plain.has_text("ureq"), "{}", plain.text());
    let chatty = debug("debug,ureq=debug");
    assert!(chatty.has_text("\"target\":\"ureq"), "{}", chatty.text());
}
