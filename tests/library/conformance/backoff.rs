//! Claims while the store accepts reads and refuses writes.

use std::time::Duration;

use elector::election::action::StopReason;
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;

use crate::conformance::rig::{
    CallOutcome, Rig, START, SharedStore, config, outcome_unknown, record, seconds, unavailable,
};
use crate::conformance::{rig, rig_with_record};

fn refusals() -> Vec<CallOutcome> {
    let limit = LockError::RateLimited {
        retry_after: seconds(1),
        why: "a limit".into(),
    };
    [
        unavailable(),
        outcome_unknown(),
        LockError::Conflict,
        LockError::NotFound("no store".into()),
        LockError::Unauthorized("no right".into()),
        LockError::Refused("cut".into()),
        limit,
    ]
    .into_iter()
    .map(CallOutcome::Fails)
    .collect()
}

/// Candidates with the default times and a confirm delay, on a store that refuses writes.
fn candidates(count: u64, outcome: &CallOutcome) -> Vec<Rig> {
    let store = SharedStore::default();
    (0..count)
        .map(|number| {
            let config = LeaderElectionConfig {
                seed: number,
                ..LeaderElectionConfig::new(format!("candidate-{number}"))
            };
            let mut rig = Rig::join(config, Some(seconds(2)), store.clone(), number);
            rig.write_outcome = Some(outcome.clone());
            rig
        })
        .collect()
}

/// Runs the candidates for ten minutes, and returns the number of writes in each.
fn writes_per_minute(rigs: &mut [Rig]) -> Vec<usize> {
    let mut minutes = Vec::new();
    for _ in 0..10 {
        let before: usize = rigs.iter().map(writes).sum();
        for _ in 0..600 {
            for rig in &mut *rigs {
                rig.run_for(Duration::from_millis(100));
            }
        }
        let after: usize = rigs.iter().map(writes).sum();
        minutes.push(after - before);
    }
    minutes
}

/// Runs two candidates on a store that accepts writes until `done` is true for one of them, and that
/// refuses writes from then on.
fn accepted_until(refusal: &CallOutcome, done: impl Fn(&Rig) -> bool) -> Vec<Rig> {
    let mut rigs = candidates(2, refusal);
    for rig in &mut rigs {
        rig.write_outcome = None;
    }
    for _ in 0..1000 {
        if rigs.iter().any(&done) {
            for rig in &mut rigs {
                rig.write_outcome = Some(refusal.clone());
            }
            return rigs;
        }
        for rig in &mut rigs {
            rig.run_for(Duration::from_millis(100));
        }
    }
    panic!("never: {:?} {:?}", rigs[0].ops, rigs[0].times);
}

fn writes(rig: &Rig) -> usize {
    rig.ops.iter().filter(|op| **op != "get").count()
}

#[test]
fn refused_claims_back_off() {
    for outcome in refusals().into_iter().chain([CallOutcome::Ignored]) {
        let minutes = writes_per_minute(&mut candidates(2, &outcome));
        assert!(minutes[0] >= 1, "{outcome:?}: {minutes:?}");
        assert!(minutes[1] <= 12, "{outcome:?}: {minutes:?}");
        let later = &minutes[2..];
        assert!(
            later.iter().all(|writes| (1..=6).contains(writes)),
            "{outcome:?}: {minutes:?}"
        );
    }
}

#[test]
fn refused_confirmations_back_off() {
    for outcome in refusals() {
        let mut rigs = accepted_until(&outcome, |rig| writes(rig) > 0);
        assert!(!rigs.iter().any(|rig| rig.elector.is_leader()));
        let minutes = writes_per_minute(&mut rigs);
        let later = &minutes[2..];
        assert!(
            minutes[1] <= 12 && later.iter().all(|writes| (1..=6).contains(writes)),
            "{outcome:?}: {minutes:?}"
        );
    }
}

#[test]
fn refused_leader_backs_off() {
    for outcome in refusals() {
        let mut rigs = accepted_until(&outcome, |rig| rig.elector.is_leader());
        let minutes = writes_per_minute(&mut rigs);
        let later = &minutes[2..];
        assert!(
            later.iter().all(|writes| (1..=6).contains(writes)),
            "{outcome:?}: {minutes:?}"
        );
    }
}

#[test]
fn permanent_refusal_waits_one_lease() {
    let mut rig = rig_with_record("", 10, 3);
    rig.write_outcome = Some(CallOutcome::Fails(LockError::Unauthorized(
        "no right".into(),
    )));
    rig.run_for(seconds(7));
    assert_eq!(writes(&rig), 1);
    rig.run_for(seconds(4));
    assert_eq!(writes(&rig), 2);
}

#[test]
fn new_record_ends_backoff() {
    let mut rig = rig_with_record("", 10, 3);
    rig.write_outcome = Some(CallOutcome::Fails(unavailable()));
    rig.run_for(seconds(120));
    rig.write_outcome = None;
    // A read that shows nothing new does not end it.
    let failed = *rig.times.last().unwrap();
    assert!(failed > START);
    let before = writes(&rig);
    rig.run_for(seconds(1));
    let waits = writes(&rig) == before;
    rig.store.borrow_mut().put(record("", 10, 4));
    rig.run_for(seconds(1));
    assert!(waits && rig.elector.is_leader(), "{:?}", rig.times);
}

#[test]
fn own_success_ends_backoff() {
    let mut rig = rig();
    rig.write_outcome = Some(CallOutcome::Fails(unavailable()));
    rig.run_for(seconds(60));
    rig.write_outcome = None;
    rig.run_to(|rig| rig.elector.is_leader());
    rig.write_outcome = Some(CallOutcome::Fails(unavailable()));
    rig.run_to(|rig| !rig.stopped.is_empty());
    assert_eq!(rig.stopped[0].1, StopReason::RenewDeadline);
    let lost_at = rig.now;
    let before = writes(&rig);
    rig.run_for(config().poll_period * 3);
    assert!(
        writes(&rig) >= before + 2,
        "the first delays are short, from {lost_at} on"
    );
}

#[test]
fn repeated_conflicts_delay_renewal() {
    let mut rig = rig();
    rig.run_for(Duration::ZERO);
    let conflict = CallOutcome::Fails(LockError::Conflict);
    let read = CallOutcome::After(Duration::ZERO);
    rig.outcomes
        .extend([conflict, read].into_iter().cycle().take(40));
    rig.run_for(config().retry_period);
    // The claim, a renewal, and another one right after the read.
    assert_eq!(writes(&rig), 3);
}
