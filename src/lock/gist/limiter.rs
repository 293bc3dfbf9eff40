//! Staying inside GitHub's limits: when the next request may be sent. Pure: the time is handed in.
//!
//! Two things hold a request back: a server that said to come back later (which holds back every
//! request, as going on regardless may get the account banned), and our own count of writes, which
//! are scarcer than reads and not announced in any header. Before the hour's writes are used up they
//! are spread over what is left of it, so that a leader that had to try again often does not lose its
//! lease for want of writes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::election::config::LeaderElectionConfig;
use crate::election::lock::LockError;
use crate::election::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The most writes that are remembered, whatever the settings say.
const MOST_WRITES: u32 = 10_000;

/// How many writes are sent at the most. Whatever a user's other programs write comes on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteLimits {
    /// In any 60 seconds.
    pub per_minute: u32,
    /// In any 3600 seconds; 10,000 at the most.
    pub per_hour: u32,
    /// How long a leader can go without a write. Retries are let through as long as the hour's writes
    /// suffice for one in each such time.
    pub longest_gap: Duration,
}

impl WriteLimits {
    /// GitHub's limits for requests that generate content, per user. A leader with these settings can
    /// do with a write in every three quarters of its renew deadline, or in every two fifths of its
    /// usable lease, which the write after next has to extend.
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

/// Says when a request may be sent.
#[derive(Debug)]
pub struct RequestLimiter {
    /// `None`: writes are not counted.
    writes: Option<WriteLimits>,
    /// When writes were sent, oldest first; none older than an hour.
    sent: VecDeque<Instant>,
    /// Nothing is sent before this time, for the reason given.
    held: Option<(Instant, String)>,
    /// How many answers in a row said that a limit was reached.
    in_a_row: u32,
}

impl RequestLimiter {
    /// Nothing was sent yet. `writes` bounds what is sent, `None` does not.
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

    /// How many answers in a row, up to now, said that a limit was reached.
    #[must_use]
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Whether a request may be sent now.
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
                        "this process has sent {most} writes within {name}, all that GitHub takes; use a longer RETRY_PERIOD, or fewer locks per user"
                    ),
                });
            }
        }
        self.spread(now, limits)
    }

    /// Holds a write back that would be missing later in the hour.
    fn spread(&self, now: Instant, limits: WriteLimits) -> Result<(), LockError> {
        let last = self.sent.back().copied().unwrap_or(Instant::BOOT);
        let next = last + limits.longest_gap;
        if next <= now || self.leaves_enough(now, limits) {
            return Ok(());
        }
        Err(LockError::RateLimited {
            retry_after: next.since(now),
            why: format!(
                "this process has sent {} of the {} writes within an hour that GitHub takes, and \
                 spreads the rest",
                self.sent.len(),
                limits.per_hour
            ),
        })
    }

    /// Whether after a write now there is still one for each `longest_gap`, whatever time it takes
    /// until those already sent count no more.
    fn leaves_enough(&self, now: Instant, limits: WriteLimits) -> bool {
        let left = u64::from(limits.per_hour).saturating_sub(self.sent.len() as u64);
        let mut freed = self.sent.iter().zip(left..);
        freed.all(|(sent, writes)| {
            let writes = u32::try_from(writes).unwrap_or(u32::MAX);
            (*sent + HOUR).since(now) <= limits.longest_gap.saturating_mul(writes)
        })
    }

    /// The time until there are fewer than `most` writes in the last `window`; `None` for now.
    fn until_free(&self, now: Instant, most: u32, window: Duration) -> Option<Duration> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let oldest = self.sent.len().checked_sub(most)?;
        // With a limit of zero nothing ever falls out of the window that would make room.
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

    /// Notes what came of a request.
    pub fn heard<T>(&mut self, now: Instant, reply: &Result<T, LockError>) {
        match reply {
            Ok(_) => self.in_a_row = 0,
            Err(LockError::RateLimited { retry_after, why }) => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.held = Some((now + *retry_after, why.clone()));
            }
            Err(_) => {}
        }
    }

    /// Drops the writes that count no more.
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
    fn nothing_is_sent_before_the_time_the_server_gave() {
        let mut limits = RequestLimiter::new(None);
        limits.heard(at(100), &throttled(60));
        assert_eq!(wait(limits.admit(at(100), false)), Some(60));
        assert_eq!(wait(limits.admit(at(159), true)), Some(1));
        assert_eq!(wait(limits.admit(at(160), true)), None);
        assert_eq!(wait(limits.admit(at(160), false)), None);
    }

    #[test]
    fn answers_in_a_row_are_counted_until_a_good_one() {
        let mut limits = RequestLimiter::new(None);
        limits.heard(at(1), &throttled(1));
        limits.heard::<()>(at(2), &Err(LockError::Unavailable("x".into())));
        limits.heard(at(3), &throttled(1));
        assert_eq!(limits.in_a_row(), 2);
        limits.heard(at(9), &Ok(()));
        assert_eq!(limits.in_a_row(), 0);
    }

    #[test]
    fn writes_within_a_minute_and_an_hour_are_bounded_and_reads_are_not() {
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
    fn the_default_settings_fit_the_limits_of_github() {
        let mut limits = RequestLimiter::new(Some(github()));
        for write in 0..10_000 {
            let now = at(write * 8);
            assert_eq!(wait(limits.admit(now, true)), None, "write {write}");
            limits.sent_write(now);
        }
        assert!(limits.sent.len() <= 500);
    }

    #[test]
    fn what_is_not_counted_is_not_kept() {
        let mut limits = RequestLimiter::new(None);
        for now in 0..1_000 {
            assert_eq!(wait(limits.admit(at(now), true)), None);
            limits.sent_write(at(now));
        }
        assert_eq!(limits.sent.len(), 0);
    }

    #[test]
    fn a_limit_of_zero_lets_no_write_through() {
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
    fn a_leader_that_had_to_try_again_often_never_waits_for_longer_than_the_gap() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut limits = RequestLimiter::new(Some(github()));
        // A while without a term, so that nothing falls out of the window for as long.
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
    fn no_window_ever_holds_more_writes_than_it_may() {
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
