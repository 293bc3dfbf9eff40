//! Explores a model completely, and reports its size.

use std::fmt::{self, Debug};
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

/// Number of threads that explore a model.
const THREADS: usize = 2;

/// Size of a completely explored model.
#[derive(Clone, Copy, Debug)]
pub struct Explored {
    /// Number of states.
    pub states: usize,
    /// Number of steps between them.
    pub steps: usize,
    /// Length of the longest path.
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
            "{states} states, {steps} steps, depth {depth}, in {took:.1}s"
        )
    }
}

/// Visits every state.
///
/// # Panics
/// Panics if a property that must always hold is violated, or one that must sometimes hold never
/// does; shows the path.
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
            (true, Some(path)) => panic!("property violated: {name}\n{:#?}", path.into_actions()),
            (false, None) => panic!("property never reached: {name}"),
            _ => {}
        }
    }
    assert!(checker.is_done(), "exploration stopped early");
    Explored {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        took: begun.elapsed(),
    }
}

/// Explores a scenario with a minimum number of states, and prints its size.
///
/// # Panics
/// Panics as [`explore`] does, and if there are fewer states.
pub fn explore_scenario<M>(name: &str, model: M, states: usize)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let explored = explore(model);
    println!("{name}: {explored}");
    assert!(explored.states >= states, "{name} has shrunk: {explored}");
}

/// Returns a shortest path that violates a property: its name and the steps. `None` if there is
/// none.
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
