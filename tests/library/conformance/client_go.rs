//! client-go's own cases: acquiring, renewing, releasing, the fast path.

use std::time::Duration;

use elector::election::action::{Finish, Notice};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;

use crate::conformance::rig::{
    Fate, Rig, START, config, finish, millis, outcome_unknown, seconds, unavailable,
};
use crate::conformance::{assert_leads, rig, rig_with_record};

// ---- TestTryAcquireOrRenew ----

#[test]
fn acquire_from_no_record() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "create"]);
    assert_leads(&rig, 0);
}

#[test]
fn acquire_from_a_record_without_any_field() {
    let mut rig = rig_with_record("", 0, 0);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "update"]);
    assert_leads(&rig, 1);
}

#[test]
fn acquire_when_the_records_own_short_lease_is_over() {
    let mut rig = rig_with_record("bing", 3, 0);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get"]);
    assert!(!rig.elector.is_leader());
    rig.run_for(millis(2999));
    assert!(!rig.elector.is_leader(), "the record says three seconds");
    rig.run_for(millis(1));
    assert_eq!(rig.ops[rig.ops.len() - 2..], ["get", "update"]);
    assert_leads(&rig, 1);
}

#[test]
fn acquire_from_an_empty_holder() {
    let mut rig = rig_with_record("", 10, 0);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "update"]);
    assert_leads(&rig, 1);
    assert_eq!(rig.leaders, ["baz"]);
}

#[test]
fn acquire_from_another_whose_lease_is_over() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(seconds(10));
    assert_leads(&rig, 1);
    assert_eq!(rig.leaders, ["bing", "baz"]);
}

#[test]
fn do_not_acquire_from_another_whose_lease_is_not_over() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get"]);
    assert!(!rig.elector.is_leader());
    assert_eq!(rig.leaders, ["bing"]);
    assert_eq!(rig.store.borrow().record().leader_transitions, 0);
}

#[test]
fn renew_what_is_held_already() {
    let mut rig = rig();
    rig.run_for(seconds(2));
    assert_eq!(rig.ops, ["get", "create", "update"]);
    assert_leads(&rig, 0);
    assert!(rig.events == ["baz became leader"], "{:?}", rig.events);
}

#[test]
fn no_event_is_recorded_by_a_candidate() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(seconds(5));
    assert!(rig.events.is_empty());
}

#[test]
fn a_second_process_of_the_same_name_is_another_candidate() {
    let mut rig = rig_with_record("baz", 10, 4);
    rig.run_for(millis(9999));
    assert!(!rig.elector.is_leader());
    assert_eq!(rig.notices, [Notice::SameName], "told once");
    rig.run_for(millis(1));
    assert_leads(&rig, 5);
}

#[test]
fn one_that_stepped_down_and_comes_back_begins_a_new_term() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.extend(vec![Fate::Fails(unavailable()); 20]);
    rig.run_to(|rig| !rig.stopped.is_empty());
    rig.fates.clear();
    rig.run_to(|rig| rig.started.len() == 2);
    assert_leads(&rig, 1);
}

// ---- release ----

#[test]
fn release_looks_first_and_writes_an_empty_holder_for_one_second() {
    let mut rig = rig_with_record("bing", 10, 6);
    rig.run_for(seconds(11));
    rig.ops.clear();
    rig.elector.handle_cancel(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "update"]);
    let record = rig.store.borrow().record();
    assert_eq!(record.holder_identity, "");
    assert_eq!(record.lease_duration_seconds, 1);
    assert_eq!(record.leader_transitions, 7);
    assert_eq!(rig.leaders.last().map(String::as_str), Some(""));
    assert_eq!(rig.events, ["baz became leader", "baz stopped leading"]);
    assert_eq!(finish(&rig), Finish::Stopped);
}

#[test]
fn a_release_that_conflicts_is_tried_again() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.ops.clear();
    rig.fates.extend([
        Fate::After(Duration::ZERO),
        Fate::Fails(LockError::Conflict),
    ]);
    rig.elector.handle_cancel(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "update", "get", "update"]);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    assert_eq!(finish(&rig), Finish::Stopped);
}

#[test]
fn a_release_whose_outcome_is_unknown_is_looked_for_before_it_is_tried_again() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.ops.clear();
    rig.fates.extend([
        Fate::After(Duration::ZERO),
        Fate::LandsBut(outcome_unknown()),
    ]);
    rig.elector.handle_cancel(rig.now);
    rig.run_to(|rig| rig.elector.finished().is_some());
    assert_eq!(rig.ops, ["get", "update", "get"]);
    assert_eq!(finish(&rig), Finish::Stopped);
}

#[test]
fn a_release_that_never_succeeds_ends_with_the_renew_deadline() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.extend(vec![Fate::Fails(unavailable()); 1000]);
    rig.elector.handle_cancel(rig.now);
    rig.run_to(|rig| rig.elector.finished().is_some());
    assert_eq!(finish(&rig), Finish::NotReleased);
    assert_eq!(rig.now, START + config().renew_deadline);
}

#[test]
fn cancelled_while_a_renewal_is_in_flight_the_release_still_happens() {
    for slow_op in 0..2 {
        let mut rig = rig();
        rig.run_for(Duration::ZERO);
        // The renewal is slow, or it conflicts and the look after it is.
        let slow = Fate::After(millis(800));
        if slow_op == 0 {
            rig.fates.push_back(slow);
        } else {
            rig.fates.extend([Fate::Fails(LockError::Conflict), slow]);
        }
        rig.run_for(millis(2400));
        rig.elector.handle_cancel(rig.now);
        rig.run_to(|rig| rig.elector.finished().is_some());
        assert_eq!(finish(&rig), Finish::Stopped);
        assert_eq!(rig.store.borrow().record().holder_identity, "");
        assert_eq!(rig.events, ["baz became leader", "baz stopped leading"]);
    }
}

#[test]
fn nothing_is_released_when_it_was_not_asked_for() {
    let mut rig = Rig::new(
        LeaderElectionConfig {
            release_on_cancel: false,
            ..config()
        },
        None,
    );
    rig.run_for(Duration::ZERO);
    rig.elector.handle_cancel(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "create"]);
    assert_eq!(rig.store.borrow().record().holder_identity, "baz");
    assert_eq!(finish(&rig), Finish::Stopped);
}

// ---- fast path ----

#[test]
fn a_leader_renews_without_looking() {
    let mut rig = rig();
    rig.run_for(seconds(4));
    assert_eq!(rig.ops, ["get", "create", "update", "update"]);
    assert_eq!(rig.elector.status().slow_paths, 0);
}

#[test]
fn a_conflict_on_the_fast_path_is_followed_by_one_slow_path() {
    let mut rig = rig();
    rig.fates.extend([
        Fate::After(Duration::ZERO),
        Fate::After(Duration::ZERO),
        Fate::After(Duration::ZERO),
        Fate::Fails(LockError::Conflict),
    ]);
    rig.run_for(seconds(6));
    assert_eq!(
        rig.ops,
        [
            "get", "create", "update", "update", "get", "update", "update"
        ]
    );
    assert_eq!(rig.elector.status().slow_paths, 1);
    assert!(rig.elector.is_leader());
}
