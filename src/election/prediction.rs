//! Renewal prediction: a standby reads just when the leader's next renewal becomes visible.
//!
//! A lease expires one lease duration after its last renewal was first *observed*. The time until a
//! renewal is observed is lost when the leader dies. But renewals come at even intervals, and a
//! standby's own reads show when: the last read that was too early, and the first that was not.
//!
//! ```text
//!   reads         ×           ×           ×           ●           ×        (× shows nothing new)
//!                                         ├───────────┤                    a renewal became visible here
//!   next time                                         ├──┬──┬──┬──┤        is searched in quarters,
//!   after that                                                     ├┤      until it is known well enough
//! ```
//!
//! It decides only when to read, so no promise depends on it.

use std::time::Duration;

use super::time::Instant;

/// Precision of the prediction, as a part of the poll period. It is never better than the duration of a
/// read.
const EXACT: u32 = 32;

/// Number of parts into which a less precise interval is divided. With more, more reads come too early;
/// with fewer, the search takes more renewals.
const PARTS: u32 = 4;

/// Delay of a read for the sake of a renewal, as a multiple of the precision: a quarter of a poll
/// period.
const LATER: u32 = EXACT / 4;

/// Widening of the searched interval towards the past, as a part of the precision. Without it, a renewal
/// that comes sooner than last time would never be found.
const SOONER: u32 = 16;

/// Widening towards the future, as a part of the precision: the leader's timer is a fraction of a
/// millisecond late each time.
const SLACK: u32 = 32;

/// Prediction of the next renewal from one candidate's reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RenewalPrediction {
    /// Interval between renewals: this candidate's own setting, because all should use the same.
    period: Duration,
    /// Zero turns the prediction off.
    exact: Duration,
    /// Time at which the last read was sent.
    last: Option<Instant>,
    /// Duration of the last read.
    took: Duration,
    /// Send times of the two reads between which the newest renewal became visible.
    seen: Option<(Instant, Instant)>,
}

impl RenewalPrediction {
    pub(super) fn new(retry_period: Duration, poll_period: Duration) -> Self {
        RenewalPrediction {
            period: retry_period,
            exact: match poll_period > retry_period {
                // With such a long poll period, few requests matter more.
                true => Duration::ZERO,
                false => poll_period / EXACT,
            },
            last: None,
            took: Duration::ZERO,
            seen: None,
        }
    }

    /// Takes in a read and whether it showed a renewal.
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

    /// Returns when to read instead of at `usual`: earlier, or a little later if the next renewal is
    /// known to become visible only then.
    pub(super) fn next_read(&self, usual: Instant) -> Instant {
        match self.aim() {
            Some((at, true)) if at < usual + self.exact * LATER => at,
            Some((at, false)) if at < usual => at,
            _ => usual,
        }
    }

    /// Returns the next time to search for the next renewal, and whether its time is known.
    fn aim(&self) -> Option<(Instant, bool)> {
        let (from, to) = self.expected()?;
        let last = self.last?;
        if last >= to {
            // It is late or does not come: search at growing intervals.
            return Some((last + last.since(to).max(self.exact), false));
        }
        let interval = to.since(from);
        if interval <= self.exact.max(self.took) {
            return Some((to + self.exact / SLACK, true));
        }
        let next = last.max(from) + interval / PARTS;
        Some((next.min(to), false))
    }

    /// Returns the interval in which the renewal after the newest one becomes visible.
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

    /// Reads renewals that become visible at these times (ms); each read takes `took` ms. Returns for
    /// each renewal how late it was observed (ms), and the number of reads.
    fn follow(renewals: &[u64], took: u64) -> Vec<(u64, usize)> {
        let took = Duration::from_millis(took);
        let mut prediction = RenewalPrediction::new(PERIOD, POLL);
        let (mut now, mut seen, mut reads) = (at(0), 0, 0);
        let mut followed = Vec::new();
        while seen < renewals.len() {
            let sent = now;
            reads += 1;
            let there = renewals
                .iter()
                .filter(|&&renewal| at(renewal) <= sent)
                .count();
            prediction.note_read(sent, sent + took, there > seen);
            if there > seen {
                followed.push((
                    sent.since(at(renewals[there - 1])).as_millis() as u64,
                    reads,
                ));
                (seen, reads) = (there, 0);
            }
            now = prediction.next_read(sent + POLL).max(sent + took);
        }
        followed
    }

    fn even(count: u64) -> Vec<u64> {
        (1..=count).map(|n| n * 8_000 + 700).collect()
    }

    #[test]
    fn renewals_are_soon_observed_immediately() {
        let followed = follow(&even(40), 1);
        let late = |n: usize| followed[n].0;
        assert!(late(0) > 1_000, "{followed:?}");
        assert!((4..40).all(|n| late(n) <= 70), "{followed:?}");
    }

    #[test]
    fn prediction_costs_few_reads() {
        let followed = follow(&even(100), 1);
        let reads: usize = followed[10..].iter().map(|(_, reads)| reads).sum();
        // Four reads in 8 s come without prediction.
        assert!(reads < 90 * 5, "{reads}");
        let most = followed.iter().map(|(_, reads)| reads).max();
        assert!(most <= Some(&9), "{followed:?}");
    }

    #[test]
    fn prediction_follows_drift_and_leaps() {
        let drifting = |by: i64| -> Vec<u64> {
            let times = (1..=60_i64).map(|n| n * (8_000 + by) + 700);
            times.map(|time| time as u64).collect()
        };
        for by in [-4, -1, 1, 40] {
            let followed = follow(&drifting(by), 1);
            let late: u64 = followed[10..].iter().map(|(late, _)| late).sum();
            assert!(late / 50 <= 60, "{by}: {followed:?}");
        }
        // A leader retries, and another one takes over.
        let mut leaps = even(20);
        leaps.extend((1..=20).map(|n| 163_400 + n * 8_000));
        leaps.extend((1..=20).map(|n| 350_000 + n * 8_000));
        let followed = follow(&leaps, 1);
        let late = followed.iter().filter(|(late, _)| *late > 70).count();
        assert!(late <= 12, "{followed:?}");
    }

    #[test]
    fn slow_reads_delay_by_their_duration() {
        let followed = follow(&even(60), 150);
        let late: u64 = followed[10..].iter().map(|(late, _)| late).sum();
        assert!(late / 50 <= 150, "{followed:?}");
    }

    #[test]
    fn random_renewals_cost_few_reads() {
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
        let reads: usize = followed.iter().map(|(_, reads)| reads).sum();
        assert!(reads < 200 * 11, "{reads}");
    }

    #[test]
    fn tiny_poll_period_predicts_nothing() {
        let mut prediction = RenewalPrediction::new(PERIOD, Duration::from_nanos(1));
        prediction.note_read(at(0), at(1), false);
        prediction.note_read(at(1), at(2), true);
        assert_eq!(prediction.next_read(at(5)), at(5));
    }

    #[test]
    fn long_poll_period_predicts_nothing() {
        let mut prediction = RenewalPrediction::new(PERIOD, PERIOD + Duration::from_nanos(1));
        prediction.note_read(at(0), at(1), false);
        prediction.note_read(at(9_000), at(9_001), true);
        assert_eq!(prediction.next_read(at(18_000)), at(18_000));
    }
}
