//! Points in time for the core: time since boot, handed in by the caller.
//!
//! The core never reads a clock. Its owner must use one that counts while the machine is suspended
//! (`CLOCK_BOOTTIME` on Linux). `std::time::Instant` stops then, so that a leader would not notice that
//! it was suspended for longer than its lease.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Point in time, as the time since the machine booted.
///
/// Arithmetic saturates: a deadline that cannot be represented is never reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The moment of boot, before every other instant.
    pub const BOOT: Instant = Instant(Duration::ZERO);

    /// Returns the instant at which the machine has been up for `since_boot`.
    #[must_use]
    pub const fn from_boot(since_boot: Duration) -> Self {
        Instant(since_boot)
    }

    /// Returns the time since boot.
    #[must_use]
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// Returns the time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, later: Duration) -> Instant {
        Instant(self.0.saturating_add(later))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, earlier: Duration) -> Instant {
        Instant(self.0.saturating_sub(earlier))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let late = Instant::from_boot(Duration::MAX);
        assert_eq!(late + Duration::from_secs(1), late);
        assert_eq!(
            Instant::BOOT - Duration::from_secs(1),
            Instant::BOOT,
            "nothing lies before boot"
        );
        assert_eq!(Instant::BOOT.since(late), Duration::ZERO);
    }
}
