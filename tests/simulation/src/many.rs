//! Many runs on all cores.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::run::{Checks, Violation, run};
use crate::scenario::Scenario;
use crate::surroundings::{Rule, disable};

/// Function that makes a scenario from a seed.
pub type Draw = fn(u64) -> Scenario;

/// Returns the kind of scenario with this name, as the command line takes it.
pub fn draw_by_name(name: &str) -> Option<Draw> {
    match name {
        "drawn" => Some(Scenario::draw),
        "gist" => Some(Scenario::gist),
        "cas" => Some(Scenario::cas),
        "restored" => Some(Scenario::restored),
        "restarting" => Some(Scenario::restarting),
        "steered" => Some(Scenario::steered),
        "switching" => Some(Scenario::switching),
        "racing" => Some(Scenario::racing),
        "scarce" => Some(Scenario::scarce),
        "suspending" => Some(Scenario::suspending),
        "calm" => Some(Scenario::calm),
        "shared" => Some(Scenario::shared),
        "rewritten" => Some(Scenario::rewritten),
        _ => None,
    }
}

/// Returns the violation with the lowest seed, if any. `surroundings` names a rule of the
/// surroundings to disable.
pub fn first_violation(
    draw: Draw,
    seeds: Range<u64>,
    checks: Checks,
    surroundings: Option<Rule>,
) -> Option<Box<Violation>> {
    let next = AtomicU64::new(seeds.start);
    let lowest = AtomicU64::new(seeds.end);
    let search = || {
        disable(surroundings);
        let mut found = None;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= lowest.load(Ordering::Relaxed) {
                disable(None);
                return found;
            }
            if let Err(violation) = run(&draw(seed), checks) {
                lowest.fetch_min(seed, Ordering::Relaxed);
                found = found.or(Some(violation));
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let searches: Vec<_> = (0..cores).map(|_| scope.spawn(search)).collect();
        let found = searches
            .into_iter()
            .filter_map(|search| search.join().expect("a run panicked"));
        found.min_by_key(|violation| violation.seed)
    })
}
