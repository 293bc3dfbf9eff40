//! Stepping down for another one, and giving up: what client-go leaves to its callers.

use std::time::Duration;

use elector::election::action::{Finish, StopReason};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::Content;

use crate::conformance::rig::{
    Fate, Rig, START, SharedStore, config, finish, millis, record, seconds, unavailable,
};
use crate::conformance::{assert_leads, rig, rig_with_record};

// ---- stepping down ----

#[test]
fn a_leader_that_steps_down_gives_the_lease_back_and_claims_nothing_for_a_lease() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    assert!(rig.elector.handle_step_down(rig.now));
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.stopped[0].1, StopReason::SteppedDown);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    let since = rig.now;
    rig.run_to(|rig| rig.started.len() == 2);
    assert_eq!(
        rig.now,
        since + config().lease_duration,
        "nobody else wanted it"
    );
    assert_leads(&rig, 1);
}

#[test]
fn another_candidate_leads_after_a_leader_has_stepped_down() {
    let store = SharedStore::default();
    let mut leader = Rig::join(config(), None, store.clone(), 1);
    let other = LeaderElectionConfig {
        identity: "bar".into(),
        ..config()
    };
    leader.run_for(seconds(1));
    let mut other = Rig::join(other, None, store.clone(), 2);
    other.run_for(seconds(1));
    leader.elector.handle_step_down(leader.now);
    leader.run_for(Duration::ZERO);
    other.run_for(seconds(2));
    assert!(other.elector.is_leader());
    leader.run_for(seconds(9));
    assert_eq!(leader.started.len(), 1, "it found another one leading");
    assert_eq!(leader.leaders.last().map(String::as_str), Some("bar"));
    assert_eq!(store.borrow().record().holder_identity, "bar");
}

#[test]
fn who_steps_down_waits_for_its_workload_and_renews_meanwhile() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now);
    rig.run_for(seconds(3));
    assert_eq!(rig.ops, ["get", "create", "update", "update"]);
    assert_eq!(rig.stopped[0].2, START + seconds(1) + config().stop_timeout);
    rig.elector.handle_workload_gone(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    assert_eq!(rig.elector.finished(), None);
}

#[test]
fn who_does_not_lead_cannot_step_down() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(seconds(1));
    assert!(!rig.elector.handle_step_down(rig.now));
    rig.run_for(seconds(30));
    assert_leads(&rig, 1);
}

#[test]
fn a_second_wish_to_step_down_changes_nothing() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    assert!(rig.elector.handle_step_down(rig.now));
    assert!(!rig.elector.handle_step_down(rig.now));
    assert_eq!(rig.stopped.len(), 0, "told when it is asked for actions");
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.stopped.len(), 1);
}

#[test]
fn stepping_down_gives_the_lease_back_and_stays_whatever_the_settings_say() {
    let mut rig = Rig::new(
        LeaderElectionConfig {
            release_on_cancel: false,
            exit_on_lost_lease: true,
            ..config()
        },
        None,
    );
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now);
    rig.run_for(seconds(3));
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    assert_eq!(rig.elector.finished(), None);
}

#[test]
fn who_cannot_give_the_lease_back_stands_back_all_the_same() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    rig.fates.extend(vec![Fate::Fails(unavailable()); 1000]);
    rig.elector.handle_step_down(rig.now);
    rig.run_for(config().renew_deadline);
    assert_eq!(rig.elector.finished(), None);
    assert_eq!(rig.store.borrow().record().holder_identity, "baz");
    rig.fates.clear();
    let since = rig.now;
    rig.run_to(|rig| rig.started.len() == 2);
    assert!(rig.now >= since + config().lease_duration);
}

#[test]
fn a_stop_while_stepping_down_ends_it_for_good() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now);
    rig.elector.handle_cancel(rig.now);
    rig.elector.handle_workload_gone(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
}

#[test]
fn a_workload_that_never_ends_is_not_stepped_down_over() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now);
    rig.run_to(|rig| rig.elector.finished().is_some());
    assert_eq!(finish(&rig), Finish::WorkloadStuck);
    assert_eq!(rig.store.borrow().record().holder_identity, "baz");
}

/// At the time of its KILL nothing is reaped yet.
#[test]
fn what_is_killed_at_the_last_moment_may_still_be_reaped() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_cancel(rig.now);
    let longest = config().stop_timeout + config().termination_grace;
    rig.run_for(longest + config().margin() - millis(1));
    assert_eq!(rig.elector.finished(), None);
    rig.elector.handle_workload_gone(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
}

/// Its guard ended the workload in time, or does so now; word of that comes after the alarm.
#[test]
fn who_stood_still_hears_what_became_of_its_workload_before_it_gives_that_up() {
    for stood_still in [35, 3_600] {
        let mut rig = rig();
        rig.obedient = false;
        rig.run_for(seconds(1));
        rig.elector.handle_cancel(rig.now);
        rig.run_for(Duration::ZERO);
        rig.now = rig.now + seconds(stood_still);
        rig.elector.handle_timeout(rig.now);
        assert_eq!(rig.elector.finished(), None);
        rig.elector.handle_workload_gone(rig.now);
        rig.run_to(|rig| rig.elector.finished().is_some());
        assert_ne!(finish(&rig), Finish::WorkloadStuck);
    }
}

// ---- giving up ----

fn rig_that_tries(patience: Duration) -> Rig {
    let config = LeaderElectionConfig {
        give_up_after: Some(patience),
        ..config()
    };
    Rig::new(config, None)
}

#[test]
fn a_candidate_that_does_not_lead_in_time_gives_up() {
    let mut rig = rig_that_tries(seconds(9));
    rig.store.borrow_mut().put(record("bing", 10, 0));
    rig.run_for(millis(8_999));
    assert_eq!(rig.elector.finished(), None);
    rig.run_for(millis(1));
    assert_eq!(finish(&rig), Finish::DidNotLead);
    assert_eq!(rig.store.borrow().record().holder_identity, "bing");
}

#[test]
fn a_candidate_that_leads_in_time_does_not_give_up_later() {
    let mut rig = rig_that_tries(seconds(11));
    rig.store.borrow_mut().put(record("bing", 10, 0));
    rig.run_for(seconds(60));
    assert_leads(&rig, 1);
    // It lost the lease, and stands on.
    rig.store.borrow_mut().put(record("bing", 10, 2));
    rig.run_for(seconds(60));
    assert_leads(&rig, 3);
}

#[test]
fn a_claim_that_is_not_confirmed_in_time_is_given_back() {
    let config = LeaderElectionConfig {
        give_up_after: Some(millis(500)),
        ..config()
    };
    let mut rig = Rig::new(config, Some(seconds(1)));
    rig.run_for(seconds(1));
    assert_eq!(finish(&rig), Finish::DidNotLead);
    assert!(rig.started.is_empty());
    assert_eq!(rig.store.borrow().record().holder_identity, "");
}

fn rig_unless_led_within(period: Duration) -> Rig {
    let config = LeaderElectionConfig {
        unless_led_within: Some(period),
        ..config()
    };
    Rig::new(config, None)
}

fn put_aged(rig: &Rig, holder: &str, age: u64) {
    let mut store = rig.store.borrow_mut();
    store.put(record(holder, 10, 4));
    store.age = Some(seconds(age));
}

#[test]
fn a_term_that_ended_too_lately_keeps_a_candidate_from_leading() {
    // Of a release the term ended when it was written, of a holder at the end of the lease; two
    // seconds more, as dates have whole ones.
    for (holder, age, leads) in [
        ("", 0, false),
        ("", 61, false),
        ("", 62, true),
        ("bing", 0, false),
        ("bing", 71, false),
        ("bing", 72, true),
    ] {
        let mut rig = rig_unless_led_within(seconds(60));
        put_aged(&rig, holder, age);
        rig.run_for(Duration::ZERO);
        let finished = rig.elector.finished();
        let expected = (!leads).then_some(Finish::LedRecently);
        assert_eq!(finished, expected, "{holder:?} {age} s ago");
        rig.run_for(seconds(12));
        assert_eq!(
            rig.started.len(),
            usize::from(leads),
            "{holder:?} {age} s ago"
        );
    }
}

#[test]
fn another_one_that_is_seen_to_lead_ends_the_wait() {
    let mut rig = rig_unless_led_within(seconds(60));
    put_aged(&rig, "bing", 300);
    rig.run_for(seconds(5));
    assert_eq!(rig.elector.finished(), None, "it is waited for");
    put_aged(&rig, "bing", 0);
    rig.run_for(seconds(2));
    assert_eq!(finish(&rig), Finish::LedRecently);
    assert_eq!(rig.store.borrow().record().holder_identity, "bing");
}

#[test]
fn where_nobody_ever_led_or_a_floor_was_laid_a_candidate_leads() {
    let mut rig = rig_unless_led_within(seconds(60));
    rig.run_for(seconds(30));
    assert_leads(&rig, 0);
    // A floor has no date.
    let mut rig = rig_unless_led_within(seconds(60));
    rig.store.borrow_mut().put(record("", 1, 4));
    rig.run_for(seconds(1));
    assert_leads(&rig, 5);
}

#[test]
fn a_record_without_a_date_may_be_of_just_now() {
    let mut rig = rig_unless_led_within(seconds(60));
    rig.store.borrow_mut().put(record("bing", 10, 4));
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::LedRecently);
}

#[test]
fn who_has_led_and_lost_the_lease_to_another_has_failed() {
    let mut rig = rig_unless_led_within(seconds(60));
    rig.run_for(seconds(1));
    put_aged(&rig, "bing", 0);
    rig.run_for(seconds(5));
    assert_eq!(finish(&rig), Finish::LostLease);
    assert_eq!(rig.stopped.len(), 1);
}

#[test]
fn what_is_no_record_keeps_nobody_from_leading_after_its_wait() {
    let mut rig = rig_unless_led_within(seconds(60));
    let mut store = rig.store.borrow_mut();
    store.put_content(Content::Deleted);
    drop(store);
    rig.run_for(seconds(10));
    assert_leads(&rig, 0);
}
