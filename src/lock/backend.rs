//! Interface between the program and one kind of lock.
//!
//! A kind of lock implements [`Backend`] in its own folder. The settings choose one, and the rest of the
//! program uses only this interface, so that it knows no store by name.

use std::fmt;
use std::io;
use std::time::Duration;

use super::admin::Admin;
use super::stats::StatsHandle;
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::ResourceLock;
use crate::net::SetupError;

/// Kind and place of a lock, as its settings describe them.
pub trait Backend: fmt::Debug {
    /// Opens the lock for a candidate. Sends no request.
    ///
    /// # Errors
    /// [`OpenError`] if a setting or a file that it names cannot be used.
    fn open(&self, election: &LeaderElectionConfig) -> Result<Opened, OpenError>;

    /// Opens the lock for a command of an operator. Sends no request.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    fn admin(&self, election: &LeaderElectionConfig) -> Result<Box<dyn Admin>, OpenError>;

    /// Returns the names of the checks that [`Admin::check`] makes.
    fn checks(&self) -> &'static [&'static str];

    /// Returns the place as the setting `LOCK` names it, which contains no secret.
    fn lock(&self) -> String;

    /// Returns the lock's name for the label `name` of metrics, which contains no secret.
    fn lease_name(&self) -> String;

    /// Returns the address of the web page that shows the record, if there is one.
    fn web_page(&self) -> Option<String> {
        None
    }

    /// Returns what the opened lock's [`confirm_delay`](ResourceLock::confirm_delay) will be.
    fn confirm_delay(&self) -> Option<Duration> {
        None
    }

    /// Returns the names of the environment variables that hold secrets or lead to them. They are
    /// removed from the environment of the wrapped program.
    fn secret_variables(&self) -> &'static [&'static str];

    /// Returns the default times of this kind of store.
    fn default_times(&self) -> Times;

    /// Returns warnings about settings that work but are probably not intended. Each says what to
    /// change.
    fn warnings(&self, _election: &LeaderElectionConfig) -> Vec<String> {
        Vec::new()
    }
}

/// Lock that is ready for use.
pub struct Opened {
    /// The lock.
    pub lock: Box<dyn ResourceLock + Send>,
    /// Statistics of the lock's requests.
    pub stats: StatsHandle,
    /// Name of this process in its writes, which no other process has.
    pub process: String,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opened")
            .field(&self.lock.describe())
            .finish()
    }
}

/// Default times of a kind of store. See [`LeaderElectionConfig`] for their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Duration of a lease.
    pub lease_duration: Duration,
    /// Time within which a leader must renew.
    pub renew_deadline: Duration,
    /// Interval between two renewals.
    pub retry_period: Duration,
    /// Interval between a candidate's reads.
    pub poll_period: Duration,
}

/// Reason why a lock cannot be opened.
#[non_exhaustive]
#[derive(Debug)]
pub enum OpenError {
    /// A setting, or a file that it names, cannot be used.
    Settings {
        /// Check of `elector doctor` that the problem belongs to: `token`, `tls`, `proxy`.
        check: &'static str,
        /// Problem and fix.
        why: String,
    },
    /// The system gives no random numbers.
    System(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Settings { why, .. } => f.write_str(why),
            OpenError::System(error) => write!(f, "/dev/urandom: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<SetupError> for OpenError {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Roots(why) => OpenError::Settings { check: "tls", why },
            SetupError::Proxy(why) => OpenError::Settings {
                check: "proxy",
                why,
            },
        }
    }
}
