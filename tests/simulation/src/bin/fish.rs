//! Leaves out one safeguard at a time, and says after how many worlds the simulation noticed: by any
//! of its checks, and by a promise that was broken.
//!
//! `fish [WORLDS [NAME [racing|rewritten]]]`

use std::sync::atomic::{AtomicU64, Ordering};

use simulation::missing::{Missing, leave_out};
use simulation::scenario::Scenario;
use simulation::world::{Checks, Violation, run};

fn main() {
    let mut args = std::env::args().skip(1);
    let most = args
        .next()
        .map_or(300, |arg| arg.parse().expect("a number"));
    let only = args.next();
    let draw: fn(u64) -> Scenario = match args.next().as_deref() {
        Some("racing") => Scenario::racing,
        Some("rewritten") => Scenario::rewritten,
        _ => Scenario::draw,
    };
    for missing in Missing::all() {
        let name = missing.name();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        for checks in [Checks::All, Checks::Promises] {
            match first_violation(missing, checks, most, draw) {
                Some(violation) => println!(
                    "{name}, {checks:?}: after {} worlds: {}",
                    violation.seed + 1,
                    violation.what
                ),
                None => println!("{name}, {checks:?}: NOT NOTICED in {most} worlds"),
            }
        }
    }
}

/// The violation in the world with the lowest seed, looked for on all cores.
fn first_violation(
    missing: Missing,
    checks: Checks,
    most: u64,
    draw: fn(u64) -> Scenario,
) -> Option<Box<Violation>> {
    let next = AtomicU64::new(0);
    let found = AtomicU64::new(u64::MAX);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let search = || {
        leave_out(Some(missing));
        let mut mine = None;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= most || seed > found.load(Ordering::Relaxed) {
                return mine;
            }
            if let Err(violation) = run(&draw(seed), checks) {
                found.fetch_min(seed, Ordering::Relaxed);
                mine = mine.or(Some(violation));
            }
        }
    };
    std::thread::scope(|scope| {
        let searches: Vec<_> = (0..cores).map(|_| scope.spawn(search)).collect();
        let found = searches
            .into_iter()
            .filter_map(|search| search.join().expect("no panic"));
        found.min_by_key(|violation| violation.seed)
    })
}
