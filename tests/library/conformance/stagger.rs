//! How far apart candidates write that may all take the lease at the same time.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::election::lock::Content;

use crate::conformance::rig::{Rig, START, config, millis, record, seconds};

/// `TAKEOVER_STAGGER`, so to speak.
const LONGEST: Duration = Duration::from_millis(400);

/// For how many candidates it is drawn.
const DRAWS: u64 = 300;

fn standing(seed: u64) -> Rig {
    let config = LeaderElectionConfig {
        takeover_stagger: LONGEST,
        seed,
        ..config()
    };
    Rig::new(config, None)
}

/// How long after it might, each of them takes a lease: that of a record which it sees first, or which
/// is renewed before its eyes and then no more.
fn drawn(first_look: bool) -> Vec<Duration> {
    let mut drawn: Vec<Duration> = (0..DRAWS)
        .map(|seed| {
            let mut rig = standing(seed);
            rig.store.borrow_mut().put(record("bing", 3, 0));
            let mut since = START;
            if !first_look {
                rig.run_for(millis(500));
                rig.store.borrow_mut().put(record("bing", 3, 0));
                let looks = rig.ops.len();
                rig.run_to(|rig| rig.ops.len() > looks);
                since = rig.now;
            }
            rig.run_to(|rig| !rig.started.is_empty());
            rig.now.since(since + seconds(3))
        })
        .collect();
    drawn.sort_unstable();
    drawn
}

/// Drawn evenly up to `longest`.
fn is_even(drawn: &[Duration], longest: Duration) {
    assert!(drawn.last() <= Some(&longest), "{:?}", drawn.last());
    for (number, stagger) in drawn.iter().enumerate() {
        let expected = longest.mul_f64((number as f64 + 0.5) / drawn.len() as f64);
        let off = expected.abs_diff(*stagger);
        assert!(off < longest / 8, "{number}: {stagger:?}");
    }
}

#[test]
fn takeover_stagger_is_drawn_evenly() {
    is_even(&drawn(false), LONGEST);
}

#[test]
fn of_those_that_start_together_few_are_the_first_however_many_they_are() {
    let drawn = drawn(true);
    assert!(drawn.last() <= Some(&(LONGEST * 3)));
    // While the first one's claim is on its way. Drawn evenly they would be a quarter.
    let meanwhile = |of: usize| {
        let group: Vec<Duration> = drawn.iter().step_by(drawn.len() / of).copied().collect();
        let close = group
            .iter()
            .filter(|&&other| other < group[0] + millis(300));
        close.count()
    };
    for of in [3, 10, 30, 100, 300] {
        assert!(meanwhile(of) <= 12, "{of}: {}", meanwhile(of));
    }
}

#[test]
fn a_lease_that_is_free_from_the_start_is_taken_as_far_apart() {
    let mut moments: Vec<Duration> = (0..DRAWS)
        .map(|seed| {
            let mut rig = standing(seed);
            rig.store.borrow_mut().put_content(Content::NeverWritten);
            rig.run_to(|rig| !rig.started.is_empty());
            rig.now.since(START)
        })
        .collect();
    moments.sort_unstable();
    assert!(moments[0] > Duration::ZERO && moments[299] <= LONGEST * 3);
    assert!(moments[150] - moments[0] > LONGEST, "{moments:?}");
}

#[test]
fn nothing_keeps_a_candidate_from_what_is_its_own() {
    let mut rig = standing(1);
    rig.run_to(|rig| !rig.started.is_empty());
    let since = rig.now;
    rig.elector.handle_step_down(rig.now);
    rig.run_to(|rig| rig.started.len() == 2);
    assert!(rig.now.since(since) > Duration::ZERO);
}
