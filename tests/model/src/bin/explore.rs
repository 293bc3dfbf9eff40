//! Explores every world to the end, the small ones that the tests explore and the large ones, and prints
//! how much there was. `make model` runs it.

use model::explore::explore_world;
use model::lease::{self, LeaseModel};
use model::lock::{self, LockModel};

fn main() {
    let sizes = [
        (lock::worlds::small(), lease::worlds::small()),
        (lock::worlds::large(), lease::worlds::large()),
    ];
    for (locks, leases) in sizes {
        for world in locks {
            explore_world(world.name, LockModel::new(world.bounds), world.states);
        }
        for world in leases {
            explore_world(world.name, LeaseModel::new(world.bounds), world.states);
        }
    }
}
