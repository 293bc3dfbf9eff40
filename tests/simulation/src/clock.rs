//! True time, and the clocks of the candidates, which run a little faster or slower.

use std::time::Duration;

use multi_cluster_leader_election::election::time::Instant;

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

/// A candidate's clock: when its machine booted, and how fast it runs.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// What it showed when the simulation began, in nanoseconds.
    pub offset: u64,
    /// Parts in a million that it runs too fast.
    pub drift_ppm: i64,
}

impl Clock {
    /// What it shows at a true time.
    pub fn local(&self, time: Time) -> Instant {
        let run = u128::from(time.0) * self.rate() / MILLION;
        Instant::from_boot(Duration::from_nanos(self.offset + run as u64))
    }

    /// The first true time at which it shows `local` or later.
    pub fn true_time(&self, local: Instant) -> Time {
        let shown = local.since_boot().as_nanos().min(u128::from(u64::MAX / 8));
        let run = shown.saturating_sub(u128::from(self.offset));
        Time((run * MILLION).div_ceil(self.rate()) as u64)
    }

    /// Parts of a million that go by here while a million go by in truth.
    fn rate(&self) -> u128 {
        MILLION.saturating_add_signed(i128::from(self.drift_ppm))
    }
}

const MILLION: u128 = 1_000_000;
