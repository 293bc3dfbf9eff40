//! The rate limiter: when the next request may be sent. Pure: the caller passes the time.
//!
//! Two things hold a request back. If the server demands a wait, every request waits, because sending more
//! may get the account banned. Writes are also counted here, because their limits are lower and no header
//! states them. Before the writes of an hour are used up, the remaining ones are spread over the rest of the
//! hour, so that a leader with many retries does not lose its lease for lack of writes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::election::config::LeaderElectionConfig;
use crate::election::lock::LockError;
use crate::election::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Most writes that are remembered, whatever the limits are.
const MOST_WRITES: u32 = 10_000;

/// Most writes that this process sends. Writes of the account's other programs are not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteLimits {
    /// Writes in any 60 seconds.
    pub per_minute: u32,
    /// Writes in any 3600 seconds; at most 10,000.
    pub per_hour: u32,
    /// Longest time that a leader can go without a write. Retries pass as long as the remaining writes
    /// suffice for one in each such time.
    pub longest_gap: Duration,
}

impl WriteLimits {
    /// Returns GitHub's limits per account for requests that generate content.
    ///
    /// A leader needs a write in every three quarters of its renew deadline, and in every two fifths of its
    /// usable lease, because the write after next must extend that.
    #[must_use]
    pub fn github(election: &LeaderElectionConfig) -> Self {
        let deadline = election.renew_deadline * 3 / 4;
        WriteLimits {
            per_minute: 80,
            per_hour: 500,
            longest_gap: deadline.min(election.usable_lease() * 2 / 5),
        }
    }
}

/// Decides when a request may be sent.
#[derive(Debug)]
pub struct RequestLimiter {
    /// Limits of writes; `None` does not count them.
    writes: Option<WriteLimits>,
    /// Times of the writes of the last hour, oldest first.
    sent: VecDeque<Instant>,
    /// Time before which nothing is sent, and the reason.
    held: Option<(Instant, String)>,
    /// Number of consecutive rate-limited answers.
    in_a_row: u32,
}

impl RequestLimiter {
    /// Creates a limiter before any request; `writes` limits the writes, `None` does not.
    #[must_use]
    pub fn new(writes: Option<WriteLimits>) -> Self {
        RequestLimiter {
            writes: writes.map(|limits| WriteLimits {
                per_hour: limits.per_hour.min(MOST_WRITES),
                ..limits
            }),
            sent: VecDeque::new(),
            held: None,
            in_a_row: 0,
        }
    }

    /// Returns the number of consecutive rate-limited answers up to now.
    #[must_use]
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Checks whether a request may be sent now.
    ///
    /// # Errors
    /// [`LockError::RateLimited`], with the time until it may.
    pub fn admit(&mut self, now: Instant, write: bool) -> Result<(), LockError> {
        if let Some((until, why)) = &self.held {
            if now < *until {
                return Err(LockError::RateLimited {
                    retry_after: until.since(now),
                    why: why.clone(),
                });
            }
            self.held = None;
        }
        if write {
            return self.admit_write(now);
        }
        Ok(())
    }

    fn admit_write(&mut self, now: Instant) -> Result<(), LockError> {
        self.forget(now);
        let Some(limits) = self.writes else {
            return Ok(());
        };
        for (most, window, name) in [
            (limits.per_hour, HOUR, "an hour"),
            (limits.per_minute, MINUTE, "a minute"),
        ] {
            if let Some(retry_after) = self.until_free(now, most, window) {
                return Err(LockError::RateLimited {
                    retry_after,
                    why: format!(
                        "this process has sent {most} writes within {name}, GitHub's limit; use a longer RETRY_PERIOD, or fewer locks per account"
                    ),
                });
            }
        }
        self.spread(now, limits)
    }

    /// Holds a write back that would be needed later in the hour.
    fn spread(&self, now: Instant, limits: WriteLimits) -> Result<(), LockError> {
        let last = self.sent.back().copied().unwrap_or(Instant::BOOT);
        let next = last + limits.longest_gap;
        if next <= now || self.leaves_enough(now, limits) {
            return Ok(());
        }
        Err(LockError::RateLimited {
            retry_after: next.since(now),
            why: format!(
                "this process has sent {} of the {} writes that GitHub accepts within an hour, and \
                 spreads the rest",
                self.sent.len(),
                limits.per_hour
            ),
        })
    }

    /// Returns whether, after a write now, one write per `longest_gap` is left until earlier writes no
    /// longer count.
    fn leaves_enough(&self, now: Instant, limits: WriteLimits) -> bool {
        let left = u64::from(limits.per_hour).saturating_sub(self.sent.len() as u64);
        let mut freed = self.sent.iter().zip(left..);
        freed.all(|(sent, writes)| {
            let writes = u32::try_from(writes).unwrap_or(u32::MAX);
            (*sent + HOUR).since(now) <= limits.longest_gap.saturating_mul(writes)
        })
    }

    /// Returns the time until fewer than `most` writes were sent in the last `window`; `None` for now.
    fn until_free(&self, now: Instant, most: u32, window: Duration) -> Option<Duration> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let oldest = self.sent.len().checked_sub(most)?;
        // With a limit of zero no write ever leaves the window.
        let falls_out = self.sent.get(oldest).map_or(now, |&sent| sent) + window;
        (now < falls_out).then(|| falls_out.since(now))
    }

    /// Notes that a write is being sent.
    pub fn sent_write(&mut self, now: Instant) {
        self.forget(now);
        if self.writes.is_some() {
            self.sent.push_back(now);
        }
    }

    /// Notes the result of a request.
    pub fn note_result<T>(&mut self, now: Instant, reply: &Result<T, LockError>) {
        match reply {
            Ok(_) => self.in_a_row = 0,
            Err(LockError::RateLimited { retry_after, why }) => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.held = Some((now + *retry_after, why.clone()));
            }
            Err(_) => {}
        }
    }

    /// Drops the writes that no longer count.
    fn forget(&mut self, now: Instant) {
        let most = self.writes.map_or(0, |limits| limits.per_hour);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        while let Some(&oldest) = self.sent.front() {
            if now < oldest + HOUR && self.sent.len() <= most {
                break;
            }
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    fn github() -> WriteLimits {
        WriteLimits::github(&LeaderElectionConfig::new("baz"))
    }

    fn throttled(seconds: u64) -> Result<(), LockError> {
        Err(LockError::RateLimited {
            retry_after: Duration::from_secs(seconds),
            why: "slow down".into(),
        })
    }

    fn wait(answer: Result<(), LockError>) -> Option<u64> {
        match answer {
            Ok(()) => None,
            Err(LockError::RateLimited { retry_after, .. }) => Some(retry_after.as_secs()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn server_wait_holds_every_request() {
        let mut limits = RequestLimiter::new(None);
        limits.note_result(at(100), &throttled(60));
        assert_eq!(wait(limits.admit(at(100), false)), Some(60));
        assert_eq!(wait(limits.admit(at(159), true)), Some(1));
        assert_eq!(wait(limits.admit(at(160), true)), None);
        assert_eq!(wait(limits.admit(at(160), false)), None);
    }

    #[test]
    fn good_answer_ends_limited_count() {
        let mut limits = RequestLimiter::new(None);
        limits.note_result(at(1), &throttled(1));
        limits.note_result::<()>(at(2), &Err(LockError::Unavailable("x".into())));
        limits.note_result(at(3), &throttled(1));
        assert_eq!(limits.in_a_row(), 2);
        limits.note_result(at(9), &Ok(()));
        assert_eq!(limits.in_a_row(), 0);
    }

    #[test]
    fn writes_are_limited_and_reads_not() {
        let mut limits = RequestLimiter::new(Some(WriteLimits {
            per_minute: 2,
            per_hour: 3,
            longest_gap: HOUR,
        }));
        for now in [100, 110] {
            assert_eq!(wait(limits.admit(at(now), true)), None);
            limits.sent_write(at(now));
        }
        assert_eq!(wait(limits.admit(at(120), true)), Some(40), "the minute");
        assert_eq!(wait(limits.admit(at(120), false)), None);
        assert_eq!(wait(limits.admit(at(160), true)), None);
        limits.sent_write(at(160));
        assert_eq!(wait(limits.admit(at(300), true)), Some(3_400), "the hour");
        assert_eq!(wait(limits.admit(at(3_700), true)), None);
    }

    #[test]
    fn default_settings_fit_github_limits() {
        let mut limits = RequestLimiter::new(Some(github()));
        for write in 0..10_000 {
            let now = at(write * 8);
            assert_eq!(wait(limits.admit(now, true)), None, "write {write}");
            limits.sent_write(now);
        }
        assert!(limits.sent.len() <= 500);
    }

    #[test]
    fn uncounted_writes_are_not_kept() {
        let mut limits = RequestLimiter::new(None);
        for now in 0..1_000 {
            assert_eq!(wait(limits.admit(at(now), true)), None);
            limits.sent_write(at(now));
        }
        assert_eq!(limits.sent.len(), 0);
    }

    #[test]
    fn zero_limit_admits_no_write() {
        let mut limits = RequestLimiter::new(Some(WriteLimits {
            per_minute: 0,
            per_hour: 0,
            longest_gap: HOUR,
        }));
        assert!(wait(limits.admit(at(1), true)).is_some());
        limits.sent_write(at(1));
        assert!(wait(limits.admit(at(9_999), true)).is_some());
    }

    #[test]
    fn retrying_leader_waits_one_gap() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut limits = RequestLimiter::new(Some(github()));
        // Gaps between terms, in which no write leaves the window.
        let (mut now, mut last) = (0, 0);
        for _ in 0..20_000 {
            match wait(limits.admit(at(now), true)) {
                Some(seconds) => now += seconds + 1,
                None => {
                    assert!(
                        now - last <= 10 || last == 0,
                        "{now}: none for {}s",
                        now - last
                    );
                    limits.sent_write(at(now));
                    last = now;
                    // Every third renewal fails, and is tried again a second later.
                    now += if random.u8(..3) == 0 { 1 } else { 8 };
                    if random.u16(..300) == 0 {
                        now += random.u64(..400);
                        last = 0;
                    }
                }
            }
        }
    }

    #[test]
    fn no_window_exceeds_its_limit() {
        let mut random = fastrand::Rng::with_seed(3);
        let most = WriteLimits {
            per_minute: 5,
            per_hour: 40,
            longest_gap: Duration::from_secs(50),
        };
        let mut limits = RequestLimiter::new(Some(most));
        let (mut now, mut sent) = (0, Vec::new());
        for _ in 0..5_000 {
            now += random.u64(..30);
            match wait(limits.admit(at(now), true)) {
                Some(seconds) => now += if random.bool() { seconds } else { 0 },
                None => {
                    limits.sent_write(at(now));
                    sent.push(now);
                }
            }
        }
        let within = |window: u64, end: u64| {
            sent.iter()
                .filter(|&&s| s <= end && s + window > end)
                .count()
        };
        assert!(
            sent.iter()
                .all(|&end| within(60, end) <= 5 && within(3_600, end) <= 40)
        );
    }
}
