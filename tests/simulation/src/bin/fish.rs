//! Leaves out one safeguard at a time, and says after how many worlds the simulation noticed: by any
//! of its checks, and by a broken promise.
//!
//! `fish [WORLDS [NAME]]`

use simulation::missing::{Missing, leave_out};
use simulation::scenario::Scenario;
use simulation::world::{Checks, run};

fn main() {
    let mut args = std::env::args().skip(1);
    let most = args
        .next()
        .map_or(300, |arg| arg.parse().expect("a number"));
    let only = args.next();
    for missing in Missing::all() {
        let name = missing.name();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        for checks in [Checks::All, Checks::Promises] {
            leave_out(Some(missing));
            let caught = (0..most).find_map(|seed| run(&Scenario::draw(seed), checks).err());
            leave_out(None);
            match caught {
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
