//! A leader that cannot renew: slow, hanging and lost answers, and a workload that does not stop.

use std::time::Duration;

use elector::election::action::{Finish, StopReason};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;

use crate::conformance::rig::{
    CallOutcome, Rig, START, config, finish, millis, outcome_unknown, record, seconds, unavailable,
};
use crate::conformance::{rig, rig_with_record};

// ---- deadlines of a leader ----

#[test]
fn leader_stops_by_its_deadline() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.outcomes
        .extend(vec![CallOutcome::Fails(unavailable()); 1000]);
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
fn hanging_request_cannot_delay_stop() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.outcomes.push_back(CallOutcome::Hangs);
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
fn lease_counts_from_before_request() {
    let mut rig = rig();
    rig.outcomes.extend([
        CallOutcome::After(Duration::ZERO),
        CallOutcome::After(seconds(2)),
    ]);
    rig.run_to(|rig| !rig.started.is_empty());
    assert_eq!(rig.now, START + seconds(2));
    assert_eq!(rig.until, Some(START + config().renew_deadline));
}

#[test]
fn late_answer_begins_no_term() {
    let mut rig = rig();
    let too_late = config().renew_deadline - config().retry_period + millis(1);
    rig.outcomes.extend([
        CallOutcome::After(Duration::ZERO),
        CallOutcome::After(too_late),
        CallOutcome::After(millis(500)),
    ]);
    rig.run_for(too_late + millis(499));
    assert!(!rig.elector.is_leader(), "less than a retry period is left");
    rig.run_for(millis(1));
    assert!(rig.elector.is_leader(), "the next write makes it lead");
}

#[test]
fn leaders_request_gets_half_remaining_time() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.outcomes
        .extend(vec![CallOutcome::Fails(unavailable()); 1000]);
    rig.run_to(|rig| !rig.stopped.is_empty());
    let limit = START + config().renew_deadline;
    for (at, timeout) in rig.times.iter().zip(&rig.timeouts).skip(2) {
        if *at < limit {
            assert!(*timeout <= limit.since(*at) / 2, "{timeout:?} at {at}");
        }
    }
}

#[test]
fn lost_answer_counts_from_sending() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.outcomes
        .push_back(CallOutcome::LandsThenFails(outcome_unknown()));
    rig.run_for(millis(2999));
    assert_eq!(rig.ops, ["get", "create", "update", "get"]);
    assert_eq!(
        rig.until,
        Some(START + seconds(2) + config().renew_deadline)
    );
    assert!(rig.elector.is_leader());
}

#[test]
fn lost_write_is_repeated_after_read() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.outcomes
        .push_back(CallOutcome::Fails(outcome_unknown()));
    rig.run_for(millis(2999));
    assert_eq!(rig.ops, ["get", "create", "update", "get", "update"]);
    assert!(rig.elector.is_leader());
}

#[test]
fn leader_stops_when_another_holds_lease() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.store.borrow_mut().put(record("bing", 10, 1));
    rig.run_for(seconds(2));
    assert_eq!(rig.stopped.len(), 1);
    assert_eq!(rig.stopped[0].1, StopReason::Deposed);
    assert_eq!(rig.leaders, ["baz", "bing"]);
}

#[test]
fn exit_on_lost_lease_ends_election() {
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
fn deadline_passed_in_suspend_is_noticed() {
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
        "the workload's deadline passed long ago"
    );
}

// ---- the workload ----

#[test]
fn running_workload_blocks_claim_and_release() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(Duration::ZERO);
    rig.outcomes
        .extend(vec![CallOutcome::Fails(unavailable()); 1000]);
    rig.run_to(|rig| !rig.stopped.is_empty());
    rig.outcomes.clear();
    rig.ops.clear();
    rig.run_for(seconds(60));
    assert!(rig.ops.iter().all(|op| *op == "get"), "{:?}", rig.ops);
    rig.elector.handle_workload_stopped(rig.now);
    rig.run_for(seconds(1));
    assert_eq!(rig.started.len(), 2);
}

#[test]
fn graceful_stop_renews_then_releases() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(seconds(3));
    assert_eq!(rig.ops, ["get", "create", "update", "update"]);
    assert_eq!(rig.stopped[0].1, StopReason::Cancelled);
    assert_eq!(rig.stopped[0].2, START + seconds(1) + config().stop_timeout);
    rig.elector.handle_workload_stopped(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(rig.ops[4..], ["get", "update"]);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
}

#[test]
fn stuck_workload_is_never_released() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(Duration::ZERO);
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_to(|rig| rig.elector.finished().is_some());
    assert_eq!(finish(&rig), Finish::WorkloadStuck);
    assert_eq!(rig.store.borrow().record().holder_identity, "baz");
}

#[test]
fn lease_lost_while_stopping_shortens_kill() {
    let mut rig = Rig::new(
        LeaderElectionConfig {
            stop_timeout: seconds(60),
            ..config()
        },
        None,
    );
    rig.obedient = false;
    rig.run_for(Duration::ZERO);
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.outcomes
        .extend(vec![CallOutcome::Fails(unavailable()); 1000]);
    rig.run_to(|rig| rig.stopped.len() == 2);
    assert_eq!(rig.stopped[1].1, StopReason::RenewDeadline);
    assert!(rig.stopped[1].2 < rig.stopped[0].2);
    assert_eq!(rig.events, ["baz became leader", "baz stopped leading"]);
}

// ---- stopping without a term ----

#[test]
fn stopped_candidate_ends_without_writing() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(seconds(3));
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert!(rig.events.is_empty());
    assert_eq!(rig.store.borrow().record().holder_identity, "bing");
}

#[test]
fn stopped_candidate_abandons_its_read() {
    let mut rig = rig();
    rig.outcomes.push_back(CallOutcome::Hangs);
    rig.run_for(seconds(1));
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
}

// ---- with confirmation ----

fn confirming() -> Rig {
    Rig::new(config(), Some(seconds(1)))
}

#[test]
fn claim_is_confirmed_before_workload_starts() {
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
fn cancelled_claim_is_released() {
    let mut rig = confirming();
    rig.run_for(millis(500));
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(Duration::ZERO);
    assert_eq!(finish(&rig), Finish::Stopped);
    assert_eq!(rig.ops, ["get", "create", "get", "get", "update"]);
    assert_eq!(rig.store.borrow().record().holder_identity, "");
    assert!(rig.events.is_empty(), "it never led: {:?}", rig.events);
}

#[test]
fn overwritten_claim_does_not_lead() {
    let mut rig = confirming();
    rig.run_for(millis(500));
    rig.store.borrow_mut().put(record("bing", 10, 0));
    rig.run_for(seconds(1));
    assert!(rig.started.is_empty());
    assert_eq!(rig.leaders, ["bing"]);
}

#[test]
fn renewals_keep_retry_period_and_delay() {
    let mut rig = confirming();
    rig.run_for(seconds(1));
    rig.outcomes.push_back(CallOutcome::After(millis(1500)));
    rig.run_for(seconds(6));
    // Sent at 3 s and answered at 4.5 s: confirmed no earlier than 5.5 s.
    let calls: Vec<Duration> = rig.times[3..].iter().map(|at| at.since(START)).collect();
    assert_eq!(calls[..3], [seconds(1), seconds(3), millis(5500)]);
}

/// Returns when the updates were sent, in milliseconds since the start.
fn updates(rig: &Rig) -> Vec<u128> {
    let calls = rig.ops.iter().zip(&rig.times);
    let updates = calls.filter(|(op, _)| **op == "update");
    updates.map(|(_, at)| at.since(START).as_millis()).collect()
}

#[test]
fn foreign_write_after_claim_restarts_delay() {
    let mut rig = confirming();
    rig.run_for(millis(100));
    rig.store.borrow_mut().foreign_writes += 1;
    rig.run_for(seconds(1));
    assert!(rig.started.is_empty(), "the read was at 250 ms");
    rig.run_for(millis(200));
    assert_eq!(rig.started, [(START + millis(1250), 0)]);
    assert_eq!(updates(&rig), [1250]);
}

#[test]
fn foreign_write_before_confirmation_repeats_it() {
    let mut rig = confirming();
    rig.run_for(millis(900));
    rig.store.borrow_mut().foreign_writes += 1;
    rig.run_for(millis(1099));
    assert_eq!(updates(&rig), [1000]);
    assert!(rig.started.is_empty());
    rig.run_for(millis(1));
    assert_eq!(rig.started, [(START + seconds(2), 0)]);
}

#[test]
fn disturbed_renewal_is_confirmed_again() {
    let config = LeaderElectionConfig {
        renew_deadline: millis(6600),
        ..config()
    };
    let usable = config.usable_lease();
    let mut rig = Rig::new(config, Some(seconds(1)));
    rig.run_for(millis(2500));
    rig.store.borrow_mut().foreign_writes += 1;
    rig.run_for(seconds(1));
    assert_eq!(updates(&rig), [1000, 3000]);
    assert_eq!(rig.until, Some(START + usable), "still from the claim");
    rig.run_for(seconds(1));
    assert_eq!(updates(&rig), [1000, 3000, 4000]);
    assert_eq!(rig.until, Some(START + seconds(4) + millis(6600)));
}

#[test]
fn disturbed_leader_reads_before_renewing() {
    let mut rig = confirming();
    rig.run_for(millis(2500));
    rig.store.borrow_mut().foreign_writes += 1;
    rig.run_for(millis(1600));
    assert_eq!(updates(&rig), [1000, 3000, 4000]);
    for cycle in 1..10 {
        // A foreign write in the first half of every period.
        rig.store.borrow_mut().foreign_writes += 1;
        rig.run_for(seconds(2));
        assert_eq!(updates(&rig).len(), 3 + cycle);
    }
    assert!(rig.stopped.is_empty());
}

/// Otherwise two leaders of two locks in one store could write in step forever.
#[test]
fn next_renewal_waits_for_silence() {
    let mut rig = confirming();
    rig.run_for(millis(2500));
    rig.store.borrow_mut().foreign_writes += 1;
    rig.run_for(millis(1400));
    assert_eq!(updates(&rig), [1000, 3000]);
    // Read at 4000 ms, and not again.
    rig.store.borrow_mut().foreign_writes += 1;
    rig.run_for(millis(1099));
    assert_eq!(updates(&rig), [1000, 3000]);
    rig.run_for(millis(1));
    assert_eq!(updates(&rig), [1000, 3000, 5000]);
    assert!(rig.stopped.is_empty());
}

#[test]
fn constantly_disturbed_leader_still_renews() {
    let mut rig = confirming();
    rig.run_for(millis(2900));
    for _ in 0..40 {
        rig.store.borrow_mut().foreign_writes += 1;
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
fn failed_read_does_not_delay_renewal() {
    let mut rig = confirming();
    rig.run_for(millis(100));
    rig.outcomes.push_back(CallOutcome::Fails(unavailable()));
    rig.run_for(seconds(1));
    assert_eq!(rig.timeouts[2], millis(750), "a hanging one times out");
    assert_eq!(updates(&rig), [1000]);
    assert_eq!(rig.started, [(START + seconds(1), 0)]);
}

#[test]
fn renewal_reads_first_when_required() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    rig.ops.clear();
    rig.outcomes
        .push_back(CallOutcome::Fails(LockError::Unfinished(
            "read first".into(),
        )));
    rig.run_for(seconds(3));
    assert_eq!(rig.ops, ["update", "get", "update"]);
    assert!(rig.elector.is_leader() && rig.stopped.is_empty());
}
