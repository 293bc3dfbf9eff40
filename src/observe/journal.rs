//! The journal of one candidate: terms, counters, latencies and the last failure since its start.
//!
//! The election itself does not need it. The election's thread updates it event by event; each update
//! is a few assignments, and the size is bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use super::observed_terms::ObservedTerms;
use crate::election::action::{Notice, StopReason};
use crate::election::lock::{Content, LeaseId, LockError, Observed, Written};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;

/// Upper bounds of the buckets of [`RenewalTimes`], in seconds: from a fast connection to the default
/// renew deadline, which no request outlasts.
pub const BUCKETS: [f64; 9] = [0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 8.0, 16.0];

/// Roles in which calls fail: as the leader, whose calls all serve its renewals, or otherwise.
const ROLES: [&str; 2] = ["leader", "candidate"];

/// Reasons for failed calls.
const REASONS: [&str; 6] = [
    "not_found",
    "outcome_unknown",
    "rate_limited",
    "refused",
    "unauthorized",
    "unavailable",
];

/// Returns the reason for a failed call; `None` for an error that is not a failure.
fn reason(error: &LockError) -> Option<&'static str> {
    match error {
        LockError::NotFound(_) => Some("not_found"),
        LockError::OutcomeUnknown(_) => Some("outcome_unknown"),
        LockError::RateLimited { .. } => Some("rate_limited"),
        LockError::Refused(_) => Some("refused"),
        LockError::Unauthorized(_) => Some("unauthorized"),
        LockError::Unavailable(_) => Some("unavailable"),
        LockError::Conflict | LockError::Unfinished(_) => None,
    }
}

/// Number of failed calls by role and reason. Every pair is present from the start.
pub type FailedCalls = BTreeMap<(&'static str, &'static str), u64>;

fn no_failed_calls() -> FailedCalls {
    let pairs = ROLES
        .iter()
        .flat_map(|role| REASONS.map(|reason| (*role, reason)));
    pairs.map(|pair| (pair, 0)).collect()
}

/// Actions and observations of one candidate since its start.
#[derive(Clone, Debug)]
pub struct Journal {
    /// Start of the candidate.
    pub started: Instant,
    /// Terms observed.
    pub terms: ObservedTerms,
    /// Effective content, by the last read or by a later write of this candidate; `None` before the
    /// first answer.
    pub effective: Option<EffectiveContent>,
    /// Time of the store's last answer about the effective content.
    pub answered_at: Option<Instant>,
    /// Start of this candidate's current term, while it leads.
    pub leading_since: Option<Instant>,
    /// Last call that failed, also if later ones succeeded.
    pub last_failure: Option<CallFailure>,
    /// Progress of a history scan under way.
    pub history_scan: Option<String>,
    /// Number of calls that failed.
    pub failed_calls: FailedCalls,
    /// Number of writes that lost to another candidate's write.
    pub conflicts: u64,
    /// Number of terms of this candidate that started.
    pub terms_started: u64,
    /// Number of terms of this candidate that stopped, by reason.
    pub terms_stopped: BTreeMap<&'static str, u64>,
    /// Duration of the renewals.
    pub renewals: RenewalTimes,
    /// Write under way.
    write: Option<PendingWrite>,
    /// Last sign of life of the lease in the last read; `None` after a write of this candidate.
    lease_id: Option<LeaseId>,
}

/// Effective content.
#[derive(Clone, Debug)]
pub struct EffectiveContent {
    /// The content.
    pub content: Content,
    /// Time at which it was first observed or confirmed.
    pub known_since: Instant,
    /// Whether this process wrote it.
    pub mine: bool,
}

/// A call that failed.
#[derive(Clone, Debug)]
pub struct CallFailure {
    /// Time of the failure.
    pub at: Instant,
    /// The call and its error.
    pub message: String,
    /// Whether the store gave no usable answer, unlike one that refuses the call.
    pub unreachable: bool,
}

#[derive(Clone, Debug)]
struct PendingWrite {
    record: LeaderElectionRecord,
    sent_at: Instant,
    is_renewal: bool,
}

/// Histogram of the duration of renewals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RenewalTimes {
    /// Number of renewals per bucket of [`BUCKETS`], without those of the buckets before it.
    pub counts: [u64; BUCKETS.len()],
    /// Number of all renewals.
    pub count: u64,
    /// Sum of all durations, in seconds.
    pub sum: f64,
}

impl RenewalTimes {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
    }
}

impl Journal {
    /// Creates the journal of a candidate that starts `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Journal {
            started: now,
            terms: ObservedTerms::default(),
            effective: None,
            answered_at: None,
            leading_since: None,
            last_failure: None,
            history_scan: None,
            failed_calls: no_failed_calls(),
            conflicts: 0,
            terms_started: 0,
            terms_stopped: StopReason::ALL.map(|it| (it.as_str(), 0)).into(),
            renewals: RenewalTimes::default(),
            write: None,
            lease_id: None,
        }
    }

    /// Notes the result of a read.
    pub fn read_finished(&mut self, now: Instant, result: &Result<Observed, LockError>) {
        let Ok(observed) = result else { return };
        self.answered_at = Some(now);
        self.history_scan = None;
        let id = observed.lease_id();
        let changed = self.lease_id.as_ref() != Some(&id);
        self.lease_id = Some(id);
        let foreign = observed.foreign_wait.is_some();
        self.terms.observe(now, &observed.content, changed, foreign);
        let mine = observed.mine.is_some();
        self.set_effective(now, observed.content.clone(), changed, mine);
    }

    /// Notes that a write is sent; `is_renewal` if it extends a leader's term.
    pub fn write_started(&mut self, now: Instant, record: &LeaderElectionRecord, is_renewal: bool) {
        self.write = Some(PendingWrite {
            record: record.clone(),
            sent_at: now,
            is_renewal,
        });
    }

    /// Notes the result of the write under way.
    pub fn write_finished(&mut self, now: Instant, result: &Result<Written, LockError>) {
        let Some(write) = self.write.take() else {
            return;
        };
        if write.is_renewal {
            self.renewals.add(now.since(write.sent_at));
        }
        match result {
            Ok(_) => {
                self.answered_at = Some(now);
                self.lease_id = None;
                let content = Content::Record(write.record.into());
                self.terms.observe(now, &content, true, false);
                self.set_effective(now, content, true, true);
            }
            Err(LockError::Conflict) => self.conflicts += 1,
            Err(_) => {}
        }
    }

    fn set_effective(&mut self, now: Instant, content: Content, changed: bool, mine: bool) {
        let before = self.effective.take().filter(|_| !changed);
        self.effective = Some(EffectiveContent {
            content,
            known_since: before.map_or(now, |before| before.known_since),
            mine,
        });
    }

    /// Notes the start of a term of this candidate.
    pub fn started_leading(&mut self, now: Instant, identity: &str, fencing_token: u64) {
        self.terms_started += 1;
        self.leading_since = Some(now);
        self.terms.start_own(now, identity, fencing_token);
    }

    /// Notes the end of this candidate's term.
    pub fn stopped_leading(&mut self, now: Instant, fencing_token: u64, reason: StopReason) {
        *self.terms_stopped.entry(reason.as_str()).or_default() += 1;
        self.leading_since = None;
        self.terms.end_own(now, fencing_token, reason);
    }

    /// Notes a notice of the election.
    pub fn notice(&mut self, now: Instant, notice: &Notice) {
        match notice {
            Notice::Failed {
                error: LockError::Unfinished(progress),
                ..
            } => self.history_scan = Some(progress.clone()),
            Notice::Failed { call, error, .. } => {
                let role = ROLES[usize::from(self.leading_since.is_none())];
                if let Some(reason) = reason(error) {
                    *self.failed_calls.entry((role, reason)).or_default() += 1;
                }
                let message = format!("{call} failed: {error}");
                let unreachable = matches!(
                    error,
                    LockError::Unavailable(_) | LockError::OutcomeUnknown(_)
                );
                self.last_failure = Some(CallFailure {
                    at: now,
                    message,
                    unreachable,
                });
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
            highest_fencing_token: Some(1),
            ..Observed::default()
        })
    }

    fn known_since(journal: &Journal) -> Instant {
        journal.effective.as_ref().unwrap().known_since
    }

    #[test]
    fn content_known_since_first_read_or_write() {
        let mut journal = Journal::new(at(0));
        journal.read_finished(at(1), &observed("a", 7));
        journal.read_finished(at(2), &observed("a", 7));
        assert_eq!(known_since(&journal), at(1));
        assert_eq!(journal.answered_at, Some(at(2)));
        journal.read_finished(at(3), &observed("a", 8));
        assert_eq!(known_since(&journal), at(3));
        journal.read_finished(at(4), &Err(LockError::Unavailable("x".into())));
        assert_eq!(journal.answered_at, Some(at(3)));
        journal.write_started(at(5), &record("me", 2), false);
        journal.write_finished(at(6), &Ok(Written::default()));
        assert_eq!(known_since(&journal), at(6));
        assert_eq!(journal.effective.unwrap().content.holder(), "me");
        assert_eq!(journal.terms.last().unwrap().fencing_token, 2);
    }

    #[test]
    fn failed_write_is_not_effective() {
        let mut journal = Journal::new(at(0));
        journal.read_finished(at(1), &observed("a", 7));
        for error in [
            LockError::Conflict,
            LockError::OutcomeUnknown("x".into()),
            LockError::Unavailable("x".into()),
        ] {
            journal.write_started(at(2), &record("me", 2), true);
            journal.write_finished(at(3), &Err(error));
        }
        assert_eq!(journal.conflicts, 1);
        assert_eq!(journal.effective.unwrap().content.holder(), "a");
        assert_eq!(journal.renewals.count, 3);
    }

    #[test]
    fn renewal_counts_in_its_bucket() {
        let mut renewals = RenewalTimes::default();
        for millis in [0, 100, 101, 3_000, 16_000, 16_001, 90_000] {
            renewals.add(Duration::from_millis(millis));
        }
        assert_eq!(renewals.counts, [2, 1, 0, 0, 0, 1, 0, 0, 1]);
        assert_eq!(renewals.count, 7);
        assert!((renewals.sum - 125.202).abs() < 1e-9);
    }

    #[test]
    fn history_scan_is_no_failure() {
        let failed = |error| Notice::Failed {
            call: "reading the lease",
            error,
            write: false,
            retry_in: Duration::ZERO,
        };
        let mut journal = Journal::new(at(0));
        let unfinished = LockError::Unfinished("5 of 9 pages".into());
        journal.notice(at(1), &failed(unfinished));
        let total = |journal: &Journal| journal.failed_calls.values().sum::<u64>();
        assert_eq!((total(&journal), journal.history_scan.is_some()), (0, true));
        journal.notice(at(2), &failed(LockError::Unavailable("no route".into())));
        journal.read_finished(at(3), &observed("a", 7));
        assert_eq!(journal.history_scan, None);
        let failure = journal.last_failure.take().unwrap();
        assert_eq!(failure.message, "reading the lease failed: no route");
        assert_eq!((failure.at, failure.unreachable), (at(2), true));
        let refused = LockError::Unauthorized("access token rejected".into());
        journal.notice(at(4), &failed(refused));
        assert!(!journal.last_failure.unwrap().unreachable);
    }

    #[test]
    fn failed_calls_count_by_reason() {
        let failed = |error| Notice::Failed {
            call: "renewing the lease",
            error,
            write: true,
            retry_in: Duration::ZERO,
        };
        let text = || "x".to_owned();
        let errors = [
            LockError::NotFound(text()),
            LockError::OutcomeUnknown(text()),
            LockError::RateLimited {
                retry_after: Duration::ZERO,
                why: text(),
            },
            LockError::Refused(text()),
            LockError::Unauthorized(text()),
            LockError::Unavailable(text()),
        ];
        let mut journal = Journal::new(at(0));
        assert_eq!(journal.failed_calls.len(), ROLES.len() * REASONS.len());
        journal.notice(at(1), &failed(errors[5].clone()));
        journal.started_leading(at(2), "me", 4);
        for error in &errors {
            journal.notice(at(3), &failed(error.clone()));
        }
        journal.stopped_leading(at(4), 4, StopReason::RenewDeadline);
        journal.notice(at(5), &failed(errors[5].clone()));
        let failed = &journal.failed_calls;
        for reason in REASONS {
            assert_eq!(failed[&("leader", reason)], 1, "{reason}");
        }
        assert_eq!(failed[&("candidate", "unavailable")], 2);
        assert_eq!(failed.values().sum::<u64>(), 8);
    }
}
