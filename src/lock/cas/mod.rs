//! A lock in a store with a conditional write.
//!
//! ```text
//!   CasLock ── calls ──▶ protocol ── what a read means ──▶ memory, origin
//!      │                    │ ▲
//!      │                    ▼ │ reads and conditional writes
//!      │                   store (git, Lease, …)
//!      └─ requests ──▶ exchange ──▶ the store's server
//! ```
//!
//! [`CasLock`] is the blocking shell: it passes requests and answers on, within the timeout of the call. It
//! decides nothing.

#[expect(
    clippy::disallowed_methods,
    reason = "waits before it creates a record"
)]
mod admin;
pub mod backend;
mod checks;
pub mod kind;
mod memory;
pub mod origin;
pub(super) mod probe;
pub mod protocol;
#[expect(clippy::disallowed_methods, reason = "starts a thread for each writer")]
mod race;
mod session;

use std::time::Duration;

use self::protocol::{CasConfig, CasProtocol, CasStep, Outcome};
use super::exchange::Exchange;
use super::stats::StatsHandle;
use super::store::Store;
use crate::election::annotation::Annotation;
use crate::election::lock::{LockError, Observed, ResourceLock, Written};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;

/// A lock in a store with a conditional write.
#[derive(Debug)]
pub struct CasLock<S, E> {
    identity: String,
    confirm_delay: Option<Duration>,
    protocol: CasProtocol<S>,
    exchange: E,
    clock: fn() -> Instant,
}

impl<S: Store, E: Exchange> CasLock<S, E> {
    /// Creates a lock that has read nothing yet. `confirm_delay` is for stores whose place other writers
    /// may replace without a condition. `clock` returns the time since boot.
    #[must_use]
    pub fn new(
        identity: &str,
        store: S,
        config: CasConfig,
        confirm_delay: Option<Duration>,
        exchange: E,
        clock: fn() -> Instant,
    ) -> Self {
        CasLock {
            identity: identity.to_owned(),
            confirm_delay,
            protocol: CasProtocol::new(store, config),
            exchange,
            clock,
        }
    }

    /// Returns a handle that shows the statistics of the lock's requests to other threads.
    #[must_use]
    pub fn stats(&self) -> StatsHandle {
        self.exchange.stats()
    }

    /// Like [`update`](ResourceLock::update), but writes a checkpoint.
    ///
    /// # Errors
    /// As for `update`.
    pub fn write_checkpoint(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError> {
        let step = self.protocol.start_checkpoint(record);
        self.drive_write(step, timeout)
    }

    /// Passes requests and answers on until the call is done or its time is over.
    fn drive(&mut self, mut step: CasStep, timeout: Duration) -> Outcome {
        let deadline = (self.clock)() + timeout;
        loop {
            let requests = match step {
                CasStep::Done(outcome) => return outcome,
                CasStep::Ask(requests) => requests,
            };
            let left = deadline.since((self.clock)());
            let answer = match left.is_zero() {
                true => None,
                false => self.exchange.ask(&requests, left),
            };
            step = match answer {
                Some(answer) => self.protocol.handle(answer),
                None => self.protocol.give_up("the store did not answer in time"),
            };
        }
    }

    fn drive_write(&mut self, step: CasStep, timeout: Duration) -> Result<Written, LockError> {
        match self.drive(step, timeout) {
            Outcome::Wrote(result) => result,
            Outcome::Got(Ok(_)) => Err(LockError::OutcomeUnknown("internal error".to_owned())),
            Outcome::Got(Err(error)) => Err(error),
        }
    }
}

impl<S: Store, E: Exchange> ResourceLock for CasLock<S, E> {
    fn get(&mut self, timeout: Duration) -> Result<Observed, LockError> {
        let step = self.protocol.start_get();
        match self.drive(step, timeout) {
            Outcome::Got(result) => result,
            Outcome::Wrote(_) => Err(LockError::Unavailable("internal error".to_owned())),
        }
    }

    fn create(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError> {
        self.update(record, timeout)
    }

    fn update(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError> {
        let step = self.protocol.start_update(record);
        self.drive_write(step, timeout)
    }

    fn annotate(
        &mut self,
        annotation: &Annotation,
        timeout: Duration,
    ) -> Result<Written, LockError> {
        let step = self.protocol.start_annotate(annotation);
        self.drive_write(step, timeout)
    }

    fn confirm_delay(&self) -> Option<Duration> {
        self.confirm_delay
    }

    fn record_event(&mut self, event: &str) {
        log::debug!("event: {event}");
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn describe(&self) -> String {
        self.protocol.store().describe()
    }
}
