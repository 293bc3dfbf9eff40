//! The simulated worlds that are measured: real electors and the real lock under virtual time, at a
//! service that counts as GitHub does.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use simulation::faults::Latency;
use simulation::ledger::{Change, End, Ledger};
use simulation::run::{Checks, run};
use simulation::scenario::{Ends, Scenario};
use simulation::tally::Tally;

use crate::figure::Spread;

/// What is assumed of GitHub: nobody has published figures for gists.
pub const GITHUB: Latency = Latency {
    read: Duration::from_millis(150),
    write: Duration::from_millis(500),
};

/// A service on the same machine.
pub const NEAR: Latency = Latency {
    read: Duration::from_millis(1),
    write: Duration::from_millis(1),
};

/// How long the record of a new write may be overtaken.
pub const CONFIRM_DELAY: Duration = Duration::from_secs(2);

/// How long a process is away that was killed: a container starts again.
const AWAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Which part of a reign that is ended is random, so that it ends at every phase of what recurs.
const REIGN_SPREAD: f64 = 0.5;

/// The first hour has the start in it.
pub const HOUR: Duration = Duration::from_secs(3600);

/// What is simulated.
#[derive(Clone, Debug)]
pub struct MeasuredRun {
    pub config: LeaderElectionConfig,
    pub candidates: usize,
    pub latency: Latency,
    /// GitHub's limits are there. A GitHub Enterprise server has none by default.
    pub limits: bool,
    pub lasts: Duration,
    /// How leaders end, and how long each leads before on average.
    pub ends: Option<(End, Duration)>,
    pub starts_within: Duration,
    /// What the user's other programs send in an hour: reads that count, and writes.
    pub others: (f64, f64),
    pub seed: u64,
}

/// What came of a run.
pub struct Outcome {
    pub tally: Tally,
    pub ledger: Box<Ledger>,
}

impl MeasuredRun {
    /// With the default times and GitHub's limits and (assumed) latency; processes start within two
    /// minutes.
    pub fn new(candidates: usize, lasts: Duration) -> MeasuredRun {
        MeasuredRun {
            config: LeaderElectionConfig::new("?"),
            candidates,
            latency: GITHUB,
            limits: true,
            lasts,
            ends: None,
            starts_within: Duration::from_secs(120),
            others: (0.0, 0.0),
            seed: 7,
        }
    }

    /// As the simulation takes it.
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
        scenario.faults.foreign_reads_and_writes = self.others;
        scenario.confirm_delay = CONFIRM_DELAY;
        scenario.starts_within = self.starts_within;
        scenario.ends = self.ends.map(|(how, mean)| Ends {
            how,
            after: (
                mean.mul_f64(1.0 - REIGN_SPREAD),
                mean.mul_f64(1.0 + REIGN_SPREAD),
            ),
            away: AWAY,
        });
        scenario
    }

    /// Lives it through.
    ///
    /// # Errors
    /// If a promise is broken in it.
    pub fn run(&self) -> Result<Outcome, String> {
        let mut tally = run(&self.scenario(), Checks::Promises).map_err(|violation| {
            format!(
                "the world of {} candidates breaks a promise: {}",
                self.candidates, violation.what
            )
        })?;
        let ledger = tally.ledger.take().ok_or("the world was not measured")?;
        Ok(Outcome { tally, ledger })
    }
}

impl Outcome {
    /// The changes of the leader that came to an end.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        let changes = self.ledger.changes.iter();
        changes.filter(|change| change.took().is_some())
    }

    /// Something of every change, as figures.
    ///
    /// # Errors
    /// If there was none.
    pub fn each(&self, value: impl Fn(&Change) -> f64) -> Result<Spread, String> {
        Spread::of(self.changes().map(value).collect())
            .ok_or_else(|| "no leader was followed by another one in a simulated world".to_owned())
    }
}

/// How long somebody could have led and nobody did, in seconds.
pub fn took(change: &Change) -> f64 {
    change.took().unwrap_or_default().as_secs_f64()
}

/// How long nobody led, in seconds.
pub fn gap(change: &Change) -> f64 {
    let led_at = change.led_at.unwrap_or(change.ended_at);
    led_at.since(change.ended_at).as_secs_f64()
}

/// As `serve` and people name a latency.
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
