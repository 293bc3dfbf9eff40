//! A candidate: its elector, its clock, its call and its workload.

use std::sync::Arc;
use std::time::Duration;

use elector::election::action::{Action as Asked, StopReason};
use elector::election::config::LeaderElectionConfig;
use elector::election::elector::LeaderElector;
use elector::election::lock::Observed;
use elector::election::record::LeaderElectionRecord;
use elector::election::time::Instant;

use super::Bounds;
use super::store::{Write, WriteId, process_name};
use crate::state_file::StateFile;

/// Longest time for which processes of a container outlive its first one.
const LINGER: Duration = Duration::from_millis(64);

/// A call in progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// For a read: number of effective writes when it was sent; `None` for a write.
    pub length: Option<usize>,
    /// The write of the call.
    pub id: WriteId,
    /// Time at which it times out.
    until: Instant,
    /// It was just made, and its course is open.
    fresh: bool,
}

/// Outcome of the write in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    Landed,
    PassedOver,
}

/// The workload, which its guard watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Time of the kill, by the candidate's clock.
    pub kill_at: Instant,
    /// It was asked to stop, so it may end.
    pub asked_to_end: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub elector: LeaderElector,
    /// Rate of its clock in thousandths.
    rate: u32,
    lease: Duration,
    grace: Duration,
    pub frozen: bool,
    pub call: Option<Call>,
    pub fate: Option<Fate>,
    /// Revision that the lock last observed or wrote.
    pub known: Option<WriteId>,
    /// Time at which the lock learned of it.
    pub known_since: Instant,
    /// Number of its process.
    pub process: u64,
    /// Its process was killed, and has not started again.
    pub dead: bool,
    /// State file, if it has one.
    pub state: Option<StateFile>,
    /// The workload is that of an earlier process.
    pub orphaned: bool,
    /// Another workload of it ran when one started.
    pub overlap: bool,
    /// Number of writes that it made.
    writes: u64,
    /// Its writes that have not landed.
    pub flights: Vec<Write>,
    /// Its term ended because a read showed another one.
    pub deposed: bool,
    /// One of its writes landed too late to be effective.
    pub passed_over: bool,
    pub workload: Option<Workload>,
    /// Fencing token of a workload that was just started.
    pub started: Option<u64>,
}

impl Node {
    pub fn new(bounds: &Bounds, index: usize, rate: u32) -> Node {
        Node {
            elector: elector(bounds, index, clock(0, rate)),
            rate,
            lease: bounds.config.lease_duration,
            grace: bounds.config.termination_grace,
            frozen: false,
            call: None,
            fate: None,
            known: None,
            known_since: clock(0, rate),
            process: 0,
            dead: false,
            state: (bounds.faults.kills > 0).then(|| StateFile::new(bounds.pid, false)),
            orphaned: false,
            overlap: false,
            writes: 0,
            flights: Vec::new(),
            deposed: false,
            passed_over: false,
            workload: None,
            started: None,
        }
    }

    /// Returns the time on its clock.
    pub fn now(&self, tick: u32) -> Instant {
        clock(tick, self.rate)
    }

    /// Returns the number of ticks, rounded down, in which its own lease passes.
    pub fn lease_ticks(&self) -> u32 {
        let millis = u32::try_from(self.lease.as_millis()).unwrap_or(u32::MAX);
        millis / self.rate
    }

    /// Returns whether its workload runs.
    pub fn runs(&self, tick: u32) -> bool {
        self.workload
            .is_some_and(|workload| self.now(tick) < workload.kill_at)
    }

    /// Returns whether it must act now.
    pub fn is_due(&self, tick: u32) -> bool {
        let now = self.now(tick);
        let due = self.elector.poll_timeout().is_some_and(|at| at <= now);
        !self.frozen && !self.dead && due
    }

    /// Returns whether the call in progress has timed out.
    pub fn is_overdue(&self, tick: u32) -> bool {
        let now = self.now(tick);
        self.call.as_ref().is_some_and(|call| now >= call.until)
    }

    /// Returns whether it has just made a call.
    pub fn has_fresh_call(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.fresh)
    }

    /// Returns whether the call in progress is a write.
    pub fn writes_now(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.length.is_none())
    }

    /// Returns whether it waits for the answer to this write.
    pub fn waits_for(&self, id: WriteId) -> bool {
        self.writes_now() && self.call.as_ref().is_some_and(|call| call.id == id)
    }

    /// Lets the call in progress take time.
    pub fn linger(&mut self) {
        if let Some(call) = &mut self.call {
            call.fresh = false;
        }
    }

    /// Lets the write in progress never land.
    pub fn forget_flight(&mut self) {
        if self.writes_now() {
            self.flights.pop();
        }
    }

    /// Carries out the elector's actions. `length` is the number of effective writes.
    pub fn act(&mut self, index: usize, tick: u32, length: usize) {
        let now = self.now(tick);
        while let Some(action) = self.elector.poll_action(now, String::new) {
            match action {
                Asked::Get { timeout } => {
                    self.take_state(index, now);
                    self.call(index, Some(length), now + timeout);
                }
                Asked::Create { record, timeout } => self.send(index, None, record, now + timeout),
                Asked::Update { record, timeout } => {
                    self.send(index, self.known, record, now + timeout);
                }
                Asked::StartLeading {
                    fencing_token: token,
                    valid_until: until,
                } => {
                    self.started = Some(token);
                    self.overlap |= self.runs(tick);
                    self.orphaned = false;
                    self.workload = Some(Workload {
                        kill_at: until + self.grace,
                        asked_to_end: false,
                    });
                }
                Asked::ExtendLease { valid_until: until } => {
                    if let Some(workload) = &mut self.workload {
                        workload.kill_at = until + self.grace;
                    }
                }
                Asked::StopLeading { kill_at, reason } => {
                    self.deposed |= reason == StopReason::Deposed;
                    if let Some(workload) = &mut self.workload {
                        workload.kill_at = workload.kill_at.min(kill_at);
                        workload.asked_to_end = true;
                    }
                }
                Asked::NewLeader(_) | Asked::Event(_) | Asked::Notice(_) => {}
                Asked::Annotate { .. } => unreachable!("no candidate is preferred"),
            }
        }
    }

    fn send(
        &mut self,
        node: usize,
        expected: Option<WriteId>,
        record: LeaderElectionRecord,
        until: Instant,
    ) {
        self.writes += 1;
        self.call(node, None, until);
        self.fate = None;
        self.flights.push(Write {
            id: self.last_write(node),
            expected,
            record: Arc::new(record),
        });
    }

    fn call(&mut self, node: usize, length: Option<usize>, until: Instant) {
        self.call = Some(Call {
            length,
            id: self.last_write(node),
            until,
            fresh: true,
        });
    }

    fn last_write(&self, node: usize) -> WriteId {
        WriteId {
            node,
            process: self.process,
            number: self.writes,
        }
    }

    /// Handles an answer at `now` that shows this as the newest write.
    pub fn learn(&mut self, newest: Option<WriteId>, now: Instant) {
        if self.known != newest {
            self.known = newest;
            self.known_since = now;
        }
    }

    /// Kills the process. In a container everything else ends with it a moment later; outside of one, the
    /// guard stops the workload.
    pub fn kill(&mut self, tick: u32) {
        let now = self.now(tick);
        self.dead = true;
        self.call = None;
        self.fate = None;
        let linger = match self.state.as_ref().is_some_and(StateFile::is_container) {
            true => LINGER,
            false => self.grace,
        };
        if let Some(workload) = &mut self.workload {
            workload.kill_at = workload.kill_at.min(now + linger);
            workload.asked_to_end = true;
            self.orphaned = true;
        }
    }

    /// Starts a new process.
    pub fn restart(&mut self, bounds: &Bounds, index: usize, tick: u32) {
        let now = self.now(tick);
        self.elector = elector(bounds, index, now);
        self.process += 1;
        self.dead = false;
        self.known = None;
        self.known_since = now;
        if let Some(state) = &mut self.state {
            state.begin_process();
        }
    }

    /// Tries to take the lock of the state file, which a guard has as long as its workload runs.
    fn take_state(&mut self, index: usize, now: Instant) {
        let is_guarded = self.workload.is_some();
        if let Some(state) = &mut self.state {
            let process = process_name(index, self.process);
            let free = state.is_container() || !is_guarded;
            state.take(now, &process, free, self.lease);
        }
    }

    /// Marks a record of a dead predecessor.
    pub fn mark(&self, observed: &mut Observed) {
        if let Some(state) = &self.state {
            state.mark(observed);
        }
    }

    /// Ends the workload of a dead process.
    pub fn end_orphan(&mut self) {
        self.workload = None;
        self.orphaned = false;
        if let Some(state) = &mut self.state
            && !state.is_container()
        {
            state.note_stopped();
        }
    }

    /// Reports that the workload has stopped.
    pub fn stop_workload(&mut self, tick: u32) {
        self.workload = None;
        let now = self.now(tick);
        self.elector.handle_workload_stopped(now);
    }
}

/// Returns a new elector of this candidate.
fn elector(bounds: &Bounds, index: usize, now: Instant) -> LeaderElector {
    let identity = ["a", "b"][index].to_owned();
    let config = LeaderElectionConfig {
        identity,
        ..bounds.config.clone()
    };
    LeaderElector::new(config, bounds.confirmation, now)
}

/// Returns the time on a clock of this rate.
fn clock(tick: u32, rate: u32) -> Instant {
    Instant::from_boot(Duration::from_secs(1000) + Duration::from_millis(1) * (tick * rate))
}
