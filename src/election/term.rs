//! The lease of one term: its writes, which of them are confirmed, and until when the term is valid.
//!
//! ```text
//!   write n sent ──▶ answered ──(confirm delay)──▶ write n+1 sent ──▶ answered
//!   └────────── the lease counts from here, once n+1 is effective too ──────┘
//! ```
//!
//! A store may acknowledge a write and lose it afterwards, when a racing write that was built on an
//! older state replaces it. **Confirmation rule:** an effective write confirms the earlier effective
//! writes of its term if the state right below it had been known as the newest for the confirm delay
//! before it was sent. A confirmed write cannot be lost that way any more, so the lease that other
//! candidates wait for counts from when it was sent.

use std::time::Duration;

use super::config::LeaderElectionConfig;
use super::time::Instant;

/// Write of this term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Write {
    /// Number among this process's writes.
    number: u64,
    sent_at: Instant,
    /// Time of the first answer that showed this write as effective.
    answered_at: Option<Instant>,
}

/// Lease of one term of this process, from its claim on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TermLease {
    pub(super) fencing_token: u64,
    /// Time of the claim, as the record says it.
    pub(super) acquire_time: String,
    claim: u64,
    /// The newest confirmed write and those after it, oldest first.
    writes: Vec<Write>,
    /// Time at which the last acknowledged write was sent, even if that write is lost by now.
    acknowledged: Option<Instant>,
    /// Time at which the last confirmed write was sent.
    confirmed: Option<Instant>,
}

impl TermLease {
    /// Returns the lease of a term whose claim is the process's write with this number, sent `now`.
    pub(super) fn claimed(
        fencing_token: u64,
        acquire_time: String,
        claim: u64,
        now: Instant,
    ) -> TermLease {
        let mut lease = TermLease {
            fencing_token,
            acquire_time,
            claim,
            writes: Vec::new(),
            acknowledged: None,
            confirmed: None,
        };
        lease.note_sent(claim, now);
        lease
    }

    /// Adds a write of this term that is sent `now`.
    pub(super) fn note_sent(&mut self, number: u64, now: Instant) {
        self.writes.push(Write {
            number,
            sent_at: now,
            answered_at: None,
        });
    }

    /// Returns whether the process's write with this number belongs to this term.
    pub(super) fn includes(&self, number: u64) -> bool {
        number >= self.claim
    }

    /// Takes in that the write with this number is effective, known since `now` by its own answer or by
    /// a read. `head_known_since` is [`Written::head_known_since`], `None` for a read. Returns whether
    /// the write confirms any.
    ///
    /// [`Written::head_known_since`]: super::lock::Written::head_known_since
    pub(super) fn note_effective(
        &mut self,
        number: u64,
        now: Instant,
        confirm_delay: Option<Duration>,
        head_known_since: Option<Instant>,
    ) -> bool {
        // A later write that was acknowledged and is not on top of this one is lost.
        self.writes
            .retain(|write| write.number <= number || write.answered_at.is_none());
        let Some(write) = self.writes.iter_mut().find(|write| write.number == number) else {
            return false;
        };
        write.answered_at.get_or_insert(now);
        let sent_at = write.sent_at;
        self.acknowledged = self.acknowledged.max(Some(sent_at));
        let newly_confirmed = match confirm_delay {
            None => Some(sent_at),
            Some(delay) => self.confirmed_by(number, sent_at, delay, head_known_since),
        };
        self.confirmed = self.confirmed.max(newly_confirmed);
        let confirmed = self.confirmed;
        // An earlier write that has not become effective cannot any more.
        self.writes.retain(|write| {
            write.number >= number
                || (write.answered_at.is_some() && Some(write.sent_at) >= confirmed)
        });
        newly_confirmed.is_some()
    }

    /// Returns when the newest write was sent that this effective one confirms.
    ///
    /// The state right below it was the store's newest from when it was first known until this write
    /// was carried out. So every write that was built on an older state has been carried out by then,
    /// and cannot replace it any more. It is not enough that an earlier write of this term was known
    /// for that long: with foreign writes in between, the store may have alternated between two
    /// histories, and the last write to the other one may still be to come.
    fn confirmed_by(
        &self,
        number: u64,
        sent_at: Instant,
        delay: Duration,
        head_known_since: Option<Instant>,
    ) -> Option<Instant> {
        head_known_since.filter(|since| *since + delay <= sent_at)?;
        self.writes
            .iter()
            .filter(|below| below.number < number)
            .filter(|below| below.answered_at.is_some_and(|at| at <= sent_at))
            .map(|below| below.sent_at)
            .max()
    }

    /// Returns when the newest effective write was first known to be effective.
    pub(super) fn last_answer(&self) -> Option<Instant> {
        self.writes
            .iter()
            .filter_map(|write| write.answered_at)
            .max()
    }

    /// Returns the leadership deadline: SIGTERM is sent to the workload no later than this. `None`
    /// while no write is confirmed.
    pub(super) fn valid_until(&self, config: &LeaderElectionConfig) -> Option<Instant> {
        let acknowledged = self.acknowledged? + config.renew_deadline;
        let confirmed = self.confirmed? + config.usable_lease();
        Some(acknowledged.min(confirmed))
    }

    /// Returns the latest leadership deadline that is still possible: what is left for the requests of
    /// a claim.
    pub(super) fn best_deadline(&self, config: &LeaderElectionConfig) -> Instant {
        let first = self.writes.first().map(|write| write.sent_at);
        self.valid_until(config)
            .or(first.map(|sent_at| sent_at + config.usable_lease()))
            .unwrap_or(Instant::BOOT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Option<Duration> = Some(Duration::from_secs(2));

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(1000 + seconds))
    }

    fn claimed() -> TermLease {
        TermLease::claimed(1, String::new(), 1, at(0))
    }

    /// Handles the answer to a write on top of a state that was known since `head_known_since`.
    fn acked(term: &mut TermLease, number: u64, now: u64, head_known_since: u64) -> bool {
        term.note_effective(number, at(now), DELAY, Some(at(head_known_since)))
    }

    /// Handles a read that shows the write as effective.
    fn found(term: &mut TermLease, number: u64, now: u64) {
        term.note_effective(number, at(now), DELAY, None);
    }

    fn config() -> LeaderElectionConfig {
        LeaderElectionConfig::new("baz")
    }

    #[test]
    fn later_write_confirms_claim() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        assert_eq!(term.valid_until(&config()), None);
        term.note_sent(2, at(3));
        assert!(acked(&mut term, 2, 4, 1));
        // 16 s after the second was sent is earlier than 24 s after the first was.
        assert_eq!(term.valid_until(&config()), Some(at(3 + 16)));
        assert_eq!(term.confirmed, Some(at(0)));
    }

    #[test]
    fn early_write_confirms_nothing() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        term.note_sent(2, at(2));
        assert!(!acked(&mut term, 2, 3, 1));
        assert_eq!(term.valid_until(&config()), None);
        term.note_sent(3, at(5));
        assert!(acked(&mut term, 3, 5, 3));
        assert_eq!(term.confirmed, Some(at(2)));
    }

    #[test]
    fn lost_write_is_not_confirmed() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        term.note_sent(2, at(8));
        acked(&mut term, 2, 9, 1);
        term.note_sent(3, at(16));
        // A read shows the first as effective again: the second is lost, the third not there yet.
        found(&mut term, 1, 17);
        term.note_sent(4, at(19));
        acked(&mut term, 4, 20, 17);
        assert_eq!(term.confirmed, Some(at(0)));
        assert_eq!(
            term.valid_until(&config()),
            Some(at(24)),
            "from the first write, the newest that is confirmed"
        );
    }

    #[test]
    fn read_answers_for_found_write() {
        let mut term = claimed();
        found(&mut term, 1, 6);
        assert_eq!(term.last_answer(), Some(at(6)));
        term.note_sent(2, at(7));
        acked(&mut term, 2, 7, 6);
        assert_eq!(
            term.valid_until(&config()),
            None,
            "two seconds had not passed"
        );
    }

    #[test]
    fn write_after_foreign_write_confirms_nothing() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        term.note_sent(2, at(3));
        assert!(!term.note_effective(2, at(4), DELAY, None));
        assert_eq!(term.valid_until(&config()), None);
        term.note_sent(3, at(6));
        assert!(acked(&mut term, 3, 7, 4));
        assert_eq!(term.confirmed, Some(at(3)), "and what is below it");
    }

    #[test]
    fn write_after_long_known_head_confirms() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        term.note_sent(2, at(8));
        assert!(acked(&mut term, 2, 9, 5));
        assert_eq!(term.confirmed, Some(at(0)));
    }

    #[test]
    fn without_confirm_delay_every_write_counts() {
        let mut term = claimed();
        term.note_effective(1, at(5), None, None);
        assert_eq!(term.valid_until(&config()), Some(at(16)));
    }

    #[test]
    fn long_term_keeps_few_writes() {
        let mut term = claimed();
        for number in 2..1000 {
            let now = at(number * 8);
            acked(&mut term, number - 1, number * 8 - 7, (number - 1) * 8 - 7);
            term.note_sent(number, now);
            assert!(term.writes.len() <= 3, "{}", term.writes.len());
        }
    }
}
