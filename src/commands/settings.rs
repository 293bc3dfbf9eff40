//! The settings: which environment variables there are, and what follows from them.
//!
//! [`Settings::read`] is pure: it asks a lookup for each variable, and returns either settings that
//! can be worked with or every problem in one message. It opens no file and no connection; whether
//! the token is good and the gist exists is found out by those who use them. Rules between the times
//! stand in [`LeaderElectionConfig::validate`].

mod outside;
mod reader;
mod table;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::commands::command::CommandError;
use crate::election::config::{ConfigError, LeaderElectionConfig};
use crate::lock::gist::wire::target::{
    ApiUrl, GistId, TargetError, check_api_url, check_file_name,
};
use crate::net::{AccessToken, AccessTokenSource, is_loopback};
use crate::runtime::gist::{CONFIRM_DELAY, GITHUB_API_URL, GistOptions};
use crate::runtime::logging::LogFormat;
pub use outside::{Outside, ReadyWhen};
pub(super) use reader::looks_secret;
use reader::{Found, Noted, Reader, shown};
pub use table::{ALL, Setting, all};

/// The most that candidates wait beyond the end of a lease, at random: enough to keep the writes of
/// a handful of them apart, little against the lease.
const LONGEST_STAGGER: Duration = Duration::from_millis(400);

/// A candidate that polls fast must not wait for many polls' time: a part of one is enough.
const STAGGER_OF_POLL: u32 = 4;

/// GitHub's limit on writes that make content, an hour and user.
const WRITES_AN_HOUR: f64 = 500.0;

/// Polls faster than this use up GitHub's 900 points a minute and user with eight candidates: 304s
/// are free of the hourly limit only.
const SHORTEST_POLITE_POLL: Duration = Duration::from_millis(500);

/// What a workload's own settings may be called too.
const SHARED_NAMES: &[&str] = &["HTTP_ADDR", "WEBHOOK_URL", "LOG_FORMAT"];

/// Everything that the environment decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the record is kept, and how to get there.
    pub gist: GistOptions,
    /// Name and times, valid together with the gist's confirm delay. Its seed is 0: whoever runs the election
    /// draws one.
    pub election: LeaderElectionConfig,
    /// How people and machines look in.
    pub outside: Outside,
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
        let host_name = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok());
        let lookup = |name: &str| {
            let shared = with_command && SHARED_NAMES.contains(&name);
            std::env::var_os(name).filter(|_| !shared)
        };
        Settings::read(&lookup, host_name.as_deref())
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
        let mut reader = Reader::new(lookup);
        let mut warnings = Vec::new();
        let gist_id = gist_id(&mut reader);
        let gist_file = gist_file(&mut reader);
        let token = token(&mut reader, &mut warnings);
        let api = api_url(&mut reader);
        let ca_file = reader.path("SSL_CERT_FILE");
        let identity = identity(&mut reader, host_name, &mut warnings);
        let (election, confirm_delay) = election(&mut reader, identity);
        let outside = outside::read(&mut reader);
        let log_filter = reader.text("RUST_LOG");
        let log_format = log_format(&mut reader);
        if let Some(api) = &api {
            warn_of_exposure(api, &mut warnings);
            warn_of_limits(api, &election, confirm_delay, &mut warnings);
        }
        match (gist_id, token, api) {
            (Ok(gist_id), Ok(token), Some(api_url)) if reader.problem_count() == 0 => {
                Ok(Settings {
                    gist: GistOptions {
                        gist_id,
                        file: gist_file,
                        access_token: token,
                        api_url,
                        ca_file,
                        confirm_delay,
                    },
                    election,
                    outside,
                    log_filter: log_filter
                        .ok()
                        .flatten()
                        .map_or_else(|| "info".to_owned(), |found| found.value),
                    log_format,
                    warnings,
                })
            }
            _ => Err(SettingsError {
                problems: reader.into_problems(),
            }),
        }
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

fn gist_id(reader: &mut Reader<'_>) -> Result<GistId, Noted> {
    let Some(found) = reader.text("GIST_ID")? else {
        reader.problem(
            "GIST_ID is not set: give the id of the gist that holds the record, the last part of \
             its address on the web"
                .to_owned(),
        );
        return Err(Noted);
    };
    let found = not_a_token(reader, found)?;
    let id = found.value.parse();
    id.map_err(|error| refuse(reader, &found, &error))
}

fn gist_file(reader: &mut Reader<'_>) -> Option<String> {
    let found = reader.text("GIST_FILE").ok()??;
    let found = not_a_token(reader, found).ok()?;
    match check_file_name(&found.value) {
        Ok(_) => Some(found.value),
        Err(error) => {
            refuse(reader, &found, &error);
            None
        }
    }
}

/// Refuses what looks like a token: it would be logged, sent or stored as what it is not.
fn not_a_token(reader: &mut Reader<'_>, found: Found<String>) -> Result<Found<String>, Noted> {
    if !looks_secret(&found.value) {
        return Ok(found);
    }
    reader.problem(format!(
        "{} holds what looks like a token (not shown): it belongs in GITHUB_API_TOKEN",
        found.variable
    ));
    Err(Noted)
}

/// Notes what is wrong with a variable, under the name that it was given by.
fn refuse(reader: &mut Reader<'_>, found: &Found<String>, error: &TargetError) -> Noted {
    let Found {
        variable, value, ..
    } = found;
    reader.problem(match error {
        TargetError::ApiUrl(why) => format!("{variable} {why}"),
        TargetError::GistId(why) | TargetError::FileName(why) => {
            format!("{variable} is {}, but {why}", shown(value))
        }
    });
    Noted
}

/// The token, or the file it is in. With `ELECTOR_` in front, one outranks the other without.
fn token(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Result<AccessTokenSource, Noted> {
    let value = reader.text("GITHUB_API_TOKEN")?;
    let file = reader.raw("GITHUB_API_TOKEN_FILE");
    match (value, file) {
        (None, None) => {
            reader.problem(
                "neither GITHUB_API_TOKEN nor GITHUB_API_TOKEN_FILE is set: give a token that may \
                 write gists, or a file that holds one"
                    .to_owned(),
            );
            Err(Noted)
        }
        (Some(value), None) => token_value(reader, &value),
        (None, Some(file)) => token_file(reader, file),
        (Some(value), Some(file)) if value.prefixed == file.prefixed => {
            reader.problem(format!(
                "both {} and {} are set: unset the first, the file is read again when it changes",
                value.variable, file.variable
            ));
            Err(Noted)
        }
        (Some(value), Some(file)) if value.prefixed => {
            warnings.push(ignored(&file.variable, &value.variable));
            token_value(reader, &value)
        }
        (Some(value), Some(file)) => {
            warnings.push(ignored(&value.variable, &file.variable));
            token_file(reader, file)
        }
    }
}

/// A token given in place of the path to its file would be shown wherever that is.
fn token_file(reader: &mut Reader<'_>, found: Found<OsString>) -> Result<AccessTokenSource, Noted> {
    let path = found.value.to_string_lossy();
    if looks_secret(&path) && !path.contains('/') {
        reader.problem(format!(
            "{} holds what looks like a token (not shown): give the path of a file, or put the \
             token in GITHUB_API_TOKEN",
            found.variable
        ));
        return Err(Noted);
    }
    Ok(AccessTokenSource::File(PathBuf::from(found.value)))
}

fn ignored(variable: &str, by: &str) -> String {
    format!("{variable} is not used, because {by} is set too: unset one of them")
}

fn token_value(reader: &mut Reader<'_>, found: &Found<String>) -> Result<AccessTokenSource, Noted> {
    match AccessToken::parse(&found.value) {
        Ok(_) => Ok(AccessTokenSource::Value(found.value.clone())),
        Err(flaw) => {
            reader.problem(format!("{}: {flaw}", found.variable));
            Err(Noted)
        }
    }
}

fn api_url(reader: &mut Reader<'_>) -> Option<ApiUrl> {
    let allow_insecure = reader.boolean("ALLOW_INSECURE_HTTP", false);
    let found = reader.text("GITHUB_API_URL").ok()?;
    let found = found.unwrap_or_else(|| Found {
        variable: "GITHUB_API_URL".to_owned(),
        value: GITHUB_API_URL.to_owned(),
        prefixed: false,
    });
    let found = not_a_token(reader, found).ok()?;
    match check_api_url(&found.value, allow_insecure) {
        Ok(api) => Some(api),
        Err(error) => {
            refuse(reader, &found, &error);
            None
        }
    }
}

/// `LEADER_NAME`, or what the cluster calls this pod, or the host's name.
fn identity(
    reader: &mut Reader<'_>,
    host_name: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<String, Noted> {
    let mut part = |name: &str| match reader.text(name)? {
        Some(found) => not_a_token(reader, found).map(Some),
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
        warnings.push(
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

/// Name and times, and the confirm delay; what is wrong with them, one by one and together, is
/// noted.
fn election(
    reader: &mut Reader<'_>,
    identity: Result<String, Noted>,
) -> (LeaderElectionConfig, Duration) {
    // A name that could not be read is complained about already.
    let mut config = LeaderElectionConfig::new(identity.unwrap_or_else(|Noted| "?".to_owned()));
    let before = reader.problem_count();
    config.lease_duration = reader.duration("LEASE_DURATION", config.lease_duration);
    config.renew_deadline = reader.duration("RENEW_DEADLINE", config.renew_deadline);
    config.retry_period = reader.duration("RETRY_PERIOD", config.retry_period);
    config.poll_period = reader.duration("POLL_PERIOD", config.poll_period);
    let confirm_delay = reader.duration("CONFIRM_DELAY", CONFIRM_DELAY);
    let stagger = LONGEST_STAGGER.min(config.poll_period / STAGGER_OF_POLL);
    config.takeover_stagger = reader.duration("TAKEOVER_STAGGER", stagger);
    config.termination_grace = reader.duration("TERMINATION_GRACE", config.termination_grace);
    config.stop_timeout = reader.duration("STOP_TIMEOUT", config.stop_timeout);
    let times_are_known = reader.problem_count() == before;
    config.release_on_cancel = reader.boolean("RELEASE_ON_CANCEL", config.release_on_cancel);
    config.exit_on_lost_lease = reader.boolean("EXIT_ON_LOST_LEASE", config.exit_on_lost_lease);
    for error in config
        .validate(Some(confirm_delay))
        .err()
        .unwrap_or_default()
    {
        // A relation to a time that could not be read would be a relation to its default.
        if times_are_known || !is_relation(&error) {
            reader.problem(error.to_string());
        }
    }
    (config, confirm_delay)
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

fn warn_of_exposure(api: &ApiUrl, warnings: &mut Vec<String>) {
    if !api.is_https() && !is_loopback(api.host()) {
        warnings.push(format!(
            "the token is sent to {} unencrypted, as ALLOW_INSECURE_HTTP permits: use https://",
            api.host()
        ));
    }
}

/// GitHub's limits count per user, over all its programs: what one leader may use at the most.
fn warn_of_limits(
    api: &ApiUrl,
    election: &LeaderElectionConfig,
    confirm_delay: Duration,
    warnings: &mut Vec<String>,
) {
    if !api.is_github_com() {
        return;
    }
    let renewals = an_hour(election.retry_period);
    if renewals > WRITES_AN_HOUR {
        warnings.push(format!(
            "RETRY_PERIOD is {:?}: that makes {renewals:.0} writes an hour, and GitHub takes \
             {WRITES_AN_HOUR} from one user; give 8s or more, with RENEW_DEADLINE and \
             LEASE_DURATION to match",
            election.retry_period
        ));
    }
    if election.poll_period < SHORTEST_POLITE_POLL {
        warnings.push(format!(
            "POLL_PERIOD is {:?}: each candidate makes {:.0} requests a minute, and GitHub takes 900 \
             from one user; give 1s or more",
            election.poll_period,
            an_hour(election.poll_period) / 60.0
        ));
    }
    if confirm_delay < CONFIRM_DELAY {
        warnings.push(format!(
            "CONFIRM_DELAY is {confirm_delay:?}: there may be two leaders whenever GitHub takes longer than this \
             to put a write into effect; give 2s or more"
        ));
    }
}

fn an_hour(period: Duration) -> f64 {
    3600.0 / period.as_secs_f64()
}
