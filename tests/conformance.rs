//! client-go's own cases (`tools/leaderelection`), on a lock with a true compare-and-swap, and what
//! is not tested there: deadlines, slow, hung and lost answers, stops at every point.

mod support;

use multi_cluster_leader_election::election::action::{Finish, Notice, StopReason};
use multi_cluster_leader_election::election::config::{ConfigError, LeaderElectionConfig};
use multi_cluster_leader_election::election::lock::{Content, LockError};
use multi_cluster_leader_election::election::record::LeaderElectionRecord;
use std::time::Duration;

use support::{
    Fate, Rig, START, SharedStore, config, finish, millis, outcome_unknown, record, seconds,
    unavailable,
};

fn rig() -> Rig {
    Rig::new(config(), None)
}

fn rig_with(content: Content) -> Rig {
    let rig = rig();
    rig.store.borrow_mut().put_content(content);
    rig.store.borrow_mut().highest_token = Some(0);
    rig
}

fn rig_with_record(holder: &str, lease_seconds: u64, transitions: u64) -> Rig {
    let rig = rig();
    rig.store
        .borrow_mut()
        .put(record(holder, lease_seconds, transitions));
    rig
}

fn assert_leads(rig: &Rig, transitions: u64) {
    assert!(rig.elector.is_leader());
    let record = rig.store.borrow().record();
    assert_eq!(record.holder_identity, "baz");
    assert_eq!(record.lease_duration_seconds, 10);
    assert_eq!(record.leader_transitions, transitions);
    assert_eq!(rig.leaders.last().map(String::as_str), Some("baz"));
}

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

// ---- validation ----

fn broken(change: impl FnOnce(&mut LeaderElectionConfig)) -> Vec<ConfigError> {
    let mut config = config();
    change(&mut config);
    config
        .validate(Some(seconds(1)))
        .expect_err("a rule is broken")
}

#[test]
fn each_rule_of_the_configuration_is_checked_at_its_border() {
    assert_eq!(
        LeaderElectionConfig::new("baz").validate(Some(seconds(2))),
        Ok(())
    );
    assert!(matches!(
        broken(|config| config.identity.clear())[..],
        [ConfigError::EmptyIdentity]
    ));
    assert!(matches!(
        broken(|config| config.poll_period = Duration::from_micros(999))[..],
        [ConfigError::TooShort {
            name: "POLL_PERIOD",
            ..
        }]
    ));
    assert!(matches!(
        broken(|config| config.poll_period = Duration::MAX)[..],
        [ConfigError::TooLong {
            name: "POLL_PERIOD",
            ..
        }]
    ));
    let endless = broken(|config| {
        config.lease_duration = Duration::MAX;
        config.renew_deadline = Duration::MAX;
        config.retry_period = Duration::MAX;
        config.termination_grace = Duration::MAX;
    });
    assert!(!endless.is_empty());
    // 5 s + 2 s + 1 s + a thirtieth of the lease, with no lease shorter than 8.276 s.
    let mut tight = config();
    tight.lease_duration = millis(8276);
    assert_eq!(tight.validate(None), Ok(()));
    tight.lease_duration = millis(8275);
    assert!(matches!(
        tight.validate(None).unwrap_err()[..],
        [ConfigError::ShortLease { .. }]
    ));
    // More than 1.2 times the retry period.
    assert!(matches!(
        broken(|config| config.renew_deadline = millis(2400))[..],
        [ConfigError::ShortRenewDeadline { .. }]
    ));
    let mut enough = config();
    enough.renew_deadline = millis(2401);
    assert_eq!(enough.validate(Some(seconds(1))), Ok(()));
    assert!(matches!(
        config().validate(Some(millis(1001))).unwrap_err()[..],
        [ConfigError::LongConfirmDelay { .. }]
    ));
    assert!(matches!(
        broken(|config| config.lease_duration = seconds(3601))[..],
        [ConfigError::LongLease(_)]
    ));
}

#[test]
fn all_broken_rules_are_told_at_once() {
    let errors = broken(|config| {
        config.identity.clear();
        config.lease_duration = Duration::ZERO;
        config.retry_period = seconds(60);
    });
    assert!(errors.len() >= 4, "{errors:?}");
}

#[test]
fn the_record_says_whole_seconds_rounded_up() {
    let config = LeaderElectionConfig {
        lease_duration: millis(9001),
        ..config()
    };
    assert_eq!(config.lease_duration_seconds(), 10);
}

// ---- the deadlines of a leader ----

#[test]
fn a_leader_that_cannot_renew_steps_down_by_its_deadline() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.extend(vec![Fate::Fails(unavailable()); 1000]);
    rig.run_to(|rig| !rig.stopped.is_empty());
    let (at, reason, kill_at) = rig.stopped[0];
    assert_eq!(at, START + config().renew_deadline);
    assert_eq!(reason, StopReason::RenewDeadline);
    assert_eq!(kill_at, at + config().termination_grace);
    assert!(!rig.elector.is_leader());
    let tries = rig.ops.len() - 2;
    assert!((3..12).contains(&tries), "soon, but not hammering: {tries}");
}

#[test]
fn a_request_that_hangs_for_ever_cannot_delay_stepping_down() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.push_back(Fate::Hangs);
    rig.run_to(|rig| !rig.stopped.is_empty());
    assert_eq!(rig.stopped[0].0, START + config().renew_deadline);
    rig.run_for(seconds(3600));
    assert_eq!(
        rig.ops.len(),
        3,
        "one call at a time, even if it never ends"
    );
}

#[test]
fn the_lease_counts_from_before_the_request() {
    let mut rig = rig();
    rig.fates
        .extend([Fate::After(Duration::ZERO), Fate::After(seconds(2))]);
    rig.run_to(|rig| !rig.started.is_empty());
    assert_eq!(rig.now, START + seconds(2));
    assert_eq!(rig.until, Some(START + config().renew_deadline));
}

#[test]
fn an_answer_that_comes_too_late_does_not_begin_a_term() {
    let mut rig = rig();
    let too_late = config().renew_deadline - config().retry_period + millis(1);
    rig.fates.extend([
        Fate::After(Duration::ZERO),
        Fate::After(too_late),
        Fate::After(millis(500)),
    ]);
    rig.run_for(too_late + millis(499));
    assert!(!rig.elector.is_leader(), "less than a retry period is left");
    rig.run_for(millis(1));
    assert!(rig.elector.is_leader(), "the next write makes it lead");
}

#[test]
fn requests_of_a_leader_fit_into_half_of_what_is_left() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.extend(vec![Fate::Fails(unavailable()); 1000]);
    rig.run_to(|rig| !rig.stopped.is_empty());
    let limit = START + config().renew_deadline;
    for (at, timeout) in rig.times.iter().zip(&rig.timeouts).skip(2) {
        if *at < limit {
            assert!(*timeout <= limit.since(*at) / 2, "{timeout:?} at {at}");
        }
    }
}

#[test]
fn a_lost_answer_is_looked_for_and_counts_from_when_it_was_sent() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.push_back(Fate::LandsBut(outcome_unknown()));
    rig.run_for(millis(2999));
    assert_eq!(rig.ops, ["get", "create", "update", "get"]);
    assert_eq!(
        rig.until,
        Some(START + seconds(2) + config().renew_deadline)
    );
    assert!(rig.elector.is_leader());
}

#[test]
fn a_lost_write_is_written_again_after_a_look() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.push_back(Fate::Fails(outcome_unknown()));
    rig.run_for(millis(2999));
    assert_eq!(rig.ops, ["get", "create", "update", "get", "update"]);
    assert!(rig.elector.is_leader());
}

#[test]
fn a_leader_that_finds_another_holder_steps_down_at_once() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.store.borrow_mut().put(record("bing", 10, 1));
    rig.run_for(seconds(2));
    assert_eq!(rig.stopped.len(), 1);
    assert_eq!(rig.stopped[0].1, StopReason::Deposed);
    assert_eq!(rig.leaders, ["baz", "bing"]);
}

#[test]
fn with_exit_on_lost_lease_it_ends_after_the_first_term() {
    let mut rig = Rig::new(
        LeaderElectionConfig {
            exit_on_lost_lease: true,
            ..config()
        },
        None,
    );
    rig.run_for(Duration::ZERO);
    rig.store.borrow_mut().put(record("bing", 10, 1));
    rig.run_for(seconds(3));
    assert_eq!(finish(&rig), Finish::LostLease);
    assert_eq!(rig.store.borrow().record().holder_identity, "bing");
}

#[test]
fn a_deadline_that_passed_while_the_machine_slept_is_noticed_on_waking() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.now = START + seconds(3600);
    rig.elector.handle_timeout(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.stopped.len(), 1);
    assert_eq!(rig.stopped[0].1, StopReason::RenewDeadline);
    assert_eq!(
        rig.stopped[0].2,
        START + config().renew_deadline + config().termination_grace,
        "the workload's time was over long ago"
    );
}

// ---- the workload ----

#[test]
fn nothing_is_claimed_or_released_while_the_workload_still_runs() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(Duration::ZERO);
    rig.fates.extend(vec![Fate::Fails(unavailable()); 1000]);
    rig.run_to(|rig| !rig.stopped.is_empty());
    rig.fates.clear();
    rig.ops.clear();
    rig.run_for(seconds(60));
    assert!(rig.ops.iter().all(|op| *op == "get"), "{:?}", rig.ops);
    rig.elector.handle_workload_gone(rig.now);
    rig.run_for(seconds(1));
    assert_eq!(rig.started.len(), 2);
}

#[test]
fn a_polite_stop_renews_until_the_workload_has_gone_and_then_releases() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_cancel(rig.now);
    rig.run_for(seconds(3));
    assert_eq!(rig.ops, ["get", "create", "update", "update"]);
    assert_eq!(rig.stopped[0].1, StopReason::Cancelled);
    assert_eq!(rig.stopped[0].2, START + seconds(1) + config().stop_timeout);
    rig.elector.handle_workload_gone(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops[4..], ["get", "update"]);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
}

#[test]
fn a_workload_that_never_ends_is_not_released_over() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(Duration::ZERO);
    rig.elector.handle_cancel(rig.now);
    rig.run_to(|rig| rig.elector.finished().is_some());
    assert_eq!(finish(&rig), Finish::WorkloadStuck);
    assert_eq!(rig.store.borrow().record().holder_identity, "baz");
}

#[test]
fn a_lease_that_is_lost_during_a_polite_stop_hurries_the_workload() {
    let mut rig = Rig::new(
        LeaderElectionConfig {
            stop_timeout: seconds(60),
            ..config()
        },
        None,
    );
    rig.obedient = false;
    rig.run_for(Duration::ZERO);
    rig.elector.handle_cancel(rig.now);
    rig.fates.extend(vec![Fate::Fails(unavailable()); 1000]);
    rig.run_to(|rig| rig.stopped.len() == 2);
    assert_eq!(rig.stopped[1].1, StopReason::RenewDeadline);
    assert!(rig.stopped[1].2 < rig.stopped[0].2);
    assert_eq!(rig.events, ["baz became leader", "baz stopped leading"]);
}

// ---- stopping without ever having led ----

#[test]
fn a_candidate_that_is_stopped_ends_at_once_and_writes_nothing() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(seconds(3));
    rig.elector.handle_cancel(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert!(rig.events.is_empty());
    assert_eq!(rig.store.borrow().record().holder_identity, "bing");
}

#[test]
fn a_candidate_that_is_stopped_while_it_looks_does_not_wait_for_the_answer() {
    let mut rig = rig();
    rig.fates.push_back(Fate::Hangs);
    rig.run_for(seconds(1));
    rig.elector.handle_cancel(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
}

// ---- with confirmation ----

fn confirming() -> Rig {
    Rig::new(config(), Some(seconds(1)))
}

#[test]
fn a_claim_is_followed_by_a_second_write_before_anything_starts() {
    let mut rig = confirming();
    rig.run_for(millis(999));
    assert_eq!(rig.ops, ["get", "create"]);
    assert!(rig.started.is_empty());
    rig.run_for(millis(1));
    assert_eq!(rig.ops, ["get", "create", "update"]);
    assert_eq!(rig.started, [(START + seconds(1), 0)]);
    assert_eq!(rig.store.borrow().record().leader_transitions, 0);
    let usable = config().usable_lease();
    assert_eq!(
        rig.until,
        Some((START + usable).min(START + seconds(1) + config().renew_deadline))
    );
}

#[test]
fn a_claim_that_is_cancelled_before_it_is_confirmed_is_released() {
    let mut rig = confirming();
    rig.run_for(millis(500));
    rig.elector.handle_cancel(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert_eq!(rig.ops, ["get", "create", "get", "update"]);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    assert!(rig.events.is_empty(), "it never led: {:?}", rig.events);
}

#[test]
fn a_claim_that_another_overwrites_does_not_lead() {
    let mut rig = confirming();
    rig.run_for(millis(500));
    rig.store.borrow_mut().put(record("bing", 10, 0));
    rig.run_for(seconds(1));
    assert!(rig.started.is_empty());
    assert_eq!(rig.leaders, ["bing"]);
}

#[test]
fn renewals_come_a_retry_period_after_the_last_was_sent_and_a_delay_after_its_answer() {
    let mut rig = confirming();
    rig.run_for(seconds(1));
    rig.fates.push_back(Fate::After(millis(1500)));
    rig.run_for(seconds(6));
    // Sent at 3 s and answered at 4.5 s: confirmed not before 5.5 s.
    let writes: Vec<Duration> = rig.times[2..].iter().map(|at| at.since(START)).collect();
    assert_eq!(writes[..3], [seconds(1), seconds(3), millis(5500)]);
}

// ---- taking over ----

#[test]
fn the_lease_is_taken_exactly_when_it_may_be_and_after_another_look() {
    let mut rig = Rig::new(
        LeaderElectionConfig {
            poll_period: seconds(4),
            ..config()
        },
        None,
    );
    rig.store.borrow_mut().put(record("bing", 9, 0));
    rig.run_to(|rig| !rig.started.is_empty());
    assert_eq!(rig.now, START + seconds(9));
    assert_eq!(rig.ops[rig.ops.len() - 2..], ["get", "update"]);
}

#[test]
fn the_stagger_is_drawn_within_its_bounds_and_differs_by_seed() {
    let mut drawn = Vec::new();
    for seed in 0..50 {
        let mut rig = Rig::new(
            LeaderElectionConfig {
                takeover_stagger: millis(400),
                seed,
                ..config()
            },
            None,
        );
        rig.store.borrow_mut().put(record("bing", 3, 0));
        rig.run_to(|rig| !rig.started.is_empty());
        let stagger = rig.now.since(START + seconds(3));
        assert!(stagger <= millis(400), "{stagger:?}");
        drawn.push(stagger);
    }
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() > 40 && drawn[49.min(drawn.len() - 1)] > millis(300));
}

#[test]
fn polls_are_spread_by_a_tenth_of_their_period_at_most() {
    let mut rig = rig_with_record("bing", 3600, 0);
    rig.run_for(seconds(600));
    let gaps: Vec<Duration> = rig
        .times
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    assert!(
        gaps.iter()
            .all(|gap| (millis(900)..=millis(1100)).contains(gap))
    );
    assert!(gaps.iter().any(|gap| *gap < millis(950)));
    assert!(gaps.iter().any(|gap| *gap > millis(1050)));
}

#[test]
fn a_renewal_seen_starts_the_wait_anew() {
    let mut rig = rig_with_record("bing", 5, 0);
    for _ in 0..10 {
        rig.run_for(seconds(3));
        rig.store.borrow_mut().put(record("bing", 5, 0));
    }
    assert!(rig.started.is_empty());
    rig.run_to(|rig| !rig.started.is_empty());
    assert!(rig.now.since(START) >= seconds(35));
}

#[test]
fn an_overwritten_record_is_waited_for_whatever_it_says() {
    for content in [
        Content::Record(record("", 0, 0).into()),
        Content::Record(record("bing", 1, 0).into()),
        Content::Gone,
        Content::Unreadable("it is not a JSON object".into()),
    ] {
        let mut rig = rig_with(content);
        rig.store.borrow_mut().overwritten = Some(seconds(30));
        rig.run_for(millis(29_999));
        assert!(rig.started.is_empty());
        rig.run_for(millis(1));
        assert_eq!(rig.started.len(), 1);
        assert!(matches!(rig.notices[0], Notice::Overwritten { .. }));
    }
}

#[test]
fn an_overwritten_record_is_waited_for_as_long_as_our_own_lease_at_least() {
    let mut rig = rig_with(Content::Gone);
    rig.store.borrow_mut().overwritten = Some(Duration::ZERO);
    rig.run_for(millis(9_999));
    assert!(rig.started.is_empty());
    rig.run_for(millis(1));
    assert_eq!(rig.started.len(), 1);
}

#[test]
fn the_token_is_above_every_one_seen_in_effect_or_not() {
    let mut rig = rig_with_record("", 10, 3);
    rig.store.borrow_mut().highest_token = Some(41);
    rig.run_for(Duration::ZERO);
    assert_leads(&rig, 42);
}

#[test]
fn a_record_long_gone_is_claimed_on_the_first_look_only() {
    let old = |age| {
        let rig = rig_with_record("bing", 100, 0);
        rig.store.borrow_mut().age = Some(age);
        rig
    };
    let mut gone = old(seconds(1001));
    gone.run_for(Duration::ZERO);
    assert_eq!(gone.started.len(), 1);

    let mut young = old(seconds(1000));
    young.run_for(seconds(99));
    assert!(young.started.is_empty(), "ten leases, not more");

    let mut later = rig_with_record("bing", 100, 0);
    later.run_for(Duration::ZERO);
    later.store.borrow_mut().put(record("bong", 100, 0));
    later.store.borrow_mut().age = Some(seconds(100_000));
    later.run_for(seconds(99));
    assert!(later.started.is_empty(), "not the first look");
}

#[test]
fn a_store_that_is_away_is_asked_less_and_less_but_for_ever() {
    let mut rig = rig();
    rig.fates.extend(vec![Fate::Fails(unavailable()); 100]);
    rig.run_for(seconds(3600));
    assert!(
        rig.elector.is_leader(),
        "it came back after a hundred failures"
    );
    let gaps: Vec<Duration> = rig.times[..100]
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    assert_eq!(gaps[0], seconds(1));
    assert!(gaps.iter().all(|gap| *gap <= seconds(4)));
}

#[test]
fn a_throttled_candidate_stays_away_as_long_as_it_was_told() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.fates.push_back(Fate::Fails(LockError::Throttled {
        retry_after: seconds(77),
        why: "a limit".into(),
    }));
    rig.run_for(seconds(100));
    assert_eq!(rig.times[1], START + seconds(77));
}

#[test]
fn a_leader_throttled_past_its_limit_works_on_until_then_and_says_so() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.fates.push_back(Fate::Fails(LockError::Throttled {
        retry_after: seconds(600),
        why: "a limit".into(),
    }));
    rig.run_for(seconds(4));
    assert!(rig.elector.is_leader());
    assert!(rig.notices.contains(&Notice::ThrottledPastLimit {
        retry_after: seconds(600)
    }));
    rig.run_for(seconds(2));
    assert!(!rig.elector.is_leader());
    assert_eq!(rig.ops.len(), 3, "nobody asks before the time is over");
    rig.elector.handle_cancel(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::NotReleased);
    assert_eq!(rig.ops.len(), 3);
}

#[test]
fn two_candidates_take_turns_and_never_lead_together() {
    let store = SharedStore::default();
    let mut baz = Rig::join(config(), Some(seconds(1)), store.clone(), 1);
    let other = LeaderElectionConfig {
        identity: "bing".into(),
        seed: 7,
        ..config()
    };
    let mut bing = Rig::join(other, Some(seconds(1)), store.clone(), 2);
    let mut last_token = None;
    for turn in 0..200 {
        // One of the two cannot reach the store for a while.
        let away = if turn % 2 == 0 { &mut baz } else { &mut bing };
        away.fates.extend(vec![Fate::Fails(unavailable()); 20]);
        for _ in 0..300 {
            baz.run_for(millis(100));
            bing.run_for(millis(100));
            assert!(!(baz.elector.is_leader() && bing.elector.is_leader()));
        }
        baz.fates.clear();
        bing.fates.clear();
        let token = [&baz, &bing]
            .iter()
            .filter_map(|rig| rig.started.last())
            .map(|start| start.1)
            .max();
        assert!(token >= last_token);
        last_token = token;
    }
    assert!(baz.started.len() + bing.started.len() > 100);
}

#[test]
fn unknown_fields_survive_every_rewrite() {
    let mut held = record("", 10, 3);
    held.other
        .insert("preferredHolder".into(), "cleopatra".into());
    held.other.insert("strategy".into(), "x".into());
    let mut rig = rig();
    rig.store.borrow_mut().put(held.clone());
    rig.run_for(seconds(5));
    rig.elector.handle_cancel(rig.now);
    rig.run_for(seconds(1));
    let released: LeaderElectionRecord = rig.store.borrow().record();
    assert_eq!(released.other, held.other);
}
