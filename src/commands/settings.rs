//! The settings: which environment variables there are, and what follows from them.
//!
//! [`Settings::read`] is pure: it asks a lookup for each variable, and returns either settings that
//! can be worked with or every problem in one message. It opens no file and no connection; whether
//! the token is good and the gist exists is found out by those who use them. Rules between the times
//! stand in [`LeaderElectionConfig::validate`].

mod outside;
mod table;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::commands::command::CommandError;
use crate::election::config::{ConfigError, LeaderElectionConfig};
use crate::lock::LockSpec;
use crate::lock::settings::{Noted, Reader, shown};
use crate::runtime::logging::LogFormat;
pub use outside::{Outside, ReadyWhen};
pub use table::all;

/// The most that candidates wait beyond the end of a lease, at random: enough to keep the writes of
/// a handful of them apart, little against the lease.
const LONGEST_STAGGER: Duration = Duration::from_millis(400);

/// A candidate that polls fast must not wait for many polls' time: a part of one is enough.
const STAGGER_OF_POLL: u32 = 4;

/// What a workload's own settings may be called too.
const SHARED_NAMES: &[&str] = &["HTTP_ADDR", "WEBHOOK_URL", "LOG_FORMAT"];

/// Everything that the environment decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lock that holds the record.
    pub lock: LockSpec,
    /// Name and times, valid together with the lock's confirm delay. The seed is 0: the caller that runs
    /// the election draws one.
    pub election: LeaderElectionConfig,
    /// How people and machines look in.
    pub outside: Outside,
    /// PEM file with certificates to trust in place of the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// What is logged, in the syntax of `RUST_LOG`; not checked here.
    pub log_filter: String,
    /// Form of the log's lines.
    pub log_format: LogFormat,
    warnings: Vec<String>,
}

/// Why there are no settings: every problem, each a sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    problems: Vec<String>,
}

impl SettingsError {
    /// The problems, in the order of the table of settings.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings cannot be used:")?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        f.write_str("\nsee `elector help` for all settings")
    }
}

impl std::error::Error for SettingsError {}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        CommandError::settings(error)
    }
}

impl Settings {
    /// Reads the environment of this process. With a command that shares it, settings whose names the
    /// command may use for its own count only with `ELECTOR_` in front.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem.
    pub fn from_environment(with_command: bool) -> Result<Self, SettingsError> {
        let lookup = |name: &str| {
            let shared = with_command && SHARED_NAMES.contains(&name);
            std::env::var_os(name).filter(|_| !shared)
        };
        read(&lookup, host_name().as_deref(), false)
    }

    /// Reads the environment of this process for a lock whose place may not exist yet.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem.
    pub fn for_new_lock() -> Result<Self, SettingsError> {
        read(&|name| std::env::var_os(name), host_name().as_deref(), true)
    }

    /// Reads settings through `lookup`, which is asked for `ELECTOR_<NAME>` and then for `<NAME>`.
    /// `host_name` is the identity where no other is given.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem.
    pub fn read(
        lookup: &dyn Fn(&str) -> Option<OsString>,
        host_name: Option<&str>,
    ) -> Result<Self, SettingsError> {
        read(lookup, host_name, false)
    }

    /// What works, but probably not as wished: sentences that say what to change. To be shown once,
    /// at start.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn log_format(reader: &mut Reader<'_>) -> LogFormat {
    let Ok(Some(found)) = reader.text("LOG_FORMAT") else {
        return LogFormat::default();
    };
    found.value.parse().unwrap_or_else(|_| {
        reader.problem(format!(
            "{} is {}: give text or json",
            found.variable,
            shown(&found.value)
        ));
        LogFormat::default()
    })
}

fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

fn read(
    lookup: &dyn Fn(&str) -> Option<OsString>,
    host_name: Option<&str>,
    new_lock: bool,
) -> Result<Settings, SettingsError> {
    let mut reader = Reader::new(lookup);
    let ca_file = reader.path("SSL_CERT_FILE");
    let (lock, confirm_delay) = LockSpec::read(&mut reader, ca_file.as_deref(), new_lock);
    let identity = identity(&mut reader, host_name);
    let election = election(&mut reader, identity, lock.as_ref().ok(), confirm_delay);
    let outside = outside::read(&mut reader);
    let log_filter = reader.text("RUST_LOG");
    let log_format = log_format(&mut reader);
    match lock {
        Ok(lock) if reader.problem_count() == 0 => {
            for warning in lock.backend().warnings(&election) {
                reader.warning(warning);
            }
            Ok(Settings {
                lock,
                election,
                outside,
                ca_file,
                log_filter: log_filter
                    .ok()
                    .flatten()
                    .map_or_else(|| "info".to_owned(), |found| found.value),
                log_format,
                warnings: reader.into_warnings(),
            })
        }
        _ => Err(SettingsError {
            problems: reader.into_problems(),
        }),
    }
}

/// `LEADER_NAME`, or what the cluster calls this pod, or the host's name.
fn identity(reader: &mut Reader<'_>, host_name: Option<&str>) -> Result<String, Noted> {
    let mut part = |name: &str| match reader.text(name)? {
        Some(found) => reader.no_secret(found).map(Some),
        None => Ok(None),
    };
    if let Some(name) = part("LEADER_NAME")? {
        return Ok(name.value);
    }
    let (cluster, namespace, pod) = (
        part("CLUSTER_NAME"),
        part("POD_NAMESPACE"),
        part("POD_NAME"),
    );
    let parts = [cluster?, namespace?, pod?];
    if parts[0].is_none() && parts[2].is_some() {
        reader.warning(
            "CLUSTER_NAME is not set: pods of one name in two clusters cannot be told apart in logs \
             and in the record; set it to the cluster's name"
                .to_owned(),
        );
    }
    let joined = parts
        .into_iter()
        .flatten()
        .map(|found| found.value)
        .collect::<Vec<_>>()
        .join("/");
    match host_name {
        _ if !joined.is_empty() => Ok(joined),
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => {
            reader.problem(
                "LEADER_NAME is not set, and this machine has no name: give this candidate a name \
                 of its own"
                    .to_owned(),
            );
            Err(Noted)
        }
    }
}

/// Name and times; what is wrong with them, one by one and together, is noted.
fn election(
    reader: &mut Reader<'_>,
    identity: Result<String, Noted>,
    lock: Option<&LockSpec>,
    confirm_delay: Option<Duration>,
) -> LeaderElectionConfig {
    // A name that could not be read is complained about already.
    let mut config = LeaderElectionConfig::new(identity.unwrap_or_else(|Noted| "?".to_owned()));
    if let Some(times) = lock.map(|lock| lock.backend().default_times()) {
        config.lease_duration = times.lease_duration;
        config.renew_deadline = times.renew_deadline;
        config.retry_period = times.retry_period;
        config.poll_period = times.poll_period;
    }
    let before = reader.problem_count();
    config.lease_duration = reader.duration("LEASE_DURATION", config.lease_duration);
    config.renew_deadline = reader.duration("RENEW_DEADLINE", config.renew_deadline);
    config.retry_period = reader.duration("RETRY_PERIOD", config.retry_period);
    config.poll_period = reader.duration("POLL_PERIOD", config.poll_period);
    let stagger = LONGEST_STAGGER.min(config.poll_period / STAGGER_OF_POLL);
    config.takeover_stagger = reader.duration("TAKEOVER_STAGGER", stagger);
    config.termination_grace = reader.duration("TERMINATION_GRACE", config.termination_grace);
    config.stop_timeout = reader.duration("STOP_TIMEOUT", config.stop_timeout);
    let times_are_known = reader.problem_count() == before;
    config.release_on_cancel = reader.boolean("RELEASE_ON_CANCEL", config.release_on_cancel);
    config.exit_on_lost_lease = reader.boolean("EXIT_ON_LOST_LEASE", config.exit_on_lost_lease);
    for error in config.validate(confirm_delay).err().unwrap_or_default() {
        // A relation to a time that could not be read would be a relation to its default.
        if times_are_known || !is_relation(&error) {
            reader.problem(error.to_string());
        }
    }
    config
}

fn is_relation(error: &ConfigError) -> bool {
    matches!(
        error,
        ConfigError::LongStagger(_)
            | ConfigError::ShortLease { .. }
            | ConfigError::ShortRenewDeadline { .. }
            | ConfigError::LongConfirmDelay { .. }
    )
}
