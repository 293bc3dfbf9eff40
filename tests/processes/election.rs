//! Tests `elector run` as processes that share a gist: election, crash, shutdown, freeze.

use crate::support::process::{Elector, LEASE, World, await_one_leading};
use crate::support::{eventually, never_for};
use nix::sys::signal::Signal;

fn hails(electors: &[&Elector], leader: &str) {
    for elector in electors {
        elector.await_observed(leader);
    }
}

#[test]
fn three_candidates_elect_one() {
    let world = World::new();
    let names = ["napoleon", "cleopatra", "hannibal"];
    let electors = names.map(|name| world.start(name));
    let leader = await_one_leading(&electors.each_ref());
    let others: Vec<_> = (0..3).filter(|&n| n != leader).collect();
    for &other in &others {
        hails(&[&electors[other]], names[leader]);
    }
    // Longer than a lease, so that it must renew.
    never_for(LEASE * 3 / 2, "somebody else leads", || {
        others.iter().any(|&n| electors[n].leads().is_some())
    });
    assert_eq!(electors[leader].leads(), Some(0));
    assert_eq!(world.holder(), names[leader]);
}

#[test]
fn killed_leader_is_replaced() {
    let world = World::new();
    let mut first = world.start_leader("first");
    let others = [world.start("second"), world.start("third")];
    hails(&others.each_ref(), "first");
    first.kill();
    let next = await_one_leading(&others.each_ref());
    assert_eq!(others[next].leads(), Some(1));
    let back = world.start("first");
    hails(&[&back], ["second", "third"][next]);
}

#[test]
fn signal_releases_lease() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let world = World::new();
        let mut first = world.start_leader("first");
        let second = world.start("second");
        hails(&[&second], "first");
        first.signal(signal);
        assert_eq!(first.await_exit(), Some(0), "{}", first.text());
        assert!(first.has_logged("released"), "{}", first.text());
        assert_eq!(first.count_logged("workload_stopped"), 1);
        let records = world.records();
        let release = records.iter().find(|record| record["holderIdentity"] == "");
        let release = release.expect("the lease was given back");
        assert_eq!(release["leaderTransitions"], 0);
        assert_eq!(second.await_leading(), 1);
    }
}

#[test]
fn unreleased_lease_is_waited_for() {
    let world = World::new();
    let start = world.elector("first").with("RELEASE_ON_CANCEL", "false");
    let mut first = world.spawn(start);
    first.await_leading();
    let second = world.start("second");
    hails(&[&second], "first");
    first.leave();
    assert_eq!(
        first.count_logged("workload_stopped"),
        1,
        "{}",
        first.text()
    );
    assert_eq!(world.holder(), "first");
    assert_eq!(second.await_leading(), 1);
}

#[test]
fn stopped_standby_writes_nothing() {
    let world = World::new();
    let first = world.start_leader("first");
    let mut second = world.start("second");
    hails(&[&second], "first");
    second.leave();
    assert!(!second.has_logged("released"));
    assert_eq!(world.holder(), "first");
    assert!(first.leads().is_some());
}

#[test]
fn second_signal_exits_with_1() {
    let world = World::new();
    // The next renewal is far away, so that the fault hits the release.
    let start = world.elector("first").with("RENEW_DEADLINE", "20s");
    let start = start.with("LEASE_DURATION", "30s");
    let mut first = world.spawn(start);
    first.await_leading();
    world.set_faults(r#"{"hang_writes":1,"hang_reads":1}"#);
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
    let world = World::new();
    let first = world.start_leader("first");
    let second = world.start("second");
    hails(&[&second], "first");
    world.passed_over.set(true);
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
    let world = World::new();
    let first = world.start_leader("first");
    world.passed_over.set(true);
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
    let world = World::new();
    let mut twins = [world.start("twin"), world.start("twin")];
    let leader = await_one_leading(&twins.each_ref());
    never_for(LEASE * 3 / 2, "both lead", || {
        twins[1 - leader].leads().is_some()
    });
    twins[leader].kill();
    assert_eq!(twins[1 - leader].await_leading(), 1);
}

#[test]
fn unread_standard_error_delays_nothing() {
    let world = World::new();
    let start = world.elector("first").with("RUST_LOG", "trace,ureq=trace");
    let mut first = world.spawn(start.with_unread_stderr());
    world.await_holder("first");
    let renewals = world.records().len();
    // Far more than a pipe holds (64 KiB).
    eventually("it renews on and on", || {
        world.records().len() > renewals + 8
    });
    world.set_faults(r#"{"outage":true}"#);
    let second = world.start("second");
    never_for(LEASE * 2, "the service is used", || {
        world.holder() != "first"
    });
    world.set_faults("{}");
    eventually("somebody leads after the outage", || {
        world.record()["leaderTransitions"] == 1
    });
    first.signal(Signal::SIGTERM);
    assert_eq!(first.await_exit(), Some(0));
    assert!(second.await_leading() >= 1);
}

#[test]
fn closed_standard_error_changes_nothing() {
    let world = World::new();
    let mut first = world.spawn(world.elector("first").with_closed_stderr());
    world.await_holder("first");
    let renewals = world.records().len();
    eventually("it renews", || world.records().len() > renewals + 3);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.await_exit(), Some(0));
    assert_eq!(world.holder(), "");
}

#[test]
fn deposed_leader_exits_1_if_configured() {
    let world = World::new();
    let start = world.elector("first").with("EXIT_ON_LOST_LEASE", "true");
    let mut first = world.spawn(start);
    first.await_leading();
    world.put(r#"{"holderIdentity":"somebody","leaseDurationSeconds":5}"#);
    lost_its_lease(&mut first);
}

#[test]
fn outage_exits_with_1_if_configured() {
    let world = World::new();
    let start = world.elector("first").with("EXIT_ON_LOST_LEASE", "true");
    let mut first = world.spawn(start);
    first.await_leading();
    world.set_faults(r#"{"outage":true}"#);
    lost_its_lease(&mut first);
}

fn lost_its_lease(elector: &mut Elector) {
    assert_eq!(elector.await_exit(), Some(1), "{}", elector.text());
    let stopped = elector.count_logged("workload_stopped");
    assert_eq!(stopped, 1, "{}", elector.text());
    assert!(elector.has_logged("exiting"));
}
