//! A simulated world: candidates, their networks, one gist service, people, and what goes wrong, under
//! one queue of events in virtual time. The same seed makes the same world.

mod checks;
mod network;
mod process;
mod troubles;
mod workloads;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use multi_cluster_leader_election::election::config::LeaderElectionConfig;
use multi_cluster_leader_election::election::elector::LeaderElector;
use multi_cluster_leader_election::election::lock::LockError;
use multi_cluster_leader_election::election::time::Instant;
use multi_cluster_leader_election::emulator::PendingWrite;
use multi_cluster_leader_election::lock::gist::wire::{Answer, Request};

use crate::clock::{Clock, Time};
use crate::faults::Faults;
use crate::node::{self, Node, Power};
use crate::service::Service;

/// How many of the last events a failure shows.
const TRACE: usize = 120;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub candidates: usize,
    /// How long things go wrong.
    pub troubled: Duration,
    /// How long nothing goes wrong afterwards.
    pub healed: Duration,
    pub faults: Faults,
    pub config: LeaderElectionConfig,
    pub confirm_delay: Duration,
}

impl Scenario {
    /// A world drawn from a seed.
    pub fn draw(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed);
        let (config, confirm_delay) = draw_config(&mut rng);
        Scenario {
            seed,
            candidates: rng.usize(2..=5),
            troubled: Duration::from_secs(3600),
            healed: Duration::from_secs(900),
            faults: Faults::draw(&mut rng, confirm_delay),
            config,
            confirm_delay,
        }
    }
}

/// The default times, or others that are as tight as the rules allow.
fn draw_config(rng: &mut Rng) -> (LeaderElectionConfig, Duration) {
    let default = LeaderElectionConfig::new("?");
    if rng.bool() {
        return (default, Duration::from_secs(2));
    }
    let confirm_delay = Duration::from_millis(rng.u64(400..2000));
    let retry_period = confirm_delay * 2;
    let termination_grace = Duration::from_secs(rng.u64(0..8));
    let kept = retry_period + termination_grace + default.margin();
    let config = LeaderElectionConfig {
        renew_deadline: default.lease_duration - kept,
        retry_period,
        termination_grace,
        ..default
    };
    (config, confirm_delay)
}

/// What came of a world that kept all promises.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub terms: u64,
    pub writes: u64,
    pub vanished: u64,
    pub events: u64,
    pub hours: f64,
    /// How long after the healing somebody led.
    pub recovery: Duration,
}

/// A promise that was broken, and what led to it.
pub struct Violation {
    pub seed: u64,
    pub what: String,
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

#[derive(Debug)]
enum Event {
    Wake {
        node: usize,
        serial: u64,
    },
    /// A request reaches the service.
    Arrive {
        from: Sender,
        request: Box<Request>,
    },
    /// A write moves the head.
    Land {
        from: Sender,
        request: Box<Request>,
        write: Box<PendingWrite>,
    },
    Answer {
        from: Sender,
        answer: Box<Answer>,
    },
    /// The guard looks at its workload.
    Guard {
        node: usize,
        life: u64,
    },
    Trouble {
        node: usize,
        kind: Trouble,
    },
    Relief {
        node: usize,
        kind: Trouble,
    },
    OutageEnds,
    Outage,
    OtherFile,
    Person,
    Heal,
}

/// Which request of which process.
#[derive(Clone, Copy, Debug)]
struct Sender {
    node: usize,
    life: u64,
    request: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Crash,
    PoliteStop,
    Pause,
    Suspend,
    Partition,
}

struct Queued {
    at: Time,
    order: u64,
    event: Event,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

pub struct World {
    scenario: Scenario,
    faults: Faults,
    rng: Rng,
    now: Time,
    queue: BinaryHeap<Reverse<Queued>>,
    order: u64,
    processes: u64,
    nodes: Vec<Node>,
    service: Service,
    outage: bool,
    highest_token: Option<u64>,
    healed_at: Option<Time>,
    led_since_healing: Option<Time>,
    summary: Summary,
    trace: VecDeque<String>,
    violation: Option<String>,
    verbose: bool,
}

type Checked = Result<(), String>;

impl World {
    pub fn new(scenario: Scenario) -> World {
        let mut rng = Rng::with_seed(scenario.seed ^ 0x5eed);
        let content = ["{}", "", r#"{"holderIdentity":"","leaderTransitions":7}"#][rng.usize(..3)];
        let content = if content.is_empty() { "{}" } else { content };
        let mut world = World {
            faults: scenario.faults.clone(),
            service: Service::new(scenario.seed, content),
            rng,
            now: Time(0),
            queue: BinaryHeap::new(),
            order: 0,
            processes: 0,
            nodes: Vec::new(),
            outage: false,
            highest_token: None,
            healed_at: None,
            led_since_healing: None,
            summary: Summary::default(),
            trace: VecDeque::new(),
            violation: None,
            verbose: false,
            scenario,
        };
        world.populate();
        world
    }

    /// Prints every event as it happens.
    pub fn verbose(mut self) -> World {
        self.verbose = true;
        self
    }

    fn populate(&mut self) {
        for index in 0..self.scenario.candidates {
            let drift = self.faults.drift_ppm;
            let clock = Clock {
                offset: self.rng.u64(1..100_000) * 1_000_000_000,
                drift_ppm: if drift == 0 {
                    0
                } else {
                    self.rng.i64(-drift..=drift)
                },
            };
            let same = self.faults.same_names && index > 0;
            let name = format!("c{}", if same { 0 } else { index });
            let (elector, protocol) = self.process(&name, clock);
            self.nodes.push(Node {
                name,
                clock,
                power: Power::On,
                life: 0,
                elector,
                protocol,
                call: None,
                requests: 0,
                workload: None,
                orders: 0,
                cut_off: false,
                throttled_until: Instant::BOOT,
                wake: None,
            });
            self.step(index);
        }
        self.plan_troubles();
        self.at(self.now.after(self.scenario.troubled), Event::Heal);
    }

    /// A new process of a candidate.
    fn process(
        &mut self,
        name: &str,
        clock: Clock,
    ) -> (
        LeaderElector,
        multi_cluster_leader_election::lock::gist::protocol::GistProtocol,
    ) {
        self.processes += 1;
        let config = LeaderElectionConfig {
            identity: name.to_owned(),
            seed: self.rng.u64(..),
            ..self.scenario.config.clone()
        };
        let elector = LeaderElector::new(
            config.clone(),
            Some(self.scenario.confirm_delay),
            clock.local(self.now),
        );
        (elector, node::protocol(&config, self.processes))
    }

    fn plan_troubles(&mut self) {
        let faults = self.faults.clone();
        let troubles = [
            (Trouble::Crash, faults.crashes),
            (Trouble::PoliteStop, faults.polite_stops),
            (Trouble::Pause, faults.pauses),
            (Trouble::Suspend, faults.suspends),
            (Trouble::Partition, faults.partitions),
        ];
        for (kind, an_hour) in troubles {
            for at in self.moments(an_hour) {
                let node = self.rng.usize(..self.scenario.candidates);
                self.at(at, Event::Trouble { node, kind });
            }
        }
        for at in self.moments(faults.outages) {
            self.at(at, Event::Outage);
        }
        for at in self.moments(faults.other_files) {
            self.at(at, Event::OtherFile);
        }
        for at in self.moments(faults.people) {
            self.at(at, Event::Person);
        }
    }

    /// Random moments in the troubled time, this many an hour.
    fn moments(&mut self, an_hour: f64) -> Vec<Time> {
        let span = self.scenario.troubled.as_nanos() as u64;
        let count = (an_hour * self.scenario.troubled.as_secs_f64() / 3600.0).round() as usize;
        (0..count).map(|_| Time(self.rng.u64(..span))).collect()
    }

    // ---- the queue ----

    fn at(&mut self, at: Time, event: Event) {
        self.order += 1;
        let order = self.order;
        self.queue.push(Reverse(Queued { at, order, event }));
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now.after(delay), event);
    }

    /// Runs the world to its end.
    pub fn run(mut self) -> Result<Summary, Violation> {
        let end = Time(0).after(self.scenario.troubled + self.scenario.healed);
        while let Some(Reverse(next)) = self.queue.pop() {
            if next.at > end {
                break;
            }
            self.now = next.at;
            self.summary.events += 1;
            let outcome = self.happen(next.event).and_then(|()| self.check());
            if let Err(what) = outcome.and_then(|()| self.violation.take().map_or(Ok(()), Err)) {
                return Err(self.broken(what));
            }
        }
        if let Err(what) = self.check_liveness() {
            return Err(self.broken(what));
        }
        self.summary.writes = self.service.writes;
        self.summary.vanished = self.service.vanished;
        self.summary.hours = end.seconds() / 3600.0 * self.nodes.len() as f64;
        Ok(self.summary)
    }

    fn broken(self, what: String) -> Violation {
        Violation {
            seed: self.scenario.seed,
            what: format!("at {:.3}s: {what}", self.now.seconds()),
            trace: self.trace.into(),
        }
    }

    fn note(&mut self, what: impl FnOnce(&World) -> String) {
        let line = format!("{:>10.3}s {}", self.now.seconds(), what(self));
        if self.verbose {
            println!("{line}");
        }
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Wake { node, serial } => {
                if self.nodes[node]
                    .wake
                    .is_some_and(|(_, live)| live == serial)
                {
                    self.nodes[node].wake = None;
                    self.step(node);
                }
            }
            Event::Arrive { from, request } => self.arrive(from, request),
            Event::Land {
                from,
                request,
                write,
            } => self.land(from, &request, &write),
            Event::Answer { from, answer } => self.deliver(from, *answer),
            Event::Guard { node, life } => {
                if self.nodes[node].orders == life {
                    self.guard(node);
                }
            }
            Event::Trouble { node, kind } => self.trouble(node, kind),
            Event::Relief { node, kind } => self.relief(node, kind),
            Event::Outage => {
                self.note(|_| "OUTAGE begins".into());
                self.outage = true;
                let lasts = self.seconds(1.0, 400.0);
                self.after(lasts, Event::OutageEnds);
            }
            Event::OutageEnds => {
                self.note(|_| "outage ends".into());
                self.outage = false;
            }
            Event::OtherFile => self.other_file(),
            Event::Person => self.person(),
            Event::Heal => self.heal(),
        }
        Ok(())
    }

    fn seconds(&mut self, least: f64, most: f64) -> Duration {
        Duration::from_secs_f64(least + (most - least) * self.rng.f64())
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.f64() < probability
    }
}

fn throttled(retry_after: Duration) -> LockError {
    LockError::Throttled {
        retry_after,
        why: "a limit".into(),
    }
}
