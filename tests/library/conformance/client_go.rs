//! client-go's own cases: acquiring, renewing, releasing, the fast path.

use std::time::Duration;

use elector::election::action::{Finish, Notice, StopReason};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;

use crate::conformance::rig::{
    CallOutcome, Rig, START, config, finish, millis, outcome_unknown, seconds, unavailable,
};
use crate::conformance::{assert_leads, rig, rig_with_record};

// ---- TestTryAcquireOrRenew ----

#[test]
fn acquires_without_record() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "create"]);
    assert_leads(&rig, 0);
}

#[test]
fn acquires_record_without_fields() {
    let mut rig = rig_with_record("", 0, 0);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "update"]);
    assert_leads(&rig, 1);
}

#[test]
fn acquires_after_records_own_short_lease() {
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
fn acquires_from_empty_holder() {
    let mut rig = rig_with_record("", 10, 0);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "update"]);
    assert_leads(&rig, 1);
    assert_eq!(rig.leaders, ["baz"]);
}

#[test]
fn acquires_expired_lease_of_another_holder() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(seconds(10));
    assert_leads(&rig, 1);
    assert_eq!(rig.leaders, ["bing", "baz"]);
}

#[test]
fn does_not_acquire_valid_lease() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get"]);
    assert!(!rig.elector.is_leader());
    assert_eq!(rig.leaders, ["bing"]);
    assert_eq!(rig.store.borrow().record().leader_transitions, 0);
}

#[test]
fn holder_renews_its_lease() {
    let mut rig = rig();
    rig.run_for(seconds(2));
    assert_eq!(rig.ops, ["get", "create", "update"]);
    assert_leads(&rig, 0);
    assert!(rig.events == ["baz became leader"], "{:?}", rig.events);
}

#[test]
fn candidate_records_no_event() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(seconds(5));
    assert!(rig.events.is_empty());
}

#[test]
fn same_name_is_another_candidate() {
    let mut rig = rig_with_record("baz", 10, 4);
    rig.run_for(millis(9999));
    assert!(!rig.elector.is_leader());
    assert_eq!(rig.notices, [Notice::SameName], "reported once");
    rig.run_for(millis(1));
    assert_leads(&rig, 5);
}

#[test]
fn returning_leader_begins_new_term() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.outcomes
        .extend(vec![CallOutcome::Fails(unavailable()); 20]);
    rig.run_to(|rig| !rig.stopped.is_empty());
    rig.outcomes.clear();
    rig.run_to(|rig| rig.started.len() == 2);
    assert_leads(&rig, 1);
}

// ---- release ----

#[test]
fn release_reads_then_writes_empty_holder() {
    let mut rig = rig_with_record("bing", 10, 6);
    rig.run_for(seconds(11));
    rig.ops.clear();
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
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
fn conflicting_release_is_retried() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.ops.clear();
    rig.outcomes.extend([
        CallOutcome::After(Duration::ZERO),
        CallOutcome::Fails(LockError::Conflict),
    ]);
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(seconds(1));
    assert_eq!(rig.ops, ["get", "update", "get", "update"]);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    assert_eq!(finish(&rig), Finish::Stopped);
}

#[test]
fn unknown_release_is_read_before_retry() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.ops.clear();
    rig.outcomes.extend([
        CallOutcome::After(Duration::ZERO),
        CallOutcome::LandsThenFails(outcome_unknown()),
    ]);
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_to(|rig| rig.elector.finished().is_some());
    assert_eq!(rig.ops, ["get", "update", "get"]);
    assert_eq!(finish(&rig), Finish::Stopped);
}

#[test]
fn failing_release_ends_at_renew_deadline() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.outcomes
        .extend(vec![CallOutcome::Fails(unavailable()); 1000]);
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_to(|rig| rig.elector.finished().is_some());
    assert_eq!(finish(&rig), Finish::NotReleased);
    assert_eq!(rig.now, START + config().renew_deadline);
}

#[test]
fn cancel_during_renewal_still_releases() {
    for slow_op in 0..2 {
        let mut rig = rig();
        rig.run_for(Duration::ZERO);
        // The renewal is slow, or it conflicts and the read after it is slow.
        let slow = CallOutcome::After(millis(800));
        if slow_op == 0 {
            rig.outcomes.push_back(slow);
        } else {
            rig.outcomes
                .extend([CallOutcome::Fails(LockError::Conflict), slow]);
        }
        rig.run_for(millis(2400));
        rig.elector.handle_stop(rig.now, StopReason::Cancelled);
        rig.run_to(|rig| rig.elector.finished().is_some());
        assert_eq!(finish(&rig), Finish::Stopped);
        assert_eq!(rig.store.borrow().record().holder_identity, "");
        assert_eq!(rig.events, ["baz became leader", "baz stopped leading"]);
    }
}

#[test]
fn release_is_off_without_setting() {
    let mut rig = Rig::new(
        LeaderElectionConfig {
            release_on_cancel: false,
            ..config()
        },
        None,
    );
    rig.run_for(Duration::ZERO);
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops, ["get", "create"]);
    assert_eq!(rig.store.borrow().record().holder_identity, "baz");
    assert_eq!(finish(&rig), Finish::Stopped);
}

// ---- fast path ----

#[test]
fn leader_renews_without_reading() {
    let mut rig = rig();
    rig.run_for(seconds(4));
    assert_eq!(rig.ops, ["get", "create", "update", "update"]);
    assert_eq!(rig.elector.status().slow_paths, 0);
}

#[test]
fn fast_path_conflict_uses_slow_path() {
    let mut rig = rig();
    rig.outcomes.extend([
        CallOutcome::After(Duration::ZERO),
        CallOutcome::After(Duration::ZERO),
        CallOutcome::After(Duration::ZERO),
        CallOutcome::Fails(LockError::Conflict),
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
