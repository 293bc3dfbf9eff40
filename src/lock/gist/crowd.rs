//! How many stand for election, told by the requests that all of them send. Pure: the time is handed in.
//!
//! Nobody says so anywhere, but each renewal costs each candidate one request that counts and the
//! leader one, and every answer tells how many of the hour's requests are left. So what goes between
//! two renewals is the number of candidates, or more, where the user's other programs send requests too.

use std::time::Duration;

use super::wire::RateLimit;
use crate::election::time::Instant;

/// Over so many renewals it is counted: fewer, and it depends on which look comes before which renewal.
const RENEWALS: u32 = 4;

/// More than so many are noticed before that: their looks alone come near what GitHub grants a minute.
const MANY: u32 = 20;

/// Times of a reset that differ by less, in seconds, are of the same hour: they are rounded, and come
/// from several servers.
const SAME_RESET: u64 = 30;

/// How many requests were left at a time, and when all are there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Left {
    at: Instant,
    requests: u64,
    reset: i64,
}

/// Counts the candidates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Crowd {
    retry_period: Duration,
    since: Option<Left>,
    candidates: Option<u32>,
}

impl Crowd {
    /// Nothing is known yet. The leader is taken to renew every `retry_period`.
    #[must_use]
    pub(super) fn new(retry_period: Duration) -> Self {
        Crowd {
            retry_period,
            since: None,
            candidates: None,
        }
    }

    /// Takes in what an answer that came `now` says; one that says nothing changes nothing.
    pub(super) fn heard(&mut self, now: Instant, rate: Option<RateLimit>) {
        let Some(rate) = rate else { return };
        let left = Left {
            at: now,
            requests: rate.remaining,
            reset: rate.reset,
        };
        let before = *self.since.get_or_insert(left);
        if left.reset.abs_diff(before.reset) > SAME_RESET {
            // All of them are there again.
            self.since = Some(left);
            return;
        }
        let passed = now.since(before.at);
        let used = before.requests.saturating_sub(left.requests) as f64;
        let renewals = passed.as_secs_f64() / self.retry_period.as_secs_f64();
        // A float that is too large becomes the largest number, and one that is none zero.
        if passed.is_zero() || renewals < f64::from(RENEWALS) {
            let at_least = (used / (renewals + 1.0)) as u32;
            self.candidates = Some(at_least)
                .filter(|&many| many > MANY)
                .max(self.candidates);
            return;
        }
        self.since = Some(left);
        self.candidates = Some((used / renewals).round() as u32);
    }

    /// How many there seem to be, the leader included; `None` as long as too little was heard.
    #[must_use]
    pub(super) fn candidates(&self) -> Option<u32> {
        self.candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    fn left(remaining: u64) -> Option<RateLimit> {
        left_of_hour(0, remaining)
    }

    fn left_of_hour(hour: i64, remaining: u64) -> Option<RateLimit> {
        Some(RateLimit {
            limit: 5_000,
            remaining,
            reset: 1_588_008_246 + hour * 3_600,
            date: Some(1_588_008_000),
        })
    }

    /// What one of so many candidates makes of a quarter of an hour with the default times, once it has
    /// heard enough.
    fn counted(candidates: u64, others_a_second: u64) -> Vec<u32> {
        let mut crowd = Crowd::new(Duration::from_secs(8));
        let mut counts = Vec::new();
        for second in 0..900 {
            let used = second / 8 * candidates + second * others_a_second;
            if second % 2 == 0 {
                crowd.heard(at(1_000 + second), left(50_000 - used));
                counts.extend(crowd.candidates().filter(|_| second >= 32));
            }
        }
        counts
    }

    #[test]
    fn what_goes_between_two_renewals_is_the_number_of_candidates() {
        for candidates in [1, 2, 3, 10, 30] {
            let counts = counted(candidates, 0);
            assert!(counts.len() > 400);
            assert!(
                counts.iter().all(|&count| u64::from(count) == candidates),
                "{candidates}: {counts:?}"
            );
        }
    }

    #[test]
    fn other_programs_make_it_more_and_never_less() {
        assert!(counted(3, 1).iter().all(|&count| count == 11));
    }

    #[test]
    fn nothing_is_known_before_enough_was_heard_nor_forgotten_when_the_hour_is_over() {
        let mut crowd = Crowd::new(Duration::from_secs(8));
        crowd.heard(at(0), None);
        crowd.heard(at(0), left(100));
        crowd.heard(at(31), left(60));
        assert_eq!(crowd.candidates(), None);
        crowd.heard(at(32), left(60));
        assert_eq!(crowd.candidates(), Some(10));
        crowd.heard(at(60), left_of_hour(1, 5_000));
        crowd.heard(at(91), left_of_hour(1, 4_960));
        assert_eq!(crowd.candidates(), Some(10));
        crowd.heard(at(92), left_of_hour(1, 4_988));
        assert_eq!(crowd.candidates(), Some(3));
    }

    #[test]
    fn a_great_many_are_noticed_at_once() {
        let mut crowd = Crowd::new(Duration::from_secs(8));
        crowd.heard(at(0), left(5_000));
        crowd.heard(at(2), left(4_975));
        assert_eq!(crowd.candidates(), None);
        crowd.heard(at(2), left(4_900));
        assert_eq!(crowd.candidates(), Some(80));
        crowd.heard(at(32), left(4_600));
        assert_eq!(crowd.candidates(), Some(100));
        crowd.heard(at(64), left(4_560));
        assert_eq!(crowd.candidates(), Some(10));
    }

    #[test]
    fn a_server_that_is_behind_changes_nothing() {
        let mut crowd = Crowd::new(Duration::from_secs(8));
        crowd.heard(at(0), left(100));
        crowd.heard(at(8), left(103));
        crowd.heard(at(32), left(60));
        assert_eq!(crowd.candidates(), Some(10));
    }

    #[test]
    fn whatever_is_told_and_set_nothing_panics() {
        let mut random = fastrand::Rng::with_seed(5);
        let numbers = [0, 1, 5_000, u64::MAX];
        for period in [0, 1, u64::MAX] {
            let mut crowd = Crowd::new(Duration::from_nanos(period));
            for _ in 0..2_000 {
                let now = at(numbers[random.usize(..numbers.len())]);
                crowd.heard(now, left(numbers[random.usize(..numbers.len())]));
            }
        }
    }
}
