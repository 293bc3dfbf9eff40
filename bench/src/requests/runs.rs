//! Simulated runs that are measured: real electors and the real lock in virtual time, at a service
//! that counts requests as GitHub does.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use simulation::faults::Latency;
use simulation::ledger::{Change, End, Ledger};
use simulation::run::{Checks, run};
use simulation::scenario::{Ends, Scenario};
use simulation::tally::Tally;

use crate::figure::Spread;

/// Latency assumed of GitHub, for which no figures are published.
pub const GITHUB: Latency = Latency {
    read: Duration::from_millis(150),
    write: Duration::from_millis(500),
};

/// Latency of a service on the same machine.
pub const NEAR: Latency = Latency {
    read: Duration::from_millis(1),
    write: Duration::from_millis(1),
};

/// Delay before a new write counts as confirmed.
pub const CONFIRM_DELAY: Duration = Duration::from_secs(2);

/// Shortest and longest time until a killed process restarts, as a container does.
const RESTART_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Random part of the time that a leader leads, so that it ends in every phase of periodic events.
const LEAD_TIME_SPREAD: f64 = 0.5;

/// An hour; measurements leave out the first because the candidates start in it.
pub const HOUR: Duration = Duration::from_secs(3600);

/// A run to simulate.
#[derive(Clone, Debug)]
pub struct MeasuredRun {
    pub config: LeaderElectionConfig,
    pub candidates: usize,
    pub latency: Latency,
    /// The service has GitHub's limits. A GitHub Enterprise server has none by default.
    pub limits: bool,
    pub lasts: Duration,
    /// Kind of the leaders' ends, and the mean time that each leads before.
    pub ends: Option<(End, Duration)>,
    pub starts_within: Duration,
    /// Requests per hour of the account's other programs: reads that count, and writes.
    pub foreign_requests: (f64, f64),
    pub seed: u64,
}

/// Results of a run.
pub struct Outcome {
    pub tally: Tally,
    pub ledger: Box<Ledger>,
}

impl MeasuredRun {
    /// Makes a run with the default timings, GitHub's limits and the assumed latency. Processes
    /// start within two minutes.
    pub fn new(candidates: usize, lasts: Duration) -> MeasuredRun {
        MeasuredRun {
            config: LeaderElectionConfig::new("?"),
            candidates,
            latency: GITHUB,
            limits: true,
            lasts,
            ends: None,
            starts_within: Duration::from_secs(120),
            foreign_requests: (0.0, 0.0),
            seed: 7,
        }
    }

    /// Returns the scenario for the simulation.
    pub fn scenario(&self) -> Scenario {
        let mut scenario = Scenario::measured(
            self.seed,
            &self.config,
            self.candidates,
            self.latency,
            self.lasts,
        );
        scenario.faults.limits = self.limits;
        scenario.counted = self.limits;
        scenario.faults.foreign_reads_and_writes = self.foreign_requests;
        scenario.confirm_delay = CONFIRM_DELAY;
        scenario.starts_within = self.starts_within;
        scenario.ends = self.ends.map(|(how, mean)| Ends {
            how,
            after: (
                mean.mul_f64(1.0 - LEAD_TIME_SPREAD),
                mean.mul_f64(1.0 + LEAD_TIME_SPREAD),
            ),
            away: RESTART_AFTER,
        });
        scenario
    }

    /// Runs the simulation.
    ///
    /// # Errors
    /// Returns an error if a promise is broken.
    pub fn run(&self) -> Result<Outcome, String> {
        let mut tally = run(&self.scenario(), Checks::Promises).map_err(|violation| {
            format!(
                "the run of {} candidates breaks a promise: {}",
                self.candidates, violation.what
            )
        })?;
        let ledger = tally.ledger.take().ok_or("the run was not measured")?;
        Ok(Outcome { tally, ledger })
    }
}

impl Outcome {
    /// Returns the completed changes of leader.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        let changes = self.ledger.changes.iter();
        changes.filter(|change| change.delay_after_lease().is_some())
    }

    /// Returns a value of every change as a spread.
    ///
    /// # Errors
    /// Returns an error if there was no change.
    pub fn each(&self, value: impl Fn(&Change) -> f64) -> Result<Spread, String> {
        Spread::of(self.changes().map(value).collect())
            .ok_or_else(|| "no leader was replaced in a simulated run".to_owned())
    }
}

/// Returns the time from the free lease to the next leader, in seconds.
pub fn delay_after_lease(change: &Change) -> f64 {
    change.delay_after_lease().unwrap_or_default().as_secs_f64()
}

/// Returns the time without a leader, in seconds.
pub fn leaderless(change: &Change) -> f64 {
    let led_at = change.led_at.unwrap_or(change.ended_at);
    led_at.since(change.ended_at).as_secs_f64()
}

/// Returns the name of a latency in tables.
pub fn name_of(latency: Latency) -> String {
    if latency == NEAR {
        return "no latency".to_owned();
    }
    format!(
        "reads {} ms, writes {} ms",
        latency.read.as_millis(),
        latency.write.as_millis()
    )
}
