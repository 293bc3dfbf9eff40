//! A record of a dead process of the same candidate.

use std::time::Duration;

use elector::election::action::{Finish, Notice};
use elector::election::config::LeaderElectionConfig;
use elector::election::time::Instant;

use crate::conformance::assert_leads;
use crate::conformance::rig::{Rig, START, SharedStore, config, finish, record, seconds};

/// Returns a candidate that finds a record of this holder, of a dead predecessor.
fn rig_after(config: LeaderElectionConfig, holder: &str, not_before: Instant) -> Rig {
    let rig = Rig::new(config, None);
    let mut store = rig.store.borrow_mut();
    store.put(record(holder, 10, 4));
    store.predecessor = Some(not_before);
    drop(store);
    rig
}

#[test]
fn dead_predecessor_is_not_awaited() {
    let config = LeaderElectionConfig {
        takeover_stagger: seconds(2),
        ..config()
    };
    let mut rig = rig_after(config, "baz", START);
    rig.run_for(Duration::ZERO);
    assert_leads(&rig, 5);
    assert_eq!(rig.started, [(START, 5)], "a new term, without a stagger");
    assert!(
        !rig.notices
            .iter()
            .any(|notice| matches!(notice, Notice::SameName))
    );
}

#[test]
fn announced_term_ends_before_claim() {
    let mut rig = rig_after(config(), "baz", START + seconds(3));
    rig.run_to(|rig| !rig.started.is_empty());
    assert_eq!(rig.now, START + seconds(3));
    // It shortens a wait, and never lengthens one.
    let mut rig = rig_after(config(), "baz", START + seconds(3600));
    rig.run_to(|rig| !rig.started.is_empty());
    assert_eq!(rig.now, START + seconds(10));
}

#[test]
fn record_of_another_process_is_awaited() {
    let mut rig = rig_after(config(), "baz", START);
    rig.store.borrow_mut().put(record("bing", 10, 4));
    rig.run_for(seconds(9));
    assert!(rig.started.is_empty());
}

#[test]
fn foreign_write_over_predecessor_is_awaited() {
    let mut rig = rig_after(config(), "baz", START);
    rig.store.borrow_mut().foreign_wait = Some(seconds(20));
    rig.run_for(seconds(19));
    assert!(rig.started.is_empty());
}

#[test]
fn later_proof_ends_wait() {
    let mut rig = Rig::new(config(), None);
    rig.store.borrow_mut().put(record("baz", 10, 4));
    rig.run_for(seconds(2));
    assert!(rig.started.is_empty());
    rig.store.borrow_mut().predecessor = Some(START);
    rig.run_for(seconds(2));
    assert_leads(&rig, 5);
}

#[test]
fn predecessors_claim_is_confirmed_anew() {
    let store = SharedStore::default();
    let mut rig = Rig::join(config(), Some(seconds(1)), store, 1);
    rig.store.borrow_mut().put(record("baz", 10, 4));
    rig.store.borrow_mut().predecessor = Some(START);
    rig.run_for(Duration::ZERO);
    assert!(rig.started.is_empty());
    rig.run_to(|rig| !rig.started.is_empty());
    assert_eq!(rig.now, START + seconds(1));
}

#[test]
fn predecessor_counts_as_another_leader() {
    let config = LeaderElectionConfig {
        unless_led_within: Some(seconds(60)),
        ..config()
    };
    let mut rig = rig_after(config, "baz", START);
    rig.store.borrow_mut().age = Some(seconds(1));
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::LedRecently);
}
