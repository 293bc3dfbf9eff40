//! Elections of real processes, many side by side, each with a separate gist.
//!
//! ```text
//!   group (contender × latency) ── one gist service ── elections, each with a thread and 3 processes
//! ```
//!
//! All groups run simultaneously, so that the machine's load affects all contenders alike. `rounds`
//! ends leaders, `cold` starts on the record of a long dead leader, `delayed` delays answers;
//! `terms` and `figures` compute the figures.

mod clock;
mod cold;
mod delayed;
mod election;
mod figures;
mod progress;
mod rounds;
mod samples;
mod terms;

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use elector::emulator::{Delay, Faults, GistService, Options};

use crate::contender::{Contender, Programs};
use crate::figure::Figure;
use progress::Progress;

/// Longest time without a leader; client-go with latency needs less than half of it.
const PATIENCE: Duration = Duration::from_secs(150);

/// Latency of the service's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    None,
    /// Latency assumed of GitHub.
    Assumed,
}

impl Latency {
    pub const BOTH: [Latency; 2] = [Latency::None, Latency::Assumed];

    fn conditions(self) -> &'static str {
        match self {
            Latency::None => "no latency",
            Latency::Assumed => "reads 150 ms, writes 500 ms (assumed)",
        }
    }

    fn faults(self) -> Faults {
        match self {
            Latency::None => limited(),
            Latency::Assumed => Faults {
                read_ms: Delay::Fixed(150),
                write_ms: Delay::Fixed(500),
                ..limited()
            },
        }
    }

    /// Returns what the latency adds to the limits, in seconds, and why.
    fn of_requests(self) -> (f64, &'static str) {
        match self {
            Latency::None => (0.0, ""),
            Latency::Assumed => (
                1.3,
                " + 2 × 150 ms + 2 × 500 ms (read, read again, claim, confirm)",
            ),
        }
    }
}

/// Amount of measurements.
#[derive(Clone, Debug)]
pub struct Size {
    /// Elections side by side in each group.
    pub elections: usize,
    /// Takeovers and handovers of each election.
    pub rounds: usize,
    /// Time for which answers are delayed.
    pub delayed: Duration,
    /// Elections of each contender with delayed answers.
    pub delayed_elections: usize,
}

impl Size {
    /// Returns the approximate duration. A round is two renewals, half a retry period, a lease, the
    /// takeover and a handover; the first follows a start.
    #[must_use]
    pub fn minutes(&self) -> u64 {
        let rounds = 20 + 80 * self.rounds as u64;
        rounds.max(self.delayed.as_secs() + 20).div_ceil(60)
    }
}

/// Parts to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub takeover: bool,
    pub handover: bool,
    pub cold: bool,
    pub overlap: bool,
}

impl Parts {
    #[must_use]
    pub fn any(self) -> bool {
        self.takeover || self.handover || self.cold || self.overlap
    }
}

/// Figures and failures.
#[derive(Debug, Default)]
pub struct Outcome {
    pub figures: Vec<Figure>,
    pub failures: Vec<String>,
}

/// Data that all groups share.
struct Suite<'a> {
    programs: &'a Programs,
    size: &'a Size,
    parts: Parts,
    progress: Progress,
    outcome: Mutex<Outcome>,
}

impl Suite<'_> {
    fn add(&self, figures: Vec<Figure>) {
        self.lock().figures.extend(figures);
    }

    fn failed(&self, what: String) {
        eprintln!("bench: FAILED: {what}");
        self.lock().failures.push(what);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contenders(&self) -> Vec<Contender> {
        match self.programs.client_go {
            Some(_) => vec![Contender::Elector, Contender::ClientGo],
            None => vec![Contender::Elector],
        }
    }
}

/// Runs all groups side by side.
#[must_use]
pub fn measure(programs: &Programs, parts: Parts, size: &Size) -> Outcome {
    let suite = Suite {
        programs,
        size,
        parts,
        progress: Progress::default(),
        outcome: Mutex::default(),
    };
    let suite = &suite;
    thread::scope(|scope| {
        let mut groups = Vec::new();
        for contender in suite.contenders() {
            for latency in Latency::BOTH {
                if parts.takeover || parts.handover {
                    groups.push(scope.spawn(move || rounds::run(suite, contender, latency)));
                }
                if parts.cold {
                    groups.push(scope.spawn(move || cold::run(suite, contender, latency)));
                }
            }
        }
        if parts.overlap {
            let mut contenders = suite.contenders();
            if suite.programs.client_go.is_some() {
                contenders.push(Contender::ClientGoBlind);
            }
            for contender in contenders {
                for delay in &delayed::DELAYS {
                    groups.push(scope.spawn(move || delayed::run(suite, contender, delay)));
                }
            }
        }
        let ticker = scope.spawn(|| suite.progress.report());
        for group in groups {
            if group.join().is_err() {
                suite.failed("a measurement panicked; see above".to_owned());
            }
        }
        suite.progress.end();
        let _ = ticker.join();
    });
    let mut outcome = std::mem::take(&mut *suite.lock());
    figures::sort(&mut outcome.figures);
    outcome
}

/// Returns GitHub's hourly limit, per election.
fn limited() -> Faults {
    Faults {
        primary_limit: Some(5_000),
        primary_per_token: true,
        ..Faults::default()
    }
}

/// Starts the service of one group.
fn service(faults: Faults) -> Result<GistService, String> {
    let options = Options {
        faults,
        // Gists of different services need different names because logs are named after them.
        seed: fastrand::u64(..),
        ..Options::default()
    };
    GistService::start(options).map_err(|e| format!("no gist service: {e}"))
}
