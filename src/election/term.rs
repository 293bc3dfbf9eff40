//! One term of leadership: its writes, which of them are confirmed, and until when it lasts.
//!
//! ```text
//!   write n sent ──▶ answered ──(confirmation delay)──▶ write n+1 sent ──▶ answered
//!   └────────── from here the lease counts, once n+1 took effect too ───────┘
//! ```
//!
//! A store may acknowledge a write and lose it afterwards, when a racing write that was built on an
//! older state replaces it. What stands below a later write of ours cannot be lost that way any more
//! if the state right below that write had been the newest for a while: it is confirmed, and the lease
//! that others wait for counts from there.

use std::time::Duration;

use super::config::LeaderElectionConfig;
use super::time::Instant;

/// A write of this term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Write {
    /// Its number among this process's writes.
    number: u64,
    sent_at: Instant,
    /// When it was first known to have taken effect.
    answered_at: Option<Instant>,
}

/// A term of leadership, from the claim on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Term {
    /// The fencing token.
    pub(super) fencing_token: u64,
    /// When it began, as the record says it.
    pub(super) acquire_time: String,
    claim: u64,
    /// The newest confirmed write and those after it, oldest first.
    writes: Vec<Write>,
    /// When the last write that was acknowledged had been sent, even if it is lost by now.
    acknowledged: Option<Instant>,
    /// When the last write that is confirmed had been sent.
    confirmed: Option<Instant>,
}

impl Term {
    /// A term whose claim is the process's write with this number, sent now.
    pub(super) fn claimed(
        fencing_token: u64,
        acquire_time: String,
        claim: u64,
        now: Instant,
    ) -> Term {
        let mut term = Term {
            fencing_token,
            acquire_time,
            claim,
            writes: Vec::new(),
            acknowledged: None,
            confirmed: None,
        };
        term.sent(claim, now);
        term
    }

    /// A further write of this term is sent now.
    pub(super) fn sent(&mut self, number: u64, now: Instant) {
        self.writes.push(Write {
            number,
            sent_at: now,
            answered_at: None,
        });
    }

    /// Whether the process's write with this number belongs to this term.
    pub(super) fn holds(&self, number: u64) -> bool {
        number >= self.claim
    }

    /// The write with this number is in effect, as is known since `now`: its answer says so, or a look
    /// does. `head_known_since` is [`Written::head_known_since`], `None` for a look. Returns whether
    /// it confirms any write.
    ///
    /// [`Written::head_known_since`]: super::lock::Written::head_known_since
    pub(super) fn took_effect(
        &mut self,
        number: u64,
        now: Instant,
        delay: Option<Duration>,
        head_known_since: Option<Instant>,
    ) -> bool {
        // What was acknowledged later than this one, and yet does not stand on top of it, is lost.
        self.writes
            .retain(|write| write.number <= number || write.answered_at.is_none());
        let Some(write) = self.writes.iter_mut().find(|write| write.number == number) else {
            return false;
        };
        write.answered_at.get_or_insert(now);
        let sent_at = write.sent_at;
        self.acknowledged = self.acknowledged.max(Some(sent_at));
        let newly_confirmed = match delay {
            None => Some(sent_at),
            Some(delay) => self.confirmed_by(number, sent_at, delay, head_known_since),
        };
        self.confirmed = self.confirmed.max(newly_confirmed);
        let confirmed = self.confirmed;
        // What never took effect before this one did cannot any more.
        self.writes.retain(|write| {
            write.number >= number
                || (write.answered_at.is_some() && Some(write.sent_at) >= confirmed)
        });
        newly_confirmed.is_some()
    }

    /// When the newest write was sent that this one, which took effect, confirms.
    ///
    /// The state right below it was the store's newest from when it was first known until this one
    /// was carried out. So whatever was built on an older state has been carried out by then, and
    /// cannot replace it any more. That some write of ours below was known for so long does not do:
    /// with others' writes in between, the store may have gone back and forth between two histories,
    /// and the last write to the other one may still be to come.
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

    /// When the newest write that is known to have taken effect was known to.
    pub(super) fn last_answer(&self) -> Option<Instant> {
        self.writes
            .iter()
            .filter_map(|write| write.answered_at)
            .max()
    }

    /// Until when this term may lead: TERM is sent to its workload no later than this. `None` while
    /// no write is confirmed.
    pub(super) fn limit(&self, config: &LeaderElectionConfig) -> Option<Instant> {
        let acknowledged = self.acknowledged? + config.renew_deadline;
        let confirmed = self.confirmed? + config.usable_lease();
        Some(acknowledged.min(confirmed))
    }

    /// Until when this term could lead at best: what is left for the requests of a claim.
    pub(super) fn hope(&self, config: &LeaderElectionConfig) -> Instant {
        let first = self.writes.first().map(|write| write.sent_at);
        self.limit(config)
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

    fn claimed() -> Term {
        Term::claimed(1, String::new(), 1, at(0))
    }

    /// The answer to a write comes; the state below it had been known since then.
    fn acked(term: &mut Term, number: u64, now: u64, head_known_since: u64) -> bool {
        term.took_effect(number, at(now), DELAY, Some(at(head_known_since)))
    }

    /// A look shows the write in effect.
    fn found(term: &mut Term, number: u64, now: u64) {
        term.took_effect(number, at(now), DELAY, None);
    }

    fn config() -> LeaderElectionConfig {
        LeaderElectionConfig::new("baz")
    }

    #[test]
    fn a_claim_is_confirmed_by_a_later_write_and_the_lease_counts_from_the_claim() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        assert_eq!(term.limit(&config()), None);
        term.sent(2, at(3));
        assert!(acked(&mut term, 2, 4, 1));
        // 16 s after the second was sent is earlier than 24 s after the first was.
        assert_eq!(term.limit(&config()), Some(at(3 + 16)));
        assert_eq!(term.confirmed, Some(at(0)));
    }

    #[test]
    fn a_write_sent_too_soon_after_the_answer_confirms_nothing() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        term.sent(2, at(2));
        assert!(!acked(&mut term, 2, 3, 1));
        assert_eq!(term.limit(&config()), None);
        term.sent(3, at(5));
        assert!(acked(&mut term, 3, 5, 3));
        assert_eq!(term.confirmed, Some(at(2)));
    }

    #[test]
    fn a_write_that_vanished_is_not_confirmed_by_what_came_after_it() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        term.sent(2, at(8));
        acked(&mut term, 2, 9, 1);
        term.sent(3, at(16));
        // A look shows the first in effect again: the second is lost, the third not there yet.
        found(&mut term, 1, 17);
        term.sent(4, at(19));
        acked(&mut term, 4, 20, 17);
        assert_eq!(term.confirmed, Some(at(0)));
        assert_eq!(
            term.limit(&config()),
            Some(at(24)),
            "from the first write, the newest that is confirmed"
        );
    }

    #[test]
    fn a_write_found_by_a_look_counts_as_answered_by_it() {
        let mut term = claimed();
        found(&mut term, 1, 6);
        assert_eq!(term.last_answer(), Some(at(6)));
        term.sent(2, at(7));
        acked(&mut term, 2, 7, 6);
        assert_eq!(term.limit(&config()), None, "two seconds had not passed");
    }

    #[test]
    fn a_write_on_top_of_what_somebody_wrote_in_between_confirms_nothing() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        term.sent(2, at(3));
        assert!(!term.took_effect(2, at(4), DELAY, None));
        assert_eq!(term.limit(&config()), None);
        term.sent(3, at(6));
        assert!(acked(&mut term, 3, 7, 4));
        assert_eq!(term.confirmed, Some(at(3)), "and what is below it");
    }

    #[test]
    fn a_write_on_top_of_what_a_look_showed_long_enough_before_confirms_what_is_below_that() {
        let mut term = claimed();
        acked(&mut term, 1, 1, 0);
        term.sent(2, at(8));
        assert!(acked(&mut term, 2, 9, 5));
        assert_eq!(term.confirmed, Some(at(0)));
    }

    #[test]
    fn without_confirmation_every_acknowledged_write_counts_at_once() {
        let mut term = claimed();
        term.took_effect(1, at(5), None, None);
        assert_eq!(term.limit(&config()), Some(at(16)));
    }

    #[test]
    fn the_writes_of_a_long_term_do_not_pile_up() {
        let mut term = claimed();
        for number in 2..1000 {
            let now = at(number * 8);
            acked(&mut term, number - 1, number * 8 - 7, (number - 1) * 8 - 7);
            term.sent(number, now);
            assert!(term.writes.len() <= 3, "{}", term.writes.len());
        }
    }
}
