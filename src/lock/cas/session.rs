//! Requests to a store outside of an election, and the opening of locks.

use std::sync::Arc;

use super::CasLock;
use super::kind::Kind;
use super::origin::{PROTOCOL, Stored};
use super::protocol::{CasConfig, parse};
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::{Content, LockError};
use crate::fmt::unix_time;
use crate::lock::admin::CALL_TIMEOUT;
use crate::lock::backend::OpenError;
use crate::lock::exchange::{Exchange, HttpExchange};
use crate::lock::inspection::{InspectedRecord, Refusal};
use crate::lock::store::{Snapshot, Step, Store, Version};
use crate::lock::stored::StoredRecord;
use crate::system::clock::{self, BootClock};

/// Opens a lock for a process of this name. Sends no request.
pub(super) fn open(
    kind: &dyn Kind,
    election: &LeaderElectionConfig,
    process: String,
) -> Result<CasLock<Box<dyn Store + Send>, HttpExchange>, OpenError> {
    let config = CasConfig {
        process,
        renew_deadline: election.renew_deadline,
        highest_token: kind.highest_token(),
        confirms: kind.confirm_delay().is_some(),
    };
    let exchange = kind.exchange()?;
    Ok(CasLock::new(
        &election.identity,
        kind.store(),
        config,
        kind.confirm_delay(),
        exchange,
        BootClock::now,
    ))
}

/// Access to a lock for operators.
pub(super) struct Session {
    pub(super) kind: Arc<dyn Kind>,
    pub(super) store: Box<dyn Store + Send>,
    pub(super) exchange: HttpExchange,
    pub(super) election: LeaderElectionConfig,
}

/// Times around an answer: this machine's clock in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) sent: i64,
    pub(super) answered: i64,
}

impl Session {
    pub(super) fn open(
        kind: Arc<dyn Kind>,
        election: &LeaderElectionConfig,
    ) -> Result<Self, OpenError> {
        Ok(Session {
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
        match drive(&mut *self.store, &mut self.exchange, step) {
            Step::Read(snapshot) => {
                let answered = clock::unix_millis();
                Ok((snapshot?, Timing { sent, answered }))
            }
            _ => Err(internal()),
        }
    }

    /// Writes over this version.
    pub(super) fn write(
        &mut self,
        expected: Option<&Version>,
        value: &str,
    ) -> Result<Version, LockError> {
        let step = self.store.write(expected, value.as_bytes());
        match drive(&mut *self.store, &mut self.exchange, step) {
            Step::Wrote(result) => result,
            _ => Err(internal()),
        }
    }
}

/// Passes requests and answers on until the call is done.
pub(super) fn drive(store: &mut dyn Store, exchange: &mut impl Exchange, mut step: Step) -> Step {
    while let Step::Ask(requests) = &step {
        let Some(answer) = exchange.ask(requests, CALL_TIMEOUT) else {
            break;
        };
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
        // An annotation is not a sign of life.
        written_at: match record.is_some_and(StoredRecord::is_annotated) {
            true => renewed,
            false => snapshot.written_at.or(renewed),
        },
        read_at: snapshot.server_time,
        longest_lease: stored.lease().unwrap_or_default(),
        complete: true,
    }
}

fn internal() -> LockError {
    LockError::Unavailable("internal error: the result belongs to another call".to_owned())
}
