//! A candidate of a simulated world: the real elector and the real lock protocol on a clock of their
//! own, and a workload whose guard holds its deadline.

use std::time::Duration;

use multi_cluster_leader_election::election::config::LeaderElectionConfig;
use multi_cluster_leader_election::election::elector::LeaderElector;
use multi_cluster_leader_election::election::time::Instant;
use multi_cluster_leader_election::lock::gist::protocol::{GistProtocol, ProtocolConfig};

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

/// A candidate.
pub struct Node {
    pub name: String,
    pub clock: Clock,
    pub power: Power,
    /// Counts its processes; what was meant for an earlier one is dropped.
    pub life: u64,
    pub elector: LeaderElector,
    pub protocol: GistProtocol,
    pub call: Option<Call>,
    pub requests: u64,
    pub workload: Option<Workload>,
    /// Counts what was said to the workload.
    pub orders: u64,
    pub cut_off: bool,
    pub throttled_until: Instant,
    /// The true time of the wake-up that is under way, and which one it is.
    pub wake: Option<(Time, u64)>,
}

pub fn protocol(config: &LeaderElectionConfig, process: u64) -> GistProtocol {
    GistProtocol::new(ProtocolConfig {
        process: format!("p{process}"),
        file: Some(crate::service::FILE.to_owned()),
        renew_deadline: config.renew_deadline,
    })
}
