//! What goes wrong with workloads and their guards. Drawn from a generator of its own, so that the rest
//! of a seed's world stays what it was before there were guards.

use fastrand::Rng;

/// How likely and how bad each fault is: probabilities, and rates per hour.
#[derive(Clone, Debug)]
pub struct WorkloadFaults {
    /// Guards that are killed (SIGKILL), per hour; each while its elector runs.
    pub guards_killed: f64,
    /// Guards that are stopped (SIGSTOP) for a while or for ever, per hour; each while its elector runs.
    pub guards_stopped: f64,
    /// Threads and processes that take seconds to start, on a machine that is starved.
    pub slow_starts: f64,
    /// Workloads that end by themselves after some minutes.
    pub ends: f64,
    /// Workloads that leave something behind, which may ignore TERM.
    pub leftovers: f64,
    /// Polite stops that are followed by a second signal.
    pub impatience: f64,
    /// Electors that start again while the guard of their last process still runs, as none would in a
    /// container.
    pub uncontained: bool,
}

impl WorkloadFaults {
    /// None.
    pub fn none() -> WorkloadFaults {
        WorkloadFaults {
            guards_killed: 0.0,
            guards_stopped: 0.0,
            slow_starts: 0.0,
            ends: 0.0,
            leftovers: 0.0,
            impatience: 0.0,
            uncontained: false,
        }
    }

    /// A mix of them; about half of the kinds are there in any one world.
    pub fn draw(seed: u64) -> WorkloadFaults {
        let mut rng = Rng::with_seed(seed ^ 0x9a4d);
        let mut chance = |most: f64| {
            let strength = rng.f64();
            if rng.bool() { most * strength } else { 0.0 }
        };
        WorkloadFaults {
            guards_killed: chance(30.0),
            guards_stopped: chance(60.0),
            slow_starts: chance(0.3),
            ends: chance(0.5),
            leftovers: chance(1.0),
            impatience: chance(1.0),
            uncontained: rng.bool(),
        }
    }
}
