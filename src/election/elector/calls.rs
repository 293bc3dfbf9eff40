//! The elector's calls to the store: what each one writes, how long it may take, and what follows a
//! failed one.

use std::time::Duration;

use serde_json::{Map, Value};

use super::LeaderElector;
use super::role::{Call, InFlight, Role};
use crate::election::action::{Action, Notice};
use crate::election::annotation::Annotation;
use crate::election::lock::{Content, LockError};
use crate::election::record::LeaderElectionRecord;
use crate::election::term::TermLease;
use crate::election::time::Instant;

/// Longest time for one request: several must fit into the renew deadline.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);

/// The first retry of a renewal comes after this part of the retry period, and each later one after
/// twice the time before it.
const RETRY_DIVISOR: u32 = 8;

/// Shortest time from a claim to the release or to the next claim, in a store without a confirm delay,
/// whose claims may be confirmed immediately. Why: such a store may take a fencing token from its clock,
/// in seconds, which must be above that of every earlier term.
const SHORTEST_TERM: Duration = Duration::from_secs(1);

/// Failures stretch a candidate's poll period by at most this factor.
const MOST_STRETCH: u32 = 4;

/// A candidate's read that only needs more time continues after this part of the poll period.
const UNFINISHED_DIVISOR: u32 = 8;

impl LeaderElector {
    pub(super) fn schedule(&mut self, at: Instant, call: Call) {
        self.next = Some((at.max(self.rate_limited_until), call));
    }

    // ---- sending ----

    pub(super) fn send(
        &mut self,
        now: Instant,
        call: Call,
        wall: impl FnOnce() -> String,
    ) -> Action {
        let timeout = self.request_timeout(now, call);
        let number = self.writes + 1;
        let record = match call {
            Call::Annotate => match self.candidacy.failback(now, wall()) {
                Some(annotation) => return self.annotate(now, timeout, annotation),
                None => None,
            },
            Call::Read | Call::ReadBeforeRenewal { .. } => None,
            Call::Claim => Some(self.claim_record(number, now, wall())),
            Call::Renew => self.renewal_record(number, now, wall()),
            Call::Release => Some(self.release_record(wall())),
        };
        let call = if record.is_some() || !call.writes() {
            call
        } else {
            Call::Read
        };
        self.writes += u64::from(record.is_some());
        self.in_flight = Some(InFlight {
            call,
            sent_at: now,
            overdue_at: now + timeout,
            write: self.writes,
        });
        let creates =
            call == Call::Claim && self.candidacy.content() == Some(&Content::NeverWritten);
        match record {
            None => Action::Get { timeout },
            Some(record) if creates => Action::Create { record, timeout },
            Some(record) => Action::Update { record, timeout },
        }
    }

    fn annotate(&mut self, now: Instant, timeout: Duration, annotation: Annotation) -> Action {
        self.candidacy.delay_failback(now);
        self.in_flight = Some(InFlight {
            call: Call::Annotate,
            sent_at: now,
            overdue_at: now + timeout,
            write: self.writes,
        });
        Action::Annotate {
            annotation,
            timeout,
        }
    }

    fn request_timeout(&self, now: Instant, call: Call) -> Duration {
        let longest = LONGEST_REQUEST.min(self.config.renew_deadline / 2);
        let until = match &self.role {
            Role::Leader { lease, .. } | Role::Acquiring(lease) => {
                lease.best_deadline(&self.config)
            }
            Role::Releasing { deadline, .. } => *deadline,
            _ => return longest,
        };
        if let Call::ReadBeforeRenewal { renew_at } = call {
            // Such a read must not delay the renewal, unless the renewal waits for foreign writes to
            // stop.
            let delayed = self.foreign_writes.delayed_confirmation;
            if delayed || renew_at > now {
                let delay = self.confirm_delay.filter(|_| delayed);
                let left = renew_at.since(now);
                return left.max(delay.unwrap_or_default()).min(longest);
            }
        }
        // Half of what is left, so that there is time for another try. A claim whose lease has expired
        // takes its time.
        match until.since(now) / 2 {
            Duration::ZERO => longest,
            half => half.min(longest),
        }
    }

    fn claim_record(&mut self, number: u64, now: Instant, wall: String) -> LeaderElectionRecord {
        let fencing_token = self.candidacy.next_fencing_token();
        if self.confirm_delay.is_none() {
            self.term_not_over_before = now + SHORTEST_TERM;
        }
        self.become_acquiring(TermLease::claimed(fencing_token, wall.clone(), number, now));
        let other = self.candidacy.holder_fields(false);
        self.own_record(fencing_token, wall.clone(), wall, other)
    }

    /// Returns the record of a renewal; `None` without a term.
    fn renewal_record(
        &mut self,
        number: u64,
        now: Instant,
        wall: String,
    ) -> Option<LeaderElectionRecord> {
        let other = self.candidacy.holder_fields(self.is_term_observed());
        let lease = self.role.lease_mut()?;
        lease.note_sent(number, now);
        let (fencing_token, acquire_time) = (lease.fencing_token, lease.acquire_time.clone());
        Some(self.own_record(fencing_token, acquire_time, wall, other))
    }

    fn release_record(&self, wall: String) -> LeaderElectionRecord {
        let reason = match self.role {
            Role::Releasing { reason, .. } => reason,
            _ => None,
        };
        let identity = &self.config.identity;
        self.candidacy.release_record(identity, reason, wall)
    }

    fn own_record(
        &self,
        fencing_token: u64,
        acquire_time: String,
        renew_time: String,
        other: Map<String, Value>,
    ) -> LeaderElectionRecord {
        LeaderElectionRecord {
            holder_identity: self.config.identity.clone(),
            lease_duration_seconds: self.config.lease_duration_seconds(),
            acquire_time,
            renew_time,
            leader_transitions: fencing_token,
            other,
        }
    }

    // ---- retrying ----

    /// Handles a call that failed and changed nothing that is known.
    ///
    /// | call | error | role | next call | after |
    /// |---|---|---|---|---|
    /// | read before a renewal | any | with a term | renew | when it is due |
    /// | renew | certainly not written | with a term | renew | retry delay |
    /// | renew | may have landed, or read first | with a term | read | retry delay |
    /// | claim | certainly not written | candidate again | read | retry delay |
    /// | claim | may have landed | acquiring | read | retry delay |
    /// | any other | any | unchanged | read | retry delay |
    ///
    /// A failed claim also delays the next claim, and so does a failed write that would confirm one.
    pub(super) fn retry(&mut self, now: Instant, call: Call, error: LockError) {
        let unknown = matches!(error, LockError::OutcomeUnknown(_));
        let unfinished = matches!(error, LockError::Unfinished(_));
        let acquiring = matches!(self.role, Role::Acquiring(_));
        if acquiring && call.writes() && !unfinished {
            self.candidacy.claim_failed(now, error.is_permanent());
        }
        if acquiring && call == Call::Claim && !unknown {
            self.role = Role::Candidate { may_hold: true };
        }
        let has_term = self.role.lease().is_some();
        let next = match call {
            Call::ReadBeforeRenewal { .. } | Call::Renew if !has_term => Call::Read,
            Call::ReadBeforeRenewal { .. } => Call::Renew,
            Call::Renew if !unknown && !unfinished => Call::Renew,
            _ => Call::Read,
        };
        let delay = self.retry_delay(now, &error);
        let at = match call {
            Call::ReadBeforeRenewal { renew_at } if has_term => renew_at.max(now),
            _ => now + delay,
        };
        // An unfinished read has made progress.
        self.failures = match unfinished {
            true => 0,
            false => self.failures.saturating_add(1),
        };
        if next == Call::Read {
            self.count_slow_path();
        }
        if matches!(error, LockError::RateLimited { .. }) {
            self.note_rate_limit(now, delay);
        }
        self.notice(Notice::Failed {
            call: call.name(),
            error,
            write: call.writes(),
            retry_in: delay,
        });
        match self.role {
            Role::Releasing {
                deadline, after, ..
            } if self.rate_limited_until >= deadline => {
                self.finish_holding(now, after);
            }
            Role::Finished(_) => {}
            Role::Acquiring(_) if next == Call::Renew => {
                self.schedule(at.max(self.candidacy.backoff_until()), next);
            }
            _ => self.schedule(at, next),
        }
    }

    /// Takes in that the store refuses calls for `retry_after`. A leader for whom that is too long
    /// leads until its deadline, and says so now, because the standbys share the rate limit.
    fn note_rate_limit(&mut self, now: Instant, retry_after: Duration) {
        self.rate_limited_until = now + retry_after;
        let Role::Leader { lease, .. } = &self.role else {
            return;
        };
        let valid_until = lease.valid_until(&self.config).unwrap_or(now);
        if valid_until < self.rate_limited_until {
            self.notice(Notice::RateLimitedPastDeadline {
                leads_for: valid_until.since(now),
                retry_after,
            });
        }
    }

    /// Takes note of a renewal that failed because another process seems to have written first. If that
    /// happens again within a retry period, the next renewal is delayed.
    pub(super) fn note_conflict(&mut self, now: Instant) {
        let again = now.since(self.renew_not_before) < self.config.retry_period;
        let delay = if again {
            self.first_retry_delay()
        } else {
            Duration::ZERO
        };
        self.renew_not_before = now + delay;
    }

    fn first_retry_delay(&self) -> Duration {
        self.config.retry_period / RETRY_DIVISOR
    }

    fn retry_delay(&self, now: Instant, error: &LockError) -> Duration {
        let doubled = 1_u32 << self.failures.min(8);
        let polls = matches!(self.role, Role::Candidate { .. } | Role::Draining { .. });
        match error {
            LockError::RateLimited { retry_after, .. } => *retry_after,
            LockError::Unfinished(_) if polls => self.config.poll_period / UNFINISHED_DIVISOR,
            _ if polls => {
                let usual = self.config.poll_period * doubled.min(MOST_STRETCH);
                // Not longer than until the lease may be acquired.
                let left = self.candidacy.acquire_at().since(now);
                usual.max(self.min_poll_interval.min(left))
            }
            _ => (self.first_retry_delay() * doubled).min(self.config.retry_period / 2),
        }
    }
}
