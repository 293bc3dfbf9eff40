//! Looks that are aimed at the leader's renewals.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::election::time::Instant;

use crate::conformance::rig::{Rig, config, millis, record, seconds};

/// The default times but for the lease, so that it is over soon.
fn times(seed: u64) -> LeaderElectionConfig {
    LeaderElectionConfig {
        retry_period: seconds(8),
        poll_period: seconds(2),
        renew_deadline: seconds(16),
        lease_duration: seconds(30),
        seed,
        ..config()
    }
}

/// A candidate that has followed a leader for so many renewals, the last one of which has just landed.
fn following(seed: u64, renewals: usize, min_poll_interval: Duration) -> Rig {
    let mut rig = Rig::new(times(seed), None);
    rig.elector.handle_min_poll_interval(min_poll_interval);
    for _ in 0..renewals {
        rig.store.borrow_mut().put(record("bing", 30, 0));
        rig.run_for(seconds(8));
    }
    rig.store.borrow_mut().put(record("bing", 30, 0));
    rig
}

/// How long after the end of the lease it leads if the leader is dead now.
fn late(mut rig: Rig) -> Duration {
    let dead: Instant = rig.now;
    rig.run_to(|rig| !rig.started.is_empty());
    rig.now.since(dead + seconds(30))
}

#[test]
fn a_leader_that_was_followed_for_a_while_is_succeeded_at_once() {
    for seed in 0..50 {
        let late = late(following(seed, 6, Duration::ZERO));
        assert!(late <= millis(130), "{seed}: {late:?}");
    }
}

#[test]
fn one_that_was_seen_for_the_first_time_is_within_a_poll() {
    let late: Vec<Duration> = (0..50)
        .map(|seed| late(following(seed, 1, Duration::ZERO)))
        .collect();
    assert!(late.iter().all(|late| *late <= millis(2_200)), "{late:?}");
    assert!(late.iter().any(|late| *late > millis(500)), "{late:?}");
}

#[test]
fn aimed_looks_are_few() {
    let mut rig = following(3, 20, Duration::ZERO);
    let before = rig.ops.len();
    for _ in 0..50 {
        rig.run_for(seconds(8));
        rig.store.borrow_mut().put(record("bing", 30, 0));
    }
    let looks = rig.ops.len() - before;
    // Four a renewal come anyway.
    assert!((200..300).contains(&looks), "{looks}");
}

#[test]
fn looks_between_two_renewals_come_at_other_times_for_each_candidate() {
    let mut moments = Vec::new();
    for seed in 0..40 {
        let mut rig = following(seed, 6, Duration::ZERO);
        let landed = rig.now;
        rig.run_for(seconds(7));
        let second = rig.times.iter().rev().map(|at| at.since(landed));
        let second = second.take_while(|since| !since.is_zero());
        moments.extend(second.filter(|since| *since > millis(300)).min());
    }
    moments.sort_unstable();
    assert!(moments[0] < millis(800) && moments[39] > millis(1_700));
    let gaps = moments.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.max() < Some(millis(400)), "{moments:?}");
}

#[test]
fn where_looks_are_dear_none_is_aimed() {
    let mut rig = following(1, 10, seconds(6));
    let before = rig.ops.len();
    rig.run_for(seconds(7));
    assert!(rig.ops.len() - before <= 2);
}
