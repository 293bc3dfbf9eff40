//! Results of calls, compared with what was stored.

use elector::election::annotation::PAUSED;
use elector::election::lock::{LockError, Observed, Written};

use super::process::Reported;
use super::record::Shown;
use super::state::State;
use crate::gist::{NAMES, WriteId};

impl State {
    pub(super) fn got(&mut self, process: usize, result: Result<Observed, LockError>) {
        let one = self.process(process);
        one.knows |= result.is_ok();
        let began = one.began;
        let Ok(observed) = result else { return };
        let record = observed.content.record();
        let owner = record.and_then(|record| {
            let process = NAMES
                .iter()
                .position(|name| *name == record.holder_identity)?;
            let number = (record.lease_duration_seconds / 10) as usize;
            Some(WriteId { process, number })
        });
        let paused = record.and_then(|record| record.annotation(PAUSED)?.as_str());
        let shown = Shown {
            owner,
            paused: paused.and_then(WriteId::parse),
            foreign: observed.foreign_wait.is_some(),
        };
        let mut during = self.shown[began - 1..].iter();
        if !during.any(|stored| *stored == shown) {
            self.flaw = self.flaw.or(Some("a read that shows what was not stored"));
        }
        let mine = owner.filter(|id| id.process == process);
        if observed.mine != mine.map(|id| id.number as u64) {
            self.flaw = self
                .flaw
                .or(Some("a read that confuses own and other writes"));
        }
    }

    pub(super) fn wrote(&mut self, process: usize, result: &Result<Written, LockError>) {
        let Some(number) = self.process(process).current.take() else {
            return;
        };
        let id = WriteId { process, number };
        let reported = match result {
            Ok(_) => Reported::Success,
            Err(LockError::Conflict) => Reported::Conflict,
            Err(LockError::OutcomeUnknown(_)) => Reported::Unknown,
            Err(_) => Reported::Failed,
        };
        let one = self.process(process);
        one.own_mut(number).reported = reported;
        one.knows &= !matches!(reported, Reported::Conflict);
        let (landed, current) = (self.landed(id) > 0, self.stored.last() == Some(&Some(id)));
        let flaw = match reported {
            Reported::Success if !landed => Some("a success that did not land"),
            Reported::Conflict if current => Some("a conflict that is stored"),
            Reported::Failed if landed => Some("a failed write that landed"),
            _ => None,
        };
        self.flaw = self.flaw.or(flaw);
    }
}
