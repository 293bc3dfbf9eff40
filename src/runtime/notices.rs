//! Log lines for notices of the elector: each fact once, not at every retry.

use std::time::Duration;

use log::Level;

use crate::election::action::Notice;
use crate::election::lock::{LockError, Observed};
use crate::election::time::Instant;
use crate::fmt::brief;
use crate::system::clock::utc_timestamp_after;

/// Interval between warnings about calls that keep failing.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Interval between reports of a poll interval that changes.
const REPEAT_PAUSE_AFTER: Duration = Duration::from_secs(600);

/// Longest pause between two failures of one streak. Calls that succeed in between do not end it.
const STREAK_GAP: Duration = Duration::from_secs(120);

/// Number of failures in a row from which on they are warnings. Why: a single one is usually a passing
/// fault that needs no operator.
const WARN_FROM: u32 = 2;

/// Largest number of different errors that are logged in one streak; further ones are logged at debug.
const MAX_ERRORS: usize = 8;

/// Part of a lease after which a missing renewal is logged, as a divisor. A healthy leader renews
/// before a third of its lease has passed.
const LATE_DIVISOR: u32 = 2;

/// Writes notices to the log.
#[derive(Debug)]
pub(super) struct Reporter {
    /// This candidate's own `LEASE_DURATION`.
    lease: Duration,
    failures: Option<Streak>,
    observed: Option<ObservedLease>,
    pause_reported_at: Option<Instant>,
    /// Whether the last report of the poll interval said that it is longer than usual.
    pause_reported: bool,
}

/// The lease of the observed record.
#[derive(Debug)]
struct ObservedLease {
    version: u64,
    first_observed: Instant,
    /// Whether its age needs no further report.
    reported: bool,
}

/// Failed calls without a long pause between them.
#[derive(Debug)]
struct Streak {
    since: Instant,
    /// Time at which the streak is over if no call fails before.
    until: Instant,
    failures: u32,
    /// Whether the last call failed and that was logged.
    open: bool,
    /// Whether a write was among the failed calls.
    write: bool,
    /// Errors that were logged.
    logged: Vec<String>,
    warned_at: Option<Instant>,
}

impl Streak {
    fn begin(now: Instant) -> Self {
        Streak {
            since: now,
            until: now,
            failures: 0,
            open: false,
            write: false,
            logged: Vec::new(),
            warned_at: None,
        }
    }

    /// Counts a failed call, and returns the level at which it must be logged.
    fn count(&mut self, now: Instant, error: &str, serious: bool) -> Level {
        self.failures = self.failures.saturating_add(1);
        let new = self.logged.len() < MAX_ERRORS && !self.logged.iter().any(|it| it == error);
        if new {
            self.logged.push(error.to_owned());
        }
        let due = self
            .warned_at
            .is_none_or(|at| now.since(at) >= REPEAT_AFTER);
        if (serious && new) || (due && (serious || self.failures >= WARN_FROM)) {
            self.warned_at = Some(now);
            return Level::Warn;
        }
        if new { Level::Info } else { Level::Debug }
    }
}

impl Reporter {
    /// Creates a reporter for a candidate with this `LEASE_DURATION`.
    pub(super) fn new(lease: Duration) -> Self {
        Reporter {
            lease,
            failures: None,
            observed: None,
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
            } => self.failed(now, call, error, *write, *retry_in),
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
                "another process runs under this identity, give each candidate another LEADER_NAME"
            ),
            Notice::BackingOff { pause } => log::info!(
                event = "backing_off", wait = brief(*pause);
                "backing off, so that another candidate can acquire"
            ),
            Notice::Released => log::info!(event = "released"; "released lease"),
        }
    }

    /// Takes note of a successful read, and logs a lease that is not renewed in time.
    pub(super) fn observed(&mut self, now: Instant, observed: &Observed, leads: bool) {
        let Some(record) = observed.content.record() else {
            self.observed = None;
            return;
        };
        let version = observed.resource_version;
        let known = self.observed.take();
        let known = known.filter(|known| known.version == version);
        let mut known = known.unwrap_or_else(|| ObservedLease {
            version,
            first_observed: now,
            // Foreign writes and own terms have notices of their own.
            reported: record.holder_identity.is_empty()
                || observed.foreign_wait.is_some()
                || observed.mine.is_some(),
        });
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

    /// Takes note of a call that succeeded. A read that does says nothing about failing writes.
    pub(super) fn succeeded(&mut self, now: Instant, write: bool) {
        let Some(streak) = &mut self.failures else {
            return;
        };
        if streak.open && (write || !streak.write) {
            (streak.open, streak.write) = (false, false);
            log::info!(
                event = "calls_recovered", failures = streak.failures,
                after = brief(now.since(streak.since));
                "calls to the store succeed again"
            );
        }
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
            "rate limited for longer than the lease, from {} on no candidate can renew or acquire until {}",
            utc_timestamp_after(leader_for),
            utc_timestamp_after(retry_after)
        );
    }

    fn failed(
        &mut self,
        now: Instant,
        call: &str,
        error: &LockError,
        write: bool,
        retry_in: Duration,
    ) {
        let serious = error.is_permanent() || matches!(error, LockError::RateLimited { .. });
        let error = match error {
            // The field `retry_in` says when it is tried again.
            LockError::RateLimited { why, .. } => why.clone(),
            other => other.to_string(),
        };
        let streak = self.failures.take().filter(|streak| now < streak.until);
        let streak = self
            .failures
            .insert(streak.unwrap_or_else(|| Streak::begin(now)));
        streak.until = now + retry_in + STREAK_GAP;
        streak.write |= write;
        let level = streak.count(now, &format!("{call}: {error}"), serious);
        streak.open |= level < Level::Debug;
        let repeated = streak.failures > 1;
        log::log!(
            level,
            event = "call_failed", error, retry_in = brief(retry_in),
            failures = repeated.then_some(streak.failures),
            failing_for = repeated.then(|| brief(now.since(streak.since)));
            "{call} failed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(1000 + seconds))
    }

    #[test]
    fn second_failure_in_row_is_warning() {
        let mut streak = Streak::begin(at(0));
        assert_eq!(streak.count(at(0), "away", false), Level::Info);
        assert_eq!(streak.count(at(1), "away", false), Level::Warn);
        for second in 2..61 {
            assert_eq!(streak.count(at(second), "away", false), Level::Debug);
        }
        assert_eq!(streak.count(at(61), "away", false), Level::Warn, "again");
        assert_eq!(streak.failures, 62);
    }

    #[test]
    fn permanent_error_is_warned_about_once() {
        let mut streak = Streak::begin(at(0));
        assert_eq!(streak.count(at(0), "no token", true), Level::Warn);
        assert_eq!(streak.count(at(1), "no token", true), Level::Debug);
        assert_eq!(streak.count(at(2), "no gist", true), Level::Warn);
        assert_eq!(streak.count(at(3), "away", false), Level::Info);
        assert_eq!(streak.count(at(4), "away", false), Level::Debug);
    }

    #[test]
    fn number_of_logged_errors_is_bounded() {
        let mut streak = Streak::begin(at(0));
        let levels: Vec<Level> = (0..50)
            .map(|number| streak.count(at(1), &format!("after {number}ms"), false))
            .collect();
        let logged = levels.iter().filter(|level| **level < Level::Debug);
        assert!(logged.count() <= MAX_ERRORS + 1);
        assert!(streak.logged.len() <= MAX_ERRORS);
    }

    fn fails(reporter: &mut Reporter, now: Instant, write: bool) {
        let error = LockError::Unavailable("away".into());
        reporter.failed(now, "a call", &error, write, Duration::from_secs(1));
    }

    #[test]
    fn streak_continues_past_successful_calls() {
        let mut reporter = Reporter::new(Duration::from_secs(30));
        for second in 0..30 {
            fails(&mut reporter, at(second * 2), false);
            reporter.succeeded(at(second * 2 + 1), false);
        }
        assert_eq!(reporter.failures.as_ref().unwrap().failures, 30);
        fails(&mut reporter, at(10_000), false);
        assert_eq!(
            reporter.failures.as_ref().unwrap().failures,
            1,
            "another streak"
        );
    }

    #[test]
    fn successful_read_does_not_end_failing_writes() {
        let mut reporter = Reporter::new(Duration::from_secs(30));
        fails(&mut reporter, at(0), true);
        reporter.succeeded(at(1), false);
        assert!(reporter.failures.as_ref().unwrap().open);
        reporter.succeeded(at(2), true);
        assert!(!reporter.failures.as_ref().unwrap().open);
    }
}
