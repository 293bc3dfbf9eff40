//! Without a rule of its surroundings an election is unsafe. The simulation notices that within a
//! bounded number of runs, by a check and, unless too rare, by a broken promise.

use simulation::many::{Draw, first_violation};
use simulation::run::Checks;
use simulation::scenario::Scenario;
use simulation::surroundings::Rule;

/// Runs in which a missing rule is noticed.
#[derive(Clone, Copy)]
enum Within {
    /// One of the first so many drawn runs.
    Drawn(u64),
    /// One of the first so many in which writes race.
    Racing(u64),
    /// One of the first so many in which requests are scarce.
    Scarce(u64),
    /// One of the first so many in which machines are suspended often.
    Suspending(u64),
    /// Too rare for a test, for the reason given.
    Rare(&'static str),
}

use Within::{Drawn, Racing, Rare, Scarce, Suspending};

/// Each rule, where any check notices that it is missing, and where a promise is broken.
const BOUNDS: [(Rule, Within, Within); 5] = [
    (Rule::ClockIgnoresTimeOfDay, Drawn(10), Drawn(10)),
    (Rule::ClockCountsSuspend, Drawn(10), Suspending(10)),
    (Rule::GuardEnforcesDeadline, Drawn(10), Drawn(20)),
    (Rule::GuardNoticesElectorExit, Drawn(5), Racing(115)),
    (
        Rule::PollsDelayed,
        Scarce(10),
        Rare("a leader is lost without it, and no second one made"),
    ),
];

#[track_caller]
fn assert_noticed(rule: Rule, within: Within, checks: Checks) {
    let (draw, runs): (Draw, _) = match within {
        Drawn(runs) => (Scenario::draw, runs),
        Racing(runs) => (Scenario::racing, runs),
        Scarce(runs) => (Scenario::scarce, runs),
        Suspending(runs) => (Scenario::suspending, runs),
        Rare(why) => return println!("{rule:?}: {why}"),
    };
    let noticed = first_violation(draw, 0..runs, checks, Some(rule));
    assert!(noticed.is_some(), "{rule:?} was not missed in {runs} runs");
}

#[test]
fn every_rule_has_bounds() {
    for rule in Rule::ALL {
        assert_eq!(
            BOUNDS.iter().filter(|(entry, ..)| *entry == rule).count(),
            1
        );
    }
}

#[test]
fn missing_rule_fails_a_check() {
    for (rule, within, _) in BOUNDS {
        assert_noticed(rule, within, Checks::All);
    }
}

#[test]
fn missing_rule_breaks_a_promise() {
    for (rule, _, within) in BOUNDS {
        assert_noticed(rule, within, Checks::Promises);
    }
}
