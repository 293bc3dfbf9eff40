//! True time, and the clocks of the candidates, which run a little faster or slower.

use std::time::Duration;

use elector::election::time::Instant;

/// True time, in nanoseconds since the simulation began.
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

/// Which of a machine's clocks an elector is told the time by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shows {
    /// The time since boot: the one that programs use.
    #[default]
    Boot,
    /// The time since boot without the time that the machine was suspended: std's `Instant`.
    Monotonic,
    /// The time of day, which can be set.
    Wall,
}

/// A candidate's clocks: when its machine booted, and how fast they run.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it showed when the simulation began, in nanoseconds.
    pub offset: u64,
    /// Parts in a million that it runs too fast.
    pub drift_ppm: i64,
    /// By how much the time of day was set forward, in nanoseconds.
    pub set_forward: i64,
    /// How long the machine was suspended, in nanoseconds.
    pub stood_still: u64,
    pub shows: Shows,
}

impl Clock {
    /// The time since boot at a true time.
    pub fn local(&self, time: Time) -> Instant {
        let run = u128::from(time.0) * self.rate() / MILLION;
        Instant::from_boot(Duration::from_nanos(self.offset + run as u64))
    }

    /// What the elector is told at a true time.
    pub fn told(&self, time: Time) -> Instant {
        let local = self.local(time).since_boot().as_nanos() as u64;
        Instant::from_boot(Duration::from_nanos(
            local.saturating_add_signed(self.ahead()),
        ))
    }

    /// The first true time at which the elector is told `told` or later.
    pub fn true_time(&self, told: Instant) -> Time {
        let shown = told.since_boot().as_nanos().min(u128::from(u64::MAX / 8)) as u64;
        let local = shown.saturating_add_signed(-self.ahead());
        let run = u128::from(local.saturating_sub(self.offset));
        Time((run * MILLION).div_ceil(self.rate()) as u64)
    }

    fn ahead(&self) -> i64 {
        match self.shows {
            Shows::Boot => 0,
            Shows::Monotonic => -(self.stood_still as i64),
            Shows::Wall => self.set_forward,
        }
    }

    /// Parts of a million that go by here while a million go by in truth.
    fn rate(&self) -> u128 {
        MILLION.saturating_add_signed(i128::from(self.drift_ppm))
    }
}

const MILLION: u128 = 1_000_000;
