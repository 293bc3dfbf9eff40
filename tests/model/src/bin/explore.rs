//! Explores scenarios completely, and prints the number of states. `make model` runs it.
//!
//! `explore [small|all]`: the small scenarios of the tests, or by default the large ones too.

use model::cas::{self, CasModel};
use model::explore::explore_scenario;
use model::lease::{self, LeaseModel};
use model::lock::{self, LockModel};
use model::quorum::{self, QuorumModel};

fn main() {
    for scenario in quorum::scenarios::small() {
        let model = QuorumModel::new(scenario.bounds);
        explore_scenario(scenario.name, model, scenario.states);
    }
    let mut sizes = vec![(
        lock::scenarios::small(),
        cas::scenarios::small(),
        lease::scenarios::small(),
    )];
    match std::env::args().nth(1).as_deref() {
        Some("small") => {}
        None | Some("all") => sizes.push((
            lock::scenarios::large(),
            cas::scenarios::large(),
            lease::scenarios::large(),
        )),
        Some(other) => panic!("unknown size {other}; use small or all"),
    }
    for (locks, cells, leases) in sizes {
        for scenario in locks {
            explore_scenario(
                scenario.name,
                LockModel::new(scenario.bounds),
                scenario.states,
            );
        }
        for scenario in cells {
            explore_scenario(
                scenario.name,
                CasModel::new(scenario.bounds),
                scenario.states,
            );
        }
        for scenario in leases {
            explore_scenario(
                scenario.name,
                LeaseModel::new(scenario.bounds),
                scenario.states,
            );
        }
    }
}
