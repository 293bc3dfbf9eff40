//! Processes that use a quorum of three stores.
//!
//! Each process makes a bounded number of reads and writes, one at a time. Every choice of the following is
//! explored:
//!
//! - when a request arrives, if at all: while its process waits, or a write long after;
//! - when its answer comes, if at all;
//! - with [`Bounds::doubles`]: a write arrives twice, and the second answer comes;
//! - with [`Bounds::deletions`]: the content of a member is deleted;
//! - with [`Bounds::away`]: nothing reaches the last member.
//!
//! What the members accepted says which values were chosen. See [`properties`].

mod chosen;
mod properties;
pub mod scenarios;
mod state;

use stateright::{Model, Property};

pub use state::{Action, State};

/// Number of members.
const MEMBERS: usize = 3;

/// Operation of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Read,
    /// Writes over what is known, if anything is.
    Write,
}

/// Size of a scenario.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Operations of each process, which has read and probed every member before.
    pub processes: Vec<Vec<Operation>>,
    /// Number of requests and answers that are lost.
    pub losses: u8,
    /// Number of writes that arrive a second time.
    pub doubles: u8,
    /// Number of times that a member's content is deleted.
    pub deletions: u8,
    /// Whether nothing reaches the last member.
    pub away: bool,
}

/// Model with these bounds.
#[derive(Clone, Debug)]
pub struct QuorumModel {
    pub bounds: Bounds,
}

impl QuorumModel {
    pub fn new(bounds: Bounds) -> QuorumModel {
        QuorumModel { bounds }
    }
}

impl Model for QuorumModel {
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
        next.apply(action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<QuorumModel>> {
        properties::all()
    }
}
