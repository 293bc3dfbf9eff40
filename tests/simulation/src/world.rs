//! A simulated world: candidates, their networks, one gist service, people, and what goes wrong, under
//! one queue of events in virtual time. The same scenario makes the same world.

mod checks;
mod guard;
mod healing;
mod history;
mod legacy;
mod measured;
mod neighbours;
mod network;
mod people;
mod process;
mod programs;
mod quota;
mod troubles;
mod workload_troubles;
mod workloads;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::emulator::PendingWrite;
use elector::lock::gist::wire::{Answer, Request};
use fastrand::Rng;

use self::healing::Healing;
use self::legacy::Legacy;
use self::neighbours::Neighbour;
use self::quota::Quota;
use crate::clock::{Clock, Time};
use crate::faults::Faults;
use crate::faults::workloads::WorkloadFaults;
use crate::missing;
use crate::node::{Node, Process};
use crate::scenario::Scenario;
use crate::service::Service;
use crate::tally::{Kind, Tally};
use crate::workload::Word;

/// How many of the last events a failure shows.
const TRACE: usize = 120;

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// What is promised, and the rules that are to bring it about.
    All,
    /// What is promised to users only: one leader, and tokens that rise.
    Promises,
}

/// A promise that was broken, and what led to it.
pub struct Violation {
    pub seed: u64,
    /// The kind of world.
    pub kind: &'static str,
    pub what: String,
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the last events of seed {}:", self.seed)?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        write!(
            f,
            "to see it again: make soak WORLDS={} FROM={} SEEDS=1",
            self.kind, self.seed
        )
    }
}

/// Runs a world to its end.
///
/// # Errors
/// If something that is checked does not hold, with the events that led to it.
pub fn run(scenario: &Scenario, checks: Checks) -> Result<Tally, Box<Violation>> {
    // The words for what happens are made only when they are needed: in a second run, which must
    // come to the same.
    World::new(scenario.clone(), checks).run().map_err(|first| {
        let mut again = World::new(scenario.clone(), checks);
        again.tracing = true;
        let second = again.run().err();
        let second = second.expect("a world that failed once fails again");
        assert_eq!(
            first.what, second.what,
            "the same seed makes the same world"
        );
        second
    })
}

/// Runs a world and prints every event.
///
/// # Errors
/// As `run`.
pub fn show(scenario: &Scenario, checks: Checks) -> Result<Tally, Box<Violation>> {
    let mut world = World::new(scenario.clone(), checks);
    world.tracing = true;
    world.verbose = true;
    world.run()
}

#[derive(Debug)]
enum Event {
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
    /// Something reaches an elector from its threads and children.
    Word {
        node: usize,
        life: u64,
        word: Word,
    },
    /// A guard gets to run.
    GuardLooks {
        node: usize,
        guard: u64,
    },
    GuardTimer {
        node: usize,
        guard: u64,
    },
    /// A process of a workload begins or ends.
    Processes {
        node: usize,
    },
    /// A guard is killed, or stopped.
    GuardTrouble {
        kills: bool,
    },
    GuardContinues {
        node: usize,
        guard: u64,
    },
    SecondSignal {
        node: usize,
        life: u64,
    },
    /// An elector waits no longer for its workload to be killed.
    Exit {
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
    /// A term is to end.
    TermEnds {
        node: usize,
        life: u64,
        token: u64,
    },
    OutageEnds,
    Outage,
    OtherFile,
    /// Other programs of the user send so many requests.
    Outsiders(u32),
    /// Another one.
    Outside {
        write: bool,
    },
    Person,
    Rewrite,
    /// A client-go candidate looks at the record.
    Legacy {
        index: usize,
    },
    /// An elector of another lock has something to do.
    Neighbour {
        index: usize,
    },
    Heal,
    Settle,
}

/// Which request of which process, and when it was sent.
#[derive(Clone, Copy, Debug)]
struct Sender {
    who: Who,
    life: u64,
    request: u64,
    process: u64,
    sent: Time,
    /// How long the answer takes, where that is drawn with the request.
    back: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Candidate(usize),
    Legacy(usize),
    /// An elector whose record is in another file of the gist.
    Neighbour(usize),
    /// Who writes the gist's other file.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Crash,
    PoliteStop,
    Pause,
    Suspend,
    WallJump,
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

/// A world that runs.
struct World {
    scenario: Scenario,
    checks: Checks,
    faults: Faults,
    workload_faults: WorkloadFaults,
    rng: Rng,
    /// For all that has to do with workloads.
    workload_rng: Rng,
    now: Time,
    queue: BinaryHeap<Reverse<Queued>>,
    order: u64,
    processes: u64,
    /// How many guards there were.
    guards: u64,
    nodes: Vec<Node>,
    legacy: Vec<Legacy>,
    neighbours: Vec<Neighbour>,
    service: Service,
    quota: Quota,
    outage: bool,
    /// Moments at which troubles come together.
    spots: Vec<Time>,
    highest_fencing_token: Option<u64>,
    /// The longest lease that a person or a client-go wrote.
    longest_foreign: Duration,
    healing: Option<Healing>,
    tally: Tally,
    trace: VecDeque<String>,
    violation: Option<String>,
    tracing: bool,
    verbose: bool,
}

impl World {
    fn new(scenario: Scenario, checks: Checks) -> World {
        let mut rng = Rng::with_seed(scenario.seed ^ 0x5eed);
        let spots = (0..rng.usize(1..8))
            .map(|_| Time(rng.u64(..scenario.troubled.as_nanos() as u64)))
            .collect();
        let mut world = World {
            faults: scenario.faults.clone(),
            workload_faults: scenario.workload_faults.clone(),
            workload_rng: Rng::with_seed(scenario.seed ^ 0x96a4d),
            service: Service::new(
                scenario.seed,
                scenario.content.as_deref(),
                scenario.content_age,
            ),
            quota: Quota::new(&scenario),
            checks,
            rng,
            now: Time(0),
            queue: BinaryHeap::new(),
            order: 0,
            processes: 0,
            guards: 0,
            nodes: Vec::new(),
            legacy: Vec::new(),
            neighbours: Vec::new(),
            outage: false,
            spots,
            highest_fencing_token: None,
            longest_foreign: Duration::ZERO,
            healing: None,
            tally: Tally::new(scenario.measured),
            trace: VecDeque::new(),
            violation: None,
            tracing: false,
            verbose: false,
            scenario,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        for index in 0..self.scenario.candidates.len() {
            let drift = self.faults.drift_ppm;
            let clock = Clock {
                offset: self.rng.u64(1..100_000) * 1_000_000_000,
                drift_ppm: if drift == 0 {
                    0
                } else {
                    self.rng.i64(-drift..=drift)
                },
                set_forward: 0,
                stood_still: 0,
                shows: missing::clock(),
            };
            let config = self.scenario.candidates[index].clone();
            let process = self.process(&config, clock);
            self.nodes.push(Node::new(config, clock, process));
            if !self.starts_later(index) {
                self.step(index);
            }
        }
        self.populate_legacy();
        self.populate_neighbours();
        self.plan_troubles();
        self.plan_workload_troubles();
        self.at(self.now.after(self.scenario.troubled), Event::Heal);
    }

    /// A new process of a candidate.
    fn process(&mut self, config: &LeaderElectionConfig, clock: Clock) -> Process {
        self.processes += 1;
        Process::start(
            self.processes,
            config,
            self.scenario.confirm_delay,
            self.scenario.counted,
            clock.told(self.now),
        )
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

    fn run(mut self) -> Result<Tally, Box<Violation>> {
        while let Some(at) = self.next_moment() {
            if self
                .healing
                .as_ref()
                .is_some_and(|healing| at > healing.end)
            {
                break;
            }
            self.now = at;
            self.tally.events += 1;
            self.happen_next();
            self.check();
            if let Some(what) = self.violation.take() {
                return Err(self.broken(&what));
            }
        }
        self.check_liveness();
        self.check_history();
        if let Some(what) = self.violation.take() {
            return Err(self.broken(&what));
        }
        self.tally.worlds = 1;
        self.tally.writes = self.service.writes;
        self.tally.candidate_hours = self.now.seconds() / 3600.0 * self.nodes.len() as f64;
        Ok(self.tally)
    }

    /// When something happens next: an event, or a candidate that wakes. The candidates are few, and
    /// put off their next waking with all that they do, so that it has no place in the queue.
    fn next_moment(&self) -> Option<Time> {
        let wakes = self.nodes.iter().filter_map(|node| node.wake);
        let queued = self.queue.peek().map(|Reverse(next)| next.at);
        wakes.chain(queued).min()
    }

    fn happen_next(&mut self) {
        if self
            .queue
            .peek()
            .is_some_and(|Reverse(next)| next.at == self.now)
        {
            if let Some(Reverse(next)) = self.queue.pop() {
                self.happen(next.event);
            }
            return;
        }
        let now = self.now;
        let due = self.nodes.iter().position(|node| node.wake == Some(now));
        if let Some(node) = due {
            self.nodes[node].wake = None;
            self.step(node);
        }
    }

    fn broken(self, what: &str) -> Box<Violation> {
        Box::new(Violation {
            seed: self.scenario.seed,
            kind: self.scenario.kind,
            what: format!("at {:.3}s: {what}", self.now.seconds()),
            trace: self.trace.into(),
        })
    }

    /// Keeps a line about what happens, if anybody will read it.
    fn note(&mut self, what: impl FnOnce(&World) -> String) {
        if !self.tracing {
            return;
        }
        let line = format!("{:>10.3}s {}", self.now.seconds(), what(self));
        if self.verbose {
            println!("{line}");
        }
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { from, request } => self.arrive(from, request),
            Event::Land {
                from,
                request,
                write,
            } => self.land(from, &request, &write),
            Event::Answer { from, answer } => self.deliver(from, *answer),
            Event::Word { node, life, word } => self.hear_word(node, life, word),
            Event::GuardLooks { node, guard } => self.guard_looks(node, guard),
            Event::GuardTimer { node, guard } => self.guard_timer(node, guard),
            Event::Processes { node } => self.processes_go_on(node),
            Event::GuardTrouble { kills } => self.guard_trouble(kills),
            Event::GuardContinues { node, guard } => self.continue_guard(node, guard),
            Event::SecondSignal { node, life } => self.second_signal(node, life),
            Event::Exit { node, life } => self.exit(node, life),
            Event::Trouble { node, kind } => self.trouble(node, kind),
            Event::Relief { node, kind } => self.relief(node, kind),
            Event::Outage => self.outage(),
            Event::OutageEnds => {
                self.note(|_| "outage ends".into());
                self.outage = false;
            }
            Event::TermEnds { node, life, token } => self.end_term(node, life, token),
            Event::OtherFile => self.other_file(),
            Event::Outsiders(requests) => self.quota.outsiders(self.now, requests),
            Event::Outside { write } => self.outside(write),
            Event::Person => self.person(),
            Event::Rewrite => self.rewrite(),
            Event::Legacy { index } => self.legacy_looks(index),
            Event::Neighbour { index } => self.neighbour_wakes(index),
            Event::Heal => self.heal(),
            Event::Settle => self.settle(),
        }
    }

    fn seconds(&mut self, least: f64, most: f64) -> Duration {
        Duration::from_secs_f64(least + (most - least) * self.rng.f64())
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.f64() < probability
    }

    /// As `chance`, and counts what comes about.
    fn fault(&mut self, probability: f64, kind: Kind) -> bool {
        let comes = self.chance(probability);
        if comes {
            self.tally.count(kind);
        }
        comes
    }
}
