//! Failed calls to the store: when they are logged, and what they say about a lost lease.

use std::time::Duration;

use log::Level;

use crate::election::action::StopReason;
use crate::election::lock::{Content, LockError};
use crate::election::status::Status;
use crate::election::time::Instant;
use crate::fmt::brief;
use crate::system::clock::utc_timestamp_before;

/// Interval between warnings about calls that keep failing.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Number of failures in a row from which on they are warnings. Why: a single one is usually a passing
/// fault that needs no operator.
const WARN_FROM: u32 = 2;

/// Largest number of different errors that are logged in one run of failures; others are logged at debug.
const MAX_ERRORS: usize = 8;

/// Failed reads or writes without a success in between.
#[derive(Debug)]
struct Run {
    since: Instant,
    failures: u32,
    /// Errors that were logged.
    logged: Vec<String>,
}

/// Failed calls since the leadership deadline moved.
#[derive(Debug)]
struct Unrenewed {
    since: Instant,
    failures: u32,
    /// The last call and its error.
    last: String,
}

/// Runs of failures. The first failure of a run is logged, and so is its end.
#[derive(Debug, Default)]
pub(super) struct Failures {
    reads: Option<Run>,
    writes: Option<Run>,
    unrenewed: Option<Unrenewed>,
    warned_at: Option<Instant>,
}

impl Failures {
    /// Logs a failed call, unless the same was logged before in this run.
    pub(super) fn failed(
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
        let message = format!("{call}: {error}");
        let level = self.count(now, &message, write, serious);
        let unrenewed = self.unrenewed.get_or_insert_with(|| Unrenewed {
            since: now,
            failures: 0,
            last: String::new(),
        });
        unrenewed.failures = unrenewed.failures.saturating_add(1);
        unrenewed.last = message;
        let run = if write { &self.writes } else { &self.reads };
        let repeated = run.as_ref().filter(|run| run.failures > 1);
        log::log!(
            level,
            event = "call_failed", error, retry_in = brief(retry_in),
            failures = repeated.map(|run| run.failures),
            failing_for = repeated.map(|run| brief(now.since(run.since)));
            "{call} failed"
        );
    }

    /// Counts a failed call, and returns the level at which it must be logged.
    fn count(&mut self, now: Instant, message: &str, write: bool, serious: bool) -> Level {
        let run = if write {
            &mut self.writes
        } else {
            &mut self.reads
        };
        let run = run.get_or_insert_with(|| Run {
            since: now,
            failures: 0,
            logged: Vec::new(),
        });
        run.failures = run.failures.saturating_add(1);
        let new = run.logged.len() < MAX_ERRORS && !run.logged.iter().any(|it| it == message);
        if new {
            run.logged.push(message.to_owned());
        }
        let due = self
            .warned_at
            .is_none_or(|at| now.since(at) >= REPEAT_AFTER);
        if (serious && new) || (due && (serious || run.failures >= WARN_FROM)) {
            self.warned_at = Some(now);
            return Level::Warn;
        }
        if new { Level::Info } else { Level::Debug }
    }

    /// Takes note of a call that the store answered, and logs the end of the run of failures. A read says
    /// nothing about failing writes.
    pub(super) fn answered(&mut self, now: Instant, write: bool) {
        let writes = self.writes.take_if(|_| write);
        for (calls, run) in [("reads", self.reads.take()), ("writes", writes)] {
            if let Some(run) = run {
                log::info!(
                    event = "calls_recovered", failures = run.failures,
                    after = brief(now.since(run.since));
                    "{calls} succeed again"
                );
            }
        }
    }

    /// Takes note that the leadership deadline moved.
    pub(super) fn renewed(&mut self) {
        self.unrenewed = None;
    }

    /// Returns the reason for the end of a term in words.
    pub(super) fn stop_detail(&self, now: Instant, reason: StopReason, status: &Status) -> String {
        match reason {
            StopReason::RenewDeadline => self.not_renewed(now, status),
            StopReason::Deposed => match status.observed.as_ref().map(|it| &it.content) {
                Some(Content::Record(record)) if record.holder_identity.is_empty() => {
                    "the record no longer names a holder".to_owned()
                }
                Some(Content::Record(record)) => {
                    format!("the lease is held by {}", record.holder_identity)
                }
                Some(Content::Deleted | Content::NeverWritten) => {
                    "the record was deleted".to_owned()
                }
                Some(Content::Corrupt(why)) => format!("the record is corrupt, {why}"),
                None => reason.to_string(),
            },
            StopReason::HandedOver | StopReason::Paused => {
                let observed = status.observed.as_ref();
                let record = observed.and_then(|observed| observed.content.record());
                let request = record.and_then(|record| record.request());
                request.unwrap_or_else(|| reason.to_string())
            }
            _ => reason.to_string(),
        }
    }

    fn not_renewed(&self, now: Instant, status: &Status) -> String {
        if let Some(failed) = &self.unrenewed {
            return format!(
                "{} {} failed since {}, last: {}",
                failed.failures,
                if failed.failures == 1 {
                    "call"
                } else {
                    "calls"
                },
                utc_timestamp_before(now.since(failed.since)),
                failed.last
            );
        }
        match status.call {
            Some(call) => format!(
                "{} has had no answer since {}",
                call.name,
                utc_timestamp_before(now.since(call.since))
            ),
            None => {
                "no write was confirmed in time, although no call failed; this process may have \
                 been stopped or starved"
                    .to_owned()
            }
        }
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
        let mut failures = Failures::default();
        let mut count = |second| failures.count(at(second), "away", false, false);
        assert_eq!(count(0), Level::Info);
        assert_eq!(count(1), Level::Warn);
        for second in 2..61 {
            assert_eq!(count(second), Level::Debug);
        }
        assert_eq!(count(61), Level::Warn, "again");
        assert_eq!(failures.reads.unwrap().failures, 62);
    }

    #[test]
    fn permanent_error_is_warned_about_once() {
        let mut failures = Failures::default();
        let mut count =
            |second, message, serious| failures.count(at(second), message, true, serious);
        assert_eq!(count(0, "no token", true), Level::Warn);
        assert_eq!(count(1, "no token", true), Level::Debug);
        assert_eq!(count(2, "no gist", true), Level::Warn);
        assert_eq!(count(3, "away", false), Level::Info);
        assert_eq!(count(4, "away", false), Level::Debug);
    }

    #[test]
    fn number_of_logged_errors_is_bounded() {
        let mut failures = Failures::default();
        let levels: Vec<Level> = (0..50)
            .map(|number| failures.count(at(1), &format!("after {number}ms"), false, false))
            .collect();
        let logged = levels.iter().filter(|level| **level < Level::Debug);
        assert!(logged.count() <= MAX_ERRORS + 1);
        assert!(failures.reads.unwrap().logged.len() <= MAX_ERRORS);
    }

    #[test]
    fn failure_after_success_is_always_logged() {
        let mut failures = Failures::default();
        for second in 0..100 {
            let level = failures.count(at(2 * second), "away", false, false);
            assert_eq!(level, Level::Info, "{second}");
            failures.answered(at(2 * second + 1), false);
        }
    }

    #[test]
    fn run_of_writes_outlasts_successful_read() {
        let mut failures = Failures::default();
        failures.count(at(0), "away", true, false);
        failures.answered(at(1), false);
        failures.count(at(2), "away", true, false);
        assert_eq!(failures.writes.as_ref().unwrap().failures, 2);
        failures.answered(at(3), true);
        failures.count(at(9), "away", true, false);
        let run = failures.writes.unwrap();
        assert_eq!((run.failures, run.since), (1, at(9)), "another run");
    }

    fn fail(failures: &mut Failures, second: u64, error: &str) {
        let error = LockError::Unavailable(error.to_owned());
        failures.failed(
            at(second),
            "renewing the lease",
            &error,
            true,
            Duration::ZERO,
        );
    }

    #[test]
    fn lost_lease_names_failures_since_renewal() {
        let mut failures = Failures::default();
        let lost = |failures: &Failures| {
            failures.stop_detail(at(20), StopReason::RenewDeadline, &Status::default())
        };
        assert!(
            lost(&failures).contains("may have been stopped"),
            "{}",
            lost(&failures)
        );
        fail(&mut failures, 1, "before");
        failures.renewed();
        for second in 2..9 {
            fail(&mut failures, second, "no answer within 5s");
        }
        let detail = lost(&failures);
        assert!(detail.starts_with("7 calls failed since 2"), "{detail}");
        assert!(
            detail.ends_with(", last: renewing the lease: no answer within 5s"),
            "{detail}"
        );
    }
}
