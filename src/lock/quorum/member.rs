//! One member of a quorum: what it showed last, and its request under way.

use std::sync::Arc;

use super::state::{Acceptor, Ballot, Membership, State};
use crate::election::lock::LockError;
use crate::lock::cas::probe::Probe;
use crate::lock::store::{Answer, Request, Snapshot, Step, Store, Version};

/// Reason why a member without a value does not vote.
const NOTHING: &str = "holds nothing";

/// Newest content that a member showed, and its version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Known {
    pub(super) content: Result<State, &'static str>,
    pub(super) version: Option<Version>,
    /// The member's clock at the last read, in seconds since the Unix epoch.
    pub(super) server_time: Option<i64>,
    /// Time of the write that this read showed, by the same clock.
    pub(super) written_at: Option<i64>,
}

/// Operation of a member that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Read,
    Write(State),
    Probe(Probe),
}

/// What an answer means for a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Its operation needs these requests.
    Ask(Vec<Request>),
    /// It is idle, and what it showed last is known.
    Known,
    /// A write was refused, or may have landed: it must be read.
    Doubt,
    /// The operation had no effect.
    Failed(LockError),
    /// The operation was begun in an earlier phase, and has ended.
    Old,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Member<S> {
    store: S,
    index: usize,
    /// Operation under way.
    operation: Option<Operation>,
    /// Whether it was begun in an earlier phase.
    old: bool,
    /// `None` if it must be read.
    pub(super) known: Option<Known>,
    /// Highest promised and accepted ballots that it showed.
    shown: Option<(Ballot, Ballot)>,
    /// [`Membership::repaired`] when it showed less than before. It does not vote until the next repair.
    regressed: Option<u64>,
    /// Whether its server has refused stale writes.
    pub(super) probed: bool,
    /// Reason why it can never be used.
    refused: Option<String>,
}

impl<S: Store> Member<S> {
    pub(super) fn new(store: S, index: usize) -> Member<S> {
        Member {
            store,
            index,
            operation: None,
            old: false,
            known: None,
            shown: None,
            regressed: None,
            probed: false,
            refused: None,
        }
    }

    /// Returns whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.operation.is_some()
    }

    /// Returns whether a request of an earlier phase is under way.
    pub(super) fn is_slow(&self) -> bool {
        self.operation.is_some() && self.old
    }

    /// Notes that the present phase ends.
    pub(super) fn end_phase(&mut self) {
        self.old = true;
    }

    /// Returns whether nothing was stored at the last read.
    pub(super) fn is_empty(&self) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.content == Err(NOTHING))
    }

    pub(super) fn describe(&self) -> String {
        self.store.describe()
    }

    /// Returns the state, if the member may vote in this quorum; `None` for a quorum whose identifier is not
    /// known yet.
    ///
    /// # Errors
    /// Returns why it may not.
    pub(super) fn vote(&self, quorum: Option<&Arc<str>>, size: usize) -> Result<&State, String> {
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        let Some(known) = &self.known else {
            return Err("was not read".to_owned());
        };
        let state = known.content.as_ref().map_err(|why| (*why).to_owned())?;
        let Membership {
            quorum: id,
            members,
            number,
            ready,
            ..
        } = &*state.membership;
        if quorum.is_some_and(|quorum| quorum != id) {
            return Err("belongs to another quorum".to_owned());
        }
        if (*number, members.len()) != (self.index + 1, size) {
            return Err(format!(
                "is member {number} of {}, not {} of {size}; write LOCK as elector init was given it",
                members.len(),
                self.index + 1
            ));
        }
        if !ready {
            return Err("is not ready; run elector init again".to_owned());
        }
        if self.regressed.is_some() {
            return Err(format!(
                "shows less than before, as after a restored backup; run elector init --repair {number}"
            ));
        }
        Ok(state)
    }

    // ---- operations ----

    fn begin(&mut self, operation: Operation) {
        self.operation = Some(operation);
        self.old = false;
    }

    pub(super) fn read(&mut self) -> Event {
        self.begin(Operation::Read);
        let step = self.store.read();
        self.advance(step)
    }

    /// Begins a write of `acceptor` over what is known.
    pub(super) fn write(&mut self, acceptor: Acceptor) -> Event {
        let Some(Known {
            content: Ok(state),
            version,
            ..
        }) = &self.known
        else {
            return Event::Doubt;
        };
        let state = State {
            membership: Arc::clone(&state.membership),
            acceptor,
        };
        let step = self
            .store
            .write(version.as_ref(), state.to_text().as_bytes());
        self.begin(Operation::Write(state));
        self.advance(step)
    }

    /// Begins the writes that the server must refuse. If one lands, the member never votes again.
    pub(super) fn probe(&mut self) -> Event {
        self.old = false;
        self.send_probe(Probe::of(b"{}"))
    }

    fn send_probe(&mut self, probe: Probe) -> Event {
        let step = probe.write(&mut self.store);
        self.operation = Some(Operation::Probe(probe));
        self.advance(step)
    }

    /// Handles the answer to a request.
    pub(super) fn handle(&mut self, answer: Answer) -> Event {
        let old = self.is_slow();
        let step = self.store.handle(answer);
        match self.advance(step) {
            Event::Ask(requests) => Event::Ask(requests),
            _ if old => Event::Old,
            event => event,
        }
    }

    fn advance(&mut self, step: Step) -> Event {
        let Some(operation) = self.operation.take() else {
            return Event::Old;
        };
        match (step, operation) {
            // A write must not begin after its phase.
            (Step::Ask(requests), Operation::Write(_))
                if self.old && requests.iter().any(|request| request.writes) =>
            {
                self.known = None;
                Event::Old
            }
            (Step::Ask(mut requests), operation) => {
                for request in &mut requests {
                    request.member = self.index;
                }
                self.operation = Some(operation);
                Event::Ask(requests)
            }
            (Step::Read(Ok(snapshot)), Operation::Read) => {
                self.note(snapshot);
                Event::Known
            }
            (Step::Read(Err(error)), Operation::Read) => {
                self.known = None;
                Event::Failed(error)
            }
            (Step::Wrote(Ok(version)), Operation::Write(state)) => {
                self.wrote(state, version);
                Event::Known
            }
            (Step::Wrote(Err(error)), Operation::Write(_)) => match error {
                LockError::Conflict | LockError::OutcomeUnknown(_) => {
                    self.known = None;
                    Event::Doubt
                }
                error => Event::Failed(error),
            },
            (Step::Wrote(result), Operation::Probe(probe)) => {
                let landed = result.is_ok();
                match probe.next(result, &self.store.describe()) {
                    Ok(Some(probe)) => self.send_probe(probe),
                    Ok(None) => {
                        self.probed = true;
                        Event::Known
                    }
                    Err(error) => {
                        if landed {
                            self.refused = Some(error.to_string());
                        }
                        Event::Failed(error)
                    }
                }
            }
            _ => Event::Old,
        }
    }

    fn note(&mut self, snapshot: Snapshot) {
        let content = match &snapshot.value {
            None => Err(NOTHING),
            Some(value) => State::parse(value),
        };
        if let Ok(state) = &content {
            self.compare(state);
        }
        self.known = Some(Known {
            content,
            version: snapshot.version,
            server_time: snapshot.server_time,
            written_at: snapshot.written_at,
        });
    }

    /// Compares a state with what the member showed before.
    fn compare(&mut self, state: &State) {
        let repaired = state.membership.repaired;
        if self.regressed.is_some_and(|then| repaired > then) {
            (self.regressed, self.shown) = (None, None);
        }
        let (promised, accepted) = (&state.acceptor.promised, &state.acceptor.accepted);
        let less = self
            .shown
            .as_ref()
            .is_some_and(|(before, value)| promised < before || accepted < value);
        if less && self.regressed.is_none() {
            self.regressed = Some(repaired);
        }
        if self.regressed.is_none() {
            self.shown = Some((promised.clone(), accepted.clone()));
        }
    }

    fn wrote(&mut self, state: State, version: Version) {
        self.compare(&state);
        let times = self.known.as_ref();
        self.known = Some(Known {
            server_time: times.and_then(|known| known.server_time),
            written_at: times.and_then(|known| known.written_at),
            content: Ok(state),
            version: Some(version),
        });
    }
}
