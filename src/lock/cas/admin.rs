//! Lock in a store with a conditional write, as commands for operators use it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::checks;
use super::kind::{Kind, Open};
use super::origin::{PROTOCOL, Stored, to_foreign_text};
use super::protocol::parse;
use super::race;
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::{Content, LockError, Observed, ResourceLock};
use crate::election::record::LeaderElectionRecord;
use crate::fmt::{one_line, unix_time};
use crate::lock::admin::{Admin, Checks, Finding, Initialized};
use crate::lock::backend::OpenError;
use crate::lock::exchange::{Exchange, HttpExchange};
use crate::lock::inspection::{InspectedRecord, Refusal};
use crate::lock::stats::StoreStats;
use crate::lock::store::{Snapshot, Step, Store, Version};
use crate::lock::term_history::TermHistory;
use crate::system::clock;

/// Time limit of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Attempts of a call that got no usable answer, and the pause between them.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Lease duration of a record without a holder, as client-go writes it in a release.
const RELEASED: Duration = Duration::from_secs(1);

/// Access to a lock for operators.
#[derive(Debug)]
pub(super) struct CasAdmin<K: Kind> {
    pub(super) kind: K,
    pub(super) store: K::Store,
    pub(super) exchange: HttpExchange,
    pub(super) election: LeaderElectionConfig,
}

/// Times around an answer: this machine's clock in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) sent: i64,
    pub(super) answered: i64,
}

impl<K: Kind> CasAdmin<K> {
    pub(super) fn open(kind: K, election: &LeaderElectionConfig) -> Result<Self, OpenError> {
        Ok(CasAdmin {
            store: kind.store(),
            exchange: kind.exchange()?,
            election: election.clone(),
            kind,
        })
    }

    /// Reads what is stored.
    pub(super) fn read(&mut self) -> Result<(Snapshot, Timing), LockError> {
        let sent = clock::unix_millis();
        let step = self.store.read();
        match drive(&mut self.store, &mut self.exchange, step) {
            Step::Read(snapshot) => {
                let answered = clock::unix_millis();
                Ok((snapshot?, Timing { sent, answered }))
            }
            _ => Err(internal()),
        }
    }

    fn write(&mut self, expected: Option<&Version>, value: &str) -> Result<Version, LockError> {
        let step = self.store.write(expected, value.as_bytes());
        match drive(&mut self.store, &mut self.exchange, step) {
            Step::Wrote(result) => result,
            _ => Err(internal()),
        }
    }

    /// Writes a checkpoint where nothing is stored, after the time that a leader there could still lead.
    fn create(&mut self, report: &mut dyn FnMut(&str)) -> Result<Initialized, LockError> {
        let lock = self.kind.open(&self.election);
        let mut lock = lock.map_err(|error| LockError::Refused(error.to_string()))?;
        let end = Instant::now() + self.election.lease_duration;
        report(&format!(
            "{} holds nothing; waiting {:?}, because a leader may be running",
            self.store.describe(),
            self.election.lease_duration
        ));
        loop {
            let observed = read_patiently(&mut lock)?;
            if !matches!(observed.content, Content::Deleted) {
                return Ok(self.initialized(format!(
                    "nothing to do: {} holds a record now",
                    self.store.describe()
                )));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let token = observed.highest_fencing_token.unwrap_or_default() + 1;
                match lock.write_checkpoint(&free_record(token), CALL_TIMEOUT) {
                    Ok(_) => {
                        let place = self.store.describe();
                        return Ok(self.initialized(format!("created {place}")));
                    }
                    Err(LockError::Conflict) => continue,
                    Err(LockError::OutcomeUnknown(_) | LockError::Unavailable(_)) => {
                        thread::sleep(PAUSE);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            thread::sleep(left.min(PAUSE));
        }
    }

    fn initialized(&self, message: String) -> Initialized {
        Initialized {
            message,
            settings: vec![("LOCK", self.kind.lock())],
            name: self.kind.lock(),
        }
    }
}

impl<K: Kind> Admin for CasAdmin<K> {
    fn describe(&self) -> String {
        self.store.describe()
    }

    fn stats(&self) -> StoreStats {
        self.exchange.stats().snapshot()
    }

    fn inspect(&mut self) -> Result<InspectedRecord, LockError> {
        let (snapshot, _) = self.read()?;
        Ok(inspected(&snapshot))
    }

    fn replace(
        &mut self,
        inspected: &InspectedRecord,
        record: &LeaderElectionRecord,
    ) -> Result<(), LockError> {
        let version = Version::from(inspected.version.as_str());
        self.write(Some(&version), &to_foreign_text(record, false))
            .map(drop)
    }

    fn check(&mut self) -> Checks {
        checks::run(self)
    }

    fn race(&mut self) -> Finding {
        race::run(self)
    }

    fn init(&mut self, report: &mut dyn FnMut(&str)) -> Result<Initialized, LockError> {
        let (snapshot, _) = self.read()?;
        let stored = parse(snapshot.value.as_deref());
        let place = self.store.describe();
        match &stored {
            Stored::Blank if snapshot.value.is_none() => self.create(report),
            Stored::Record(stored) => {
                let holder = match stored.record.holder_identity.as_str() {
                    "" => "without a holder".to_owned(),
                    holder => format!("held by {}", one_line(holder)),
                };
                let token = stored.record.leader_transitions;
                Ok(self.initialized(format!(
                    "nothing to do: {place} holds a record, fencing token {token}, {holder}"
                )))
            }
            Stored::Unrelated(why) => Err(LockError::Refused(format!(
                "{place}: the content is not a lease record, {why}; it is left unchanged; use \
                 another place"
            ))),
            _ => Ok(self.initialized(format!(
                "nothing to do: {place} holds a corrupt record; candidates wait and then replace \
                 it, because a leader may still be running"
            ))),
        }
    }

    fn history(&mut self, max_requests: u32) -> TermHistory {
        self.kind
            .history(&mut self.exchange, max_requests)
            .unwrap_or_else(|| TermHistory {
                error: Some(LockError::Refused(format!(
                    "{}: this kind of store keeps no history of its records",
                    self.store.describe()
                ))),
                ..TermHistory::default()
            })
    }
}

/// Passes requests and answers on until the call is done.
pub(super) fn drive(store: &mut impl Store, exchange: &mut impl Exchange, mut step: Step) -> Step {
    while let Step::Ask(request) = step {
        let answer = exchange.call(&request, CALL_TIMEOUT);
        step = store.handle(answer);
    }
    step
}

/// Returns a state of the store in the neutral form.
pub(super) fn inspected(snapshot: &Snapshot) -> InspectedRecord {
    let stored = parse(snapshot.value.as_deref());
    let record = stored.record();
    let (content, refusal) = match &stored {
        Stored::Record(stored) => (Content::Record(Arc::clone(&stored.record)), None),
        Stored::Blank => (Content::NeverWritten, None),
        Stored::Empty(_) => (Content::Deleted, None),
        Stored::Corrupt { why, .. } => (Content::Corrupt(Arc::clone(why)), None),
        Stored::Unrelated(why) => (Content::Corrupt(Arc::clone(why)), Some(Refusal::NotARecord)),
    };
    let protocol = stored.protocol();
    let newer = (protocol > PROTOCOL).then_some(Refusal::NewerProtocol {
        record: protocol,
        supported: PROTOCOL,
    });
    // The leader's own clock, for stores that give no date of the write.
    let renewed = record.and_then(|stored| unix_time(&stored.record.renew_time));
    InspectedRecord {
        content,
        refusal: newer.or(refusal),
        foreign: stored.origin().is_none(),
        checkpoint: record.is_some_and(|stored| stored.checkpoint),
        fencing_token: stored.token(),
        version: snapshot
            .version
            .as_ref()
            .map_or(String::new(), ToString::to_string),
        written_at: snapshot.written_at.or(renewed),
        read_at: snapshot.server_time,
        longest_lease: stored.lease().unwrap_or_default(),
        complete: true,
    }
}

/// Reads until there is a usable answer, at most five times in a row.
fn read_patiently(lock: &mut impl ResourceLock) -> Result<Observed, LockError> {
    let mut failures = 0;
    loop {
        match lock.get(CALL_TIMEOUT) {
            Err(LockError::Unavailable(_)) if failures + 1 < ATTEMPTS => {
                failures += 1;
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn free_record(fencing_token: u64) -> LeaderElectionRecord {
    let now = clock::utc_timestamp();
    LeaderElectionRecord {
        lease_duration_seconds: RELEASED.as_secs(),
        acquire_time: now.clone(),
        renew_time: now,
        leader_transitions: fencing_token,
        ..LeaderElectionRecord::default()
    }
}

fn internal() -> LockError {
    LockError::Unavailable("internal error: the result belongs to another call".to_owned())
}
