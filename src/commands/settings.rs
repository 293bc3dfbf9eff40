//! Settings: the environment variables of `elector`, checked.
//!
//! A setting that works but is probably not intended becomes a warning. The rules for the times are in
//! [`LeaderElectionConfig::validate`], and those of a lock in its own folder.

#[cfg(test)]
mod document;
mod table;
#[cfg(test)]
mod tests;
mod unknown;

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::commands::command::CommandError;
use crate::election::config::{ConfigError, LeaderElectionConfig};
use crate::http::ListenAddr;
use crate::lock::settings::{Noted, Reader};
use crate::lock::{LockSpec, Purpose};
use crate::net::{Url, is_loopback};
use crate::observe::ReadyWhen;
use crate::runtime::logging::LogFormat;
pub use table::{NAMES_AND_VALUES, PROXIES, all, groups};

/// Default of `TAKEOVER_STAGGER` at most: enough to separate the writes of a few candidates, and short
/// compared with the lease.
const LONGEST_STAGGER: Duration = Duration::from_millis(400);

/// Part of the poll period that `TAKEOVER_STAGGER` is at most by default. A candidate that polls often
/// need not wait for several polls.
const STAGGER_DIVISOR: u32 = 4;

/// Settings of the program.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lock that holds the record.
    pub lock: LockSpec,
    /// Name of the election for operators.
    pub name: String,
    /// Identity and times, valid together with the lock's confirm delay. The seed is 0: a caller that runs
    /// an election sets its own.
    pub election: LeaderElectionConfig,
    /// PEM file with the roots to trust in place of the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// Address of the status endpoints; `None` for none.
    pub http_addr: Option<ListenAddr>,
    /// Role in which `/readyz` reports ready.
    pub ready_when: ReadyWhen,
    /// File that exists while this candidate leads.
    pub leader_file: Option<PathBuf>,
    /// Directory with what a restarted process of this candidate must know.
    pub state_dir: Option<PathBuf>,
    /// Health check of the workload.
    pub workload_health_url: Option<Url>,
    /// Receiver of transitions.
    pub webhook_url: Option<Url>,
    /// File with the access token that the webhook's receiver checks.
    pub webhook_token_file: Option<PathBuf>,
    /// Log filter in the syntax of `RUST_LOG`, not checked.
    pub log_filter: String,
    /// Form of the log's lines.
    pub log_format: LogFormat,
    warnings: Vec<String>,
}

/// Problems of the settings. Each is one line that names the variable and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    problems: Vec<String>,
}

impl SettingsError {
    /// Returns the problems, in the order in which the settings are read.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrong settings:")?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        f.write_str("\nSee `elector help settings`.")
    }
}

impl std::error::Error for SettingsError {}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        CommandError::settings(error)
    }
}

impl Settings {
    /// Reads the environment of this process. Beside a wrapped program, names that it may use itself count
    /// only with `ELECTOR_`.
    ///
    /// # Errors
    /// Returns [`SettingsError`] with every problem.
    pub fn from_environment(with_program: bool) -> Result<Self, SettingsError> {
        let shared = all().filter(|setting| setting.shared && with_program);
        let shared: Vec<&str> = shared.map(|setting| setting.name).collect();
        let lookup = |name: &str| std::env::var_os(name).filter(|_| !shared.contains(&name));
        let settings = read(&lookup, host_name().as_deref(), Purpose::Use);
        with_unknown(settings, with_program)
    }

    /// Reads the environment of this process for a lock whose place may not exist yet.
    ///
    /// # Errors
    /// Returns [`SettingsError`] with every problem.
    pub fn for_new_lock() -> Result<Self, SettingsError> {
        let lookup = |name: &str| std::env::var_os(name);
        let settings = read(&lookup, host_name().as_deref(), Purpose::Create);
        with_unknown(settings, false)
    }

    /// Reads the environment of this process for the new lock of an election, and for its present lock `from`,
    /// for which settings that begin with `FROM_` outrank others.
    ///
    /// # Errors
    /// Returns [`SettingsError`] with every problem.
    pub fn for_move(from: &str) -> Result<(Self, Self), SettingsError> {
        let host_name = host_name();
        let environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let new = read(&environment, host_name.as_deref(), Purpose::Move);
        let lookup = |name: &str| match name {
            "ELECTOR_LOCK" => None,
            "LOCK" => Some(from.into()),
            name => {
                let short = name.strip_prefix("ELECTOR_").unwrap_or(name);
                environment(&format!("FROM_{short}")).or_else(|| environment(name))
            }
        };
        let old = read(&lookup, host_name.as_deref(), Purpose::Move);
        let old = old.map_err(|error| SettingsError {
            problems: error.problems.iter().map(|text| of_option(text)).collect(),
        });
        Ok((with_unknown(new, false)?, old?))
    }

    /// Reads settings through `lookup`, which is asked for `ELECTOR_<NAME>` and then for `<NAME>`.
    /// `host_name` is the identity if no other is set.
    ///
    /// # Errors
    /// Returns [`SettingsError`] with every problem.
    pub fn read(
        lookup: &dyn Fn(&str) -> Option<OsString>,
        host_name: Option<&str>,
    ) -> Result<Self, SettingsError> {
        read(lookup, host_name, Purpose::Use)
    }

    /// Returns warnings about settings that work but are probably not intended.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Names the option in a problem with the place that it gives.
fn of_option(problem: &str) -> String {
    match problem.strip_prefix("LOCK: ") {
        Some(rest) => format!("--from: {rest}"),
        None => problem.to_owned(),
    }
}

/// Adds the warnings about variables that are probably meant as settings: if settings are missing, to the
/// problems.
fn with_unknown(
    settings: Result<Settings, SettingsError>,
    with_program: bool,
) -> Result<Settings, SettingsError> {
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let mut names: Vec<String> = set
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    let unknown = unknown::warnings(&names, with_program);
    match settings {
        Ok(mut settings) => {
            settings.warnings.extend(unknown);
            Ok(settings)
        }
        Err(mut error) => {
            error.problems.extend(unknown);
            Err(error)
        }
    }
}

fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

fn read(
    lookup: &dyn Fn(&str) -> Option<OsString>,
    host_name: Option<&str>,
    purpose: Purpose,
) -> Result<Settings, SettingsError> {
    let mut reader = Reader::new(lookup);
    let ca_file = reader.path("SSL_CERT_FILE");
    let (lock, confirm_delay) = LockSpec::read(&mut reader, ca_file.as_deref(), purpose);
    let name = reader.public_text("LOCK_NAME").ok().flatten();
    let identity = identity(&mut reader, host_name);
    let election = election(&mut reader, identity, lock.as_ref().ok(), confirm_delay);
    let http_addr = http_addr(&mut reader);
    let ready_when = reader.parsed("READY_WHEN", "use candidate or leader", |text| {
        match text.to_ascii_lowercase().as_str() {
            "candidate" => Some(ReadyWhen::Candidate),
            "leader" => Some(ReadyWhen::Leader),
            _ => None,
        }
    });
    let leader_file = reader.path("LEADER_FILE");
    let state_dir = reader.path("STATE_DIR");
    let workload_health_url = workload_health_url(&mut reader);
    let webhook_url = url(&mut reader, "WEBHOOK_URL");
    let webhook_token_file = webhook_token_file(&mut reader, webhook_url.as_ref());
    let log_filter = reader.text("RUST_LOG").ok().flatten();
    let log_format = reader.parsed("LOG_FORMAT", "use text or json", LogFormat::parse);
    match lock {
        Ok(lock) if reader.problem_count() == 0 => {
            for warning in lock.backend().warnings(&election) {
                reader.warning(warning);
            }
            Ok(Settings {
                name: name.map_or_else(|| lock.backend().lease_name(), |found| found.value),
                lock,
                election,
                ca_file,
                http_addr,
                ready_when: ready_when.unwrap_or_default(),
                leader_file,
                state_dir,
                workload_health_url,
                webhook_url,
                webhook_token_file,
                log_filter: log_filter.map_or_else(|| "info".to_owned(), |found| found.value),
                log_format: log_format.unwrap_or_default(),
                warnings: reader.into_warnings(),
            })
        }
        _ => Err(SettingsError {
            problems: reader.into_problems(),
        }),
    }
}

/// Returns `LEADER_NAME`, or else the pod's name in its cluster, or else the host's name.
fn identity(reader: &mut Reader<'_>, host_name: Option<&str>) -> Result<String, Noted> {
    let mut part = |name: &str| {
        let found = reader.public_text(name)?;
        Ok(found.map(|found| found.value))
    };
    if let Some(name) = part("LEADER_NAME")? {
        return Ok(name);
    }
    let parts = [
        part("CLUSTER_NAME"),
        part("POD_NAMESPACE"),
        part("POD_NAME"),
    ];
    // All are read first, so that all problems are noted.
    let [cluster, namespace, pod] = parts;
    let parts = [cluster?, namespace?, pod?];
    if parts[0].is_none() && parts[2].is_some() {
        reader.warning(
            "CLUSTER_NAME: not set, so pods with the same name in two clusters look the same in logs \
             and in the record; set it to the cluster's name"
                .to_owned(),
        );
    }
    let joined = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
    match host_name {
        _ if !joined.is_empty() => Ok(joined),
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => {
            reader.problem(
                "LEADER_NAME: not set, and this machine has no host name; give this candidate a \
                 unique name"
                    .to_owned(),
            );
            Err(Noted)
        }
    }
}

/// Reads identity and times, and notes all that is wrong with them.
fn election(
    reader: &mut Reader<'_>,
    identity: Result<String, Noted>,
    lock: Option<&LockSpec>,
    confirm_delay: Option<Duration>,
) -> LeaderElectionConfig {
    // A bad identity is noted already.
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
    let stagger = LONGEST_STAGGER.min(config.poll_period / STAGGER_DIVISOR);
    config.takeover_stagger = reader.duration("TAKEOVER_STAGGER", stagger);
    config.termination_grace = reader.duration("TERMINATION_GRACE", config.termination_grace);
    config.stop_timeout = reader.duration("STOP_TIMEOUT", config.stop_timeout);
    let times_are_known = reader.problem_count() == before;
    config.release_on_cancel = reader.boolean("RELEASE_ON_CANCEL", config.release_on_cancel);
    config.exit_on_lost_lease = reader.boolean("EXIT_ON_LOST_LEASE", config.exit_on_lost_lease);
    config.preferred = reader.boolean("PREFERRED", config.preferred);
    config.failback_after = failback_after(reader, config.preferred);
    for error in config.validate(confirm_delay).err().unwrap_or_default() {
        // If a time is bad, its default takes part in the relations.
        if times_are_known || !is_relation(&error) {
            reader.problem(error.to_string());
        }
    }
    config
}

/// Reads the time after which a preferred candidate asks for a handover.
fn failback_after(reader: &mut Reader<'_>, preferred: bool) -> Option<Duration> {
    let found = reader.raw("FAILBACK_AFTER")?;
    let after = reader.duration("FAILBACK_AFTER", Duration::ZERO);
    if !preferred {
        reader.warning(format!(
            "{}: not used, because PREFERRED is not true; set both or none",
            found.variable
        ));
    }
    Some(after).filter(|_| preferred)
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

fn http_addr(reader: &mut Reader<'_>) -> Option<ListenAddr> {
    let fix = "use `off`, `:PORT`, `HOST:PORT` or `[IPV6]:PORT`";
    let addr = reader.parsed("HTTP_ADDR", fix, |text| {
        match text.eq_ignore_ascii_case("off") {
            true => Some(None),
            false => text.parse().ok().map(Some),
        }
    });
    addr.flatten()
}

/// Reads the address of the health check, which must be on this machine, as the workload is.
fn workload_health_url(reader: &mut Reader<'_>) -> Option<Url> {
    let url = url(reader, "WORKLOAD_HEALTH_URL")?;
    if !url.is_https() && is_loopback(url.host()) {
        return Some(url);
    }
    reader.problem(format!(
        "WORKLOAD_HEALTH_URL: {url} is not on this machine, where the workload runs; use a loopback \
         address with http://, like http://127.0.0.1:8080/healthz"
    ));
    None
}

/// Reads the path of the webhook's access token. Why it must contain a `/`: a path is shown in messages, and
/// an access token must not be.
fn webhook_token_file(reader: &mut Reader<'_>, url: Option<&Url>) -> Option<PathBuf> {
    let found = reader.raw("WEBHOOK_TOKEN_FILE")?;
    let variable = found.variable;
    if !found.value.as_bytes().contains(&b'/') {
        reader.problem(format!(
            "{variable}: not a path with a `/` (not shown); put the access token into a file, and give \
             its path"
        ));
        return None;
    }
    match url {
        None => reader.warning(format!(
            "{variable}: not used, because WEBHOOK_URL is not set; set both or none"
        )),
        Some(url) if url.has_password() => {
            reader.problem(format!(
                "{variable}: WEBHOOK_URL contains a user name or password too; remove one of them"
            ));
        }
        Some(url) if !url.is_https() && !is_loopback(url.host()) => reader.warning(format!(
            "{variable}: the access token is sent to {} unencrypted; use https://",
            url.host()
        )),
        Some(_) => {}
    }
    Some(PathBuf::from(found.value))
}

fn url(reader: &mut Reader<'_>, name: &str) -> Option<Url> {
    let found = reader.text(name).ok()??;
    let url = found.value.parse().ok();
    if url.is_none() {
        // The value is not shown: it may contain a secret.
        reader.problem(format!(
            "{}: not a URL; use one that begins with http:// or https://",
            found.variable
        ));
    }
    url
}
