//! The elector's calls to the store: when the next one is made, what it writes, how long it may take,
//! and what a failed one is followed by.

use std::time::Duration;

use super::{InFlight, LeaderElector, Next, Role};
use crate::election::action::{Action, Notice};
use crate::election::lock::{Content, LockError};
use crate::election::record::LeaderElectionRecord;
use crate::election::term::Term;
use crate::election::time::Instant;

/// No request of an elector may take longer: several have to fit into the renew deadline.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);

/// The first retry comes after this part of the retry period, each further one after twice the
/// time; a candidate's poll period is stretched to at most this many times.
const RETRY_DIVISOR: u32 = 8;
const MOST_STRETCH: u32 = 4;

/// A candidate's look that only needs more time goes on after this part of the poll period.
const UNFINISHED_DIVISOR: u32 = 8;

impl LeaderElector {
    pub(super) fn schedule(&mut self, at: Instant, next: Next) {
        self.preparing = false;
        self.next = Some((at.max(self.rate_limited_until), next));
    }

    pub(super) fn call(
        &mut self,
        now: Instant,
        next: Next,
        wall: impl FnOnce() -> String,
    ) -> Action {
        let timeout = self.request_timeout(now);
        let number = self.writes + 1;
        let record = match next {
            Next::Look => None,
            Next::Claim => Some(self.claim_record(number, now, wall())),
            Next::Renew => self.renewal_record(number, now, wall()),
            Next::Release => Some(self.candidacy.release_record(wall())),
        };
        let kind = if record.is_some() { next } else { Next::Look };
        self.writes += u64::from(record.is_some());
        self.in_flight = Some(InFlight {
            kind,
            sent_at: now,
            timeout,
            write: self.writes,
        });
        let absent = self.candidacy.content() == Some(&Content::NeverWritten);
        match record {
            None => Action::Get { timeout },
            Some(record) if kind == Next::Claim && absent => Action::Create { record, timeout },
            Some(record) => Action::Update { record, timeout },
        }
    }

    fn request_timeout(&self, now: Instant) -> Duration {
        let longest = LONGEST_REQUEST.min(self.config.renew_deadline / 2);
        let until = match &self.role {
            Role::Leader(term) | Role::Acquiring(term) => term.hope(&self.config),
            Role::Leaving { deadline } => *deadline,
            Role::Candidate | Role::Finished(_) => return longest,
        };
        // A look that prepares the renewal must not delay it; one that is to see whether others still
        // write is waited for.
        if self.preparing && (self.disturbed || self.renew_at > now) {
            let delay = self.confirmation.filter(|_| self.disturbed);
            let left = self.renew_at.since(now);
            return left.max(delay.unwrap_or_default()).min(longest);
        }
        // Half of what is left, so that there is time for another try; a claimant that has nothing
        // left to lose takes its time.
        match until.since(now) / 2 {
            Duration::ZERO => longest,
            half => half.min(longest),
        }
    }

    fn claim_record(&mut self, number: u64, now: Instant, wall: String) -> LeaderElectionRecord {
        let fencing_token = self.candidacy.next_fencing_token();
        self.become_acquiring(Term::claimed(fencing_token, wall.clone(), number, now));
        self.own_record(fencing_token, wall.clone(), wall)
    }

    /// A renewal of the present term; without one there is nothing to renew.
    fn renewal_record(
        &mut self,
        number: u64,
        now: Instant,
        wall: String,
    ) -> Option<LeaderElectionRecord> {
        let (Role::Leader(term) | Role::Acquiring(term)) = &mut self.role else {
            return None;
        };
        term.sent(number, now);
        let (fencing_token, acquire_time) = (term.fencing_token, term.acquire_time.clone());
        Some(self.own_record(fencing_token, acquire_time, wall))
    }

    fn own_record(
        &self,
        fencing_token: u64,
        acquire_time: String,
        renew_time: String,
    ) -> LeaderElectionRecord {
        LeaderElectionRecord {
            holder_identity: self.config.identity.clone(),
            lease_duration_seconds: self.config.lease_duration_seconds(),
            acquire_time,
            renew_time,
            leader_transitions: fencing_token,
            other: self.candidacy.other_fields(),
        }
    }

    /// A call failed in a way that changes nothing we know.
    pub(super) fn failed(&mut self, now: Instant, kind: Next, error: LockError) {
        let unknown = matches!(error, LockError::OutcomeUnknown(_));
        let prepared = self.preparing && kind == Next::Look;
        let delay = match &error {
            LockError::RateLimited { retry_after, .. } => *retry_after,
            LockError::Unfinished(_) if matches!(self.role, Role::Candidate) => {
                self.config.poll_period / UNFINISHED_DIVISOR
            }
            _ => self.retry_delay(now),
        };
        self.failures = match &error {
            // It got on.
            LockError::Unfinished(_) => 0,
            _ => self.failures.saturating_add(1),
        };
        // A claim or release that certainly was not written starts with a look; a renewal is tried
        // again as it was, unless it may have been written, or the lock has to look first.
        let next = match kind {
            Next::Renew if matches!(error, LockError::Unfinished(_)) => Next::Look,
            Next::Renew if !unknown => Next::Renew,
            Next::Look if prepared => Next::Renew,
            _ => Next::Look,
        };
        if next == Next::Look {
            self.count_slow_path();
        }
        if kind == Next::Claim && !unknown && matches!(self.role, Role::Acquiring(_)) {
            self.role = Role::Candidate;
        }
        let retry_at = now + delay;
        if matches!(error, LockError::RateLimited { .. }) {
            self.throttled(now, delay);
        }
        self.notice(Notice::Failed {
            call: kind.name(),
            error,
            write: kind != Next::Look,
            retry_in: delay,
        });
        if let Role::Leaving { deadline } = self.role
            && self.rate_limited_until >= deadline
        {
            return self.finish_holding(now);
        }
        // A renewal does not wait for the look that was to prepare it.
        let own_at = if prepared {
            self.renew_at.max(now)
        } else {
            retry_at
        };
        match self.role {
            Role::Leader(_) | Role::Acquiring(_) => self.schedule(own_at, next),
            _ => self.schedule(retry_at, Next::Look),
        }
    }

    /// The store wants to be left alone. A leader for whom that is too long works on until its limit,
    /// and says now what is to come: the others are told the same.
    fn throttled(&mut self, now: Instant, retry_after: Duration) {
        self.rate_limited_until = now + retry_after;
        let Role::Leader(term) = &self.role else {
            return;
        };
        let limit = term.limit(&self.config).unwrap_or(now);
        if limit < self.rate_limited_until {
            self.notice(Notice::RateLimitedPastDeadline {
                leads_for: limit.since(now),
                retry_after,
            });
        }
    }

    fn retry_delay(&self, now: Instant) -> Duration {
        let doubled = 1_u32 << self.failures.min(8);
        match self.role {
            Role::Candidate => {
                let usual = self.config.poll_period * doubled.min(MOST_STRETCH);
                // Not longer than until the lease may be taken.
                usual.max(
                    self.min_poll_interval
                        .min(self.candidacy.acquire_at().since(now)),
                )
            }
            _ => {
                let first = self.config.retry_period / RETRY_DIVISOR;
                (first * doubled).min(self.config.retry_period / 2)
            }
        }
    }
}
