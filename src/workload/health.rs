//! Health of the wrapped program, judged by its answers to health checks.
//!
//! ```text
//!              first success         enough failures in a row
//!   Starting ────────────────▶ Tracked ──────────────────────▶ Failed
//! ```
//!
//! Failures before the first success do not count, because programs need time to start, and one that never
//! answers at this address must not be stopped for it. A check succeeds as for a kubelet: with a status
//! from 200 to 399. This file reads no clock: the caller passes in the time.

use std::time::Duration;

use crate::election::time::Instant;

/// Settings of the health checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// Time between the starts of two checks.
    pub period: Duration,
    /// Longest time that an answer may take.
    pub timeout: Duration,
    /// Failures in a row after which the program counts as failed.
    pub failure_threshold: u32,
    /// Time without a first success after which a warning is logged.
    pub warn_after: Duration,
}

impl Default for HealthConfig {
    /// Detects a hanging program within 17 s: three failures, checked every 5 s, with 2 s per answer.
    ///
    /// A kubelet checks every 10 s and waits 1 s. The shorter period is because other candidates wait to
    /// take over. The longer timeout is because a busy machine may take more than 1 s, and a wrong result
    /// costs a change of leaders.
    fn default() -> Self {
        HealthConfig {
            period: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            failure_threshold: 3,
            warn_after: Duration::from_secs(60),
        }
    }
}

/// Change of the program's health by one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthChange {
    /// No change worth a log line.
    Unchanged,
    /// First success: from now on failures count.
    Started,
    /// Success after this many failures.
    Recovered(u32),
    /// This many failures in a row, and the reason of the last one.
    Failing(u32, String),
    /// No success within [`HealthConfig::warn_after`], and the reason of the last failure. Returned once.
    NeverHealthy(String),
    /// Too many failures in a row, and the reason of the last one.
    Failed(String),
}

/// Health of one run of the program.
#[derive(Clone, Debug)]
pub struct HealthTracker {
    config: HealthConfig,
    started_at: Instant,
    next_check: Instant,
    /// At least one check has succeeded.
    started: bool,
    failures: u32,
    /// `NeverHealthy` was returned.
    warned: bool,
}

impl HealthTracker {
    /// Creates the tracker of a program that starts now. The first check is due immediately.
    #[must_use]
    pub fn new(config: HealthConfig, now: Instant) -> Self {
        HealthTracker {
            config,
            started_at: now,
            next_check: now,
            started: false,
            failures: 0,
            warned: false,
        }
    }

    /// Returns when the next check is due.
    #[must_use]
    pub fn next_check(&self) -> Instant {
        self.next_check
    }

    /// Handles the result of the check sent at `sent_at`: an HTTP status, or why there is none.
    pub fn handle_answer(
        &mut self,
        sent_at: Instant,
        now: Instant,
        answer: Result<u16, String>,
    ) -> HealthChange {
        self.next_check = now.max(sent_at + self.config.period);
        match answer {
            Ok(200..=399) => self.succeeded(),
            Ok(status) => self.failed(now, format!("status {status}")),
            Err(reason) => self.failed(now, reason),
        }
    }

    fn succeeded(&mut self) -> HealthChange {
        let failures = std::mem::take(&mut self.failures);
        match (std::mem::replace(&mut self.started, true), failures) {
            (false, _) => HealthChange::Started,
            (true, 0) => HealthChange::Unchanged,
            (true, failures) => HealthChange::Recovered(failures),
        }
    }

    fn failed(&mut self, now: Instant, reason: String) -> HealthChange {
        if !self.started {
            let late = now.since(self.started_at) >= self.config.warn_after;
            return match late && !std::mem::replace(&mut self.warned, late) {
                true => HealthChange::NeverHealthy(reason),
                false => HealthChange::Unchanged,
            };
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.config.failure_threshold {
            return HealthChange::Failed(reason);
        }
        HealthChange::Failing(self.failures, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(1000 + seconds))
    }

    fn tracker() -> HealthTracker {
        HealthTracker::new(HealthConfig::default(), at(0))
    }

    /// Handles an answer that takes no time, as soon as a check is due.
    fn answer(tracker: &mut HealthTracker, answer: Result<u16, &str>) -> HealthChange {
        let now = tracker.next_check();
        tracker.handle_answer(now, now, answer.map_err(str::to_owned))
    }

    #[test]
    fn three_failures_in_row_fail() {
        let mut tracker = tracker();
        assert_eq!(answer(&mut tracker, Ok(200)), HealthChange::Started);
        assert_eq!(
            answer(&mut tracker, Ok(500)),
            HealthChange::Failing(1, "status 500".into())
        );
        assert_eq!(
            answer(&mut tracker, Err("closed")),
            HealthChange::Failing(2, "closed".into())
        );
        assert_eq!(
            answer(&mut tracker, Ok(404)),
            HealthChange::Failed("status 404".into())
        );
    }

    #[test]
    fn success_resets_failure_count() {
        let mut tracker = tracker();
        assert_eq!(answer(&mut tracker, Ok(204)), HealthChange::Started);
        for _ in 0..10 {
            assert!(matches!(
                answer(&mut tracker, Err("slow")),
                HealthChange::Failing(1, _)
            ));
            assert!(matches!(
                answer(&mut tracker, Err("slow")),
                HealthChange::Failing(2, _)
            ));
            assert_eq!(answer(&mut tracker, Ok(302)), HealthChange::Recovered(2));
            assert_eq!(answer(&mut tracker, Ok(200)), HealthChange::Unchanged);
        }
    }

    #[test]
    fn early_failures_only_warn_once() {
        let mut tracker = tracker();
        let mut warnings = Vec::new();
        for _ in 0..100 {
            let now = tracker.next_check();
            match answer(&mut tracker, Err("refused")) {
                HealthChange::Unchanged => {}
                HealthChange::NeverHealthy(reason) => warnings.push((now, reason)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(warnings, [(at(60), "refused".to_owned())]);
        assert_eq!(answer(&mut tracker, Ok(200)), HealthChange::Started);
        assert!(matches!(
            answer(&mut tracker, Err("closed")),
            HealthChange::Failing(1, _)
        ));
    }

    #[test]
    fn success_statuses_match_kubelet() {
        for (status, good) in [
            (101, false),
            (199, false),
            (200, true),
            (399, true),
            (400, false),
            (503, false),
            (999, false),
        ] {
            let mut tracker = tracker();
            let change = answer(&mut tracker, Ok(status));
            assert_eq!(change == HealthChange::Started, good, "{status}");
        }
    }

    #[test]
    fn checks_start_once_per_period() {
        let mut tracker = tracker();
        assert_eq!(tracker.next_check(), at(0), "immediately");
        tracker.handle_answer(at(0), at(2), Ok(200));
        assert_eq!(tracker.next_check(), at(5));
        // The machine was suspended during the check.
        tracker.handle_answer(at(5), at(900), Err("late".into()));
        assert_eq!(tracker.next_check(), at(900));
    }
}
