//! A lock in a GitHub gist, with a compare-and-swap by the gist's history.
//!
//! ```text
//!   GistLock ── calls ──▶ protocol ── which revision is effective ──▶ rule, stored
//!      │                     ▲ │
//!      │             answers │ │ requests (wire)
//!      └──────────────────▶ client ──▶ GitHub
//! ```
//!
//! [`GistLock`] is the blocking shell: it passes the protocol's requests to the client and the answers
//! back, within the timeout of the call. It decides nothing.

#[expect(clippy::disallowed_methods, reason = "waits between requests")]
pub mod admin;
mod backend;
pub mod budget;
mod checks;
pub mod client;
pub mod inspect;
pub mod limiter;
mod observed;
pub mod options;
mod pages;
mod place;
pub mod protocol;
mod reader;
mod remarks;
pub mod revision;
pub mod rule;
pub mod scan;
mod session;
pub mod settings;
pub mod stored;
pub mod token;
pub mod wire;

use std::time::Duration;

use self::client::GistClient;
use self::protocol::{GistProtocol, Outcome, ProtocolConfig, Step};
use self::remarks::Remarks;
use crate::election::annotation::Annotation;
use crate::election::lock::{LockError, Observed, ResourceLock, Written};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;
use crate::lock::stats::StatsHandle;

/// Settings of a gist lock.
#[derive(Clone, Debug)]
pub struct GistLockConfig {
    /// Identity of the candidate.
    pub identity: String,
    /// Settings of the protocol.
    pub protocol: ProtocolConfig,
    /// Time between a claim and the write that confirms it. It must be longer than the service takes from
    /// reading the head of a gist to moving it, or lost writes could lead to two leaders.
    pub confirm_delay: Duration,
}

/// A lock in a gist.
pub struct GistLock {
    identity: String,
    confirm_delay: Duration,
    protocol: GistProtocol,
    remarks: Remarks,
    client: GistClient,
    clock: fn() -> Instant,
}

impl GistLock {
    /// Creates a lock that has read nothing yet. `clock` returns the time since boot.
    #[must_use]
    pub fn new(config: GistLockConfig, client: GistClient, clock: fn() -> Instant) -> Self {
        GistLock {
            identity: config.identity,
            confirm_delay: config.confirm_delay,
            protocol: GistProtocol::new(config.protocol),
            remarks: Remarks::default(),
            client,
            clock,
        }
    }

    /// Returns the file that holds the record, once it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.protocol.file()
    }

    /// Permits or refuses that the file is created in a gist whose other files hold election records, which
    /// is permitted at first.
    pub fn permit_new_election(&mut self, permitted: bool) {
        self.protocol.permit_new_election(permitted);
    }

    /// Like [`update`](ResourceLock::update), but writes a checkpoint, also as the first record.
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
    fn drive(&mut self, mut step: Step, timeout: Duration) -> Outcome {
        let deadline = (self.clock)() + timeout;
        loop {
            let request = match step {
                Step::Done(outcome) => return outcome,
                Step::Ask(request) => request,
            };
            let left = deadline.since((self.clock)());
            if left.is_zero() {
                step = self
                    .protocol
                    .give_up("reading the gist's history took too long");
                continue;
            }
            let answer = self.client.call(&request, left);
            step = self.protocol.handle_answer((self.clock)(), answer);
            if let Some(file) = self.protocol.file() {
                self.client.set_file(file);
            }
        }
    }

    fn drive_write(&mut self, step: Step, timeout: Duration) -> Result<Written, LockError> {
        let creates = self.protocol.is_file_missing();
        let outcome = self.drive(step, timeout);
        if creates && !self.protocol.is_file_missing() {
            log::info!(event = "file_created"; "created file in the gist");
        }
        match outcome {
            Outcome::Wrote(result) => result,
            Outcome::Got(_) => Err(mixed_up()),
        }
    }

    /// Returns a handle that shows the statistics of the lock's requests to other threads.
    #[must_use]
    pub fn stats(&self) -> StatsHandle {
        self.client.stats_handle()
    }
}

fn mixed_up() -> LockError {
    LockError::OutcomeUnknown("internal error: the result belongs to another call".into())
}

impl ResourceLock for GistLock {
    fn get(&mut self, timeout: Duration) -> Result<Observed, LockError> {
        let step = self.protocol.start_get();
        let outcome = self.drive(step, timeout);
        self.remarks.warn(&self.protocol);
        match outcome {
            Outcome::Got(result) => result,
            Outcome::Wrote(_) => Err(mixed_up()),
        }
    }

    fn create(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError> {
        let step = self.protocol.start_create(record);
        self.drive_write(step, timeout)
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
        Some(self.confirm_delay)
    }

    fn min_poll_interval(&self) -> Duration {
        self.protocol.min_poll_interval((self.clock)())
    }

    fn record_event(&mut self, event: &str) {
        log::debug!(text = event; "event of the election");
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn describe(&self) -> String {
        self.client.describe()
    }
}
