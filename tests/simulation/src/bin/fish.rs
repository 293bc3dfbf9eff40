//! Leaves out one safeguard at a time, and says after how many worlds the simulation noticed.

use multi_cluster_leader_election::election::safeguard::{Safeguard, leave_out};
use simulation::world::{Scenario, World};

fn main() {
    let most = std::env::args()
        .nth(1)
        .map_or(300, |arg| arg.parse().expect("a number"));
    let only = std::env::args().nth(2);
    for safeguard in Safeguard::ALL {
        if only
            .as_ref()
            .is_some_and(|only| *only != format!("{safeguard:?}"))
        {
            continue;
        }
        leave_out(Some(safeguard));
        let caught = (0..most).find_map(|seed| World::new(Scenario::draw(seed)).run().err());
        match caught {
            Some(violation) => println!(
                "{safeguard:?}: after {} worlds: {}",
                violation.seed + 1,
                violation.what
            ),
            None => println!("{safeguard:?}: NOT NOTICED in {most} worlds"),
        }
    }
}
