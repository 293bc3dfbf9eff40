//! A simulated run: candidates, their networks, a gist service or a cell, operators and faults, driven by
//! one event queue in virtual time. The same scenario always gives the same run.

mod cell;
mod checks;
mod client_go;
mod guard;
mod guard_faults;
mod history;
mod measured;
mod neighbours;
mod network;
mod node_faults;
mod operators;
mod process;
mod programs;
mod quota;
mod recovery;
mod restart;
mod steering;
mod workloads;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::emulator::PendingWrite;
use elector::lock::gist::wire;
use fastrand::Rng;

use self::client_go::ClientGo;
use self::neighbours::Neighbour;
use self::quota::Quota;
use self::recovery::Recovery;
use self::steering::Steering;
use crate::cell_service::CellService;
use crate::clock::{Clock, Time};
use crate::faults::Faults;
use crate::faults::workloads::WorkloadFaults;
use crate::lock::{Reply, Request};
use crate::node::{Node, Process};
use crate::scenario::{Place, Scenario};
use crate::service::Service;
use crate::surroundings;
use crate::tally::{Kind, Tally};
use crate::workload::Message;

/// Number of events that a failure shows.
const TRACE: usize = 120;

/// Set of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// The promises, and the rules that ensure them.
    All,
    /// The promises to users only: one leader, and rising fencing tokens.
    Promises,
}

/// A broken promise or rule, with the events that led to it.
pub struct Violation {
    pub seed: u64,
    /// Kind of scenario.
    pub kind: &'static str,
    pub what: String,
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "last events of seed {}:", self.seed)?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        write!(
            f,
            "to reproduce: make soak KIND={} FROM={} SEEDS=1",
            self.kind, self.seed
        )
    }
}

/// Runs a scenario to its end.
///
/// # Errors
/// Returns a violation if a check fails, with the events that led to it.
pub fn run(scenario: &Scenario, checks: Checks) -> Result<Tally, Box<Violation>> {
    // Events are only described in a second run, which must have the same outcome. Why: formatting
    // them costs most of the time.
    Run::new(scenario.clone(), checks).run().map_err(|first| {
        let mut again = Run::new(scenario.clone(), checks);
        again.tracing = true;
        let second = again.run().err();
        let second = second.expect("a run that failed once fails again");
        assert_eq!(first.what, second.what, "the same seed gives the same run");
        second
    })
}

/// Runs a scenario and prints every event.
///
/// # Errors
/// Returns the same errors as [`run`].
pub fn show(scenario: &Scenario, checks: Checks) -> Result<Tally, Box<Violation>> {
    let mut run = Run::new(scenario.clone(), checks);
    run.tracing = true;
    run.verbose = true;
    run.run()
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
        request: Box<wire::Request>,
        write: Box<PendingWrite>,
    },
    Answer {
        from: Sender,
        answer: Box<Reply>,
    },
    /// A message reaches an elector from its threads and children.
    Message {
        node: usize,
        generation: u64,
        message: Message,
    },
    /// A guard runs.
    GuardRuns {
        node: usize,
        guard: u64,
    },
    GuardTimer {
        node: usize,
        guard: u64,
    },
    /// A process of a workload starts or ends.
    Processes {
        node: usize,
    },
    /// A guard is killed or stopped.
    GuardFault {
        kills: bool,
    },
    GuardContinues {
        node: usize,
        guard: u64,
    },
    SecondSignal {
        node: usize,
        generation: u64,
    },
    /// An elector stops waiting for its workload to be killed.
    Exit {
        node: usize,
        generation: u64,
    },
    NodeFault {
        node: usize,
        kind: NodeFault,
    },
    NodeFaultEnds {
        node: usize,
        kind: NodeFault,
    },
    /// A measured term ends.
    TermEnds {
        node: usize,
        generation: u64,
        fencing_token: u64,
    },
    OutageEnds,
    Outage,
    OtherFile,
    /// Other programs of the account send this many requests.
    ForeignBurst(u32),
    /// Another program of the account sends one request.
    ForeignRequest {
        write: bool,
    },
    OperatorEdit,
    /// An operator begins a request to the election.
    Steer,
    /// The operator's command wakes.
    OperatorWakes,
    /// The version of a cell changes without a write.
    VersionChange,
    /// An older value of a cell is restored.
    Restore,
    Rewrite,
    /// A client-go candidate reads the record.
    ClientGo {
        index: usize,
    },
    /// An elector of another lock wakes.
    Neighbour {
        index: usize,
    },
    FaultsEnd,
    Settle,
}

/// Sender of a request: the process, the request's number, and when it was sent.
#[derive(Clone, Copy, Debug)]
struct Sender {
    requester: Requester,
    generation: u64,
    request: u64,
    process: u64,
    sent: Time,
    /// Time that the answer takes, if it was drawn with the request.
    back: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requester {
    Candidate(usize),
    ClientGo(usize),
    /// The command of an operator.
    Operator,
    /// An elector whose record is in another file of the gist.
    Neighbour(usize),
    /// The writer of the gist's other file.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeFault {
    Crash,
    GracefulStop,
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

/// State of a run.
struct Run {
    scenario: Scenario,
    checks: Checks,
    faults: Faults,
    workload_faults: WorkloadFaults,
    rng: Rng,
    /// Generator for everything that concerns workloads.
    workload_rng: Rng,
    now: Time,
    queue: BinaryHeap<Reverse<Queued>>,
    order: u64,
    processes: u64,
    /// Number of guards so far.
    guards: u64,
    nodes: Vec<Node>,
    client_go: Vec<ClientGo>,
    neighbours: Vec<Neighbour>,
    steering: Steering,
    service: Service,
    /// Store of a run without a gist.
    cell: Option<CellService>,
    /// Writes of which a candidate's lock has reported that they never land.
    conflicts: HashSet<Arc<str>>,
    quota: Quota,
    outage: bool,
    /// Times at which faults cluster.
    burst_times: Vec<Time>,
    highest_fencing_token: Option<u64>,
    /// Longest lease that an operator or a client-go candidate wrote.
    longest_foreign: Duration,
    recovery: Option<Recovery>,
    tally: Tally,
    trace: VecDeque<String>,
    violation: Option<String>,
    tracing: bool,
    verbose: bool,
}

impl Run {
    fn new(scenario: Scenario, checks: Checks) -> Run {
        let mut rng = Rng::with_seed(scenario.seed ^ 0x5eed);
        let burst_times = (0..rng.usize(1..8))
            .map(|_| Time(rng.u64(..scenario.fault_period.as_nanos() as u64)))
            .collect();
        let mut run = Run {
            faults: scenario.faults.clone(),
            workload_faults: scenario.workload_faults.clone(),
            workload_rng: Rng::with_seed(scenario.seed ^ 0x96a4d),
            service: Service::new(
                scenario.seed,
                scenario.content.as_deref(),
                scenario.content_age,
            ),
            cell: match scenario.place {
                Place::Gist => None,
                Place::Cell {
                    ahead,
                    versions_nothing,
                    dates_writes,
                } => Some(CellService::new(
                    scenario.content.as_deref(),
                    dates_writes.then_some(scenario.content_age),
                    ahead,
                    versions_nothing,
                )),
            },
            conflicts: HashSet::new(),
            quota: Quota::new(&scenario),
            checks,
            rng,
            now: Time(0),
            queue: BinaryHeap::new(),
            order: 0,
            processes: 0,
            guards: 0,
            nodes: Vec::new(),
            client_go: Vec::new(),
            neighbours: Vec::new(),
            steering: Steering::default(),
            outage: false,
            burst_times,
            highest_fencing_token: None,
            longest_foreign: Duration::ZERO,
            recovery: None,
            tally: Tally::new(scenario.measured),
            trace: VecDeque::new(),
            violation: None,
            tracing: false,
            verbose: false,
            scenario,
        };
        run.add_candidates();
        run
    }

    fn add_candidates(&mut self) {
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
                suspended_for: 0,
                source: surroundings::clock(),
            };
            let config = self.scenario.candidates[index].clone();
            let process = self.process(&config, clock);
            self.nodes.push(Node::new(config, clock, process));
            self.give_state_file(index);
            if !self.starts_later(index) {
                self.step(index);
            }
        }
        self.add_client_go();
        self.add_neighbours();
        self.plan_faults();
        self.plan_cell_faults();
        self.plan_steering();
        self.plan_guard_faults();
        self.at(self.now.after(self.scenario.fault_period), Event::FaultsEnd);
    }

    /// Starts a new process of a candidate.
    fn process(&mut self, config: &LeaderElectionConfig, clock: Clock) -> Process {
        self.processes += 1;
        Process::start(
            self.processes,
            config,
            &self.scenario,
            clock.local_now(self.now),
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
        while let Some(at) = self.next_time() {
            if self
                .recovery
                .as_ref()
                .is_some_and(|recovery| at > recovery.end)
            {
                break;
            }
            self.now = at;
            self.tally.events += 1;
            self.handle_next();
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
        self.tally.runs = 1;
        self.tally.writes = self
            .cell
            .as_ref()
            .map_or(self.service.writes, |cell| cell.writes);
        self.tally.candidate_hours = self.now.seconds() / 3600.0 * self.nodes.len() as f64;
        Ok(self.tally)
    }

    /// Returns the time of the next event or of the next candidate that wakes. Wake times stay out
    /// of the queue because every step of a candidate changes its own.
    fn next_time(&self) -> Option<Time> {
        let wakes = self.nodes.iter().filter_map(|node| node.wake);
        let queued = self.queue.peek().map(|Reverse(next)| next.at);
        wakes.chain(queued).min()
    }

    fn handle_next(&mut self) {
        if self
            .queue
            .peek()
            .is_some_and(|Reverse(next)| next.at == self.now)
        {
            if let Some(Reverse(next)) = self.queue.pop() {
                self.handle(next.event);
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

    /// Records a line about an event, if it will be shown.
    fn note(&mut self, what: impl FnOnce(&Run) -> String) {
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

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { from, request } => self.arrive(from, *request),
            Event::Land {
                from,
                request,
                write,
            } => self.land(from, &request, &write),
            Event::Answer { from, answer } => self.deliver(from, *answer),
            Event::Message {
                node,
                generation,
                message,
            } => self.receive_message(node, generation, message),
            Event::GuardRuns { node, guard } => self.guard_runs(node, guard),
            Event::GuardTimer { node, guard } => self.guard_timer(node, guard),
            Event::Processes { node } => self.advance_processes(node),
            Event::GuardFault { kills } => self.guard_fault(kills),
            Event::GuardContinues { node, guard } => self.continue_guard(node, guard),
            Event::SecondSignal { node, generation } => self.second_signal(node, generation),
            Event::Exit { node, generation } => self.exit(node, generation),
            Event::NodeFault { node, kind } => self.begin_fault(node, kind),
            Event::NodeFaultEnds { node, kind } => self.end_fault(node, kind),
            Event::Outage => self.outage(),
            Event::OutageEnds => {
                self.note(|_| "outage ends".into());
                self.outage = false;
            }
            Event::TermEnds {
                node,
                generation,
                fencing_token,
            } => self.end_term(node, generation, fencing_token),
            Event::OtherFile => self.other_file(),
            Event::ForeignBurst(requests) => self.quota.foreign_burst(self.now, requests),
            Event::ForeignRequest { write } => self.foreign_request(write),
            Event::OperatorEdit => self.operator_edit(),
            Event::Steer => self.steer(),
            Event::OperatorWakes => self.operator_wakes(),
            Event::VersionChange => self.version_change(),
            Event::Restore => self.restore(),
            Event::Rewrite => self.rewrite(),
            Event::ClientGo { index } => self.client_go_polls(index),
            Event::Neighbour { index } => self.neighbour_wakes(index),
            Event::FaultsEnd => self.end_faults(),
            Event::Settle => self.settle(),
        }
    }

    fn seconds(&mut self, least: f64, most: f64) -> Duration {
        Duration::from_secs_f64(least + (most - least) * self.rng.f64())
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.f64() < probability
    }

    /// Draws whether a fault occurs, and counts it.
    fn fault(&mut self, probability: f64, kind: Kind) -> bool {
        let comes = self.chance(probability);
        if comes {
            self.tally.count(kind);
        }
        comes
    }
}
