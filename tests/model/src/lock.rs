//! Processes that use one gist as a compare-and-swap.
//!
//! Each process has its own protocol and makes a bounded number of reads, writes and annotations, one at a time,
//! in any order. Every choice of the following is explored:
//!
//! - the revision as of which a read is answered: the head or any older one (a stale read or a slow
//!   answer). From one page of the history to the next it never goes back, and goes forward by at
//!   most a page, unless [`Bounds::jumps`] allows it;
//! - when a write lands, if at all: on top of the head of that time, while its process waits or
//!   long after, once or twice;
//! - whether a write's answer is lost, before or after it landed, and otherwise the revision as of
//!   which it is answered;
//! - what operators do in between: write a foreign record, paste an old text (even a record with
//!   all fields of the protocol), write another file;
//! - whether a read in the middle of a call fails;
//! - whether all this takes longer than an answer may be stale;
//! - with [`Bounds::lost_writes`]: a write that was based on an older revision than the head
//!   replaces all revisions above that one.

mod properties;
pub mod scenarios;
mod state;
mod steps;

use std::collections::HashMap;
use std::sync::Mutex;

use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::Text;
use stateright::{Model, Property};

pub use state::{Action, State};

use crate::calls::{Calls, Flaw};

/// Size of a scenario.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub processes: Vec<Calls>,
    /// Initial content of the file.
    pub beginning: Text,
    /// Number of times that an operator overwrites the record or pastes an old one.
    pub overwrites: u8,
    /// Number of writes of another file of the gist.
    pub other_files: u8,
    /// Number of writes that land a second time.
    pub duplicates: u8,
    /// Number of reads in the middle of a call that fail.
    pub failures: u8,
    /// Number of pauses after which no earlier answer is stale.
    pub pauses: u8,
    /// Number of writes that replace others.
    pub lost_writes: u8,
    /// Number of revisions that an answer lists.
    pub page: usize,
    /// The history may jump from one page to the next: back in time, or forward by more than a
    /// page.
    pub jumps: bool,
}

/// Model with these bounds.
#[derive(Debug)]
pub struct LockModel {
    pub bounds: Bounds,
    /// Result of reading each revision with a new process, which depends on nothing else.
    shown: Mutex<HashMap<Revision, Option<Flaw>>>,
}

impl LockModel {
    pub fn new(bounds: Bounds) -> LockModel {
        LockModel {
            bounds,
            shown: Mutex::default(),
        }
    }

    /// Returns whether an acknowledged write may be lost later.
    fn loses_writes(&self) -> bool {
        self.bounds.lost_writes > 0
    }
}

impl Model for LockModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.actions(&self.bounds, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        let revisions = next.gist.revisions();
        next.apply(&self.bounds, action);
        if next.gist.revisions() > revisions {
            self.check_new_process(&mut next);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<LockModel>> {
        properties::of(self)
    }
}

impl LockModel {
    /// Lets a new process read the head.
    fn check_new_process(&self, state: &mut State) {
        let name = state.gist.entry(state.gist.head()).name;
        let known = self
            .shown
            .lock()
            .ok()
            .and_then(|shown| shown.get(&name).copied());
        let flaw = known.unwrap_or_else(|| state.flaw_for_new_process(&self.bounds));
        if known.is_none()
            && let Ok(mut shown) = self.shown.lock()
        {
            shown.insert(name, flaw);
        }
        state.flaw = state.flaw.or(flaw);
    }
}
