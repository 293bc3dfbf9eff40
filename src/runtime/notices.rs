//! What the elector has to say, as log lines: each thing once, not at every retry.

use std::time::Duration;

use log::Level;

use super::election::needs_a_person;
use crate::election::action::Notice;
use crate::election::lock::LockError;
use crate::election::time::Instant;
use crate::fmt::brief;
use crate::system::clock::utc_timestamp_after;

/// A failure that goes on is told again after this time.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Failures that are further apart do not belong together. Those that are not count as one spell, also
/// if some calls succeed in between.
const SPELL: Duration = Duration::from_secs(120);

/// A passing fault is none that needs a person: it is one from this many failures in a row on.
const WARN_FROM: u32 = 2;

/// How many kinds of failures are told apart in one spell; further ones are kept for debugging.
const KINDS: usize = 8;

/// Writes notices to the log.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    failing: Option<Failing>,
    /// When it was last told that a long history is being read.
    reading_told_at: Option<Instant>,
    /// When it was last told that looks are put off, or are not any more.
    pause_told_at: Option<Instant>,
    /// By what was told last, they are.
    put_off: bool,
}

/// Calls fail, again and again.
#[derive(Debug)]
struct Failing {
    since: Instant,
    /// When it is over if no further one fails.
    until: Instant,
    times: u32,
    /// The last one failed, and that was told.
    fails: bool,
    /// Some of these were to write.
    write: bool,
    /// What was told of them.
    told: Vec<String>,
    warned_at: Option<Instant>,
}

impl Failing {
    fn begin(now: Instant) -> Self {
        Failing {
            since: now,
            until: now,
            times: 0,
            fails: false,
            write: false,
            told: Vec::new(),
            warned_at: None,
        }
    }

    /// One more call failed: how loud that is to be said.
    fn count(&mut self, now: Instant, what: &str, serious: bool) -> Level {
        self.times = self.times.saturating_add(1);
        let new = self.told.len() < KINDS && !self.told.iter().any(|told| told == what);
        if new {
            self.told.push(what.to_owned());
        }
        let due = self
            .warned_at
            .is_none_or(|at| now.since(at) >= REPEAT_AFTER);
        if (serious && new) || (due && (serious || self.times >= WARN_FROM)) {
            self.warned_at = Some(now);
            return Level::Warn;
        }
        if new { Level::Info } else { Level::Debug }
    }

    fn so_far(&self, now: Instant) -> String {
        let failures = if self.times == 1 {
            "failure"
        } else {
            "failures"
        };
        format!(
            "{} {failures} in {}",
            self.times,
            brief(now.since(self.since))
        )
    }
}

impl Reporter {
    /// Tells a notice that came `now`.
    pub(super) fn tell(&mut self, now: Instant, notice: &Notice) {
        match notice {
            Notice::Failed {
                error: LockError::Unfinished(how_far),
                ..
            } => self.unfinished(now, how_far),
            Notice::Failed {
                call,
                error,
                write,
                retry_in,
            } => self.failed(now, call, error, *write, *retry_in),
            Notice::RateLimitedPastDeadline {
                leads_for,
                retry_after,
            } => log::warn!(
                "GitHub's limits keep everybody away for {}s, longer than the lease lasts: this \
                 candidate leads for {leads_for:.1?} more, and then nobody can before {}, as the \
                 others share the limits",
                retry_after.as_secs(),
                utc_timestamp_after(*retry_after)
            ),
            Notice::Claimed { fencing_token } => {
                log::info!("claimed the lease for the term {fencing_token}");
            }
            Notice::ClaimLost => log::info!("another candidate's claim came first"),
            Notice::RecordLost { pause } => log::warn!(
                "what was last seen in effect is gone: claiming nothing for {}s",
                pause.as_secs()
            ),
            Notice::ForeignWrite { what, wait } => log::warn!(
                "{what}: it is waited for, {}s from now, as somebody may still lead",
                wait.as_secs()
            ),
            Notice::SameName => log::info!(
                "the lease is held under this candidate's own name, by another process or by one \
                 that was here before: it is waited for like any other"
            ),
            Notice::BackingOff { pause } => log::info!(
                "stepped down: claiming nothing for {}s, so that another one can lead",
                pause.as_secs()
            ),
            Notice::Released => log::info!("gave the lease back"),
        }
    }

    /// A call came back well; that a look does says nothing of writes that fail.
    pub(super) fn succeeded(&mut self, now: Instant, write: bool) {
        let Some(failing) = &mut self.failing else {
            return;
        };
        if failing.fails && (write || !failing.write) {
            (failing.fails, failing.write) = (false, false);
            log::info!("works again, after {}", failing.so_far(now));
        }
    }

    /// The store wants a candidate's looks to be so far apart; zero for as usual. That goes up and down
    /// all the time, and is told now and then.
    pub(super) fn poll_pause(&mut self, now: Instant, pause: Duration) {
        let told_lately = |at: Instant| now.since(at) < REPEAT_AFTER * 10;
        if self.pause_told_at.is_some_and(told_lately) || (pause.is_zero() && !self.put_off) {
            return;
        }
        self.pause_told_at = Some(now);
        self.put_off = !pause.is_zero();
        if self.put_off {
            return log::info!(
                "the hour's requests run short, and are kept for the leader's renewals: looking at \
                 the lease every {pause:.1?}"
            );
        }
        log::info!("the hour's requests suffice again: looking at the lease as usual");
    }

    /// A long history is being read, in many calls.
    fn unfinished(&mut self, now: Instant, how_far: &str) {
        let told_lately = |at: Instant| now.since(at) < REPEAT_AFTER / 6;
        if self.reading_told_at.is_some_and(told_lately) {
            return log::debug!("{how_far}");
        }
        self.reading_told_at = Some(now);
        log::info!("{how_far}");
    }

    fn failed(
        &mut self,
        now: Instant,
        call: &str,
        error: &LockError,
        write: bool,
        retry_in: Duration,
    ) {
        let what = match error {
            // When it is tried again is said below.
            LockError::RateLimited { why, .. } => format!("{call} failed: {why}"),
            other => format!("{call} failed: {other}"),
        };
        let serious = needs_a_person(error) || matches!(error, LockError::RateLimited { .. });
        let spell = self.failing.take().filter(|failing| now < failing.until);
        let failing = self
            .failing
            .insert(spell.unwrap_or_else(|| Failing::begin(now)));
        failing.until = now + retry_in + SPELL;
        failing.write |= write;
        let level = failing.count(now, &what, serious);
        failing.fails |= level < Level::Debug;
        let so_far = match failing.times {
            1 => String::new(),
            _ => format!(" ({})", failing.so_far(now)),
        };
        log::log!(level, "{what}; trying again in {}{so_far}", brief(retry_in));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(1000 + seconds))
    }

    #[test]
    fn a_passing_fault_is_no_warning_and_the_second_one_in_a_row_is() {
        let mut failing = Failing::begin(at(0));
        assert_eq!(failing.count(at(0), "away", false), Level::Info);
        assert_eq!(failing.count(at(1), "away", false), Level::Warn);
        for second in 2..61 {
            assert_eq!(failing.count(at(second), "away", false), Level::Debug);
        }
        assert_eq!(failing.count(at(61), "away", false), Level::Warn, "again");
        assert_eq!(failing.so_far(at(61)), "62 failures in 61s");
    }

    #[test]
    fn what_needs_a_person_is_a_warning_at_once_and_each_kind_once() {
        let mut failing = Failing::begin(at(0));
        assert_eq!(failing.count(at(0), "no token", true), Level::Warn);
        assert_eq!(failing.count(at(1), "no token", true), Level::Debug);
        assert_eq!(failing.count(at(2), "no gist", true), Level::Warn);
        assert_eq!(failing.count(at(3), "away", false), Level::Info);
        assert_eq!(failing.count(at(4), "away", false), Level::Debug);
    }

    #[test]
    fn failures_of_ever_new_kinds_do_not_fill_the_log_or_the_memory() {
        let mut failing = Failing::begin(at(0));
        let levels: Vec<Level> = (0..50)
            .map(|number| failing.count(at(1), &format!("after {number}ms"), false))
            .collect();
        let told = levels.iter().filter(|level| **level < Level::Debug);
        assert!(told.count() <= KINDS + 1);
        assert!(failing.told.len() <= KINDS);
    }

    fn fails(reporter: &mut Reporter, now: Instant, write: bool) {
        let error = LockError::Unavailable("away".into());
        reporter.failed(now, "a call", &error, write, Duration::from_secs(1));
    }

    #[test]
    fn failures_belong_together_also_where_some_calls_succeed_in_between() {
        let mut reporter = Reporter::default();
        for second in 0..30 {
            fails(&mut reporter, at(second * 2), false);
            reporter.succeeded(at(second * 2 + 1), false);
        }
        assert_eq!(reporter.failing.as_ref().unwrap().times, 30);
        fails(&mut reporter, at(10_000), false);
        assert_eq!(reporter.failing.as_ref().unwrap().times, 1, "another spell");
    }

    #[test]
    fn a_look_that_succeeds_says_nothing_of_writes_that_fail() {
        let mut reporter = Reporter::default();
        fails(&mut reporter, at(0), true);
        reporter.succeeded(at(1), false);
        assert!(reporter.failing.as_ref().unwrap().fails);
        reporter.succeeded(at(2), true);
        assert!(!reporter.failing.as_ref().unwrap().fails);
    }
}
