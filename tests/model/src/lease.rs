//! Two candidates, their clocks and their workloads, with a store that has a true compare-and-swap.
//!
//! Time passes in ticks of a second. A candidate's clock has an individual rate, so its times may fall
//! between ticks. It acts at the next tick, and two candidates act in either order. A call succeeds
//! immediately unless one of the [`Faults`] affects it. Each fault is tried at every call and every time:
//!
//! - a call takes time: a write becomes effective at any later tick and is answered at any tick
//!   after that; a read returns anything that was effective since it was sent; or the call times
//!   out;
//! - an answer is lost: the write never lands, has landed, or lands later, even long after its
//!   candidate went on;
//! - a candidate is frozen with all its calls for any time, while its workload runs until it is
//!   killed;
//! - writes are lost that became effective less than the confirmation delay ago, acknowledged or
//!   not;
//! - a candidate is asked to stop, and releases the lease;
//! - a candidate's process is killed, and another one starts at any later time, with the same state file. Its
//!   calls may land later. In a container all that it ran ends a moment later, outside of one the guard
//!   stops it;
//! - an operator annotates the record: pauses or resumes the election, or asks a leader that has renewed to
//!   hand over. An annotation is a compare-and-swap, so one that lands late is the same as a later one.
//!
//! A workload runs until its guard kills it at the time that it was told last, or ends earlier once
//! it was asked to stop.

mod node;
pub mod scenarios;
mod state;
mod store;

use std::time::Duration;

use elector::election::action::Finish;
use elector::election::annotation::PAUSED;
use elector::election::config::LeaderElectionConfig;
use stateright::{Model, Property};

pub use state::{Action, Faults, State};
pub use store::Request;

/// Size of a scenario.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Duration in ticks.
    pub ticks: u32,
    pub config: LeaderElectionConfig,
    pub confirmation: Option<Duration>,
    /// Rates of the two clocks in thousandths of the true rate; each pair is explored.
    pub rates: Vec<[u32; 2]>,
    /// Process id of electors: 1 in a container.
    pub pid: u32,
    /// Requests that an operator may make.
    pub requests: Vec<Request>,
    /// Faults that may occur, and how often.
    pub faults: Faults,
}

/// Model with these bounds.
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
        next.apply(&self.bounds, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<LeaseModel>> {
        let mut properties = vec![
            Property::always("at most one workload runs", |_, state: &State| {
                let overlap = state.nodes.iter().any(|node| node.overlap);
                !overlap && !state.nodes.iter().all(|node| node.runs(state.tick))
            }),
            Property::always("fencing tokens rise", |_, state: &State| state.tokens_rise),
            Property::always(
                "no write breaks a rule of annotations",
                |_, state: &State| state.store.flaw.is_none(),
            ),
            Property::sometimes("another candidate takes over", |_, state: &State| {
                state.terms == [1, 1]
            }),
            Property::sometimes("a lease is renewed", |_, state: &State| {
                state.terms == [1, 0] && state.store.writes() > 3
            }),
            Property::sometimes("a candidate leads again", |_, state: &State| {
                state.terms.iter().any(|terms| *terms > 1)
            }),
            Property::sometimes("a write lands too late", |_, state: &State| {
                state.nodes.iter().any(|node| node.passed_over)
            }),
        ];
        let Faults {
            lost_writes,
            freezes,
            stops,
            kills,
            annotations,
            ..
        } = self.bounds.faults;
        let requests = &self.bounds.requests;
        if annotations > 0 {
            let name = "a leader renews over an annotation";
            properties.push(Property::sometimes(name, |_, state: &State| {
                state.store.was_renewed_over_annotation()
            }));
        }
        if annotations > 0 && lost_writes + freezes == 0 {
            let name = "no annotation ends a term";
            properties.push(Property::always(name, |_, state: &State| {
                !state.nodes.iter().any(|node| node.deposed)
            }));
        }
        if requests.contains(&Request::Pause) {
            let name = "a paused leader releases the lease";
            properties.push(Property::sometimes(name, |_, state: &State| {
                state.store.was_released_with(PAUSED)
            }));
        }
        if requests.contains(&Request::Resume) {
            let name = "a candidate leads after a pause";
            properties.push(Property::sometimes(name, |_, state: &State| {
                let runs = state.nodes.iter().any(|node| node.runs(state.tick));
                runs && state.store.was_resumed()
            }));
        }
        if requests.contains(&Request::HandOver("b")) {
            let name = "the preferred holder leads after a switchover";
            properties.push(Property::sometimes(name, |_, state: &State| {
                state.store.was_handed_over() && state.nodes[1].runs(state.tick)
            }));
        }
        if requests.contains(&Request::HandOver("absent")) {
            let name = "another candidate leads because the preferred holder is absent";
            properties.push(Property::sometimes(name, |_, state: &State| {
                let runs = state.nodes.iter().any(|node| node.runs(state.tick));
                runs && state.store.was_preferred_absent()
            }));
        }
        if kills > 0 {
            let name = "a killed candidate leads again before its lease expires";
            properties.push(Property::sometimes(
                name,
                |model: &LeaseModel, state: &State| {
                    let lease = model.bounds.config.lease_duration.as_secs();
                    let early = u64::from(state.tick) < lease;
                    early
                        && state
                            .nodes
                            .iter()
                            .any(|node| node.process == 1 && node.runs(state.tick))
                        && state.terms.contains(&2)
                },
            ));
        }
        if lost_writes > 0 {
            let name = "a candidate leads after a lost write";
            properties.push(Property::sometimes(name, |_, state: &State| {
                state.store.lost_writes() && state.nodes.iter().any(|node| node.runs(state.tick))
            }));
        }
        if freezes > 0 {
            let name = "another candidate leads while one is frozen";
            properties.push(Property::sometimes(name, |_, state: &State| {
                let other = state.nodes[1].runs(state.tick);
                state.terms[0] > 0 && state.nodes[0].frozen && other
            }));
        }
        if stops > 0 {
            let name = "another candidate leads after a graceful stop";
            properties.push(Property::sometimes(name, |_, state: &State| {
                let stopped = state.nodes[0].elector.finished() == Some(Finish::Stopped);
                state.terms[0] > 0 && stopped && state.nodes[1].runs(state.tick)
            }));
        }
        properties
    }
}
