//! Scenarios drawn from a seed; the same seed gives the same scenario.

mod cells;
mod steered;

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use fastrand::Rng;

use crate::faults::workloads::WorkloadFaults;
use crate::faults::{Faults, Latency};
use crate::ledger::End;

/// Ends of the terms, one after the other, in measured runs.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub how: End,
    /// Shortest and longest time that each leader leads.
    pub after: (Duration, Duration),
    /// Shortest and longest time until its process restarts.
    pub away: (Duration, Duration),
}

/// Kind of store that a run uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Gist,
    /// A store with a conditional write.
    Cell {
        /// Seconds by which the server's clock is ahead.
        ahead: i64,
        /// Whether a place without a value has a version too.
        versions_nothing: bool,
        /// Whether its answers tell when the value was written.
        dates_writes: bool,
    },
}

/// Everything that determines a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// Kind of scenario, as the command line takes it.
    pub kind: &'static str,
    pub place: Place,
    /// Whether candidates have state files, and restart soon.
    pub restarts: bool,
    /// Settings of each candidate.
    pub candidates: Vec<LeaderElectionConfig>,
    /// Number of client-go candidates, whose lock overwrites the record without comparing.
    pub client_go: usize,
    /// Time during which faults occur.
    pub fault_period: Duration,
    pub faults: Faults,
    pub workload_faults: WorkloadFaults,
    pub confirm_delay: Duration,
    /// Time since the rate limit's last reset when the run begins.
    pub phase: Duration,
    /// Only the electors send requests, and the limit is enough for a leader.
    pub suffices: bool,
    /// Bursts of requests of the account's other programs: start, and number of requests.
    pub foreign_bursts: Vec<(Duration, u32)>,
    /// The client counts writes for GitHub's limits, which the settings fit.
    pub counted: bool,
    /// Number of other locks in the gist, each with one elector.
    pub neighbours: usize,
    /// Initial content of the file; `None` if it does not exist.
    pub content: Option<String>,
    /// Age of the content in seconds, by the server's clock.
    pub content_age: i64,
    /// The run keeps a ledger of requests and changes of leader.
    pub measured: bool,
    pub ends: Option<Ends>,
    /// Processes start at random times within this span instead of simultaneously.
    pub starts_within: Duration,
}

impl Scenario {
    /// Draws a scenario from a seed: in two of three runs with a gist, otherwise with a cell.
    pub fn draw(seed: u64) -> Scenario {
        let cell = Rng::with_seed(seed ^ 0xce11).u8(..3) == 0;
        Scenario {
            kind: "drawn",
            ..match cell {
                true => Scenario::cas(seed),
                false => Scenario::gist(seed),
            }
        }
    }

    /// Draws a scenario with a gist.
    pub fn gist(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed);
        let tight = rng.bool();
        let confirm_delay = if tight {
            Duration::from_millis(rng.u64(400..2000))
        } else {
            Duration::from_secs(2)
        };
        let faults = Faults::draw(&mut rng, confirm_delay);
        let count = if rng.u8(..12) == 0 {
            rng.usize(6..=10)
        } else {
            rng.usize(2..=5)
        };
        let alike = rng.u8(..4) > 0;
        let first = draw_config(&mut rng, tight, confirm_delay);
        let candidates = (0..count)
            .map(|index| {
                let config = if alike {
                    first.clone()
                } else {
                    draw_config(&mut rng, tight, confirm_delay)
                };
                let number = if faults.same_names { 0 } else { index };
                LeaderElectionConfig {
                    identity: format!("c{number}"),
                    seed: rng.u64(..),
                    ..config
                }
            })
            .collect();
        let (content, content_age) = draw_content(&mut rng);
        let mut scenario = Scenario {
            seed,
            kind: "gist",
            place: Place::Gist,
            restarts: false,
            candidates,
            client_go: if rng.u8(..10) == 0 {
                rng.usize(1..=2)
            } else {
                0
            },
            fault_period: Duration::from_secs(3600),
            counted: !tight && alike,
            faults,
            workload_faults: WorkloadFaults::draw(seed),
            confirm_delay,
            phase: Duration::ZERO,
            suffices: false,
            foreign_bursts: Vec::new(),
            neighbours: 0,
            content,
            content_age,
            measured: false,
            ends: None,
            starts_within: Duration::ZERO,
        };
        scenario.draw_requests();
        scenario.draw_staggers(2);
        scenario
    }

    /// Sets the stagger to a setting or, in one of `one_in` runs, to zero, so that candidates claim
    /// simultaneously.
    fn draw_staggers(&mut self, one_in: u8) {
        let mut rng = Rng::with_seed(self.seed ^ 0x57a66e);
        let stagger = if rng.u8(..one_in) == 0 {
            Duration::ZERO
        } else {
            Duration::from_millis([400, 400, 400, 1_500][rng.usize(..4)])
        };
        for config in &mut self.candidates {
            config.takeover_stagger = stagger;
        }
    }

    /// Gives half of the services with limits a tight limit, which other programs may use too. The
    /// draws come from a separate generator, so that other scenarios stay the same.
    fn draw_requests(&mut self) {
        let mut rng = Rng::with_seed(self.seed ^ 0x1ea5e);
        if !self.faults.limits || rng.bool() {
            return;
        }
        let spare = self.limit_requests(&mut rng);
        if rng.bool() {
            self.faults.foreign_requests_an_hour = spare * rng.f64();
        }
    }

    /// Sets a limit that is enough for a leader and some candidates. Returns what is left beside
    /// the leader's part.
    fn limit_requests(&mut self, rng: &mut Rng) -> f64 {
        let spare = 200.0 + 2000.0 * rng.f64();
        self.faults.limits = true;
        // The leader's part is 1.25 requests per renewal and a twentieth of the limit.
        let limit = (self.renewals_an_hour() * 1.25 + spare) / 0.95;
        self.faults.requests_an_hour = limit as u32;
        spare
    }

    /// Returns the highest number of renewals per hour.
    pub fn renewals_an_hour(&self) -> f64 {
        let periods = self.candidates.iter().map(|config| config.retry_period);
        3600.0 / periods.min().unwrap_or_default().as_secs_f64()
    }

    /// Draws a run with a tight hourly limit: up to ten candidates that poll often, and in half of
    /// the runs other programs that use the same limit.
    pub fn scarce(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed ^ 0x5ca2ce);
        let lease_duration = Duration::from_secs(rng.u64(34..60));
        let retry_period = Duration::from_millis(rng.u64(8_000..12_000));
        let default = LeaderElectionConfig {
            lease_duration,
            retry_period,
            poll_period: Duration::from_millis(rng.u64(200..3_000)),
            ..LeaderElectionConfig::new("?")
        };
        let kept = retry_period + default.termination_grace + default.margin();
        let candidates = (0..rng.usize(2..=10)).map(|number| LeaderElectionConfig {
            identity: format!("c{number}"),
            renew_deadline: lease_duration - kept,
            seed: rng.u64(..),
            ..default.clone()
        });
        let mut scenario = Scenario {
            kind: "scarce",
            candidates: candidates.collect(),
            client_go: 0,
            confirm_delay: Duration::from_secs(2),
            phase: Duration::from_secs(rng.u64(..3600)),
            counted: true,
            faults: Faults::scarce(&mut rng),
            ..Scenario::gist(seed)
        };
        let spare = scenario.limit_requests(&mut rng);
        if rng.bool() {
            scenario.faults.foreign_requests_an_hour = spare * rng.f64();
        } else {
            scenario.suffices = true;
        }
        scenario
    }

    /// Draws a run in which writes race constantly and the second of two replaces the first.
    pub fn racing(seed: u64) -> Scenario {
        let mut scenario = Scenario::gist(seed);
        let mut rng = Rng::with_seed(seed ^ 0xace);
        scenario.kind = "racing";
        scenario.draw_staggers(1);
        scenario.faults = Faults::racing(&mut rng, scenario.confirm_delay);
        scenario.client_go = 0;
        scenario
    }

    /// Draws a run in which machines are suspended often.
    pub fn suspending(seed: u64) -> Scenario {
        let mut scenario = Scenario::gist(seed);
        scenario.kind = "suspending";
        scenario.faults.suspends = 20.0;
        scenario
    }

    /// Makes a run of three hours without faults: `candidates` candidates with the default timings
    /// at GitHub's own limits.
    pub fn steady(seed: u64, candidates: usize) -> Scenario {
        let mut rng = Rng::with_seed(seed ^ 0x57ead);
        let candidates = (0..candidates).map(|number| LeaderElectionConfig {
            seed: rng.u64(..),
            ..LeaderElectionConfig::new(format!("c{number}"))
        });
        Scenario {
            kind: "steady",
            candidates: candidates.collect(),
            client_go: 0,
            fault_period: Duration::from_secs(3 * 3600),
            faults: Faults {
                limits: true,
                ..Faults::none()
            },
            workload_faults: WorkloadFaults::none(),
            confirm_delay: Duration::from_secs(2),
            suffices: true,
            counted: true,
            ..Scenario::gist(seed)
        }
    }

    /// Makes a measured run without faults: `candidates` candidates with the timings of `config`,
    /// at a service with this latency.
    pub fn measured(
        seed: u64,
        config: &LeaderElectionConfig,
        candidates: usize,
        latency: Latency,
        lasts: Duration,
    ) -> Scenario {
        let mut rng = Rng::with_seed(seed ^ 0x3ea5);
        let candidates = (0..candidates).map(|number| LeaderElectionConfig {
            identity: format!("c{number}"),
            seed: rng.u64(..),
            ..config.clone()
        });
        Scenario {
            kind: "measured",
            candidates: candidates.collect(),
            fault_period: lasts,
            faults: Faults {
                limits: true,
                latency: Some(latency),
                race_window: Duration::ZERO,
                ..Faults::none()
            },
            suffices: false,
            content: Some("{}".to_owned()),
            content_age: 0,
            measured: true,
            ..Scenario::steady(seed, 0)
        }
    }

    /// Draws a run without faults.
    pub fn calm(seed: u64) -> Scenario {
        Scenario {
            kind: "calm",
            faults: Faults::none(),
            workload_faults: WorkloadFaults::none(),
            client_go: 0,
            ..Scenario::gist(seed)
        }
    }

    /// Draws a run without faults whose gist holds one to three other locks. All periods are longer
    /// by the number of locks, as GitHub's write limit demands.
    pub fn shared(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed ^ 0x54a2ed);
        let neighbours = rng.usize(1..=3);
        let times = neighbours as u32 + 1;
        let default = LeaderElectionConfig::new("?");
        let candidates = (0..rng.usize(1..=3)).map(|number| LeaderElectionConfig {
            identity: format!("c{number}"),
            lease_duration: default.lease_duration * times,
            renew_deadline: default.renew_deadline * times,
            retry_period: default.retry_period * times,
            seed: rng.u64(..),
            ..default.clone()
        });
        let mut scenario = Scenario {
            kind: "shared",
            candidates: candidates.collect(),
            neighbours,
            confirm_delay: Duration::from_secs(2),
            counted: true,
            ..Scenario::calm(seed)
        };
        if rng.bool() {
            scenario.faults.usual_way = Duration::from_millis(2);
            scenario.faults.race_window = Duration::from_millis(1);
        }
        scenario
    }

    /// Draws a run in which the gist's history is rewritten from time to time. No promise holds in
    /// it.
    pub fn rewritten(seed: u64) -> Scenario {
        let mut scenario = Scenario::gist(seed);
        scenario.kind = "rewritten";
        scenario.faults = Faults {
            rewrites: 30.0,
            crashes: 20.0,
            pauses: 20.0,
            partitions: 20.0,
            graceful_stops: 20.0,
            ..Faults::none()
        };
        scenario.workload_faults = WorkloadFaults::none();
        scenario.client_go = 0;
        scenario
    }

    /// Returns the confirm delay of the lock; `None` for one that needs none.
    pub fn confirmation(&self) -> Option<Duration> {
        (self.place == Place::Gist).then_some(self.confirm_delay)
    }

    /// Returns the longest lease of the candidates.
    pub fn longest_lease(&self) -> Duration {
        let leases = self.candidates.iter().map(|config| config.lease_duration);
        leases.max().unwrap_or_default()
    }
}

/// Draws the default timings, or timings as tight as the rules allow.
fn draw_config(rng: &mut Rng, tight: bool, confirm_delay: Duration) -> LeaderElectionConfig {
    let default = LeaderElectionConfig {
        exit_on_lost_lease: rng.u8(..8) == 0,
        release_on_cancel: rng.u8(..8) > 0,
        ..LeaderElectionConfig::new("?")
    };
    if !tight {
        return default;
    }
    let lease_duration = Duration::from_secs(rng.u64(20..45));
    let retry_period = confirm_delay * 2;
    let termination_grace = Duration::from_secs(rng.u64(0..8));
    let config = LeaderElectionConfig {
        lease_duration,
        retry_period,
        termination_grace,
        ..default
    };
    LeaderElectionConfig {
        renew_deadline: lease_duration - (retry_period + termination_grace + config.margin()),
        ..config
    }
}

fn draw_content(rng: &mut Rng) -> (Option<String>, i64) {
    let plain = |holder: &str| {
        format!(
            r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":15,"leaderTransitions":7,"strategy":"x"}}"#
        )
    };
    let old = [0, 20, 3_600, 30 * 24 * 3_600][rng.usize(..4)];
    let content = match rng.u8(..6) {
        0 => None,
        1 | 2 => Some("{}".to_owned()),
        3 => Some(plain("")),
        4 => Some(plain("somebody-long-gone")),
        _ => Some(
            plain("of-an-older-version").replace(
                '}',
                r#","protocol":1,"writeId":"old-1","supersedes":"0123456789012345678901234567890123456789"}"#,
            ),
        ),
    };
    (content, old)
}
