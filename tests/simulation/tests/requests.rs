//! Requests that candidates at the default times take of the 5,000 that GitHub grants an account in an
//! hour, and the effect on the leader and on takeovers. With `--nocapture` the tests print the figures.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use simulation::faults::{Faults, Latency};
use simulation::ledger::{Change, End};
use simulation::run::{Checks, run};
use simulation::scenario::{Ends, Scenario};
use simulation::surroundings::{Rule, disable};
use simulation::tally::Tally;

const HOUR: Duration = Duration::from_secs(3600);

/// Requests of candidates per hour, and the other results of a run.
struct Outcome {
    reads: u64,
    tally: Tally,
}

/// Runs a scenario; `paced` says whether the candidates heed the request budget.
fn outcome(scenario: &Scenario, paced: bool) -> Outcome {
    let hours = scenario.fault_period.as_secs() / 3600;
    disable((!paced).then_some(Rule::PollsDelayed));
    // Unpaced candidates break rules; the promises hold.
    let checks = if paced { Checks::All } else { Checks::Promises };
    let tally = run(scenario, checks);
    disable(None);
    let tally = tally.unwrap_or_else(|violation| panic!("{violation}"));
    let reads = tally.reads / hours;
    let late = tally.takeover_sum.as_secs_f64() / tally.takeovers.max(1) as f64;
    println!(
        "{:>4} candidates, paced: {paced:<5} {reads:>5} reads an hour, {:>5} polls delayed an hour, \
         leader refused {:>3} times, {:>3} terms; {:>2} takeovers {late:>5.1} s after the lease on \
         average, {:>5.1} s at most",
        scenario.candidates.len(),
        tally.polls_delayed / hours,
        tally.leaders_refused,
        tally.terms,
        tally.takeovers,
        tally.longest_takeover.as_secs_f64()
    );
    Outcome { reads, tally }
}

#[test]
fn ten_candidates_never_slow_down() {
    for candidates in [3, 10] {
        let outcome = outcome(&Scenario::steady(1, candidates), true);
        let renewals = LeaderElectionConfig::new("?").retry_period;
        let renewals = HOUR.div_duration_f64(renewals) as u64;
        assert!(outcome.reads <= renewals * (candidates as u64 - 1) + 100);
        assert_eq!((outcome.tally.polls_delayed, outcome.tally.terms), (0, 1));
        assert_eq!(outcome.tally.leaders_refused, 0);
    }
}

#[test]
fn unpaced_candidates_cost_leader_its_lease() {
    for candidates in [12, 30] {
        let outcome = outcome(&Scenario::steady(1, candidates), false);
        assert!(outcome.reads > 4_450);
        assert!(outcome.tally.leaders_refused > 0 && outcome.tally.terms > 1);
    }
}

#[test]
fn killed_leader_is_replaced_among_ten() {
    let candidates = 10;
    let mut scenario = Scenario::steady(1, candidates);
    scenario.faults = Faults {
        crashes: 20.0 * candidates as f64,
        ..scenario.faults
    };
    let outcome = outcome(&scenario, true);
    assert!(outcome.tally.takeovers > 10);
    let late = outcome.tally.takeover_sum / outcome.tally.takeovers as u32;
    assert!(late < Duration::from_secs(20), "{late:?}");
    assert!(outcome.tally.longest_takeover < Duration::from_secs(30));
}

/// The requests of an hour exceed the leader's reserve by little. A standby polls about once per lease, so it
/// observes the last renewal of a killed leader up to one lease late.
#[test]
fn scarce_requests_delay_takeover_one_lease() {
    let lease = LeaderElectionConfig::new("?").lease_duration;
    for (candidates, requests_an_hour) in [(2, 700), (2, 900), (3, 900), (3, 1_200)] {
        let mut scenario = Scenario::steady(1, candidates);
        scenario.suffices = false;
        scenario.faults = Faults {
            crashes: 10.0 * candidates as f64,
            requests_an_hour,
            ..scenario.faults
        };
        let Tally {
            takeovers,
            takeover_sum,
            longest_takeover,
            polls_delayed,
            ..
        } = outcome(&scenario, true).tally;
        assert!(takeovers > 10 && polls_delayed > 100);
        assert!(takeover_sum / (takeovers as u32) < lease);
        assert!(longest_takeover < lease * 4);
    }
}

/// Three hours with three candidates whose leaders are killed, while another program of the account
/// sends 2,000 requests within five minutes of each hour.
fn changes_beside_bursts(seed: u64) -> Vec<Change> {
    let config = LeaderElectionConfig::new("?");
    let latency = Latency {
        read: Duration::from_millis(150),
        write: Duration::from_millis(500),
    };
    let mut scenario = Scenario::measured(seed, &config, 3, latency, HOUR * 3);
    let first_burst = Duration::from_secs(seed * 541 % 3_300);
    for hour in 0..3 {
        let begins = HOUR * hour + first_burst;
        let parts = (0..100).map(|part| (begins + Duration::from_secs(3) * part, 20));
        scenario.foreign_bursts.extend(parts);
    }
    // A killed candidate is away until well after the takeover, so two standbys compete for the lease.
    scenario.ends = Some(Ends {
        how: End::Killed,
        after: (Duration::from_secs(240), Duration::from_secs(400)),
        away: (Duration::from_secs(100), Duration::from_secs(140)),
    });
    let tally = run(&scenario, Checks::All).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(tally.leaders_refused, 0);
    tally.ledger.expect("the run was measured").changes
}

#[test]
fn foreign_burst_delays_claim_by_35s() {
    let changes: Vec<Change> = (0..20).flat_map(changes_beside_bursts).collect();
    let claims = changes
        .iter()
        .filter_map(|change| Some(change.claimed_at?.since(change.free_at?)));
    let mut late: Vec<Duration> = claims.collect();
    late.sort();
    println!(
        "{} takeovers, first claim after the lease: median {:?}, at most {:?}",
        late.len(),
        late[late.len() / 2],
        late.last()
    );
    assert!(late.len() > 400, "{}", late.len());
    assert!(late.last() <= Some(&Duration::from_secs(35)), "{late:?}");
}
