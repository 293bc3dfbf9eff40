//! A candidate of a simulated world: the real elector, the real lock protocol and the real counting of
//! writes on a clock of their own, and a workload whose guard holds its deadline.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use multi_cluster_leader_election::election::config::LeaderElectionConfig;
use multi_cluster_leader_election::election::elector::LeaderElector;
use multi_cluster_leader_election::election::time::Instant;
use multi_cluster_leader_election::lock::gist::budget::Budget;
use multi_cluster_leader_election::lock::gist::limits::{Limits, WriteLimits};
use multi_cluster_leader_election::lock::gist::protocol::{GistProtocol, ProtocolConfig};
use multi_cluster_leader_election::lock::gist::revision::Revision;

use crate::clock::{Clock, Time};

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

/// What runs while the candidate leads.
#[derive(Debug)]
pub struct Workload {
    pub token: u64,
    /// Until when the guard lets it run.
    pub until: Instant,
    /// When it was told to stop, by the candidate's clock.
    pub stopping: Option<Instant>,
    pub kill_at: Instant,
    /// How long it takes to stop when it is told to.
    pub takes: Duration,
}

impl Workload {
    /// When nothing of it is left, by the candidate's clock, if nothing new is said.
    pub fn gone_at(&self, grace: Duration) -> Instant {
        let (told, kill_at) = match self.stopping {
            Some(at) => (at, self.kill_at),
            None => (self.until, self.until + grace),
        };
        let told = told.min(self.until);
        (told + self.takes).min(kill_at).min(self.until + grace)
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
    pub limits: Limits,
    pub call: Option<Call>,
    pub requests: u64,
    pub workload: Option<Workload>,
    /// Counts what was said to the workload.
    pub orders: u64,
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
    pub limits: Limits,
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
        let limits = Limits::new(counted.then(|| WriteLimits::github(&config)));
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
            workload: None,
            orders: 0,
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

    pub fn name(&self) -> &str {
        &self.config.identity
    }
}
