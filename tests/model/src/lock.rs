//! Processes that use one gist as a compare-and-swap.
//!
//! Each process makes its calls through a protocol of its own: looks and writes, in any order, one at
//! a time, so many of each. What is left to chance, and so is tried in every way:
//!
//! - which revision a read is answered as of: the newest, or any older one (a stale read, or an answer
//!   that took its time). From one page of the history to the next this does not go back, and forward
//!   by a page at the most, unless [`Bounds::jumps`] says so;
//! - when a write lands, if at all: on top of whatever is newest by then, while its process waits or
//!   long after it went on, once or twice;
//! - whether a write's answer is lost, before or after it landed, and as of which revision it is
//!   answered otherwise;
//! - what people do in between: a plain record, an old text pasted again (a record of ours with all
//!   its fields, too), another file;
//! - whether a read that a call needs to go on fails;
//! - how long all this takes: longer than an answer may be stale, or not;
//! - with [`Bounds::vanishing`]: that a write was built on an older revision than the newest and takes
//!   all above that one with it.

mod properties;
mod state;
mod steps;
pub mod worlds;

use std::collections::HashMap;
use std::sync::Mutex;

use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::Text;
use stateright::{Model, Property};

pub use state::{Action, Flaw, State};

/// How many calls a process may make.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    pub looks: u8,
    pub writes: u8,
    /// It has looked at the gist before all begins.
    pub warm: bool,
}

/// How large the world is.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub processes: Vec<Calls>,
    /// What the file holds in the beginning.
    pub beginning: Text,
    /// How often a person overwrites the record, or pastes an old one.
    pub overwrites: u8,
    /// How often another file of the gist is written.
    pub other_files: u8,
    /// How often a write lands a second time.
    pub duplicates: u8,
    /// How often a read in the middle of a call fails.
    pub failures: u8,
    /// How often so much time passes that an answer cannot be stale any more.
    pub pauses: u8,
    /// How often a write takes others with it.
    pub vanishing: u8,
    /// How many revisions an answer lists.
    pub page: usize,
    /// From one page of the history to the next, what is shown may jump: back in time, or forward by
    /// more than a page.
    pub jumps: bool,
}

/// The model of these bounds.
#[derive(Debug)]
pub struct LockModel {
    pub bounds: Bounds,
    /// What a process that knows nothing makes of a history, by its newest revision: that depends on
    /// nothing else.
    shown: Mutex<HashMap<Revision, Option<Flaw>>>,
}

impl LockModel {
    pub fn new(bounds: Bounds) -> LockModel {
        LockModel {
            bounds,
            shown: Mutex::default(),
        }
    }

    /// Whether what was acknowledged may be gone later.
    fn vanishes(&self) -> bool {
        self.bounds.vanishing > 0
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
            self.show_to_a_stranger(&mut next);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<LockModel>> {
        properties::of(self)
    }
}

impl LockModel {
    /// Has a process that knows nothing look at the newest revision.
    fn show_to_a_stranger(&self, state: &mut State) {
        let name = state.gist.entry(state.gist.head()).name;
        let known = self
            .shown
            .lock()
            .ok()
            .and_then(|shown| shown.get(&name).copied());
        let flaw = known.unwrap_or_else(|| state.flaw_seen_by_a_stranger(&self.bounds));
        if known.is_none()
            && let Ok(mut shown) = self.shown.lock()
        {
            shown.insert(name, flaw);
        }
        state.flaw = state.flaw.or(flaw);
    }
}
