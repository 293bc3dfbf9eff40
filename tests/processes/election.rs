//! Tests `elector run` as processes that share a gist: election, crash, shutdown, freeze.

use crate::support::process::{Elector, Fixture, LEASE, await_one_leading};
use crate::support::{eventually, never_for};
use nix::sys::signal::Signal;

fn hails(electors: &[&Elector], leader: &str) {
    for elector in electors {
        elector.await_observed(leader);
    }
}

#[test]
fn three_candidates_elect_one() {
    let fixture = Fixture::new();
    let names = ["napoleon", "cleopatra", "hannibal"];
    let electors = names.map(|name| fixture.start(name));
    let leader = await_one_leading(&electors.each_ref());
    let others: Vec<_> = (0..3).filter(|&n| n != leader).collect();
    for &other in &others {
        hails(&[&electors[other]], names[leader]);
    }
    // Longer than a lease, so that it must renew.
    never_for(LEASE * 3 / 2, "another candidate leads", || {
        others.iter().any(|&n| electors[n].leads().is_some())
    });
    assert_eq!(electors[leader].leads(), Some(0));
    assert_eq!(fixture.holder(), names[leader]);
}

#[test]
fn killed_leader_is_replaced() {
    let fixture = Fixture::new();
    let mut first = fixture.start_leader("first");
    let others = [fixture.start("second"), fixture.start("third")];
    hails(&others.each_ref(), "first");
    first.kill();
    let next = await_one_leading(&others.each_ref());
    assert_eq!(others[next].leads(), Some(1));
    let back = fixture.start("first");
    hails(&[&back], ["second", "third"][next]);
}

#[test]
fn signal_releases_lease() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let fixture = Fixture::new();
        let mut first = fixture.start_leader("first");
        let second = fixture.start("second");
        hails(&[&second], "first");
        first.signal(signal);
        assert_eq!(first.await_exit(), Some(0), "{}", first.text());
        assert!(first.has_logged("released"), "{}", first.text());
        assert_eq!(first.count_logged("workload_stopped"), 1);
        let records = fixture.records();
        let release = records.iter().find(|record| record["holderIdentity"] == "");
        let release = release.expect("the lease was released");
        assert_eq!(release["leaderTransitions"], 0);
        assert_eq!(second.await_leading(), 1);
    }
}

#[test]
fn unreleased_lease_is_waited_for() {
    let fixture = Fixture::new();
    let start = fixture.elector("first").with("RELEASE_ON_CANCEL", "false");
    let mut first = fixture.spawn(start);
    first.await_leading();
    let second = fixture.start("second");
    hails(&[&second], "first");
    first.leave();
    assert_eq!(
        first.count_logged("workload_stopped"),
        1,
        "{}",
        first.text()
    );
    assert_eq!(fixture.holder(), "first");
    assert_eq!(second.await_leading(), 1);
}

#[test]
fn stopped_standby_writes_nothing() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    let mut second = fixture.start("second");
    hails(&[&second], "first");
    second.leave();
    assert!(!second.has_logged("released"));
    assert_eq!(fixture.holder(), "first");
    assert!(first.leads().is_some());
}

#[test]
fn second_signal_exits_with_1() {
    let fixture = Fixture::new();
    // The next renewal is far away, so that the fault hits the release.
    let start = fixture.elector("first").with("RENEW_DEADLINE", "20s");
    let start = start.with("LEASE_DURATION", "30s");
    let mut first = fixture.spawn(start);
    first.await_leading();
    fixture.set_faults(r#"{"hang_writes":1,"hang_reads":1}"#);
    first.signal(Signal::SIGTERM);
    first.await_logged("stopping");
    first.await_logged("workload_stopped");
    never_for(LEASE / 4, "it ends although the release hangs", || {
        !first.is_running()
    });
    first.signal(Signal::SIGINT);
    assert_eq!(first.await_exit(), Some(1), "{}", first.text());
}

#[test]
fn thawed_leader_has_lost_lease() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    let second = fixture.start("second");
    hails(&[&second], "first");
    fixture.passed_over.set(true);
    first.freeze();
    assert_eq!(second.await_leading(), 1);
    first.signal(Signal::SIGCONT);
    first.await_logged("workload_stopped");
    hails(&[&first], "second");
    never_for(LEASE, "the second loses the lease", || {
        first.leads().is_some() || second.leads().is_none()
    });
}

#[test]
fn thawed_sole_candidate_begins_new_term() {
    let fixture = Fixture::new();
    let first = fixture.start_leader("first");
    fixture.passed_over.set(true);
    first.freeze();
    let frozen_until = std::time::Instant::now() + LEASE;
    eventually("its lease has run out", || {
        std::time::Instant::now() > frozen_until
    });
    first.signal(Signal::SIGCONT);
    first.await_logged("workload_stopped");
    eventually("it leads again", || first.leads() == Some(1));
}

#[test]
fn one_of_two_namesakes_leads() {
    let fixture = Fixture::new();
    let mut twins = [fixture.start("twin"), fixture.start("twin")];
    let leader = await_one_leading(&twins.each_ref());
    never_for(LEASE * 3 / 2, "both lead", || {
        twins[1 - leader].leads().is_some()
    });
    twins[leader].kill();
    assert_eq!(twins[1 - leader].await_leading(), 1);
}

#[test]
fn unread_standard_error_delays_nothing() {
    let fixture = Fixture::new();
    let start = fixture
        .elector("first")
        .with("RUST_LOG", "trace,ureq=trace");
    let mut first = fixture.spawn(start.with_unread_stderr());
    fixture.await_holder("first");
    let renewals = fixture.records().len();
    // Far more than a pipe holds (64 KiB).
    eventually("it renews on and on", || {
        fixture.records().len() > renewals + 8
    });
    fixture.set_faults(r#"{"outage":true}"#);
    let second = fixture.start("second");
    never_for(LEASE * 2, "the service is used", || {
        fixture.holder() != "first"
    });
    fixture.set_faults("{}");
    eventually("a candidate leads after the outage", || {
        fixture.record()["leaderTransitions"] == 1
    });
    first.signal(Signal::SIGTERM);
    assert_eq!(first.await_exit(), Some(0));
    assert!(second.await_leading() >= 1);
}

#[test]
fn closed_standard_error_changes_nothing() {
    let fixture = Fixture::new();
    let mut first = fixture.spawn(fixture.elector("first").with_closed_stderr());
    fixture.await_holder("first");
    let renewals = fixture.records().len();
    eventually("it renews", || fixture.records().len() > renewals + 3);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.await_exit(), Some(0));
    assert_eq!(fixture.holder(), "");
}

#[test]
fn deposed_leader_exits_1_if_configured() {
    let fixture = Fixture::new();
    let start = fixture.elector("first").with("EXIT_ON_LOST_LEASE", "true");
    let mut first = fixture.spawn(start);
    first.await_leading();
    fixture.put(r#"{"holderIdentity":"somebody","leaseDurationSeconds":5}"#);
    lost_its_lease(&mut first);
}

#[test]
fn outage_exits_with_1_if_configured() {
    let fixture = Fixture::new();
    let start = fixture.elector("first").with("EXIT_ON_LOST_LEASE", "true");
    let mut first = fixture.spawn(start);
    first.await_leading();
    fixture.set_faults(r#"{"outage":true}"#);
    lost_its_lease(&mut first);
}

fn lost_its_lease(elector: &mut Elector) {
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    let stopped = elector.count_logged("workload_stopped");
    assert_eq!(stopped, 1, "{}", elector.text());
    assert!(elector.has_logged("exiting"));
}
