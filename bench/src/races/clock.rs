//! The clocks of this machine, in seconds: workloads tell time since boot, the gist service wall time.

use elector::system::clock::{BootClock, unix_millis};

/// Seconds since boot.
#[must_use]
pub fn now() -> f64 {
    BootClock::now().since_boot().as_secs_f64()
}

/// What is to be taken from a wall time to have it since boot. The wall clock is read in whole
/// milliseconds, which is as good as the landing times are.
#[must_use]
pub fn wall_minus_boot() -> f64 {
    // The closest of some: in between this thread may have to wait for a processor.
    let one = |_| {
        let before = now();
        let wall = unix_millis() as f64 / 1000.0;
        let after = now();
        (after - before, wall - f64::midpoint(before, after))
    };
    let closest = (0..5).map(one).min_by(|a, b| a.0.total_cmp(&b.0));
    closest.map_or(0.0, |(_, offset)| offset)
}
