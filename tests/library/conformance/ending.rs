//! Stepping down for another candidate, and giving up: what client-go leaves to its callers.

use std::time::Duration;

use elector::election::action::{Finish, Notice, RecentLeader, StopReason};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::{Content, LockError};
use elector::election::record::RELEASED_BY;
use elector::election::time::Instant;

use crate::conformance::rig::{
    CallOutcome, Rig, START, SharedStore, config, finish, millis, record, seconds, unavailable,
};
use crate::conformance::{assert_leads, rig, rig_with_record};

// ---- stepping down ----

#[test]
fn stepping_down_releases_and_backs_off() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now, None);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.stopped[0].1, StopReason::SteppedDown);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    let since = rig.now;
    rig.run_to(|rig| rig.started.len() == 2);
    assert_eq!(
        rig.now,
        since + config().lease_duration,
        "no other candidate wanted it"
    );
    assert_leads(&rig, 1);
}

#[test]
fn another_candidate_leads_after_step_down() {
    let store = SharedStore::default();
    let mut leader = Rig::join(config(), None, store.clone(), 1);
    let other = LeaderElectionConfig {
        identity: "bar".into(),
        ..config()
    };
    leader.run_for(seconds(1));
    let mut other = Rig::join(other, None, store.clone(), 2);
    other.run_for(seconds(1));
    leader.elector.handle_step_down(leader.now, None);
    leader.run_for(Duration::ZERO);
    other.run_for(seconds(2));
    assert!(other.elector.is_leader());
    leader.run_for(seconds(9));
    assert_eq!(leader.started.len(), 1, "it found another one leading");
    assert_eq!(leader.leaders.last().map(String::as_str), Some("bar"));
    assert_eq!(store.borrow().record().holder_identity, "bar");
}

#[test]
fn stepping_down_renews_until_workload_stops() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now, None);
    rig.run_for(seconds(3));
    assert_eq!(rig.ops, ["get", "create", "update", "update"]);
    assert_eq!(rig.stopped[0].2, START + seconds(1) + config().stop_timeout);
    rig.elector.handle_workload_stopped(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    assert_eq!(rig.elector.finished(), None);
}

#[test]
fn standby_waits_after_step_down() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now, Some(seconds(60)));
    let until = rig.now + seconds(60);
    assert_eq!(rig.elector.status().stepped_down_until, until);
    rig.run_to(|rig| rig.elector.is_leader());
    assert_eq!(rig.now, until);
    assert_leads(&rig, 1);
}

#[test]
fn zero_period_ends_step_down() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now, Some(seconds(600)));
    rig.run_for(seconds(30));
    assert!(!rig.elector.is_leader());
    rig.elector.handle_step_down(rig.now, Some(Duration::ZERO));
    rig.run_for(seconds(2));
    assert_leads(&rig, 1);
}

#[test]
fn second_step_down_changes_nothing() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now, None);
    rig.elector.handle_step_down(rig.now, None);
    assert_eq!(rig.stopped.len(), 0, "reported with the next actions");
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.stopped.len(), 1);
}

#[test]
fn stepping_down_ignores_release_settings() {
    let mut rig = Rig::new(
        LeaderElectionConfig {
            release_on_cancel: false,
            exit_on_lost_lease: true,
            ..config()
        },
        None,
    );
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now, None);
    rig.run_for(seconds(3));
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    assert_eq!(rig.elector.finished(), None);
}

#[test]
fn failed_release_still_backs_off() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    rig.outcomes
        .extend(vec![CallOutcome::Fails(unavailable()); 1000]);
    rig.elector.handle_step_down(rig.now, None);
    rig.run_for(config().renew_deadline);
    assert_eq!(rig.elector.finished(), None);
    assert_eq!(rig.store.borrow().record().holder_identity, "baz");
    rig.outcomes.clear();
    let since = rig.now;
    rig.run_to(|rig| rig.started.len() == 2);
    assert!(rig.now >= since + config().lease_duration);
}

#[test]
fn stop_while_stepping_down_ends_election() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now, None);
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.elector.handle_workload_stopped(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
}

#[test]
fn stuck_workload_blocks_step_down() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_step_down(rig.now, None);
    rig.run_to(|rig| rig.elector.finished().is_some());
    assert_eq!(finish(&rig), Finish::WorkloadStuck);
    assert_eq!(rig.store.borrow().record().holder_identity, "baz");
}

/// At the time of its SIGKILL nothing is reaped yet.
#[test]
fn late_kill_leaves_time_to_reap() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    let longest = config().stop_timeout + config().termination_grace;
    rig.run_for(longest + config().margin() - millis(1));
    assert_eq!(rig.elector.finished(), None);
    rig.elector.handle_workload_stopped(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
}

/// Its guard stopped the workload in time or stops it now; the report arrives after the timeout.
#[test]
fn resumed_elector_hears_of_workload_first() {
    for stood_still in [35, 3_600] {
        let mut rig = rig();
        rig.obedient = false;
        rig.run_for(seconds(1));
        rig.elector.handle_stop(rig.now, StopReason::Cancelled);
        rig.run_for(Duration::ZERO);
        rig.now = rig.now + seconds(stood_still);
        rig.elector.handle_timeout(rig.now);
        assert_eq!(rig.elector.finished(), None);
        rig.elector.handle_workload_stopped(rig.now);
        rig.run_to(|rig| rig.elector.finished().is_some());
        assert_ne!(finish(&rig), Finish::WorkloadStuck);
    }
}

// ---- giving up ----

fn rig_with_max_wait(patience: Duration) -> Rig {
    let config = LeaderElectionConfig {
        give_up_after: Some(patience),
        ..config()
    };
    Rig::new(config, None)
}

#[test]
fn candidate_gives_up_after_max_wait() {
    let mut rig = rig_with_max_wait(seconds(9));
    rig.store.borrow_mut().put(record("bing", 10, 0));
    rig.run_for(millis(8_999));
    assert_eq!(rig.elector.finished(), None);
    rig.run_for(millis(1));
    assert_eq!(finish(&rig), Finish::DidNotLead);
    assert_eq!(rig.store.borrow().record().holder_identity, "bing");
}

#[test]
fn timely_leader_does_not_give_up() {
    let mut rig = rig_with_max_wait(seconds(11));
    rig.store.borrow_mut().put(record("bing", 10, 0));
    rig.run_for(seconds(60));
    assert_leads(&rig, 1);
    // It lost the lease, and stays a candidate.
    rig.store.borrow_mut().put(record("bing", 10, 2));
    rig.run_for(seconds(60));
    assert_leads(&rig, 3);
}

#[test]
fn unconfirmed_claim_is_released_on_time() {
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
fn recent_term_prevents_leading() {
    // After a release the term ended with the write, otherwise with the lease; plus two seconds,
    // because dates are whole seconds.
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
fn recent_leader_is_reported() {
    let noticed = |rig: &Rig| {
        rig.notices.iter().find_map(|notice| match notice {
            Notice::LedRecently(leader) => Some(leader.clone()),
            _ => None,
        })
    };
    let leader = |identity: &str, ended| RecentLeader {
        identity: identity.into(),
        ended,
    };
    for (holder, age, expected) in [
        ("", 12, leader("", Some(seconds(12)))),
        ("bing", 3, leader("bing", None)),
        ("bing", 15, leader("bing", Some(seconds(5)))),
    ] {
        let mut rig = rig_unless_led_within(seconds(60));
        put_aged(&rig, holder, age);
        rig.run_for(Duration::ZERO);
        assert_eq!(noticed(&rig), Some(expected));
    }
    let mut rig = rig_unless_led_within(seconds(60));
    put_aged(&rig, "", 12);
    let mut released = rig.store.borrow().record();
    released.other.insert(RELEASED_BY.into(), "bing".into());
    rig.store.borrow_mut().put(released);
    rig.store.borrow_mut().age = Some(seconds(12));
    rig.run_for(Duration::ZERO);
    assert_eq!(noticed(&rig), Some(leader("bing", Some(seconds(12)))));
}

#[test]
fn longest_durations_are_no_error() {
    let mut rig = rig_unless_led_within(Duration::MAX);
    put_aged(&rig, "", 1_000_000);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::LedRecently);
    let mut rig = rig_unless_led_within(Duration::MAX);
    put_aged(&rig, "bing", 1_000_000);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::LedRecently);
    let patient = LeaderElectionConfig {
        give_up_after: Some(Duration::MAX),
        unless_led_within: Some(Duration::MAX),
        ..config()
    };
    let mut rig = Rig::new(patient, None);
    rig.elector.handle_min_poll_interval(Duration::MAX);
    rig.run_for(seconds(30));
    assert_leads(&rig, 0);
}

#[test]
fn observed_leader_ends_wait() {
    let mut rig = rig_unless_led_within(seconds(60));
    put_aged(&rig, "bing", 300);
    rig.run_for(seconds(5));
    assert_eq!(rig.elector.finished(), None, "the candidate waits");
    put_aged(&rig, "bing", 0);
    rig.run_for(seconds(2));
    assert_eq!(finish(&rig), Finish::LedRecently);
    assert_eq!(rig.store.borrow().record().holder_identity, "bing");
}

#[test]
fn candidate_leads_without_earlier_term() {
    let mut rig = rig_unless_led_within(seconds(60));
    rig.run_for(seconds(30));
    assert_leads(&rig, 0);
    // A checkpoint has no date.
    let mut rig = rig_unless_led_within(seconds(60));
    rig.store.borrow_mut().put(record("", 1, 4));
    rig.run_for(seconds(1));
    assert_leads(&rig, 5);
}

#[test]
fn record_without_date_counts_as_recent() {
    let mut rig = rig_unless_led_within(seconds(60));
    rig.store.borrow_mut().put(record("bing", 10, 4));
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::LedRecently);
}

#[test]
fn leader_that_lost_lease_fails() {
    let mut rig = rig_unless_led_within(seconds(60));
    rig.run_for(seconds(1));
    put_aged(&rig, "bing", 0);
    rig.run_for(seconds(5));
    assert_eq!(finish(&rig), Finish::LostLease);
    assert_eq!(rig.stopped.len(), 1);
}

#[test]
fn invalid_record_delays_but_allows_leading() {
    let mut rig = rig_unless_led_within(seconds(60));
    let mut store = rig.store.borrow_mut();
    store.put_content(Content::Deleted);
    drop(store);
    rig.run_for(seconds(10));
    assert_leads(&rig, 0);
}

// ---- shortest term ----

#[test]
fn term_lasts_a_second_before_release() {
    let mut rig = rig();
    rig.run_to(|rig| !rig.started.is_empty());
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_to(|rig| rig.elector.poll_timeout().is_none());
    assert_eq!(finish(&rig), Finish::Stopped);
    assert_eq!(rig.now, START + seconds(1));
    assert_eq!(rig.store.borrow().record().holder_identity, "");
}

#[test]
fn claims_without_answer_are_apart() {
    let mut rig = rig();
    rig.write_outcome = Some(CallOutcome::Fails(LockError::OutcomeUnknown(
        "no answer".into(),
    )));
    rig.run_for(seconds(10));
    let writes = rig.ops.iter().zip(&rig.times);
    let writes: Vec<Instant> = writes
        .filter_map(|(op, at)| (*op != "get").then_some(*at))
        .collect();
    assert!(writes.len() > 2, "{writes:?}");
    for pair in writes.windows(2) {
        assert!(pair[1].since(pair[0]) >= seconds(1), "{writes:?}");
    }
}
