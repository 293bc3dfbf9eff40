//! True time, and the clocks of the candidates, which run slightly fast or slow.

use std::time::Duration;

use elector::election::time::Instant;

/// True time in nanoseconds since the simulation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    pub fn after(self, duration: Duration) -> Time {
        Time(self.0 + duration.as_nanos() as u64)
    }

    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// Clock of a machine from which an elector takes the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeSource {
    /// Time since boot, as the program uses it.
    #[default]
    Boot,
    /// Time since boot without the time spent suspended, as in std's `Instant`.
    Monotonic,
    /// Time of day, which can be set.
    Wall,
}

/// Clocks of a candidate's machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Time since boot when the simulation began, in nanoseconds.
    pub offset: u64,
    /// Parts per million that the clock runs too fast; negative if it runs slow.
    pub drift_ppm: i64,
    /// Time by which the time of day was set forward, in nanoseconds.
    pub set_forward: i64,
    /// Total time spent suspended, in nanoseconds.
    pub suspended_for: u64,
    pub source: TimeSource,
}

impl Clock {
    /// Returns the time since boot at a true time.
    pub fn boot_time(&self, time: Time) -> Instant {
        let run = u128::from(time.0) * self.rate() / MILLION;
        Instant::from_boot(Duration::from_nanos(self.offset + run as u64))
    }

    /// Returns the time that the elector gets at a true time.
    pub fn local_now(&self, time: Time) -> Instant {
        let boot_time = self.boot_time(time).since_boot().as_nanos() as u64;
        Instant::from_boot(Duration::from_nanos(
            boot_time.saturating_add_signed(self.ahead()),
        ))
    }

    /// Returns the first true time at which the elector gets `shown` or later.
    pub fn true_time(&self, shown: Instant) -> Time {
        let shown = shown.since_boot().as_nanos().min(u128::from(u64::MAX / 8)) as u64;
        let boot_time = shown.saturating_add_signed(-self.ahead());
        let run = u128::from(boot_time.saturating_sub(self.offset));
        Time((run * MILLION).div_ceil(self.rate()) as u64)
    }

    fn ahead(&self) -> i64 {
        match self.source {
            TimeSource::Boot => 0,
            TimeSource::Monotonic => -(self.suspended_for as i64),
            TimeSource::Wall => self.set_forward,
        }
    }

    /// Returns the local time that passes per million units of true time.
    fn rate(&self) -> u128 {
        MILLION.saturating_add_signed(i128::from(self.drift_ppm))
    }
}

const MILLION: u128 = 1_000_000;
