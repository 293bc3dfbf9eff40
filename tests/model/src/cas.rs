//! Processes that use a store with a conditional write.
//!
//! Each process has its own protocol and makes a bounded number of reads, writes and annotations, one at a time, in any
//! order. Every choice of the following is explored:
//!
//! - when a request arrives, if at all: while its process waits, or a write long after;
//! - when its answer comes, if at all, and when the process gives up the call;
//! - with [`Bounds::doubles`]: a write arrives twice, and either answer comes;
//! - with [`Bounds::refusals`]: a write is refused wrongly, and may still land;
//! - with [`Bounds::version_changes`]: the version changes without a write;
//! - with [`Bounds::overwrites`] and [`Bounds::deletions`]: an operator replaces or deletes the record.
//!
//! Every process compares with what truly landed: see [`properties`].

mod checks;
mod process;
mod properties;
mod record;
pub mod scenarios;
mod state;

use stateright::{Model, Property};

pub use state::{Action, State};

use crate::calls::Calls;

/// Size of a scenario.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub processes: Vec<Calls>,
    /// Number of writes that arrive a second time.
    pub doubles: u8,
    /// Number of writes that are refused although nothing else was written.
    pub refusals: u8,
    /// Number of times that the version changes without a write.
    pub version_changes: u8,
    /// Number of times that an operator writes a foreign record.
    pub overwrites: u8,
    /// Number of times that an operator deletes the record. An empty place has a version.
    pub deletions: u8,
}

/// Model with these bounds.
#[derive(Clone, Debug)]
pub struct CasModel {
    pub bounds: Bounds,
}

impl CasModel {
    pub fn new(bounds: Bounds) -> CasModel {
        CasModel { bounds }
    }
}

impl Model for CasModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.actions(actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.apply(action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<CasModel>> {
        properties::of(&self.bounds)
    }
}
