//! Leaves out one safeguard at a time, and says after how many worlds the simulation noticed: by any
//! of its checks, and by a promise that was broken.
//!
//! `fish [WORLDS [NAME|all [drawn|racing|scarce|calm|shared|rewritten]]]`

use simulation::many::{draw_by_name, first_violation};
use simulation::missing::Missing;
use simulation::world::Checks;

fn main() {
    let mut args = std::env::args().skip(1);
    let most = args
        .next()
        .map_or(300, |arg| arg.parse().expect("a number"));
    let only = args.next().filter(|name| name != "all");
    let kind = args.next().unwrap_or_else(|| "drawn".to_owned());
    let draw = draw_by_name(&kind).expect("a kind of world");
    for missing in Missing::all() {
        let name = missing.name();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        for checks in [Checks::All, Checks::Promises] {
            match first_violation(draw, 0..most, checks, Some(missing)) {
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
