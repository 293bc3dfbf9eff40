//! Explores every scenario completely, the small ones of the tests and the large ones, and prints
//! the number of states. `make model` runs it.

use model::explore::explore_scenario;
use model::lease::{self, LeaseModel};
use model::lock::{self, LockModel};

fn main() {
    let sizes = [
        (lock::scenarios::small(), lease::scenarios::small()),
        (lock::scenarios::large(), lease::scenarios::large()),
    ];
    for (locks, leases) in sizes {
        for scenario in locks {
            explore_scenario(
                scenario.name,
                LockModel::new(scenario.bounds),
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
