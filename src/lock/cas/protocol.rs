//! Each call of a lock with a conditional write as requests out and answers in.
//!
//! ```text
//!   get ──────▶ read ──▶ probe, once ──▶ Observed
//!   update ───▶ write ──┬─▶ landed ─────────────────────────────────────────▶ Ok
//!                       └─▶ refused or unclear ──▶ read ─┬─ this write ──────▶ Ok
//!                                ▲                       ├─ another write ───▶ Conflict
//!                                └──── write again ◀─────┴─ what was there before
//! ```
//!
//! Two writes of electors are the same write if their bytes are the same: each has a unique id, and a
//! version may change without a write. A foreign write has no id, so another version counts as another
//! write. No call here sends anything, waits or reads a clock.

use std::sync::Arc;

pub use super::memory::CasConfig;
use super::memory::{Latest, Memory};
use super::origin::{Stored, to_annotated_text, to_text};
use super::probe::Probe;
use crate::election::annotation::Annotation;
use crate::election::lock::{LockError, Observed, Written};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;
use crate::lock::store::{Answer, Request, Snapshot, Step, Store, Version};
use crate::lock::stored::TermIds;

/// Times that one call sends the same write, as long as the store shows what was there before.
const ATTEMPTS: u32 = 3;

/// Next step of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CasStep {
    /// Send these requests, and pass each answer to [`CasProtocol::handle`].
    Ask(Vec<Request>),
    /// The call has ended.
    Done(Outcome),
}

/// Result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Result of a read.
    Got(Result<Observed, LockError>),
    /// Result of a write.
    Wrote(Result<Written, LockError>),
}

/// Write whose result is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pending {
    text: Arc<[u8]>,
    /// Number among this process's writes; `None` for an annotation.
    number: Option<u64>,
    /// Value that it replaces.
    base: Option<Arc<[u8]>>,
    /// Time since which what it replaces is known.
    known_since: Instant,
    attempts: u32,
}

impl Pending {
    fn new(text: String, number: Option<u64>, replaced: &Latest) -> Pending {
        Pending {
            text: text.into_bytes().into(),
            number,
            base: replaced.value.clone(),
            known_since: replaced.known_since,
            attempts: 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Call {
    Idle,
    Get,
    /// The probe before the first observation.
    Probe(Probe, Snapshot),
    /// The probe after a write into an empty place.
    ProbeAfter(Probe, Pending),
    Write(Pending),
    /// A read after a write that was refused or unclear, for this reason.
    Settle(Pending, LockError),
}

/// Lock of one process in a store with a conditional write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CasProtocol<S> {
    store: S,
    config: CasConfig,
    /// Number of writes so far, failed ones included.
    writes: u64,
    /// Number of annotations so far, failed ones included.
    annotations: u64,
    latest: Option<Latest>,
    memory: Memory,
    /// Whether the store has refused stale writes.
    probed: bool,
    /// Reason why the store cannot be used.
    unsafe_store: Option<String>,
    call: Call,
}

impl<S: Store> CasProtocol<S> {
    /// Returns a lock that has read nothing yet.
    #[must_use]
    pub fn new(store: S, config: CasConfig) -> Self {
        CasProtocol {
            memory: Memory::new(&config),
            store,
            config,
            writes: 0,
            annotations: 0,
            latest: None,
            probed: false,
            unsafe_store: None,
            call: Call::Idle,
        }
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Begins a read of the record.
    pub fn start_get(&mut self) -> CasStep {
        if let Some(why) = &self.unsafe_store {
            return got(Err(LockError::Refused(why.clone())));
        }
        self.call = Call::Get;
        let step = self.store.read();
        self.advance(Instant::BOOT, 0, step)
    }

    /// Begins a write of `record` in place of what was last read or written.
    pub fn start_update(&mut self, record: &LeaderElectionRecord) -> CasStep {
        self.start_write(record, false)
    }

    /// Begins a write of a record without a holder into a place where a record is missing.
    pub fn start_checkpoint(&mut self, record: &LeaderElectionRecord) -> CasStep {
        self.start_write(record, true)
    }

    /// Begins a change of fields for operators.
    pub fn start_annotate(&mut self, annotation: &Annotation) -> CasStep {
        self.annotations += 1;
        self.call = Call::Idle;
        let latest = match self.writable() {
            Ok(latest) => latest,
            Err(error) => return wrote(Err(error)),
        };
        let place = self.store.describe();
        let Some(stored) = latest.stored.record() else {
            return wrote(Err(LockError::Refused(format!(
                "{place}: there is no record to annotate"
            ))));
        };
        let record = match stored.annotated(annotation, &place) {
            Ok(record) => record,
            Err(error) => return wrote(Err(error)),
        };
        let id = self.memory.ids.annotation(self.annotations);
        let own = stored.origin.as_ref().map(|_| &*id);
        let text = to_annotated_text(record, own);
        let pending = Pending::new(text, None, latest);
        let version = latest.version.clone();
        self.send(pending, version.as_ref())
    }

    /// Returns what the next write replaces.
    fn writable(&self) -> Result<&Latest, LockError> {
        if let Some(why) = &self.unsafe_store {
            return Err(LockError::Refused(why.clone()));
        }
        let latest = self.latest.as_ref();
        latest.ok_or_else(|| LockError::Unfinished("nothing was read yet".to_owned()))
    }

    fn start_write(&mut self, record: &LeaderElectionRecord, checkpoint: bool) -> CasStep {
        self.writes += 1;
        self.call = Call::Idle;
        let latest = match self.writable() {
            Ok(latest) => latest,
            Err(error) => return wrote(Err(error)),
        };
        if record.leader_transitions > self.config.highest_token {
            return wrote(Err(LockError::Refused(format!(
                "{}: the next fencing token would be {}, above the highest that it can keep; use \
                 another place",
                self.store.describe(),
                record.leader_transitions
            ))));
        }
        let id = self.memory.ids.write(self.writes);
        let record = TermIds::added_to(record, latest.stored.record(), &id);
        let text = to_text(&record, latest.stored.kept(), &id, checkpoint);
        let pending = Pending::new(text, Some(self.writes), latest);
        let version = latest.version.clone();
        self.send(pending, version.as_ref())
    }

    fn send(&mut self, mut pending: Pending, version: Option<&Version>) -> CasStep {
        pending.attempts += 1;
        let step = self.store.write(version, &pending.text);
        self.call = Call::Write(pending);
        self.advance(Instant::BOOT, 0, step)
    }

    /// Handles the answer to a request.
    pub fn handle(&mut self, answer: Answer) -> CasStep {
        let (now, wall) = (answer.at, answer.received_at);
        let step = self.store.handle(answer);
        self.advance(now, wall, step)
    }

    /// Ends the call, because its time is over.
    pub fn give_up(&mut self, why: &str) -> CasStep {
        match std::mem::replace(&mut self.call, Call::Idle) {
            Call::Write(_) | Call::Settle(..) | Call::ProbeAfter(..) => {
                wrote(Err(LockError::OutcomeUnknown(why.to_owned())))
            }
            _ => got(Err(LockError::Unavailable(why.to_owned()))),
        }
    }

    fn advance(&mut self, now: Instant, wall: i64, step: Step) -> CasStep {
        let step = match step {
            Step::Ask(requests) => return CasStep::Ask(requests),
            step => step,
        };
        match (std::mem::replace(&mut self.call, Call::Idle), step) {
            (Call::Get, Step::Read(Ok(snapshot))) => self.read(now, wall, snapshot),
            (Call::Get, Step::Read(Err(error))) => got(Err(error)),
            (Call::Probe(probe, snapshot), Step::Wrote(result)) => {
                match self.next_probe(probe, result) {
                    Ok(Some((probe, step))) => {
                        self.call = Call::Probe(probe, snapshot);
                        self.advance(now, wall, step)
                    }
                    Ok(None) => self.read(now, wall, snapshot),
                    Err(error) => got(Err(error)),
                }
            }
            (Call::ProbeAfter(probe, pending), Step::Wrote(result)) => {
                match self.next_probe(probe, result) {
                    Ok(Some((probe, step))) => {
                        self.call = Call::ProbeAfter(probe, pending);
                        self.advance(now, wall, step)
                    }
                    Ok(None) => self.succeed(&pending),
                    Err(error) if self.unsafe_store.is_some() => wrote(Err(error)),
                    // The write has landed. The next read probes again.
                    Err(error) => wrote(Err(LockError::OutcomeUnknown(error.to_string()))),
                }
            }
            (Call::Write(pending), Step::Wrote(Ok(version))) => {
                self.landed(now, wall, pending, version)
            }
            (Call::Write(pending), Step::Wrote(Err(error))) => match error {
                LockError::Conflict | LockError::OutcomeUnknown(_) => {
                    self.call = Call::Settle(pending, error);
                    let step = self.store.read();
                    self.advance(now, wall, step)
                }
                error => wrote(Err(error)),
            },
            (Call::Settle(pending, _), Step::Read(Ok(snapshot))) => {
                self.settle(now, wall, pending, snapshot)
            }
            (Call::Settle(_, error), Step::Read(Err(second))) => {
                let first = match error {
                    LockError::OutcomeUnknown(why) => why,
                    error => error.to_string(),
                };
                wrote(Err(LockError::OutcomeUnknown(format!("{first}; {second}"))))
            }
            (_, Step::Wrote(_)) => wrote(Err(LockError::OutcomeUnknown(mixed_up()))),
            (_, _) => got(Err(LockError::Unavailable(mixed_up()))),
        }
    }

    // ---- reads ----

    fn read(&mut self, now: Instant, wall: i64, snapshot: Snapshot) -> CasStep {
        let head_known_since = self.note(now, &snapshot);
        let Some(latest) = &self.latest else {
            return got(Err(LockError::Unavailable(mixed_up())));
        };
        let place = self.store.describe();
        if let Err(error) = self.memory.check(latest, &place) {
            self.latest = None;
            return got(Err(error));
        }
        if !self.probed && latest.value.is_some() {
            let (probe, step) = self.begin_probe();
            self.call = Call::Probe(probe, snapshot);
            return self.advance(now, wall, step);
        }
        let observed = self.memory.observe(latest, &snapshot, (now, wall), &place);
        if observed.is_err() {
            // Nothing may be written over what must not be acted on.
            self.latest = None;
        }
        got(observed.map(|observed| Observed {
            head_known_since,
            ..observed
        }))
    }

    /// Keeps the newest state. Returns since when it is known, if an earlier answer showed it.
    fn note(&mut self, now: Instant, snapshot: &Snapshot) -> Option<Instant> {
        let latest = self.latest.as_ref();
        let same_value = latest.filter(|latest| latest.value == snapshot.value);
        let same_version = same_value.filter(|latest| latest.version == snapshot.version);
        let known_since = same_version.map(|latest| latest.known_since);
        let stored = same_value.map(|latest| Arc::clone(&latest.stored));
        self.latest = Some(Latest {
            stored: stored.unwrap_or_else(|| Arc::new(parse(snapshot.value.as_deref()))),
            value: snapshot.value.clone(),
            version: snapshot.version.clone(),
            known_since: known_since.unwrap_or(now),
        });
        known_since
    }

    // ---- writes ----

    fn landed(&mut self, now: Instant, wall: i64, pending: Pending, version: Version) -> CasStep {
        let was_empty = pending.base.is_none();
        self.note(
            now,
            &Snapshot {
                value: Some(Arc::clone(&pending.text)),
                version: Some(version),
                ..Snapshot::default()
            },
        );
        if !self.probed && was_empty {
            let (probe, step) = self.begin_probe();
            self.call = Call::ProbeAfter(probe, pending);
            return self.advance(now, wall, step);
        }
        self.succeed(&pending)
    }

    fn succeed(&mut self, pending: &Pending) -> CasStep {
        if let Some(latest) = &self.latest {
            self.memory.acknowledge(pending.number, latest);
        }
        wrote(Ok(Written {
            head_known_since: self.config.confirms.then_some(pending.known_since),
        }))
    }

    fn settle(&mut self, now: Instant, wall: i64, pending: Pending, snapshot: Snapshot) -> CasStep {
        if snapshot.value.as_ref() == Some(&pending.text) {
            let version = snapshot.version.unwrap_or_else(|| "".into());
            return self.landed(now, wall, pending, version);
        }
        if snapshot.value != pending.base || self.is_rewritten(&snapshot) {
            // What this write names as the current version will not be current again. Nothing is
            // written over the present one before it was observed.
            self.latest = None;
            return wrote(Err(LockError::Conflict));
        }
        if pending.attempts >= ATTEMPTS {
            return wrote(Err(LockError::OutcomeUnknown(format!(
                "{}: the write was refused {ATTEMPTS} times, although nothing else was written",
                self.store.describe()
            ))));
        }
        // At most one of the two can land, and they are the same write.
        self.note(now, &snapshot);
        let known_since = self
            .latest
            .as_ref()
            .map_or(now, |latest| latest.known_since);
        let pending = Pending {
            known_since,
            ..pending
        };
        self.send(pending, snapshot.version.as_ref())
    }

    /// Returns whether what this process knows, a foreign write, may have been written again after an
    /// elector's write.
    fn is_rewritten(&self, snapshot: &Snapshot) -> bool {
        self.latest.as_ref().is_some_and(|latest| {
            latest.stored.origin().is_none() && latest.version != snapshot.version
        })
    }

    // ---- probe ----

    /// Begins the probe with what is stored now.
    fn begin_probe(&mut self) -> (Probe, Step) {
        let probe = match &self.latest {
            Some(latest) => Probe::new(&latest.stored, latest.value.as_ref()),
            None => Probe::new(&Stored::Blank, None),
        };
        let step = probe.write(&mut self.store);
        (probe, step)
    }

    fn next_probe(
        &mut self,
        probe: Probe,
        result: Result<Version, LockError>,
    ) -> Result<Option<(Probe, Step)>, LockError> {
        let landed = result.is_ok();
        match probe.next(result, &self.store.describe()) {
            Ok(Some(probe)) => {
                let step = probe.write(&mut self.store);
                Ok(Some((probe, step)))
            }
            Ok(None) => {
                self.probed = true;
                Ok(None)
            }
            Err(error) => {
                if landed {
                    self.unsafe_store = Some(error.to_string());
                }
                Err(error)
            }
        }
    }
}

/// Parses what is stored.
pub(super) fn parse(value: Option<&[u8]>) -> Stored {
    match value.map(std::str::from_utf8) {
        None => Stored::Blank,
        Some(Ok(text)) => Stored::parse(text),
        Some(Err(_)) => Stored::Unrelated("it is not text".into()),
    }
}

fn got(result: Result<Observed, LockError>) -> CasStep {
    CasStep::Done(Outcome::Got(result))
}

fn wrote(result: Result<Written, LockError>) -> CasStep {
    CasStep::Done(Outcome::Wrote(result))
}

fn mixed_up() -> String {
    "internal error: the result belongs to another call".to_owned()
}
