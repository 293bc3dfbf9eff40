//! Clocks of this machine in seconds: workloads report time since boot, the gist service reports
//! wall time.

use elector::system::clock::{BootClock, unix_millis};

/// Returns the time since boot in seconds.
#[must_use]
pub fn now() -> f64 {
    BootClock::now().since_boot().as_secs_f64()
}

/// Returns the difference between wall time and time since boot. The wall clock has whole
/// milliseconds, like the landing times.
#[must_use]
pub fn wall_minus_boot() -> f64 {
    // Takes the closest of several readings, because the thread may be preempted in between.
    let one = |_| {
        let before = now();
        let wall = unix_millis() as f64 / 1000.0;
        let after = now();
        (after - before, wall - f64::midpoint(before, after))
    };
    let closest = (0..5).map(one).min_by(|a, b| a.0.total_cmp(&b.0));
    closest.map_or(0.0, |(_, offset)| offset)
}
