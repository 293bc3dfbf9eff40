//! What is simulated: drawn from a seed, so that the same seed makes the same world.

use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use fastrand::Rng;

use crate::faults::workloads::WorkloadFaults;
use crate::faults::{Faults, Latency};
use crate::ledger::End;

/// How terms are ended, one after the other, in worlds that measure what follows.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub how: End,
    /// How long each leader leads before, at the least and at the most.
    pub after: (Duration, Duration),
    /// How long its process is away then.
    pub away: (Duration, Duration),
}

/// A world before it begins.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// The kind of world, as the programs take it.
    pub kind: &'static str,
    /// How each candidate is set up.
    pub candidates: Vec<LeaderElectionConfig>,
    /// How many client-go candidates, whose lock overwrites plainly, stand beside them.
    pub legacy: usize,
    /// How long things go wrong.
    pub troubled: Duration,
    pub faults: Faults,
    pub workload_faults: WorkloadFaults,
    pub confirm_delay: Duration,
    /// How long before the world began the hour of the service's limit did.
    pub phase: Duration,
    /// Nobody but the electors sends requests, and there are enough for a leader.
    pub suffices: bool,
    /// Bursts of requests of the account's other programs: when they come, and how many.
    pub foreign_bursts: Vec<(Duration, u32)>,
    /// Writes are counted as the client counts them for GitHub: the settings fit its limits.
    pub counted: bool,
    /// How many other locks the gist holds, each with an elector of its own.
    pub neighbours: usize,
    /// What the file holds at first; `None` if it is not there.
    pub content: Option<String>,
    /// How old that is, in seconds by the server's clock.
    pub content_age: i64,
    /// Requests and changes of the leader are written down, for who measures them.
    pub measured: bool,
    pub ends: Option<Ends>,
    /// The processes start at random moments of this time, not all at once.
    pub starts_within: Duration,
}

impl Scenario {
    /// A world drawn from a seed.
    pub fn draw(seed: u64) -> Scenario {
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
            kind: "drawn",
            candidates,
            legacy: if rng.u8(..10) == 0 {
                rng.usize(1..=2)
            } else {
                0
            },
            troubled: Duration::from_secs(3600),
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

    /// Some worlds keep their candidates apart by the setting, and one in so many not at all, so that
    /// they claim together.
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

    /// Half of the services with limits have others than GitHub's, which hardly suffice, and other
    /// programs that use them too. From a generator of its own: that was not always there, and all
    /// other worlds are to stay what they are.
    fn draw_requests(&mut self) {
        let mut rng = Rng::with_seed(self.seed ^ 0x1ea5e);
        if !self.faults.limits || rng.bool() {
            return;
        }
        let spare = self.limit_requests(&mut rng);
        if rng.bool() {
            self.faults.outsiders = spare * rng.f64();
        }
    }

    /// A limit that suffices for a leader, and for some candidates; returns what is not the leader's.
    fn limit_requests(&mut self, rng: &mut Rng) -> f64 {
        let spare = 200.0 + 2000.0 * rng.f64();
        self.faults.limits = true;
        // A quarter more than the renewals and a twentieth of the limit is the leader's.
        let limit = (self.renewals_an_hour() * 1.25 + spare) / 0.95;
        self.faults.requests_an_hour = limit as u32;
        spare
    }

    /// How often a leader renews in an hour, at the most.
    pub fn renewals_an_hour(&self) -> f64 {
        let periods = self.candidates.iter().map(|config| config.retry_period);
        3600.0 / periods.min().unwrap_or_default().as_secs_f64()
    }

    /// A world in which the hour's requests hardly suffice: up to ten candidates that look often, and
    /// in half of the worlds other programs that use the same limit.
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
            legacy: 0,
            confirm_delay: Duration::from_secs(2),
            phase: Duration::from_secs(rng.u64(..3600)),
            counted: true,
            faults: Faults::scarce(&mut rng),
            ..Scenario::draw(seed)
        };
        let spare = scenario.limit_requests(&mut rng);
        if rng.bool() {
            scenario.faults.outsiders = spare * rng.f64();
        } else {
            scenario.suffices = true;
        }
        scenario
    }

    /// A world in which writes race all the time, and the second of two replaces the first.
    pub fn racing(seed: u64) -> Scenario {
        let mut scenario = Scenario::draw(seed);
        let mut rng = Rng::with_seed(seed ^ 0xace);
        scenario.kind = "racing";
        scenario.draw_staggers(1);
        scenario.faults = Faults::racing(&mut rng, scenario.confirm_delay);
        scenario.legacy = 0;
        scenario
    }

    /// So many candidates with the default times at GitHub's own limits, for three hours without any
    /// fault.
    pub fn steady(seed: u64, candidates: usize) -> Scenario {
        let mut rng = Rng::with_seed(seed ^ 0x57ead);
        let candidates = (0..candidates).map(|number| LeaderElectionConfig {
            seed: rng.u64(..),
            ..LeaderElectionConfig::new(format!("c{number}"))
        });
        Scenario {
            kind: "steady",
            candidates: candidates.collect(),
            legacy: 0,
            troubled: Duration::from_secs(3 * 3600),
            faults: Faults {
                limits: true,
                ..Faults::none()
            },
            workload_faults: WorkloadFaults::none(),
            confirm_delay: Duration::from_secs(2),
            suffices: true,
            counted: true,
            ..Scenario::draw(seed)
        }
    }

    /// A world that is measured: so many candidates with these times, without any fault, at a service
    /// whose answers take as long as this, for a while.
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
            troubled: lasts,
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

    /// A world without any fault.
    pub fn calm(seed: u64) -> Scenario {
        Scenario {
            kind: "calm",
            faults: Faults::none(),
            workload_faults: WorkloadFaults::none(),
            legacy: 0,
            ..Scenario::draw(seed)
        }
    }

    /// A world without any fault, whose gist holds one to three locks beside ours, with as much more
    /// time for all of them as GitHub's limit for writes demands.
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

    /// A world in which the gist's history is rewritten now and then, for which nothing is promised.
    pub fn rewritten(seed: u64) -> Scenario {
        let mut scenario = Scenario::draw(seed);
        scenario.kind = "rewritten";
        scenario.faults = Faults {
            rewrites: 30.0,
            crashes: 20.0,
            pauses: 20.0,
            partitions: 20.0,
            polite_stops: 20.0,
            ..Faults::none()
        };
        scenario.workload_faults = WorkloadFaults::none();
        scenario.legacy = 0;
        scenario
    }

    /// The longest lease that any of them takes.
    pub fn longest_lease(&self) -> Duration {
        let leases = self.candidates.iter().map(|config| config.lease_duration);
        leases.max().unwrap_or_default()
    }
}

/// The default times, or others that are as tight as the rules allow.
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
