//! Log lines for notices of the elector: each fact once, not at every retry.

use std::time::Duration;

use super::failures::Failures;
use crate::election::action::{Notice, RecentLeader};
use crate::election::lock::{LeaseId, LockError, Observed};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;
use crate::fmt::{brief, one_line};
use crate::system::clock::{utc_timestamp_after, utc_timestamp_before};

/// Interval between reports of a poll interval that changes.
const REPEAT_PAUSE_AFTER: Duration = Duration::from_secs(600);

/// Part of a lease after which a missing renewal is logged, as a divisor. A healthy leader renews
/// before a third of its lease has passed.
const LATE_DIVISOR: u32 = 2;

/// Writes notices to the log.
#[derive(Debug)]
pub(super) struct Reporter {
    /// This candidate's own `LEASE_DURATION`.
    lease: Duration,
    pub(super) failures: Failures,
    observed: Option<ObservedLease>,
    /// Lease in seconds of the last record whose difference from `lease` was logged.
    other_lease: Option<u64>,
    pause_reported_at: Option<Instant>,
    /// Whether the last report of the poll interval said that it is longer than usual.
    pause_reported: bool,
}

/// The lease of the observed record.
#[derive(Debug)]
struct ObservedLease {
    id: LeaseId,
    first_observed: Instant,
    /// Whether its age needs no more reports.
    reported: bool,
}

impl Reporter {
    /// Creates a reporter for a candidate with this `LEASE_DURATION`.
    pub(super) fn new(lease: Duration) -> Self {
        Reporter {
            lease,
            failures: Failures::default(),
            observed: None,
            other_lease: None,
            pause_reported_at: None,
            pause_reported: false,
        }
    }

    /// Logs a notice.
    pub(super) fn notice(&mut self, now: Instant, notice: &Notice) {
        match notice {
            Notice::Failed {
                error: LockError::Unfinished(progress),
                ..
            } => log::info!(event = "scanning_history"; "{progress}"),
            Notice::Failed {
                call,
                error,
                write,
                retry_in,
            } => self.failures.failed(now, call, error, *write, *retry_in),
            Notice::RateLimitedPastDeadline {
                leads_for,
                retry_after,
            } => self.rate_limited(*leads_for, *retry_after),
            Notice::Claimed { fencing_token } => {
                log::info!(event = "claimed", fencing_token; "claimed lease");
            }
            Notice::ClaimLost => {
                log::info!(event = "claim_lost"; "lost claim to another candidate");
            }
            Notice::RecordLost { pause } => log::warn!(
                event = "record_lost", wait = brief(*pause);
                "observed record lost from history, not acquiring"
            ),
            Notice::ForeignWrite { what, wait } => log::warn!(
                event = "foreign_write", wait = brief(*wait), reason = what;
                "observed foreign write, not acquiring because its holder may lead"
            ),
            Notice::SameName => log::info!(
                event = "same_name";
                "observed lease of another process under this identity, waiting until it expires"
            ),
            Notice::SameNameRuns => log::warn!(
                event = "same_name_runs";
                "observed another process under this identity; give each candidate another LEADER_NAME"
            ),
            Notice::Paused(pause) => log::warn!(
                event = "paused", reason = one_line(pause);
                "election halted, nobody may lead"
            ),
            Notice::Resumed => log::info!(event = "resumed"; "election resumed"),
            Notice::BackingOff { pause } => log::info!(
                event = "backing_off", wait = brief(*pause);
                "backing off, so that another candidate can acquire"
            ),
            Notice::Released => log::info!(event = "released"; "released lease"),
            Notice::LedRecently(leader) => led_recently(leader),
        }
    }

    /// Takes note of a successful read, and logs a lease that is not renewed in time.
    pub(super) fn observed(&mut self, now: Instant, observed: &Observed, leads: bool) {
        let Some(record) = observed.content.record() else {
            self.observed = None;
            return;
        };
        let id = observed.lease_id();
        let known = self.observed.take().filter(|known| known.id == id);
        let mut known = known.unwrap_or_else(|| ObservedLease {
            id,
            first_observed: now,
            // Foreign writes and own terms have separate notices.
            reported: record.holder_identity.is_empty()
                || observed.foreign_wait.is_some()
                || observed.mine.is_some(),
        });
        if observed.mine.is_none() {
            self.compare_lease(record);
        }
        let age = now.since(known.first_observed);
        let (holder, lease) = (record.holder_identity.as_str(), record.lease_duration());
        log::debug!(
            event = "polled", holder, fencing_token = record.leader_transitions, age = brief(age);
            "read lease"
        );
        if !leads && !known.reported && age >= lease / LATE_DIVISOR {
            known.reported = true;
            log::info!(
                event = "lease_not_renewed", holder, fencing_token = record.leader_transitions,
                age = brief(age), expires_in = brief(lease.saturating_sub(age));
                "observed lease without renewal"
            );
        }
        self.observed = Some(known);
    }

    /// Warns about a holder with another lease duration, once for each.
    fn compare_lease(&mut self, record: &LeaderElectionRecord) {
        let own = self.lease.as_secs() + u64::from(self.lease.subsec_nanos() > 0);
        let lease = record.lease_duration_seconds;
        let released = record.holder_identity.is_empty();
        if released || lease == own || self.other_lease.replace(lease) == Some(lease) {
            return;
        }
        log::warn!(
            event = "lease_differs", setting = brief(self.lease),
            lease = brief(record.lease_duration()), holder = record.holder_identity;
            "LEASE_DURATION differs from that of the record; set the same for all candidates"
        );
    }

    /// Takes note of the smallest interval between polls that the store asks for; zero means none. It
    /// is logged rarely, because it changes all the time.
    pub(super) fn poll_pause(&mut self, now: Instant, pause: Duration) {
        let reported_lately = |at: Instant| now.since(at) < REPEAT_PAUSE_AFTER;
        if self.pause_reported_at.is_some_and(reported_lately)
            || (pause.is_zero() && !self.pause_reported)
        {
            return;
        }
        self.pause_reported_at = Some(now);
        self.pause_reported = !pause.is_zero();
        if self.pause_reported {
            log::info!(
                event = "polling_slowed", interval = brief(pause);
                "polling less often, to leave the request budget to the leader"
            );
        } else {
            log::info!(event = "polling_restored"; "polling at POLL_PERIOD again");
        }
    }

    fn rate_limited(&self, leader_for: Duration, retry_after: Duration) {
        log::warn!(
            event = "rate_limited", retry_after = brief(retry_after), lease = brief(self.lease),
            leader_for = brief(leader_for);
            "rate limited for longer than the lease, so from {} no candidate can renew or acquire until {}",
            utc_timestamp_after(leader_for),
            utc_timestamp_after(retry_after)
        );
    }
}

fn led_recently(leader: &RecentLeader) {
    let name = match leader.identity.as_str() {
        "" => "another candidate",
        name => name,
    };
    match leader.ended {
        None => log::info!(event = "led_recently", leader = name; "not starting: {name} leads"),
        Some(ended) => {
            let (until, ago) = (utc_timestamp_before(ended), brief(ended));
            log::info!(
                event = "led_recently", leader = name, until, ago;
                "not starting: {name} led until {until} ({ago} ago)"
            );
        }
    }
}
