//! What a leader does that cannot renew, and when: slow, hung and lost answers, a workload that stays.

use std::time::Duration;

use elector::election::action::{Finish, StopReason};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;

use crate::conformance::rig::{
    Fate, Rig, START, config, finish, millis, outcome_unknown, record, seconds, unavailable,
};
use crate::conformance::{rig, rig_with_record};

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
    assert_eq!(rig.ops, ["get", "create", "get"]);
    assert!(rig.started.is_empty());
    rig.run_for(millis(1));
    assert_eq!(rig.ops, ["get", "create", "get", "update"]);
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
    assert_eq!(rig.ops, ["get", "create", "get", "get", "update"]);
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
    let calls: Vec<Duration> = rig.times[3..].iter().map(|at| at.since(START)).collect();
    assert_eq!(calls[..3], [seconds(1), seconds(3), millis(5500)]);
}

/// When the updates were sent, in milliseconds since the start.
fn updates(rig: &Rig) -> Vec<u128> {
    let calls = rig.ops.iter().zip(&rig.times);
    let updates = calls.filter(|(op, _)| **op == "update");
    updates.map(|(_, at)| at.since(START).as_millis()).collect()
}

#[test]
fn what_others_write_after_a_claim_is_seen_by_a_look_and_the_delay_counts_from_there() {
    let mut rig = confirming();
    rig.run_for(millis(100));
    rig.store.borrow_mut().beside += 1;
    rig.run_for(seconds(1));
    assert!(rig.started.is_empty(), "the look was at 250 ms");
    rig.run_for(millis(200));
    assert_eq!(rig.started, [(START + millis(1250), 0)]);
    assert_eq!(updates(&rig), [1250]);
}

#[test]
fn a_write_of_others_right_before_the_confirming_one_takes_a_further_one() {
    let mut rig = confirming();
    rig.run_for(millis(900));
    rig.store.borrow_mut().beside += 1;
    rig.run_for(millis(1099));
    assert_eq!(updates(&rig), [1000]);
    assert!(rig.started.is_empty());
    rig.run_for(millis(1));
    assert_eq!(rig.started, [(START + seconds(2), 0)]);
}

#[test]
fn a_renewal_that_others_disturbed_is_followed_by_one_that_confirms_it() {
    let config = LeaderElectionConfig {
        renew_deadline: millis(6600),
        ..config()
    };
    let usable = config.usable_lease();
    let mut rig = Rig::new(config, Some(seconds(1)));
    rig.run_for(millis(2500));
    rig.store.borrow_mut().beside += 1;
    rig.run_for(seconds(1));
    assert_eq!(updates(&rig), [1000, 3000]);
    assert_eq!(rig.until, Some(START + usable), "still from the claim");
    rig.run_for(seconds(1));
    assert_eq!(updates(&rig), [1000, 3000, 4000]);
    assert_eq!(rig.until, Some(START + seconds(4) + millis(6600)));
}

#[test]
fn a_leader_among_others_looks_before_it_renews_and_needs_no_further_write() {
    let mut rig = confirming();
    rig.run_for(millis(2500));
    rig.store.borrow_mut().beside += 1;
    rig.run_for(millis(1600));
    assert_eq!(updates(&rig), [1000, 3000, 4000]);
    for cycle in 1..10 {
        // Somebody writes in the first half of every period.
        rig.store.borrow_mut().beside += 1;
        rig.run_for(seconds(2));
        assert_eq!(updates(&rig).len(), 3 + cycle);
    }
    assert!(rig.stopped.is_empty());
}

/// Two leaders of two locks in one store that would not do so could write in step for ever.
#[test]
fn after_a_renewal_that_others_disturbed_the_next_one_waits_until_they_are_silent() {
    let mut rig = confirming();
    rig.run_for(millis(2500));
    rig.store.borrow_mut().beside += 1;
    rig.run_for(millis(1400));
    assert_eq!(updates(&rig), [1000, 3000]);
    // Seen by the look at 4000 ms, and then no more.
    rig.store.borrow_mut().beside += 1;
    rig.run_for(millis(1099));
    assert_eq!(updates(&rig), [1000, 3000]);
    rig.run_for(millis(1));
    assert_eq!(updates(&rig), [1000, 3000, 5000]);
    assert!(rig.stopped.is_empty());
}

#[test]
fn a_leader_whom_others_never_leave_in_peace_writes_nevertheless() {
    let mut rig = confirming();
    rig.run_for(millis(2900));
    for _ in 0..40 {
        rig.store.borrow_mut().beside += 1;
        rig.run_for(millis(200));
        if !rig.stopped.is_empty() {
            break;
        }
    }
    assert_eq!(rig.stopped.len(), 1, "nothing was confirmed");
    let last = updates(&rig).into_iter().next_back().unwrap();
    assert!(last > 4000, "{last}");
}

#[test]
fn a_look_that_fails_before_a_renewal_does_not_delay_it() {
    let mut rig = confirming();
    rig.run_for(millis(100));
    rig.fates.push_back(Fate::Fails(unavailable()));
    rig.run_for(seconds(1));
    assert_eq!(rig.timeouts[2], millis(750), "a hung one ends in time");
    assert_eq!(updates(&rig), [1000]);
    assert_eq!(rig.started, [(START + seconds(1), 0)]);
}

#[test]
fn a_renewal_for_which_the_lock_has_to_look_first_is_preceded_by_a_look() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.ops.clear();
    rig.fates
        .push_back(Fate::Fails(LockError::Unfinished("look first".into())));
    rig.run_for(seconds(3));
    assert_eq!(rig.ops, ["update", "get", "update"]);
    assert!(rig.elector.is_leader() && rig.stopped.is_empty());
}
