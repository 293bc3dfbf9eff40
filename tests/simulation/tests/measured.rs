//! Measuring a run reports what happened and does not change it.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use simulation::faults::Latency;
use simulation::ledger::{End, Ledger};
use simulation::run::{Checks, run};
use simulation::scenario::{Ends, Scenario};
use simulation::tally::Tally;

const HOUR: Duration = Duration::from_secs(3600);

const LATENCY: Latency = Latency {
    read: Duration::from_millis(150),
    write: Duration::from_millis(500),
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs two hours in which leaders are ended again and again.
fn ended(how: End, candidates: usize) -> (Tally, Box<Ledger>) {
    let config = LeaderElectionConfig::new("?");
    let mut scenario = Scenario::measured(3, &config, candidates, LATENCY, HOUR * 2);
    scenario.ends = Some(Ends {
        how,
        after: (seconds(120), seconds(360)),
        away: (seconds(1), seconds(10)),
    });
    let mut tally = run(&scenario, Checks::All).unwrap_or_else(|violation| panic!("{violation}"));
    let ledger = tally.ledger.take().expect("it was measured");
    (tally, ledger)
}

#[test]
fn measuring_does_not_change_a_run() {
    for seed in 0..30 {
        let scenario = Scenario::draw(seed);
        let measured = Scenario {
            measured: true,
            ..scenario.clone()
        };
        let local_now =
            |scenario: &Scenario| run(scenario, Checks::All).map(|tally| tally.to_string());
        assert_eq!(
            local_now(&scenario).ok(),
            local_now(&measured).ok(),
            "seed {seed}"
        );
    }
}

#[test]
fn ledger_counts_requests_like_the_service() {
    let (tally, ledger) = ended(End::Killed, 3);
    // The limits end with the faults.
    let limited = ledger.between(Duration::ZERO, HOUR * 2);
    assert_eq!(u64::from(limited.candidates.reads), tally.reads);
    let all = ledger.between(Duration::ZERO, HOUR * 100);
    assert_eq!(u64::from(all.all().writes), tally.writes);
    let hour = ledger.between(Duration::ZERO, HOUR).all();
    assert_eq!(ledger.least_left[0], 5000 - hour.reads - hour.writes);
    assert_eq!(hour.refused, 0);
    assert!((1..=3).contains(&ledger.most_simultaneous));
    let most = ledger.most_within(3600, Duration::ZERO..HOUR, |requests| requests.writes);
    assert_eq!(most, hour.writes);
}

#[test]
fn killed_leader_is_replaced_after_expiry() {
    for candidates in [3, 10] {
        let (tally, ledger) = ended(End::Killed, candidates);
        let followed = ledger
            .changes
            .iter()
            .filter(|change| change.delay_after_lease().is_some());
        assert!(followed.clone().count() > 15 && ledger.lost_terms == 0);
        assert!(tally.terms as usize <= ledger.changes.len() + 1);
        for change in followed {
            // The claim, its confirmation after the delay, and the requests between them.
            assert!(change.delay_after_lease() > Some(seconds(2)), "{change:?}");
            assert!(change.delay_after_lease() < Some(seconds(12)), "{change:?}");
            assert!(change.writes() == 2 + change.lost, "{change:?}");
            assert!(change.free_at > Some(change.ended_at), "{change:?}");
        }
    }
}

#[test]
fn stopped_leader_is_replaced_before_expiry() {
    let (_, ledger) = ended(End::Stopped, 3);
    let followed: Vec<_> = ledger
        .changes
        .iter()
        .filter_map(|change| change.delay_after_lease())
        .collect();
    assert!(followed.len() > 10);
    assert!(
        followed
            .iter()
            .all(|took| (seconds(2)..seconds(15)).contains(took))
    );
}
