//! What one elector did and saw since it started: the owner of the election writes it, event by event.
//!
//! It is the memory that the elector itself does not need: terms, counters, latencies, the last
//! failure. Each note is a few assignments, so that the owner is never held up; what is kept is
//! bounded.

use std::time::Duration;

use super::terms::Terms;
use crate::election::action::{Notice, StopReason};
use crate::election::lock::{Content, LockError, Observed, Written};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;

/// Upper bounds of the buckets of [`Renewals`], in seconds: from a good connection to the longest
/// request that an elector makes, and the default renew deadline.
pub const BUCKETS: [f64; 9] = [0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 8.0, 16.0];

/// What one elector did and saw.
#[derive(Clone, Debug)]
pub struct Journal {
    /// When it started.
    pub started: Instant,
    /// The terms seen.
    pub terms: Terms,
    /// What is in effect, as far as is known: by the last look, or by a later write of its own.
    pub known: Option<Known>,
    /// When the store last said what is in effect.
    pub answered_at: Option<Instant>,
    /// Since when it leads, if it does.
    pub leading_since: Option<Instant>,
    /// The last call that failed, also if others were answered since.
    pub last_failure: Option<Failure>,
    /// How far the reading of a long history is, until it has ended.
    pub reading: Option<String>,
    /// How many calls failed.
    pub failed_calls: u64,
    /// How many writes met somebody else's.
    pub conflicts: u64,
    /// How often it began to lead.
    pub started_leading: u64,
    /// How often it ceased to.
    pub stopped_leading: u64,
    /// How often another holder of the lease was seen, itself and nobody included.
    pub new_leaders: u64,
    /// How long renewals took.
    pub renewals: Renewals,
    /// The write that is under way.
    writing: Option<Writing>,
    /// Names what the last look showed; `None` if a write of its own came after it.
    version: Option<u64>,
}

/// What is in effect.
#[derive(Clone, Debug)]
pub struct Known {
    /// What it is.
    pub content: Content,
    /// Since when that is known.
    pub since: Instant,
}

/// A call that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When.
    pub at: Instant,
    /// What was tried, and how it failed.
    pub text: String,
}

#[derive(Clone, Debug)]
struct Writing {
    record: LeaderElectionRecord,
    sent_at: Instant,
    renewal: bool,
}

/// How long renewals took, as a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Renewals {
    /// How many took at most as long as the bound of the same place in [`BUCKETS`], and longer than
    /// the one before.
    pub counts: [u64; BUCKETS.len()],
    /// How many there were.
    pub count: u64,
    /// How long all of them took, in seconds.
    pub sum: f64,
}

impl Renewals {
    fn took(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
    }
}

impl Journal {
    /// That of an elector which starts `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Journal {
            started: now,
            terms: Terms::default(),
            known: None,
            answered_at: None,
            leading_since: None,
            last_failure: None,
            reading: None,
            failed_calls: 0,
            conflicts: 0,
            started_leading: 0,
            stopped_leading: 0,
            new_leaders: 0,
            renewals: Renewals::default(),
            writing: None,
            version: None,
        }
    }

    /// A look came back.
    pub fn looked(&mut self, now: Instant, result: &Result<Observed, LockError>) {
        let Ok(observed) = result else { return };
        self.answered_at = Some(now);
        self.reading = None;
        let anew =
            self.version.replace(observed.resource_version) != Some(observed.resource_version);
        self.know(
            now,
            observed.content.clone(),
            anew,
            observed.foreign_wait.is_some(),
        );
    }

    /// A write is sent; `renewal` if it is to extend the term of a leader.
    pub fn writes(&mut self, now: Instant, record: &LeaderElectionRecord, renewal: bool) {
        self.writing = Some(Writing {
            record: record.clone(),
            sent_at: now,
            renewal,
        });
    }

    /// It came back.
    pub fn wrote(&mut self, now: Instant, result: &Result<Written, LockError>) {
        let Some(writing) = self.writing.take() else {
            return;
        };
        if writing.renewal {
            self.renewals.took(now.since(writing.sent_at));
        }
        match result {
            Ok(_) => {
                self.answered_at = Some(now);
                self.version = None;
                self.know(now, Content::Record(writing.record.into()), true, false);
            }
            Err(LockError::Conflict) => self.conflicts += 1,
            Err(_) => {}
        }
    }

    fn know(&mut self, now: Instant, content: Content, anew: bool, by_hand: bool) {
        self.terms.saw(now, &content, anew, by_hand);
        let before = self.known.take().filter(|_| !anew);
        let since = before.map_or(now, |known| known.since);
        self.known = Some(Known { content, since });
    }

    /// This candidate leads from now on.
    pub fn led(&mut self, now: Instant, identity: &str, token: u64) {
        self.started_leading += 1;
        self.leading_since = Some(now);
        self.terms.led(now, identity, token);
    }

    /// It does not any more.
    pub fn stopped(&mut self, now: Instant, token: u64, reason: StopReason) {
        self.stopped_leading += 1;
        self.leading_since = None;
        self.terms.stopped(now, token, reason);
    }

    /// Another holder of the lease was seen.
    pub fn new_leader(&mut self) {
        self.new_leaders += 1;
    }

    /// The elector has something to say.
    pub fn notice(&mut self, now: Instant, notice: &Notice) {
        match notice {
            Notice::Failed {
                error: LockError::Unfinished(how_far),
                ..
            } => self.reading = Some(how_far.clone()),
            Notice::Failed { call, error, .. } => {
                self.failed_calls += 1;
                let text = format!("{call} failed: {error}");
                self.last_failure = Some(Failure { at: now, text });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_boot(Duration::from_millis(1_000_000 + millis))
    }

    fn record(holder: &str, token: u64) -> LeaderElectionRecord {
        LeaderElectionRecord {
            holder_identity: holder.into(),
            lease_duration_seconds: 30,
            leader_transitions: token,
            ..LeaderElectionRecord::default()
        }
    }

    fn observed(holder: &str, version: u64) -> Result<Observed, LockError> {
        Ok(Observed {
            content: Content::Record(record(holder, 1).into()),
            resource_version: version,
            mine: None,
            age: None,
            dated: None,
            foreign_wait: None,
            record_lost: false,
            head_known_since: None,
            highest_fencing_token: Some(1),
        })
    }

    fn known_since(journal: &Journal) -> Instant {
        journal.known.as_ref().unwrap().since
    }

    #[test]
    fn what_is_in_effect_is_known_since_it_was_first_seen_or_written() {
        let mut journal = Journal::new(at(0));
        journal.looked(at(1), &observed("a", 7));
        journal.looked(at(2), &observed("a", 7));
        assert_eq!(known_since(&journal), at(1));
        assert_eq!(journal.answered_at, Some(at(2)));
        journal.looked(at(3), &observed("a", 8));
        assert_eq!(known_since(&journal), at(3));
        journal.looked(at(4), &Err(LockError::Unavailable("x".into())));
        assert_eq!(journal.answered_at, Some(at(3)));
        journal.writes(at(5), &record("me", 2), false);
        journal.wrote(at(6), &Ok(Written::default()));
        assert_eq!(known_since(&journal), at(6));
        assert_eq!(journal.known.unwrap().content.holder(), "me");
        assert_eq!(journal.terms.last().unwrap().token, 2);
    }

    #[test]
    fn a_write_that_failed_is_not_known_to_be_in_effect() {
        let mut journal = Journal::new(at(0));
        journal.looked(at(1), &observed("a", 7));
        for error in [
            LockError::Conflict,
            LockError::OutcomeUnknown("x".into()),
            LockError::Unavailable("x".into()),
        ] {
            journal.writes(at(2), &record("me", 2), true);
            journal.wrote(at(3), &Err(error));
        }
        assert_eq!(journal.conflicts, 1);
        assert_eq!(journal.known.unwrap().content.holder(), "a");
        assert_eq!(journal.renewals.count, 3);
    }

    #[test]
    fn a_renewal_falls_into_the_bucket_of_its_time() {
        let mut renewals = Renewals::default();
        for millis in [0, 100, 101, 3_000, 16_000, 16_001, 90_000] {
            renewals.took(Duration::from_millis(millis));
        }
        assert_eq!(renewals.counts, [2, 1, 0, 0, 0, 1, 0, 0, 1]);
        assert_eq!(renewals.count, 7);
        assert!((renewals.sum - 125.202).abs() < 1e-9);
    }

    #[test]
    fn the_last_failure_is_kept_and_reading_a_long_history_is_none() {
        let failed = |error| Notice::Failed {
            call: "reading the lease",
            error,
            write: false,
            retry_in: Duration::ZERO,
        };
        let mut journal = Journal::new(at(0));
        let unfinished = LockError::Unfinished("5 of 9 pages".into());
        journal.notice(at(1), &failed(unfinished));
        assert_eq!((journal.failed_calls, journal.reading.is_some()), (0, true));
        journal.notice(at(2), &failed(LockError::Unavailable("no route".into())));
        journal.looked(at(3), &observed("a", 7));
        assert_eq!(journal.reading, None);
        let failure = journal.last_failure.unwrap();
        assert_eq!(failure.text, "reading the lease failed: no route");
        assert_eq!(failure.at, at(2));
    }
}
