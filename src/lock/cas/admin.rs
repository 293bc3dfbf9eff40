//! Lock in a store with a conditional write, as commands for operators use it.

use std::thread;
use std::time::{Duration, Instant};

use super::checks;
use super::memory::not_a_record;
use super::origin::{Stored, to_foreign_text};
use super::protocol::parse;
use super::race;
use super::session::{Session, inspected, open};
use crate::election::lock::{Content, LockError};
use crate::election::record::LeaderElectionRecord;
use crate::lock::admin::{Admin, CALL_TIMEOUT, Checks, Finding, Initialized};
use crate::lock::backend::OpenError;
use crate::lock::exchange::Exchange as _;
use crate::lock::init::{
    PAUSE, free_record, is_replaceable, nothing_to_do, read_patiently, token_too_low,
};
use crate::lock::inspection::InspectedRecord;
use crate::lock::stats::StoreStats;
use crate::lock::store::{Store as _, Version};
use crate::lock::term_history::TermHistory;
use crate::system::random::process_name;

/// Attempts of a call that got no usable answer, a second apart.
const ATTEMPTS: u32 = 5;

impl Session {
    /// Writes a checkpoint with this fencing token or a higher one. Where nothing is stored, a leader that was
    /// there could still lead for the time of its lease.
    fn create(
        &mut self,
        least_token: u64,
        wait: Duration,
        report: &mut dyn FnMut(&str),
    ) -> Result<Initialized, LockError> {
        let lock = process_name().map_err(OpenError::System);
        let lock = lock.and_then(|process| open(&*self.kind, &self.election, process));
        let mut lock = lock.map_err(|error| LockError::Refused(error.to_string()))?;
        let place = self.store.describe();
        let end = Instant::now() + wait;
        if !wait.is_zero() {
            report(&format!(
                "{place} holds nothing; waiting {wait:?}, because a leader may be running"
            ));
        }
        let mut failures = 0;
        loop {
            let observed = read_patiently(&mut lock, ATTEMPTS)?;
            let token = observed.highest_fencing_token.unwrap_or_default();
            let foreign = observed.foreign_wait.is_some();
            match &observed.content {
                Content::Deleted => {}
                Content::Record(record) if token >= least_token => {
                    return Ok(self.initialized(nothing_to_do(&place, token, record)));
                }
                Content::Record(record) if is_replaceable(record, foreign) => {}
                _ => return Err(token_too_low(&place, token, least_token)),
            }
            let left = end.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                thread::sleep(left.min(PAUSE));
                continue;
            }
            let record = free_record((token + 1).max(least_token));
            match lock.write_checkpoint(&record, CALL_TIMEOUT) {
                Ok(_) => return Ok(self.initialized(format!("created {place}"))),
                Err(LockError::Conflict) => {}
                // For example, a delete marker may refuse every creation.
                Err(LockError::OutcomeUnknown(_) | LockError::Unavailable(_))
                    if failures + 1 < ATTEMPTS =>
                {
                    failures += 1;
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
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

impl Admin for Session {
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

    fn init(
        &mut self,
        least_token: u64,
        report: &mut dyn FnMut(&str),
    ) -> Result<Initialized, LockError> {
        let (snapshot, _) = self.read()?;
        let stored = parse(snapshot.value.as_deref());
        let place = self.store.describe();
        match &stored {
            Stored::Blank if snapshot.value.is_none() => {
                self.create(least_token, self.election.lease_duration, report)
            }
            Stored::Record(stored) if stored.record.leader_transitions < least_token => {
                self.create(least_token, Duration::ZERO, report)
            }
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
