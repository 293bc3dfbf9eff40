//! When the leader's next renewal is to be seen, so that a candidate looks just then.
//!
//! A lease is taken so long after its last renewal was first *seen*: what passes before it is seen is
//! lost when the leader dies. But renewals come at even intervals, and a candidate's own looks tell
//! when: the last one that was sent too early, and the first that was not.
//!
//! ```text
//!   looks         ×           ×           ×           ●           ×        (× shows nothing new)
//!                                         ├───────────┤                    a renewal was there to be seen
//!   next time                                         ├──┬──┬──┬──┤        is looked for in quarters,
//!   after that                                                     ├┤      until it is known well enough
//! ```
//!
//! It decides nothing but when to look, and so nothing that is promised rests on it. Looks that show
//! nothing new are free at GitHub.

use std::time::Duration;

use super::time::Instant;

/// How exactly it is wanted to be known when a renewal can be seen, as a part of the poll period:
/// exact enough not to matter. Nothing is known more exactly than a look takes.
const EXACT: u32 = 32;

/// Into how many parts an interval is divided that is not known so exactly: with more, more looks
/// come too early; with fewer, it takes more renewals.
const PARTS: u32 = 4;

/// How much later than usual a look may be for the sake of a renewal, in the same parts: a quarter of
/// a poll.
const LATER: u32 = EXACT / 4;

/// By how much sooner than last time a renewal may be there, as a part of that exactness: what is looked
/// for in the same interval for ever would never be found to come sooner.
const SOONER: u32 = 16;

/// By how much later it may be: the leader's timer is late by some of a millisecond each time.
const SLACK: u32 = 32;

/// When renewals can be seen, by one candidate's looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RenewalPrediction {
    /// From one renewal to the next: one's own setting, as all have the same.
    period: Duration,
    /// Zero: nothing is to be gained.
    exact: Duration,
    /// When the last look was sent.
    last: Option<Instant>,
    /// How long it took.
    took: Duration,
    /// When the looks were sent between which the newest renewal came to be seen: the later one
    /// showed it.
    seen: Option<(Instant, Instant)>,
}

impl RenewalPrediction {
    pub(super) fn new(retry_period: Duration, poll_period: Duration) -> Self {
        RenewalPrediction {
            period: retry_period,
            exact: match poll_period > retry_period {
                // Whoever looks as seldom wants few requests.
                true => Duration::ZERO,
                false => poll_period / EXACT,
            },
            last: None,
            took: Duration::ZERO,
            seen: None,
        }
    }

    /// A look that was sent and answered then showed a renewal, or nothing new.
    pub(super) fn note_read(&mut self, sent: Instant, answered: Instant, renewed: bool) {
        if self.exact.is_zero() {
            return;
        }
        self.took = answered.since(sent);
        let Some(last) = self.last.replace(sent) else {
            return;
        };
        if !renewed {
            return;
        }
        let from = match self.expected() {
            Some((from, _)) if from < sent => last.max(from - self.exact / SOONER),
            _ => last,
        };
        self.seen = Some((from, sent));
    }

    /// When to look instead of at `usual`, for the sake of the next renewal: before that, or a little
    /// later if it is known well enough that nothing is to be seen earlier.
    pub(super) fn next_read(&self, usual: Instant) -> Instant {
        match self.aim() {
            Some((at, true)) if at < usual + self.exact * LATER => at,
            Some((at, false)) if at < usual => at,
            _ => usual,
        }
    }

    /// When the next renewal is looked for next, and whether it is known when it comes.
    fn aim(&self) -> Option<(Instant, bool)> {
        let (from, to) = self.expected()?;
        let last = self.last?;
        if last >= to {
            // It does not come, or later: looked for at growing intervals.
            return Some((last + last.since(to).max(self.exact), false));
        }
        let interval = to.since(from);
        if interval <= self.exact.max(self.took) {
            return Some((to + self.exact / SLACK, true));
        }
        let next = last.max(from) + interval / PARTS;
        Some((next.min(to), false))
    }

    /// Between which looks the renewal after the newest one is to be seen.
    fn expected(&self) -> Option<(Instant, Instant)> {
        let (from, to) = self.seen?;
        Some((from + self.period, to + self.period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(8);
    const POLL: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Instant {
        Instant::from_boot(Duration::from_millis(millis))
    }

    /// A candidate that looks at renewals that can be seen at these times, each look taking so long:
    /// how late it sees each of them, and how many looks it needs, in milliseconds.
    fn follow(renewals: &[u64], took: u64) -> Vec<(u64, usize)> {
        let took = Duration::from_millis(took);
        let mut prediction = RenewalPrediction::new(PERIOD, POLL);
        let (mut now, mut seen, mut looks) = (at(0), 0, 0);
        let mut followed = Vec::new();
        while seen < renewals.len() {
            let sent = now;
            looks += 1;
            let there = renewals
                .iter()
                .filter(|&&renewal| at(renewal) <= sent)
                .count();
            prediction.note_read(sent, sent + took, there > seen);
            if there > seen {
                followed.push((
                    sent.since(at(renewals[there - 1])).as_millis() as u64,
                    looks,
                ));
                (seen, looks) = (there, 0);
            }
            now = prediction.next_read(sent + POLL).max(sent + took);
        }
        followed
    }

    fn even(count: u64) -> Vec<u64> {
        (1..=count).map(|n| n * 8_000 + 700).collect()
    }

    #[test]
    fn after_a_few_renewals_each_is_seen_at_once() {
        let followed = follow(&even(40), 1);
        let late = |n: usize| followed[n].0;
        assert!(late(0) > 1_000, "{followed:?}");
        assert!((4..40).all(|n| late(n) <= 70), "{followed:?}");
    }

    #[test]
    fn that_costs_hardly_any_look_more() {
        let followed = follow(&even(100), 1);
        let looks: usize = followed[10..].iter().map(|(_, looks)| looks).sum();
        // Four an interval of 8 s were to be made anyway.
        assert!(looks < 90 * 5, "{looks}");
        let most = followed.iter().map(|(_, looks)| looks).max();
        assert!(most <= Some(&9), "{followed:?}");
    }

    #[test]
    fn it_follows_renewals_that_drift_or_come_by_leaps() {
        let drifting = |by: i64| -> Vec<u64> {
            let times = (1..=60_i64).map(|n| n * (8_000 + by) + 700);
            times.map(|time| time as u64).collect()
        };
        for by in [-4, -1, 1, 40] {
            let followed = follow(&drifting(by), 1);
            let late: u64 = followed[10..].iter().map(|(late, _)| late).sum();
            assert!(late / 50 <= 60, "{by}: {followed:?}");
        }
        // A leader had to try again, and another one came.
        let mut leaps = even(20);
        leaps.extend((1..=20).map(|n| 163_400 + n * 8_000));
        leaps.extend((1..=20).map(|n| 350_000 + n * 8_000));
        let followed = follow(&leaps, 1);
        let late = followed.iter().filter(|(late, _)| *late > 70).count();
        assert!(late <= 12, "{followed:?}");
    }

    #[test]
    fn where_a_look_takes_long_it_is_not_much_later_than_that() {
        let followed = follow(&even(60), 150);
        let late: u64 = followed[10..].iter().map(|(late, _)| late).sum();
        assert!(late / 50 <= 150, "{followed:?}");
    }

    #[test]
    fn renewals_at_random_times_cost_no_more_than_some_looks() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut time = 0;
        let renewals: Vec<u64> = std::iter::repeat_with(|| {
            time += random.u64(3_000..13_000);
            time
        })
        .take(200)
        .collect();
        let followed = follow(&renewals, 20);
        assert!(followed.iter().all(|(late, _)| *late <= 2_000));
        let looks: usize = followed.iter().map(|(_, looks)| looks).sum();
        assert!(looks < 200 * 11, "{looks}");
    }

    #[test]
    fn where_looks_are_as_many_as_can_be_none_is_aimed() {
        let mut prediction = RenewalPrediction::new(PERIOD, Duration::from_nanos(1));
        prediction.note_read(at(0), at(1), false);
        prediction.note_read(at(1), at(2), true);
        assert_eq!(prediction.next_read(at(5)), at(5));
    }

    #[test]
    fn who_looks_more_seldom_than_the_leader_renews_is_to_save_requests() {
        let mut prediction = RenewalPrediction::new(PERIOD, PERIOD + Duration::from_nanos(1));
        prediction.note_read(at(0), at(1), false);
        prediction.note_read(at(9_000), at(9_001), true);
        assert_eq!(prediction.next_read(at(18_000)), at(18_000));
    }
}
