//! A candidate of a simulated world: the real elector, the real lock protocol and the real counting of
//! writes on a clock of their own, and what it runs while it leads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::election::elector::LeaderElector;
use elector::election::lock::LockError;
use elector::election::time::Instant;
use elector::lock::gist::budget::Budget;
use elector::lock::gist::limiter::{RequestLimiter, WriteLimits};
use elector::lock::gist::protocol::{GistProtocol, ProtocolConfig};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::Answer;

use crate::clock::{Clock, Time};
use crate::workload::{self, Guard, Leading, Word};

/// What was frozen together with its guard runs for an instant after the thaw before it is stopped;
/// nothing else is promised.
const THAW: Duration = Duration::from_millis(50);

/// A call to the store under way.
#[derive(Debug)]
pub struct Call {
    /// When the lock gives up on it, by the candidate's clock.
    pub deadline: Instant,
    /// Answers to earlier requests of the candidate are not for this one.
    pub request: u64,
    /// The request is a write, whose failure leaves its outcome open.
    pub write: bool,
}

impl Call {
    /// What the client makes of an answer that does not come.
    pub fn timed_out(&self) -> Answer {
        let late = "no answer came in time".to_owned();
        let error = match self.write {
            true => LockError::OutcomeUnknown(late),
            false => LockError::Unavailable(late),
        };
        Answer {
            date: None,
            rate: None,
            reply: Err(error),
        }
    }
}

/// Whether the machine and the process run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    On,
    /// The process does not exist.
    Off,
    /// The process is stopped (SIGSTOP); its guard is not.
    Paused,
    /// The machine is suspended, all of it.
    Suspended,
}

/// A write of the present term, and what truly became of it; in the time since boot.
#[derive(Debug)]
pub struct TermWrite {
    pub id: Arc<str>,
    pub sent: Instant,
    /// As which revision it took effect; more than one if it was doubled and the first vanished.
    pub landed: Vec<Revision>,
    /// It cannot vanish any more.
    pub confirmed: bool,
}

/// A candidate.
pub struct Node {
    pub config: LeaderElectionConfig,
    pub clock: Clock,
    pub power: Power,
    /// Counts its processes; what was meant for an earlier one is dropped.
    pub life: u64,
    /// Names the process among all.
    pub process: u64,
    pub elector: LeaderElector,
    pub protocol: GistProtocol,
    pub limits: RequestLimiter,
    pub call: Option<Call>,
    pub requests: u64,
    /// The elector's thread that leads.
    pub leading: Option<Leading>,
    /// What has reached the elector while it stood still.
    pub unheard: Vec<Word>,
    /// The guards on this machine, of earlier processes too.
    pub guards: Vec<Guard>,
    /// What runs of workloads.
    pub workload: Vec<workload::Process>,
    /// When its machine was last resumed.
    pub thawed: Time,
    pub cut_off: bool,
    pub suspended_at: Time,
    /// The true time at which it wakes.
    pub wake: Option<Time>,
    /// The token of the newest claim, and the writes under it.
    pub term: (u64, Vec<TermWrite>),
    /// From when on the lease could be taken that the last claim took over, if it had to run out.
    pub takeover_from: Option<Time>,
    /// When writes were sent in the last hour, to be held against the limits.
    pub sent_writes: VecDeque<Time>,
    /// The service has told it to send nothing before this.
    pub told_to_wait_until: Instant,
}

/// A new process.
pub struct Process {
    pub number: u64,
    pub elector: LeaderElector,
    pub protocol: GistProtocol,
    pub limits: RequestLimiter,
}

impl Process {
    pub fn start(
        number: u64,
        config: &LeaderElectionConfig,
        confirm_delay: Duration,
        counted: bool,
        now: Instant,
    ) -> Process {
        let config = LeaderElectionConfig {
            seed: config.seed ^ number,
            ..config.clone()
        };
        let limits = RequestLimiter::new(counted.then(|| WriteLimits::github(&config)));
        let protocol = GistProtocol::new(ProtocolConfig {
            process: format!("p{number}"),
            file: Some(crate::service::FILE.to_owned()),
            renew_deadline: config.renew_deadline,
            budget: Budget::new(&config),
        });
        Process {
            number,
            elector: LeaderElector::new(config, Some(confirm_delay), now),
            protocol,
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
            life: 0,
            process: process.number,
            elector: process.elector,
            protocol: process.protocol,
            limits: process.limits,
            call: None,
            requests: 0,
            leading: None,
            unheard: Vec::new(),
            guards: Vec::new(),
            workload: Vec::new(),
            thawed: Time(0),
            cut_off: false,
            suspended_at: Time(0),
            wake: None,
            term: (0, Vec::new()),
            takeover_from: None,
            sent_writes: VecDeque::new(),
            told_to_wait_until: Instant::BOOT,
        }
    }

    /// A new process takes the place of the last one.
    pub fn restart(&mut self, process: Process) {
        self.process = process.number;
        self.elector = process.elector;
        self.protocol = process.protocol;
        self.limits = process.limits;
        self.power = Power::On;
        self.term = (0, Vec::new());
        self.sent_writes.clear();
        self.told_to_wait_until = Instant::BOOT;
    }

    /// What runs of a workload at a moment.
    pub fn running(&self, now: Time) -> Option<&workload::Process> {
        let mut processes = self.workload.iter();
        let first = processes.find(|process| process.becomes_cmd.is_none())?;
        let thaws = self.thawed != Time(0) && now.since(self.thawed) < THAW;
        (self.power != Power::Suspended && !thaws).then_some(first)
    }

    pub fn name(&self) -> &str {
        &self.config.identity
    }
}
