//! Who is measured: the programs, the settings that they all get, and the processes they are run as.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The settings of all contenders: the elector's defaults.
pub const LEASE_DURATION: Duration = Duration::from_secs(30);
pub const RENEW_DEADLINE: Duration = Duration::from_secs(16);
pub const RETRY_PERIOD: Duration = Duration::from_secs(8);
/// The elector's alone, its defaults too.
pub const POLL_PERIOD: Duration = Duration::from_secs(2);
pub const CONFIRM_DELAY: Duration = Duration::from_secs(2);

/// The programs that there are.
#[derive(Clone, Debug)]
pub struct Programs {
    pub elector: PathBuf,
    /// The same, but with the system's libraries.
    pub shared_elector: PathBuf,
    /// `None` where there is no Go to build it with.
    pub client_go: Option<PathBuf>,
    /// This program: it is the elector's workload.
    pub bench: PathBuf,
    /// Where the processes' standard errors go.
    pub logs: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    Elector,
    /// With a lock that looks whether the record is as it was before it writes.
    ClientGo,
    /// With a lock that writes over whatever is there.
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

    /// For names of files and candidates.
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

/// Where a candidate stands, and as whom.
#[derive(Clone, Debug)]
pub struct Standing<'a> {
    pub url: &'a str,
    pub gist: &'a str,
    pub name: &'a str,
    pub beats: bool,
}

/// The command that starts one candidate. It inherits nothing of the environment.
///
/// # Errors
/// If the program is not there or its log cannot be written.
pub fn candidate(
    contender: Contender,
    programs: &Programs,
    standing: &Standing<'_>,
) -> Result<Command, String> {
    let mut command = contender.command(programs)?;
    let log = programs.logs.join(format!(
        "{}-{}-{}.log",
        contender.short(),
        &standing.gist[..8.min(standing.gist.len())],
        standing.name
    ));
    let log = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let lock = match contender {
        Contender::ClientGoBlind => "blind",
        Contender::Elector | Contender::ClientGo => "compare",
    };
    command
        .env_clear()
        .env("GITHUB_API_URL", standing.url)
        .env("GIST_ID", standing.gist)
        // No secret: the service takes any. One for each election, whose user has GitHub's limits alone.
        .env("GITHUB_API_TOKEN", format!("ghp_{}", standing.gist))
        .env("LEADER_NAME", standing.name)
        .env("LEASE_DURATION", seconds(LEASE_DURATION))
        .env("RENEW_DEADLINE", seconds(RENEW_DEADLINE))
        .env("RETRY_PERIOD", seconds(RETRY_PERIOD))
        .env("POLL_PERIOD", seconds(POLL_PERIOD))
        .env("CONFIRM_DELAY", seconds(CONFIRM_DELAY))
        .env("GIST_LOCK", lock)
        .env("BEATS", standing.beats.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    Ok(command)
}

/// The settings as they are told.
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

/// As Go writes durations.
fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs())
}

/// What `elector --version` says, and which client-go the other program is built on.
#[must_use]
pub fn versions(programs: &Programs) -> Vec<(String, String)> {
    let mut versions = vec![("elector".to_owned(), elector_version(&programs.elector))];
    if let Some(client_go) = &programs.client_go {
        versions.push(("client-go".to_owned(), client_go_version(client_go)));
    }
    versions
}

fn elector_version(elector: &Path) -> String {
    let said = output(Command::new(elector).arg("--version")).unwrap_or_default();
    // What asks for a loader names it.
    let bytes = std::fs::read(elector).unwrap_or_default();
    let way = match bytes
        .windows(9)
        .any(|part| part == b"/ld-linux" || part == b"/ld-musl-")
    {
        true => "dynamically linked",
        false => "static",
    };
    format!("{} ({way})", said.trim())
}

/// Go writes into a program what it was built from.
fn client_go_version(client_go: &Path) -> String {
    let mut command = Command::new(go());
    let said = output(command.args(["version", "-m"]).arg(client_go)).unwrap_or_default();
    let words = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        words
    };
    let module = said.lines().map(words).find(|words| {
        words.first().is_some_and(|word| word == "dep")
            && words.get(1).is_some_and(|word| word == "k8s.io/client-go")
    });
    let module = module.and_then(|words| words.get(2).cloned());
    let go = said
        .lines()
        .next()
        .map(words)
        .and_then(|words| words.last().cloned());
    match (module, go) {
        (Some(module), Some(go)) => format!("k8s.io/client-go {module}, {go}"),
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
