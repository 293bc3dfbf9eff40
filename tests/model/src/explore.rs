//! Explores a model to the end, and says how much there was.

use std::fmt::{self, Debug};
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

/// How many threads explore a model.
const THREADS: usize = 2;

/// What was explored, all of it.
#[derive(Clone, Copy, Debug)]
pub struct Explored {
    /// How many states there are.
    pub states: usize,
    /// How many steps were taken between them.
    pub steps: usize,
    /// The longest way that was gone.
    pub depth: usize,
    pub took: Duration,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explored {
            states,
            steps,
            depth,
            took,
        } = self;
        let took = took.as_secs_f64();
        write!(
            f,
            "{states} states, {steps} steps, ways of up to {depth} steps, in {took:.1}s"
        )
    }
}

/// Visits every state.
///
/// # Panics
/// If there is a way to break a property that should always hold, or none to what should happen
/// sometimes; shows the way.
pub fn explore<M>(model: M) -> Explored
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let begun = Instant::now();
    let checker = model
        .checker()
        .threads(THREADS)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_dfs()
        .join();
    for property in checker.model().properties() {
        let found = checker.discovery(property.name);
        let name = property.name;
        match (property.expectation.discovery_is_failure(), found) {
            (true, Some(path)) => panic!("not always: {name}\n{:#?}", path.into_actions()),
            (false, None) => panic!("never: {name}"),
            _ => {}
        }
    }
    assert!(checker.is_done(), "something was left unexplored");
    Explored {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        took: begun.elapsed(),
    }
}

/// Explores a world that must have so many states, and prints what there was.
///
/// # Panics
/// As [`explore`] does, and if there are fewer states.
pub fn explore_world<M>(name: &str, model: M, states: usize)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let explored = explore(model);
    println!("{name}: {explored}");
    assert!(explored.states >= states, "{name} has shrunk: {explored}");
}

/// A shortest way to break a property that should always hold: its name, and the steps. `None` if there
/// is none.
pub fn counterexample<M>(model: M) -> Option<(&'static str, Vec<M::Action>)>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let properties = checker.model().properties();
    let always = properties
        .iter()
        .filter(|property| property.expectation.discovery_is_failure());
    always
        .filter_map(|property| {
            let path = checker.discovery(property.name)?;
            Some((property.name, path.into_actions()))
        })
        .min_by_key(|(_, steps)| steps.len())
}
