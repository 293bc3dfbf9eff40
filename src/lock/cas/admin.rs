//! Lock in a store with a conditional write, as commands for operators use it.

use std::thread;
use std::time::{Duration, Instant};

use super::checks;
use super::kind::Kind;
use super::memory::not_a_record;
use super::origin::{Stored, to_foreign_text};
use super::protocol::parse;
use super::race;
use super::session::{Session, inspected, open};
use crate::election::lock::{Content, LockError};
use crate::election::record::LeaderElectionRecord;
use crate::lock::admin::{Admin, Checks, Finding, Initialized};
use crate::lock::backend::OpenError;
use crate::lock::exchange::Exchange as _;
use crate::lock::init::{CALL_TIMEOUT, PAUSE, free_record, nothing_to_do, read_patiently};
use crate::lock::inspection::InspectedRecord;
use crate::lock::stats::StoreStats;
use crate::lock::store::{Store as _, Version};
use crate::lock::term_history::TermHistory;
use crate::system::random::process_name;

/// Attempts of a call that got no usable answer, a second apart.
const ATTEMPTS: u32 = 5;

impl<K: Kind> Session<K> {
    /// Writes a checkpoint where nothing is stored, after the time that a leader there could still lead.
    fn create(&mut self, report: &mut dyn FnMut(&str)) -> Result<Initialized, LockError> {
        let lock = process_name().map_err(OpenError::System);
        let lock = lock.and_then(|process| open(&self.kind, &self.election, process));
        let mut lock = lock.map_err(|error| LockError::Refused(error.to_string()))?;
        let end = Instant::now() + self.election.lease_duration;
        report(&format!(
            "{} holds nothing; waiting {:?}, because a leader may be running",
            self.store.describe(),
            self.election.lease_duration
        ));
        let mut failures = 0;
        loop {
            let observed = read_patiently(&mut lock, ATTEMPTS)?;
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
                    // For example, a delete marker may refuse every creation.
                    Err(LockError::OutcomeUnknown(_) | LockError::Unavailable(_))
                        if failures + 1 < ATTEMPTS =>
                    {
                        failures += 1;
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

impl<K: Kind> Admin for Session<K> {
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
                let record = &stored.record;
                let token = record.leader_transitions;
                Ok(self.initialized(nothing_to_do(&place, token, record)))
            }
            Stored::Unrelated(why) => Err(not_a_record(&place, why)),
            _ => Ok(self.initialized(format!(
                "nothing to do: {place} holds a corrupt record; candidates wait and then replace \
                 it, because a leader may still be running"
            ))),
        }
    }

    fn history(&mut self, max_requests: u32, _since: Option<Duration>) -> TermHistory {
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
