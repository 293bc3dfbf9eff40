//! The request budget: the interval between a candidate's reads while the account's requests run short.
//! Pure: the caller passes the time.
//!
//! A read that shows nothing new is a 304 and free, so a candidate costs about one request per renewal.
//! A candidate does not know how many other candidates there are, nor which other programs the account runs.
//! Every answer states how many requests are left and when the limit resets, and one formula follows from that:
//!
//! ```text
//!   reserve = the leader's: 1.25 requests per renewal until the reset, and a twentieth of the limit
//!   spare   = requests left − reserve, at least half of what is left
//!   share   = 9 × time to reset ÷ spare
//!
//!   at most the reserve is left  poll every 10 leases
//!   share ≤ RETRY_PERIOD         poll every POLL_PERIOD
//!   otherwise                    poll every min(share, lease)
//! ```
//!
//! So nine standbys and a leader that renews every `RETRY_PERIOD` never slow down.
//! The leader itself is never held back here.

use std::time::Duration;

use super::wire::RateLimit;
use super::wire::rate::resets_in;
use crate::election::config::LeaderElectionConfig;
use crate::election::time::Instant;

/// Longest time to a reset that is believed: an hour, plus a minute for rounding.
const LONGEST_RESET: Duration = Duration::from_secs(3_660);

/// Requests reserved per renewal until the reset: some renewals are retried or need a read.
const REQUESTS_PER_RENEWAL: f64 = 1.25;

/// Part of the limit that is reserved in addition, for takeovers and bursts of other programs.
const RESERVED_PART: f64 = 0.05;

/// Standbys that share the spare requests. A gist is meant for about ten candidates.
const STANDBYS: f64 = 9.0;

/// Longest poll interval, in leases: this candidate may be the only one that can replace the leader.
const LONGEST_LEASES: u32 = 10;

/// Computes the interval between a candidate's reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    retry_period: Duration,
    lease_duration: Duration,
    advised: Option<Advised>,
}

/// Conclusion from the newest answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Advised {
    /// Poll interval of a candidate that knows the effective record; zero if it may poll as usual.
    interval: Duration,
    /// At most the full reserve is left.
    only_reserve: bool,
    /// Time at which the limit resets.
    resets_at: Instant,
}

impl Budget {
    /// Creates the budget of a candidate with these times, which it assumes the leader to have too.
    #[must_use]
    pub fn new(election: &LeaderElectionConfig) -> Self {
        Budget {
            retry_period: election.retry_period,
            lease_duration: election.lease_duration,
            advised: None,
        }
    }

    /// Notes the rate limit that an answer received at `now` states; `None` changes nothing. `date` is the
    /// server's clock in it.
    pub fn note(&mut self, now: Instant, rate: Option<RateLimit>, date: Option<i64>) {
        let Some(rate) = rate else { return };
        let resets_in = resets_in(rate.resets_at, date).map(|time| time.min(LONGEST_RESET));
        self.advised = resets_in.map(|resets_in| self.advise(now, rate, resets_in));
    }

    /// Returns the shortest time between a read at `now` and the next; zero if there is no restriction.
    ///
    /// `informed` says that the candidate knows the effective record. One that does not may be the only
    /// candidate: it keeps reading until only the leader's reserve is left, then reads once per lease.
    #[must_use]
    pub fn min_poll_interval(&self, now: Instant, informed: bool) -> Duration {
        let Some(advised) = &self.advised else {
            return Duration::ZERO;
        };
        let wanted = match (informed, advised.only_reserve) {
            (true, _) => advised.interval,
            (false, false) => Duration::ZERO,
            (false, true) => self.lease_duration,
        };
        wanted.min(advised.resets_at.since(now))
    }

    /// Returns whether only the leader's reserve is left, so that history scans continue later.
    #[must_use]
    pub fn only_reserve(&self, now: Instant) -> bool {
        let advised = self.advised.as_ref();
        advised.is_some_and(|advised| advised.only_reserve && now < advised.resets_at)
    }

    fn advise(&self, now: Instant, rate: RateLimit, resets_in: Duration) -> Advised {
        let seconds = resets_in.as_secs_f64();
        let left = rate.remaining as f64;
        let renewals = seconds / self.retry_period.as_secs_f64();
        let full_reserve = renewals * REQUESTS_PER_RENEWAL + rate.limit as f64 * RESERVED_PART;
        let only_reserve = left <= full_reserve;
        let spare = left - full_reserve.min(left / 2.0);
        let share =
            Duration::try_from_secs_f64(STANDBYS * seconds / spare).unwrap_or(Duration::MAX);
        let interval = if only_reserve {
            self.lease_duration.saturating_mul(LONGEST_LEASES)
        } else if share <= self.retry_period {
            Duration::ZERO
        } else {
            share.min(self.lease_duration)
        };
        Advised {
            interval,
            only_reserve,
            resets_at: now + resets_in,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_boot(Duration::from_secs(1_000));
    const HOUR: u64 = 3_600;
    const DATE: i64 = 1_588_008_246;

    fn rate(limit: u64, remaining: u64, reset_in: u64) -> RateLimit {
        RateLimit {
            limit,
            remaining,
            // `resets_in` adds a second.
            resets_at: DATE + reset_in as i64 - 1,
        }
    }

    /// Polls every 2 s, renewals every 8 s, a lease of 30 s.
    fn default() -> Budget {
        Budget::new(&LeaderElectionConfig::new("baz"))
    }

    fn interval(rate: RateLimit, informed: bool) -> Duration {
        let mut budget = default();
        budget.note(NOW, Some(rate), Some(DATE));
        budget.min_poll_interval(NOW, informed)
    }

    /// Interval in seconds with `remaining` of 5,000 requests left for `reset_in` seconds.
    fn with(remaining: u64, reset_in: u64) -> f64 {
        interval(rate(5_000, remaining, reset_in), true).as_secs_f64()
    }

    #[test]
    fn unknown_or_ample_limit_restricts_nothing() {
        let mut budget = default();
        assert_eq!(budget.min_poll_interval(NOW, true), Duration::ZERO);
        budget.note(NOW, None, Some(DATE));
        assert_eq!(budget.min_poll_interval(NOW, true), Duration::ZERO);
        for (remaining, reset_in) in [(5_000, HOUR), (4_950, HOUR), (2_600, HOUR / 2), (400, 20)] {
            assert_eq!(with(remaining, reset_in), 0.0, "{remaining} in {reset_in}s");
        }
        budget.note(NOW, Some(rate(5_000, 1, HOUR)), None);
        assert_eq!(budget.min_poll_interval(NOW, true), Duration::ZERO);
    }

    #[test]
    fn ten_default_candidates_never_slow_down() {
        for passed in 0..HOUR {
            // A renewal costs ten requests: one for itself and one for each of the other candidates.
            let left = 5_000 - passed * 10 / 8;
            assert_eq!(with(left, HOUR - passed), 0.0, "after {passed}s");
        }
    }

    #[test]
    fn fewer_requests_mean_longer_bounded_intervals() {
        let reserve = 250 + HOUR / 2 * 5 / 4 / 8;
        let intervals: Vec<f64> = (0..=2_500).rev().map(|left| with(left, HOUR / 2)).collect();
        assert!(intervals.is_sorted());
        let shared = |spare: f64| 9.0 * (HOUR / 2) as f64 / spare;
        assert!((with(1_532, HOUR / 2) - shared(1_000.75)).abs() < 0.001);
        assert!((with(1_000, HOUR / 2) - shared(500.0)).abs() < 3.0, "half");
        assert_eq!(with(reserve + 1, HOUR / 2), 30.0, "a lease");
        assert_eq!(with(reserve, HOUR / 2), 300.0, "ten leases");
        assert_eq!(intervals.last(), Some(&300.0), "ten leases");
    }

    #[test]
    fn nobody_waits_beyond_the_reset() {
        assert_eq!(with(0, 100), 100.0);
        let mut budget = default();
        budget.note(NOW, Some(rate(5_000, 0, 100)), Some(DATE));
        let later = |seconds| NOW + Duration::from_secs(seconds);
        let informed = |at| budget.min_poll_interval(at, true);
        assert_eq!(informed(later(90)), Duration::from_secs(10));
        assert_eq!(informed(later(100)), Duration::ZERO);
    }

    #[test]
    fn uninformed_candidate_spares_only_reserve() {
        let reserve = 250 + HOUR * 5 / 4 / 8;
        let uninformed = |remaining| interval(rate(5_000, remaining, HOUR), false);
        assert_eq!(uninformed(reserve + 1), Duration::ZERO);
        assert_eq!(with(reserve + 1, HOUR), 30.0, "a lease");
        assert_eq!(uninformed(reserve), Duration::from_secs(30), "a lease");
    }

    #[test]
    fn only_reserve_is_known_until_reset() {
        let mut budget = default();
        let later = |seconds| NOW + Duration::from_secs(seconds);
        assert!(!budget.only_reserve(NOW));
        budget.note(NOW, Some(rate(5_000, 250 + 63, 400)), Some(DATE));
        assert!(!budget.only_reserve(NOW));
        budget.note(NOW, Some(rate(5_000, 250 + 62, 400)), Some(DATE));
        assert!(budget.only_reserve(later(399)));
        assert!(!budget.only_reserve(later(400)));
    }

    #[test]
    fn small_limits_keep_reserve_too() {
        // A limit that does not suffice for the renewals of an hour.
        assert_eq!(interval(rate(500, 500, HOUR), true).as_secs(), 300);
        assert_eq!(interval(rate(500, 500, HOUR / 2), true).as_secs(), 30);
        assert_eq!(interval(rate(500, 300, HOUR / 2), true).as_secs(), 300);
        // A limit per ten seconds.
        assert_eq!(interval(rate(30, 30, 10), true).as_secs(), 0);
        assert_eq!(interval(rate(30, 3, 10), true).as_secs(), 10);
    }

    /// Simulates a leader and standbys for an hour; returns the requests left after each second.
    fn an_hour_of(standbys: usize, others_an_hour: u64) -> Vec<u64> {
        let mut left = 5_000_u64;
        let mut next: Vec<(f64, Budget)> = (0..standbys)
            .map(|index| (index as f64 % 8.0, default()))
            .collect();
        let mut lefts = Vec::new();
        for second in 0..HOUR {
            left = left.saturating_sub(u64::from(second % 8 == 0));
            left = left.saturating_sub(others_an_hour * (second + 1) / HOUR);
            left += others_an_hour * second / HOUR;
            for (read_at, budget) in &mut next {
                if *read_at <= second as f64 {
                    // Reads in between show nothing new.
                    left = left.saturating_sub(1);
                    budget.note(NOW, Some(rate(5_000, left, HOUR - second)), Some(DATE));
                    let interval = budget.min_poll_interval(NOW, true);
                    *read_at += interval.as_secs_f64().max(8.0);
                }
            }
            lefts.push(left);
        }
        lefts
    }

    #[test]
    fn requests_last_beside_other_programs() {
        for (standbys, others) in [(9, 0), (9, 3_000), (2, 4_000)] {
            let end = *an_hour_of(standbys, others).last().unwrap();
            assert!(end > 50, "{standbys} beside {others}: {end} left");
        }
    }

    #[test]
    fn arbitrary_limits_give_bounded_intervals() {
        let mut random = fastrand::Rng::with_seed(7);
        let numbers = [0, 1, 59, 5_000, u64::MAX / 2, u64::MAX];
        let times = [0, 1, 1_000_000, 2_000_000_000, 86_400_000_000_000];
        for _ in 0..20_000 {
            let mut time = || Duration::from_nanos(times[random.usize(..times.len())]);
            let config = LeaderElectionConfig {
                poll_period: time(),
                retry_period: time(),
                lease_duration: time(),
                ..LeaderElectionConfig::new("baz")
            };
            let mut budget = Budget::new(&config);
            let mut number = || numbers[random.usize(..numbers.len())];
            let stated = RateLimit {
                limit: number(),
                remaining: number(),
                resets_at: number() as i64,
            };
            budget.note(NOW, Some(stated), Some(number() as i64));
            for informed in [false, true] {
                let interval = budget.min_poll_interval(NOW, informed);
                let longest = LONGEST_RESET.min(config.lease_duration * LONGEST_LEASES);
                assert!(interval <= longest, "{interval:?} of {stated:?}");
            }
        }
    }
}
