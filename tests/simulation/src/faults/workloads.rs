//! Faults of workloads and their guards. They come from a separate generator, so that the rest of a
//! seed's run stays the same.

use fastrand::Rng;

/// Probabilities and rates per hour of the faults.
#[derive(Clone, Debug)]
pub struct WorkloadFaults {
    /// Guards killed (SIGKILL) per hour, each while its elector runs.
    pub guards_killed: f64,
    /// Guards stopped (SIGSTOP) per hour, for a while or forever, each while its elector runs.
    pub guards_stopped: f64,
    /// Threads and processes that take seconds to start because the machine is overloaded.
    pub slow_starts: f64,
    /// Workloads that exit by themselves after some minutes.
    pub ends: f64,
    /// Workloads that leave processes behind, which may ignore SIGTERM.
    pub leftovers: f64,
    /// Graceful stops followed by a second signal.
    pub impatience: f64,
    /// Electors that restart while the guard of their last process still runs, which a container
    /// prevents.
    pub uncontained: bool,
}

impl WorkloadFaults {
    /// Returns no faults.
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

    /// Draws a mix; each kind of fault occurs in about half of the runs.
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
