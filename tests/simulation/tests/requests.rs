//! What candidates with the default times take of the 5,000 requests that GitHub gives a user in an
//! hour, and what becomes of the leader. With `--nocapture` in figures.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use simulation::faults::Faults;
use simulation::missing::{Rule, leave_out};
use simulation::scenario::Scenario;
use simulation::tally::Tally;
use simulation::world::{Checks, run};

/// What candidates read in an hour, and what else came of such a world.
struct Outcome {
    reads: u64,
    tally: Tally,
}

/// Runs a world, with looks put off or without.
fn outcome(scenario: &Scenario, put_off: bool) -> Outcome {
    let hours = scenario.troubled.as_secs() / 3600;
    leave_out((!put_off).then_some(Rule::LooksPutOff));
    // Without, rules are broken; the promises hold.
    let checks = if put_off {
        Checks::All
    } else {
        Checks::Promises
    };
    let tally = run(scenario, checks);
    leave_out(None);
    let tally = tally.unwrap_or_else(|violation| panic!("{violation}"));
    let reads = tally.reads / hours;
    let (looks, refused) = (tally.put_off / hours, tally.leaders_refused);
    let late = tally.takeover_sum.as_secs_f64() / tally.takeovers.max(1) as f64;
    println!(
        "{:>4} candidates, looks put off: {put_off:<5} {reads:>5} reads an hour, {looks:>5} looks put \
         off, {refused:>3} times the leader was refused, {:>3} terms; {:>2} takeovers {late:>5.1} s after \
         the lease, {:>5.1} s at the worst",
        scenario.candidates.len(),
        tally.terms,
        tally.takeovers,
        tally.worst_takeover.as_secs_f64()
    );
    Outcome { reads, tally }
}

#[test]
fn up_to_ten_candidates_are_never_held_back() {
    for candidates in [3, 10] {
        let outcome = outcome(&Scenario::steady(1, candidates), true);
        let renewals = LeaderElectionConfig::new("?").retry_period;
        let renewals = Duration::from_secs(3600).div_duration_f64(renewals) as u64;
        assert!(outcome.reads <= renewals * (candidates as u64 - 1) + 100);
        assert_eq!((outcome.tally.put_off, outcome.tally.terms), (0, 1));
    }
}

#[test]
fn more_candidates_share_what_the_leader_leaves() {
    for candidates in [12, 30, 50] {
        let outcome = outcome(&Scenario::steady(1, candidates), true);
        assert!((3_500..4_450).contains(&outcome.reads));
        assert_eq!((outcome.tally.leaders_refused, outcome.tally.terms), (0, 1));
    }
}

#[test]
fn without_that_more_than_ten_cost_the_leader_its_lease() {
    for candidates in [12, 30] {
        let outcome = outcome(&Scenario::steady(1, candidates), false);
        assert!(outcome.reads > 4_450);
        assert!(outcome.tally.leaders_refused > 0 && outcome.tally.terms > 1);
    }
}

/// What it costs: they learn later that a leader has gone.
#[test]
fn leaders_that_die_are_followed_in_time_among_thirty_candidates_too() {
    for candidates in [10, 30] {
        let mut scenario = Scenario::steady(1, candidates);
        scenario.faults = Faults {
            crashes: 20.0 * candidates as f64,
            ..scenario.faults
        };
        let outcome = outcome(&scenario, true);
        assert!(outcome.tally.takeovers > 10);
        let late = outcome.tally.takeover_sum / outcome.tally.takeovers as u32;
        assert!(late < Duration::from_secs(20), "{late:?}");
        assert!(outcome.tally.worst_takeover < Duration::from_secs(30));
    }
}
