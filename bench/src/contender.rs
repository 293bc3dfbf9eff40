//! Contenders: the programs, the settings that they share, and the commands that start them.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Settings of all contenders, the elector's defaults.
pub const LEASE_DURATION: Duration = Duration::from_secs(30);
pub const RENEW_DEADLINE: Duration = Duration::from_secs(16);
pub const RETRY_PERIOD: Duration = Duration::from_secs(8);
/// Settings of the elector alone, its defaults too.
pub const POLL_PERIOD: Duration = Duration::from_secs(2);
pub const CONFIRM_DELAY: Duration = Duration::from_secs(2);

/// Paths of the programs that are measured.
#[derive(Clone, Debug)]
pub struct Programs {
    pub elector: PathBuf,
    /// The elector linked with the system's libraries.
    pub shared_elector: PathBuf,
    /// The client-go program; `None` if Go is missing.
    pub client_go: Option<PathBuf>,
    /// This program, which is the elector's workload.
    pub bench: PathBuf,
    /// Directory for the standard errors of the processes.
    pub logs: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    Elector,
    /// client-go with a lock that compares the record before it writes.
    ClientGo,
    /// client-go with a lock that overwrites any record.
    ClientGoBlind,
}

impl Contender {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Contender::Elector => "elector",
            Contender::ClientGo => "client-go",
            Contender::ClientGoBlind => "client-go, blind writes",
        }
    }

    /// Returns a short name for files and candidates.
    fn short(self) -> &'static str {
        match self {
            Contender::Elector => "elector",
            Contender::ClientGo => "client-go",
            Contender::ClientGoBlind => "client-go-blind",
        }
    }

    fn command(self, programs: &Programs) -> Result<Command, String> {
        if self == Contender::Elector {
            let mut command = Command::new(&programs.elector);
            command.arg("run").arg("--").arg(&programs.bench);
            command.arg("workload");
            return Ok(command);
        }
        let client_go = programs.client_go.as_ref();
        Ok(Command::new(client_go.ok_or("there is no client-go here")?))
    }
}

/// A candidate's service, gist and identity.
#[derive(Clone, Debug)]
pub struct Placement<'a> {
    pub url: &'a str,
    pub gist: &'a str,
    pub name: &'a str,
    pub beats: bool,
}

/// Returns the command that starts one candidate. It inherits no environment.
///
/// # Errors
/// Returns an error if the program is missing or its log cannot be written.
pub fn candidate(
    contender: Contender,
    programs: &Programs,
    placement: &Placement<'_>,
) -> Result<Command, String> {
    let mut command = contender.command(programs)?;
    let log = programs.logs.join(format!(
        "{}-{}-{}.log",
        contender.short(),
        &placement.gist[..8.min(placement.gist.len())],
        placement.name
    ));
    let log = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let lock = match contender {
        Contender::ClientGoBlind => "blind",
        Contender::Elector | Contender::ClientGo => "compare",
    };
    command
        .env_clear()
        .env("GITHUB_API_URL", placement.url)
        .env("GIST_ID", placement.gist)
        // The token is no secret because the service takes any. Each election has its own, and so
        // its own rate limit.
        .env("GITHUB_API_TOKEN", format!("ghp_{}", placement.gist))
        .env("LEADER_NAME", placement.name)
        .env("LEASE_DURATION", seconds(LEASE_DURATION))
        .env("RENEW_DEADLINE", seconds(RENEW_DEADLINE))
        .env("RETRY_PERIOD", seconds(RETRY_PERIOD))
        .env("POLL_PERIOD", seconds(POLL_PERIOD))
        .env("CONFIRM_DELAY", seconds(CONFIRM_DELAY))
        .env("GIST_LOCK", lock)
        .env("BEATS", placement.beats.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    Ok(command)
}

/// Returns the settings as environment variables.
#[must_use]
pub fn settings() -> Vec<(String, String)> {
    let all = [
        ("LEASE_DURATION", LEASE_DURATION),
        ("RENEW_DEADLINE", RENEW_DEADLINE),
        ("RETRY_PERIOD", RETRY_PERIOD),
        ("POLL_PERIOD", POLL_PERIOD),
        ("CONFIRM_DELAY", CONFIRM_DELAY),
    ];
    let all = all
        .iter()
        .map(|(name, time)| ((*name).to_owned(), seconds(*time)));
    all.collect()
}

/// Formats a duration as Go does.
fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs())
}

/// Returns the versions of the elector and of client-go.
#[must_use]
pub fn versions(programs: &Programs) -> Vec<(String, String)> {
    let mut versions = vec![("elector".to_owned(), elector_version(&programs.elector))];
    if let Some(client_go) = &programs.client_go {
        versions.push(("client-go".to_owned(), client_go_version(client_go)));
    }
    versions
}

fn elector_version(elector: &Path) -> String {
    let printed = output(Command::new(elector).arg("--version")).unwrap_or_default();
    // A dynamic program names its loader.
    let bytes = std::fs::read(elector).unwrap_or_default();
    let way = match bytes
        .windows(9)
        .any(|part| part == b"/ld-linux" || part == b"/ld-musl-")
    {
        true => "dynamically linked",
        false => "static",
    };
    format!("{} ({way})", printed.trim())
}

/// Reads the client-go version that Go embeds in a program.
fn client_go_version(client_go: &Path) -> String {
    let mut command = Command::new(go());
    let printed = output(command.args(["version", "-m"]).arg(client_go)).unwrap_or_default();
    let words = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        words
    };
    let module = printed.lines().map(words).find(|words| {
        words.first().is_some_and(|word| word == "dep")
            && words.get(1).is_some_and(|word| word == "k8s.io/client-go")
    });
    let module = module.and_then(|words| words.get(2).cloned());
    let compiler = printed
        .lines()
        .next()
        .map(words)
        .and_then(|words| words.last().cloned());
    match (module, compiler) {
        (Some(module), Some(compiler)) => format!("k8s.io/client-go {module}, {compiler}"),
        _ => "unknown: no Go to ask".to_owned(),
    }
}

fn go() -> OsString {
    let usual = Path::new("/usr/local/go/bin/go");
    match usual.exists() {
        true => usual.into(),
        false => "go".into(),
    }
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
