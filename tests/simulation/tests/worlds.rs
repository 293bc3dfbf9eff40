//! A few hundred worlds, each with its own mix of faults. `cargo run --package simulation --profile
//! simulation --bin soak -- FROM COUNT` runs more.

use simulation::world::{Scenario, World};

fn keep_their_promises(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        if let Err(violation) = World::new(Scenario::draw(seed)).run() {
            panic!("{violation}");
        }
    }
}

#[test]
fn worlds_in_which_all_goes_wrong_have_one_leader_and_rising_tokens() {
    keep_their_promises(0..150);
}

#[test]
fn further_worlds_do_too() {
    keep_their_promises(150..300);
}
