//! Two candidates, their clocks and their workloads, on a store that is a compare-and-swap by itself.
//!
//! Time goes in ticks of a second. A candidate's clock goes at a rate of its own, so that what it
//! reckons need not fall on a tick; it acts on ticks, as soon as it wanted to, in either order where
//! both act. A call succeeds at once, unless it is one of the troubles ([`Troubles`]), of which there
//! are so many, tried at every call and every moment:
//!
//! - a call takes its time: a write takes effect at any later tick, and is answered at any tick after
//!   that; a look is answered with anything that was in effect since it was sent; or its timeout ends
//!   it;
//! - its answer is lost: the write has never landed, has landed, or may still, also long after its
//!   candidate went on;
//! - a candidate is frozen with all its calls, for as long as it may be, while its workload goes on
//!   until it is killed;
//! - writes vanish that took effect less than the confirmation delay ago, acknowledged or not;
//! - a candidate is asked to stop, and gives the lease back.
//!
//! A workload runs until its guard kills it at the time that it was told last, or ends before that once
//! it was asked to.

mod node;
mod state;
mod store;
pub mod worlds;

use std::time::Duration;

use elector::election::action::Finish;
use elector::election::config::LeaderElectionConfig;
use stateright::{Model, Property};

pub use state::{Action, State, Troubles};

/// How large the world is.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How long it lasts, in ticks.
    pub ticks: u32,
    pub config: LeaderElectionConfig,
    pub confirmation: Option<Duration>,
    /// How fast the two clocks go, in thousandths of the true rate; each pair is a world.
    pub rates: Vec<[u32; 2]>,
    /// What may go wrong, and how often.
    pub troubles: Troubles,
}

/// The model of these bounds.
#[derive(Clone, Debug)]
pub struct LeaseModel {
    pub bounds: Bounds,
}

impl LeaseModel {
    pub fn new(bounds: Bounds) -> LeaseModel {
        LeaseModel { bounds }
    }
}

impl Model for LeaseModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let rates = self.bounds.rates.iter();
        rates
            .map(|rates| State::new(&self.bounds, *rates))
            .collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.actions(&self.bounds, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.apply(action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<LeaseModel>> {
        let mut properties = vec![
            Property::always("one workload at the most runs", |_, state: &State| {
                !state.nodes.iter().all(|node| node.runs(state.tick))
            }),
            Property::always("tokens rise", |_, state: &State| state.tokens_rise),
            Property::sometimes("another takes over", |_, state: &State| {
                state.terms == [1, 1]
            }),
            Property::sometimes("a lease is renewed", |_, state: &State| {
                state.terms == [1, 0] && state.store.writes() > 3
            }),
            Property::sometimes("a candidate leads again", |_, state: &State| {
                state.terms.iter().any(|terms| *terms > 1)
            }),
            Property::sometimes(
                "a write lands too late to take effect",
                |_, state: &State| state.nodes.iter().any(|node| node.passed_over),
            ),
        ];
        let Troubles {
            vanishing,
            freezes,
            stops,
            ..
        } = self.bounds.troubles;
        if vanishing > 0 {
            let name = "somebody leads though a write has vanished";
            properties.push(Property::sometimes(name, |_, state: &State| {
                state.store.vanished() && state.nodes.iter().any(|node| node.runs(state.tick))
            }));
        }
        if freezes > 0 {
            let name = "another leads while a leader is frozen";
            properties.push(Property::sometimes(name, |_, state: &State| {
                let other = state.nodes[1].runs(state.tick);
                state.terms[0] > 0 && state.nodes[0].frozen && other
            }));
        }
        if stops > 0 {
            let name = "another leads after a polite stop";
            properties.push(Property::sometimes(name, |_, state: &State| {
                let stopped = state.nodes[0].elector.finished() == Some(Finish::Stopped);
                state.terms[0] > 0 && stopped && state.nodes[1].runs(state.tick)
            }));
        }
        properties
    }
}
