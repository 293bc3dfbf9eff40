//! A candidate of a simulated run: the real elector, lock protocol and request limiter on separate clocks,
//! and the workload that it runs while it leads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::election::elector::LeaderElector;
use elector::election::time::Instant;
use elector::lock::gist::limiter::{RequestLimiter, WriteLimits};
use elector::lock::gist::revision::Revision;

use crate::clock::{Clock, Time};
use crate::lock::Lock;
use crate::scenario::Scenario;
use crate::state_file::StateFile;
use crate::workload::{self, Guard, Leading, Message};

/// Time that a workload may run on after its machine resumes: its guard, resumed with it, needs a
/// moment to stop it. The promises allow for that.
const RESUME_DELAY: Duration = Duration::from_millis(50);

/// A call to the store in flight.
#[derive(Debug)]
pub struct Call {
    /// Time at which the lock times out the request, by the candidate's clock.
    pub deadline: Instant,
    /// Time at which the whole call ends.
    pub until: Instant,
    /// Number of the request; answers to earlier requests are ignored.
    pub request: u64,
    /// The request is a write, so a failure leaves its outcome open.
    pub write: bool,
}

/// Whether the machine and the process run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    On,
    /// The process does not exist.
    Off,
    /// The process is stopped (SIGSTOP); its guard is not.
    Paused,
    /// The whole machine is suspended.
    Suspended,
}

/// A write of the current term and its true outcome. Times are times since boot.
#[derive(Debug)]
pub struct TermWrite {
    pub id: Arc<str>,
    pub sent: Instant,
    /// Revisions as which it became effective; several if it was duplicated and the first was lost.
    pub landed: Vec<Revision>,
    /// It can no longer be lost.
    pub confirmed: bool,
}

/// A candidate.
pub struct Node {
    pub config: LeaderElectionConfig,
    pub clock: Clock,
    pub power: Power,
    /// Number of process starts; events for an earlier process are dropped.
    pub generation: u64,
    /// Number of the process, unique in the run.
    pub process: u64,
    pub elector: LeaderElector,
    pub lock: Lock,
    pub limits: RequestLimiter,
    pub call: Option<Call>,
    /// Whether that call is an annotation.
    pub annotates: bool,
    pub requests: u64,
    /// The elector's thread that leads.
    pub leading: Option<Leading>,
    /// Messages that arrived while the elector was paused or suspended.
    pub pending_messages: Vec<Message>,
    /// Guards on this machine, including those of earlier processes.
    pub guards: Vec<Guard>,
    /// Running processes of workloads.
    pub workload: Vec<workload::Process>,
    /// Time at which its machine last resumed.
    pub resumed_at: Time,
    pub cut_off: bool,
    pub suspended_at: Time,
    /// True time at which the elector wakes next.
    pub wake: Option<Time>,
    /// Fencing token of the newest claim, and the writes with it.
    pub term: (u64, Vec<TermWrite>),
    /// Time at which the lease that the last claim took over had expired.
    pub takeover_from: Option<Time>,
    /// Times of the writes in the last hour, to check them against the rate limits.
    pub sent_writes: VecDeque<Time>,
    /// Time before which the service told it to send nothing.
    pub rate_limited_until: Instant,
    /// Knowledge of the process about a cell.
    pub known: Known,
    /// State file, if the candidate has one.
    pub state: Option<StateFile>,
    /// Its processes that have ended, and their latest leadership deadline.
    pub ended: Vec<u64>,
    pub announced: Instant,
}

/// What a process knows of a cell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Version in the last answer.
    pub shown: Option<u64>,
    /// Newest version taken in, and the newest from before the last restore.
    pub version: Option<u64>,
    pub before_restore: Option<u64>,
    pub fencing_token: Option<u64>,
    /// Whether the last answer may have shown an empty place.
    pub nothing: bool,
}

/// A new process.
pub struct Process {
    pub number: u64,
    pub elector: LeaderElector,
    pub lock: Lock,
    pub limits: RequestLimiter,
}

impl Process {
    pub fn start(
        number: u64,
        config: &LeaderElectionConfig,
        scenario: &Scenario,
        now: Instant,
    ) -> Process {
        let config = LeaderElectionConfig {
            seed: config.seed ^ number,
            ..config.clone()
        };
        let counted = scenario.counted.then(|| WriteLimits::github(&config));
        let limits = RequestLimiter::new(counted);
        Process {
            number,
            lock: Lock::new(scenario.place, &format!("p{number}"), &config),
            elector: LeaderElector::new(config, scenario.confirmation(), now),
            limits,
        }
    }
}

impl Node {
    pub fn new(config: LeaderElectionConfig, clock: Clock, process: Process) -> Node {
        Node {
            config,
            clock,
            power: Power::On,
            generation: 0,
            process: process.number,
            elector: process.elector,
            lock: process.lock,
            limits: process.limits,
            call: None,
            annotates: false,
            requests: 0,
            leading: None,
            pending_messages: Vec::new(),
            guards: Vec::new(),
            workload: Vec::new(),
            resumed_at: Time(0),
            cut_off: false,
            suspended_at: Time(0),
            wake: None,
            term: (0, Vec::new()),
            takeover_from: None,
            sent_writes: VecDeque::new(),
            rate_limited_until: Instant::BOOT,
            known: Known::default(),
            state: None,
            ended: Vec::new(),
            announced: Instant::BOOT,
        }
    }

    /// Replaces the process by a new one.
    pub fn restart(&mut self, process: Process) {
        self.process = process.number;
        self.elector = process.elector;
        self.lock = process.lock;
        self.limits = process.limits;
        self.power = Power::On;
        self.term = (0, Vec::new());
        self.sent_writes.clear();
        self.rate_limited_until = Instant::BOOT;
        self.known = Known::default();
        if let Some(state) = &mut self.state {
            state.begin_process();
        }
    }

    /// Returns a running process of a workload, if any.
    pub fn running(&self, now: Time) -> Option<&workload::Process> {
        let mut processes = self.workload.iter();
        let first = processes.find(|process| process.becomes_cmd.is_none())?;
        let thaws = self.resumed_at != Time(0) && now.since(self.resumed_at) < RESUME_DELAY;
        (self.power != Power::Suspended && !thaws).then_some(first)
    }

    pub fn name(&self) -> &str {
        &self.config.identity
    }
}
