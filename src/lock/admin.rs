//! Interface between the commands for operators and one kind of lock.

use std::fmt;
use std::time::Duration;

use super::inspection::InspectedRecord;
use super::stats::StoreStats;
use super::term_history::TermHistory;
use crate::election::lock::LockError;
use crate::election::record::LeaderElectionRecord;
use crate::fmt::wrapped;

/// Time limit of a call that a command makes, which may send several requests.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Access to a lock for operators. It takes no part in the election.
pub trait Admin {
    /// Returns where the record is kept, for messages: `file "leader.json" of gist aa5a at …`.
    fn describe(&self) -> String;

    /// Returns the statistics of the requests so far.
    fn stats(&self) -> StoreStats;

    /// Permits that the place does not exist yet, although it lies beside other elections.
    fn permit_new_election(&mut self) {}

    /// Reads the effective record.
    ///
    /// # Errors
    /// Every kind except [`LockError::Conflict`] and [`LockError::OutcomeUnknown`]. Content that
    /// electors refuse is not an error, but [`InspectedRecord::refusal`].
    fn inspect(&mut self) -> Result<InspectedRecord, LockError>;

    /// Writes `record` in place of `inspected` as a foreign write, which candidates wait for.
    ///
    /// # Errors
    /// [`LockError::OutcomeUnknown`] if the write may have landed, [`LockError::Conflict`] if
    /// another write came first, others if nothing was written. Success means that the store accepted
    /// the write: read again to see whether it is effective.
    fn replace(
        &mut self,
        inspected: &InspectedRecord,
        record: &LeaderElectionRecord,
    ) -> Result<(), LockError>;

    /// Checks without writing whether an election can work: credentials, rights, the place of the
    /// record, and the settings against the store's limits.
    fn check(&mut self) -> Checks;

    /// Lets writers race in a place that no election uses, and checks that each race has one winner.
    fn race(&mut self) -> Finding;

    /// Creates the place and a record without a holder, unless there is a record already. Its fencing token
    /// is at least `least_token`; a record that no elector has acquired is replaced if its token is lower.
    /// Calls `report` with what it waits for.
    ///
    /// # Errors
    /// If the place cannot be created, if its content belongs to something else, or if it holds a record
    /// with a lower fencing token.
    fn init(
        &mut self,
        least_token: u64,
        report: &mut dyn FnMut(&str),
    ) -> Result<Initialized, LockError>;

    /// Reads the history of terms, with at most `max_requests` requests. Terms and gaps
    /// that ended more than `since` before the newest read may be left out.
    fn history(&mut self, _max_requests: u32, _since: Option<Duration>) -> TermHistory {
        TermHistory {
            error: Some(LockError::Refused(
                "this kind of lock keeps no history of its records".to_owned(),
            )),
            ..TermHistory::default()
        }
    }
}

/// Result of [`Admin::init`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialized {
    /// Message about what was done, or why nothing was: `created gist aa5a, secret, with file "leader.json"`.
    pub message: String,
    /// Settings that lead to the lock, by name.
    pub settings: Vec<(&'static str, String)>,
    /// The lock's name alone, for scripts.
    pub name: String,
}

/// Result of [`Admin::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Findings, in the order in which one depends on another.
    pub findings: Vec<Finding>,
    /// Effective record, if it could be read.
    pub record: Option<InspectedRecord>,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// An election works, but something should be known or changed.
    Warn,
    /// No election can work until this is fixed.
    Fail,
    /// Not checked, because an earlier check failed.
    Skipped,
}

/// Result of one check: its name, its severity, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Severity.
    pub level: Level,
    /// Name of the check, in one word.
    pub check: &'static str,
    /// Result, and the fix where one is needed.
    pub text: String,
}

impl Finding {
    /// Returns a finding that needs no action.
    pub fn ok(check: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(Level::Ok, check, text)
    }

    /// Returns a finding that should be known or changed.
    pub fn warn(check: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(Level::Warn, check, text)
    }

    /// Returns a finding that prevents elections.
    pub fn fail(check: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(Level::Fail, check, text)
    }

    /// Returns the finding of a check that could not run.
    #[must_use]
    pub fn skipped(check: &'static str) -> Finding {
        Finding::new(Level::Skipped, check, "not checked, because of what failed")
    }

    fn new(level: Level, check: &'static str, text: impl Into<String>) -> Finding {
        Finding {
            level,
            check,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
            Level::Skipped => "-",
        };
        let label = format!("{level:<4}  {:<11}  ", self.check);
        f.write_str(&wrapped(&label, &self.text))
    }
}
