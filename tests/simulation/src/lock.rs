//! The lock of a candidate, in a gist or in a cell, behind one interface for the network.

use std::time::Duration;

use elector::election::annotation::Annotation;
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::{LockError, Observed, Written};
use elector::election::record::LeaderElectionRecord;
use elector::election::time::Instant;
use elector::lock::cas::protocol::{self as cas, CasConfig, CasProtocol, CasStep};
use elector::lock::gist::budget::Budget;
use elector::lock::gist::protocol::{self as gist, GistProtocol, ProtocolConfig};
use elector::lock::gist::wire;
use elector::lock::store::{self, Failure, Response};

use crate::cell::{CellStore, answer};
use crate::scenario::Place;
use crate::service::FILE;

/// Highest fencing token of a cell, as of a Lease.
const HIGHEST_TOKEN: u64 = i32::MAX as u64;

/// The decisions of a lock.
#[derive(Debug)]
pub enum Lock {
    Gist(Box<GistProtocol>),
    Cell(Box<CasProtocol<CellStore>>),
}

/// A request to the store.
#[derive(Clone, Debug)]
pub enum Request {
    Gist(wire::Request),
    Cell(store::Request),
}

/// An answer, or the reason why there is none.
#[derive(Clone, Debug)]
pub enum Reply {
    Gist(wire::Answer),
    Cell(Result<Response, Failure>),
}

/// Next step of a call.
#[derive(Debug)]
pub enum Step {
    Ask(Request),
    Got(Result<Observed, LockError>),
    Wrote(Result<Written, LockError>),
}

impl Lock {
    /// Returns the lock of a new process in this place.
    pub fn new(place: Place, process: &str, config: &LeaderElectionConfig) -> Lock {
        let process = process.to_owned();
        let renew_deadline = config.renew_deadline;
        match place {
            Place::Gist => Lock::Gist(Box::new(GistProtocol::new(ProtocolConfig {
                process,
                file: Some(FILE.to_owned()),
                renew_deadline,
                budget: Budget::new(config),
            }))),
            Place::Cell { .. } => Lock::Cell(Box::new(CasProtocol::new(
                CellStore::default(),
                CasConfig {
                    process,
                    renew_deadline,
                    highest_token: HIGHEST_TOKEN,
                    confirms: false,
                },
            ))),
        }
    }

    pub fn start_get(&mut self) -> Step {
        match self {
            Lock::Gist(lock) => lock.start_get().into(),
            Lock::Cell(lock) => lock.start_get().into(),
        }
    }

    pub fn start_create(&mut self, record: &LeaderElectionRecord) -> Step {
        match self {
            Lock::Gist(lock) => lock.start_create(record).into(),
            Lock::Cell(lock) => lock.start_update(record).into(),
        }
    }

    pub fn start_update(&mut self, record: &LeaderElectionRecord) -> Step {
        match self {
            Lock::Gist(lock) => lock.start_update(record).into(),
            Lock::Cell(lock) => lock.start_update(record).into(),
        }
    }

    pub fn start_annotate(&mut self, annotation: &Annotation) -> Step {
        match self {
            Lock::Gist(lock) => lock.start_annotate(annotation).into(),
            Lock::Cell(lock) => lock.start_annotate(annotation).into(),
        }
    }

    /// Handles an answer that came `now`, when the machine's time of day was `wall`.
    ///
    /// # Panics
    /// Panics if the answer is of another kind of store.
    pub fn handle(&mut self, now: Instant, wall: i64, reply: Reply) -> Step {
        match (self, reply) {
            (Lock::Gist(lock), Reply::Gist(answer)) => lock.handle_answer(now, answer).into(),
            (Lock::Cell(lock), Reply::Cell(reply)) => lock.handle(answer(now, wall, reply)).into(),
            (_, reply) => panic!("an answer of another store: {reply:?}"),
        }
    }

    /// Handles that a request got no answer in time.
    pub fn time_out(&mut self, now: Instant, wall: i64, write: bool) -> Step {
        let late = "no answer came in time".to_owned();
        let reply = match (&self, write) {
            (Lock::Cell(_), _) => Reply::Cell(Err(Failure::NoAnswer(late))),
            (_, true) => failed(None, LockError::OutcomeUnknown(late)),
            (_, false) => failed(None, LockError::Unavailable(late)),
        };
        self.handle(now, wall, reply)
    }

    /// Ends a call whose time is over before its next request, as the blocking shell does.
    pub fn give_up(&mut self, step: Step) -> Step {
        match self {
            Lock::Gist(_) => step,
            Lock::Cell(lock) => lock.give_up("the time is over").into(),
        }
    }

    /// Returns the part of a call's time that a request gets, as the blocking shell does.
    pub fn share(&self, write: bool, left: Duration) -> Duration {
        match self {
            Lock::Cell(_) if write => left / 2,
            _ => left,
        }
    }

    pub fn min_poll_interval(&self, now: Instant) -> Duration {
        match self {
            Lock::Gist(lock) => lock.min_poll_interval(now),
            Lock::Cell(_) => Duration::ZERO,
        }
    }
}

impl Request {
    /// Returns whether the request may change something.
    pub fn writes(&self) -> bool {
        match self {
            Request::Gist(request) => matches!(request, wire::Request::Write { .. }),
            Request::Cell(request) => request.writes,
        }
    }
}

/// Returns the answer of a gist that a request failed.
pub fn failed(date: Option<i64>, error: LockError) -> Reply {
    Reply::Gist(wire::Answer {
        date,
        rate: None,
        reply: Err(error),
    })
}

impl From<gist::Step> for Step {
    fn from(step: gist::Step) -> Step {
        match step {
            gist::Step::Ask(request) => Step::Ask(Request::Gist(request)),
            gist::Step::Done(gist::Outcome::Got(result)) => Step::Got(result),
            gist::Step::Done(gist::Outcome::Wrote(result)) => Step::Wrote(result),
        }
    }
}

impl From<CasStep> for Step {
    fn from(step: CasStep) -> Step {
        match step {
            CasStep::Ask(mut requests) => Step::Ask(Request::Cell(requests.remove(0))),
            CasStep::Done(cas::Outcome::Got(result)) => Step::Got(result),
            CasStep::Done(cas::Outcome::Wrote(result)) => Step::Wrote(result),
        }
    }
}
