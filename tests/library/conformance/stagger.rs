//! Staggered claims of candidates that may acquire simultaneously.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::election::lock::Content;

use crate::conformance::rig::{Rig, START, config, millis, record, seconds};

/// `TAKEOVER_STAGGER`.
const LONGEST: Duration = Duration::from_millis(400);

/// Number of candidates.
const DRAWS: u64 = 300;

fn candidate_at_expiry(seed: u64) -> Rig {
    let config = LeaderElectionConfig {
        takeover_stagger: LONGEST,
        seed,
        ..config()
    };
    Rig::new(config, None)
}

/// Returns the delay of each candidate's claim after expiry. The record is either observed first at
/// the start, or renewed once while it is observed.
fn delays(at_start: bool) -> Vec<Duration> {
    let mut delays: Vec<Duration> = (0..DRAWS)
        .map(|seed| {
            let mut rig = candidate_at_expiry(seed);
            rig.store.borrow_mut().put(record("bing", 3, 0));
            let mut since = START;
            if !at_start {
                rig.run_for(millis(500));
                rig.store.borrow_mut().put(record("bing", 3, 0));
                let reads = rig.ops.len();
                rig.run_to(|rig| rig.ops.len() > reads);
                since = rig.now;
            }
            rig.run_to(|rig| !rig.started.is_empty());
            rig.now.since(since + seconds(3))
        })
        .collect();
    delays.sort_unstable();
    delays
}

/// Asserts that the delays are spread evenly up to `longest`.
fn assert_even(delays: &[Duration], longest: Duration) {
    assert!(delays.last() <= Some(&longest), "{:?}", delays.last());
    for (number, stagger) in delays.iter().enumerate() {
        let expected = longest.mul_f64((number as f64 + 0.5) / delays.len() as f64);
        let off = expected.abs_diff(*stagger);
        assert!(off < longest / 8, "{number}: {stagger:?}");
    }
}

#[test]
fn takeover_stagger_is_drawn_evenly() {
    assert_even(&delays(false), LONGEST);
}

#[test]
fn few_of_simultaneous_starts_claim_first() {
    let delays = delays(true);
    assert!(delays.last() <= Some(&(LONGEST * 3)));
    // Claims before the first one is visible. Spread evenly they would be a quarter.
    let early_claims = |of: usize| {
        let group: Vec<Duration> = delays.iter().step_by(delays.len() / of).copied().collect();
        let close = group
            .iter()
            .filter(|&&other| other < group[0] + millis(300));
        close.count()
    };
    for of in [3, 10, 30, 100, 300] {
        assert!(early_claims(of) <= 12, "{of}: {}", early_claims(of));
    }
}

#[test]
fn free_lease_claims_are_staggered() {
    let mut times: Vec<Duration> = (0..DRAWS)
        .map(|seed| {
            let mut rig = candidate_at_expiry(seed);
            rig.store.borrow_mut().put_content(Content::NeverWritten);
            rig.run_to(|rig| !rig.started.is_empty());
            rig.now.since(START)
        })
        .collect();
    times.sort_unstable();
    assert!(times[0] > Duration::ZERO && times[299] <= LONGEST * 3);
    assert!(times[150] - times[0] > LONGEST, "{times:?}");
}

#[test]
fn own_lease_is_claimed_without_stagger() {
    let mut rig = candidate_at_expiry(1);
    rig.run_to(|rig| !rig.started.is_empty());
    let since = rig.now;
    rig.elector.handle_step_down(rig.now, None);
    rig.run_to(|rig| rig.started.len() == 2);
    assert!(rig.now.since(since) > Duration::ZERO);
}
