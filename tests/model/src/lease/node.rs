//! A candidate: its elector, its clock, its call and its workload.

use std::sync::Arc;
use std::time::Duration;

use elector::election::action::Action as Asked;
use elector::election::elector::LeaderElector;
use elector::election::record::LeaderElectionRecord;
use elector::election::time::Instant;

use super::Bounds;
use super::store::{Write, WriteId};

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
    grace: Duration,
    pub frozen: bool,
    pub call: Option<Call>,
    pub fate: Option<Fate>,
    /// Revision that the lock last observed or wrote.
    pub known: Option<WriteId>,
    /// Time at which the lock learned of it.
    pub known_since: Instant,
    /// Number of writes that it made.
    writes: u64,
    /// Its writes that have not landed.
    pub flights: Vec<Write>,
    /// One of its writes landed too late to be effective.
    pub passed_over: bool,
    pub workload: Option<Workload>,
    /// Fencing token of a workload that was just started.
    pub started: Option<u64>,
}

impl Node {
    pub fn new(bounds: &Bounds, index: usize, rate: u32) -> Node {
        let config = bounds.config.clone();
        let identity = ["a", "b"][index].to_owned();
        let grace = config.termination_grace;
        let elector = LeaderElector::new(
            elector::LeaderElectionConfig { identity, ..config },
            bounds.confirmation,
            clock(0, rate),
        );
        Node {
            elector,
            rate,
            grace,
            frozen: false,
            call: None,
            fate: None,
            known: None,
            known_since: clock(0, rate),
            writes: 0,
            flights: Vec::new(),
            passed_over: false,
            workload: None,
            started: None,
        }
    }

    /// Returns the time on its clock.
    pub fn now(&self, tick: u32) -> Instant {
        clock(tick, self.rate)
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
        !self.frozen && due
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
                Asked::Get { timeout } => self.call(index, Some(length), now + timeout),
                Asked::Create { record, timeout } => self.send(index, None, record, now + timeout),
                Asked::Update { record, timeout } => {
                    self.send(index, self.known, record, now + timeout);
                }
                Asked::StartLeading {
                    fencing_token: token,
                    valid_until: until,
                } => {
                    self.started = Some(token);
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
                Asked::StopLeading { kill_at, .. } => {
                    if let Some(workload) = &mut self.workload {
                        workload.kill_at = workload.kill_at.min(kill_at);
                        workload.asked_to_end = true;
                    }
                }
                Asked::NewLeader(_) | Asked::Event(_) | Asked::Notice(_) => {}
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

    /// Reports that the workload has stopped.
    pub fn stop_workload(&mut self, tick: u32) {
        self.workload = None;
        let now = self.now(tick);
        self.elector.handle_workload_stopped(now);
    }
}

/// Returns the time on a clock of this rate.
fn clock(tick: u32, rate: u32) -> Instant {
    Instant::from_boot(Duration::from_secs(1000) + Duration::from_millis(1) * (tick * rate))
}
