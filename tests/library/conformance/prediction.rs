//! Polls aimed at the predicted renewals of the leader.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::election::time::Instant;

use crate::conformance::rig::{Rig, config, millis, record, seconds};

/// The default timings except the lease, which is shorter.
fn timings(seed: u64) -> LeaderElectionConfig {
    LeaderElectionConfig {
        retry_period: seconds(8),
        poll_period: seconds(2),
        renew_deadline: seconds(16),
        lease_duration: seconds(30),
        seed,
        ..config()
    }
}

/// Returns a candidate that has observed this many renewals, the last of which has just landed.
fn following(seed: u64, renewals: usize, min_poll_interval: Duration) -> Rig {
    let mut rig = Rig::new(timings(seed), None);
    rig.elector.handle_min_poll_interval(min_poll_interval);
    for _ in 0..renewals {
        rig.store.borrow_mut().put(record("bing", 30, 0));
        rig.run_for(seconds(8));
    }
    rig.store.borrow_mut().put(record("bing", 30, 0));
    rig
}

/// Returns how long after the expiry it leads if the leader dies now.
fn late(mut rig: Rig) -> Duration {
    let dead: Instant = rig.now;
    rig.run_to(|rig| !rig.started.is_empty());
    rig.now.since(dead + seconds(30))
}

#[test]
fn predicted_leader_is_replaced_immediately() {
    for seed in 0..50 {
        let late = late(following(seed, 6, Duration::ZERO));
        assert!(late <= millis(130), "{seed}: {late:?}");
    }
}

#[test]
fn unpredicted_leader_is_replaced_within_poll() {
    let late: Vec<Duration> = (0..50)
        .map(|seed| late(following(seed, 1, Duration::ZERO)))
        .collect();
    assert!(late.iter().all(|late| *late <= millis(2_200)), "{late:?}");
    assert!(late.iter().any(|late| *late > millis(500)), "{late:?}");
}

#[test]
fn predicted_polls_are_few() {
    let mut rig = following(3, 20, Duration::ZERO);
    let before = rig.ops.len();
    for _ in 0..50 {
        rig.run_for(seconds(8));
        rig.store.borrow_mut().put(record("bing", 30, 0));
    }
    let reads = rig.ops.len() - before;
    // Four polls per renewal happen anyway.
    assert!((200..300).contains(&reads), "{reads}");
}

#[test]
fn candidates_poll_at_different_times() {
    let mut offsets = Vec::new();
    for seed in 0..40 {
        let mut rig = following(seed, 6, Duration::ZERO);
        let landed = rig.now;
        rig.run_for(seconds(7));
        let second = rig.times.iter().rev().map(|at| at.since(landed));
        let second = second.take_while(|since| !since.is_zero());
        offsets.extend(second.filter(|since| *since > millis(300)).min());
    }
    offsets.sort_unstable();
    assert!(offsets[0] < millis(800) && offsets[39] > millis(1_700));
    let gaps = offsets.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.max() < Some(millis(400)), "{offsets:?}");
}

#[test]
fn slow_polls_are_not_predicted() {
    let mut rig = following(1, 10, seconds(6));
    let before = rig.ops.len();
    rig.run_for(seconds(7));
    assert!(rig.ops.len() - before <= 2);
}
