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
        let nanos = (self.offset + time.0).saturating_add_signed(self.drifted(time.0));
        Instant::from_boot(Duration::from_nanos(nanos))
    }

    /// By how much it is ahead after so much true time, in nanoseconds.
    fn drifted(&self, nanos: u64) -> i64 {
        let (millions, rest) = (nanos / 1_000_000, nanos % 1_000_000);
        millions as i64 * self.drift_ppm + rest as i64 * self.drift_ppm / 1_000_000
    }

    /// The first true time at which it shows `local` or later, to the nanosecond or a few more.
    pub fn true_time(&self, local: Instant) -> Time {
        let nanos = local.since_boot().as_nanos().min(u128::from(u64::MAX / 8)) as u64;
        let shown = nanos.saturating_sub(self.offset);
        // Drift of the drift is below a part in ten thousand; two steps come down to nanoseconds.
        let mut time = shown;
        for _ in 0..3 {
            time = shown.saturating_add_signed(-self.drifted(time));
        }
        while self.local(Time(time)) < local {
            time += 1;
        }
        Time(time)
    }
}
