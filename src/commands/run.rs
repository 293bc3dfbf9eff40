//! `elector run`: stands for election as the environment says, until it is told to stop.

mod options;
mod sayings;
mod signals;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::options::RunOptions;
use super::help;
use super::settings::Settings;
use super::usage::{self, USAGE};
use crate::election::action::Finish;
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::ResourceLock;
use crate::net::ProxySettings;
use crate::runtime::election::{LeaderElection, Transition};
use crate::runtime::gist::{OpenError, random_seed};
use crate::runtime::logging::{self, LogGuard};
use crate::runtime::observer::{self, Sources};
use crate::runtime::sidecar::{Sidecar, SidecarError, SidecarOptions};
use crate::runtime::workload::{Outcome, Workload};
use crate::runtime::{LeaderCallbacks, Term};
use crate::workload::exec;

/// What is to be known of it, for the help.
pub(super) const DETAILS: &str = "\
Stands for election until SIGTERM or SIGINT. Everything is set by environment
variables, see `elector help`. With a CMD, that program runs while this candidate
leads, and only then.

Options:
  --try D                 give up if this candidate does not lead within D
  --unless-led-within D   give up if anybody has led within D: for cron in
                          several clusters

Exit codes: 0 stopped when asked to, 1 failed while running, 2 wrong usage or
settings, 75 did not lead (--try, --unless-led-within); else the program's own
(126 it cannot be executed, 127 it was not found, 128+n killed by signal n).";

/// The exit code when this candidate was not to lead, or could not in time (`EX_TEMPFAIL`).
const DID_NOT_LEAD: u8 = 75;

/// How long the end waits for the last lines to be read by whoever reads standard error.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Stands for election until it is told to stop; `args` is what follows the subcommand's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match options::parse(args) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", help::text(Some(help::RUN)));
            return ExitCode::SUCCESS;
        }
        Err(error) => return usage::refuse("run", &error),
    };
    let settings = match Settings::from_environment(!options.command.is_empty()) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, ExitCode::from(USAGE)),
    };
    if let Some(program) = options.command.first()
        && let Err((code, why)) = exec::check(program)
    {
        return complain(&why, ExitCode::from(code));
    }
    let log = match logging::init(&settings.log_filter, settings.log_format) {
        Ok(log) => log,
        Err(error) => return complain(&error, ExitCode::FAILURE),
    };
    let code = match stand(options, &settings, &log) {
        Ok(code) => code,
        Err(Trouble::Settings(error)) => {
            flush(&log);
            return complain(&error, ExitCode::from(USAGE));
        }
        Err(Trouble::Running(why)) => {
            log::error!("{why}");
            ExitCode::FAILURE
        }
    };
    flush(&log);
    code
}

/// Why there was no election.
enum Trouble {
    /// A setting, or a file that it names, is of no use.
    Settings(String),
    /// Everything else.
    Running(String),
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Settings(error) => Trouble::Settings(error.to_string()),
            other => Trouble::Running(other.to_string()),
        }
    }
}

impl From<SidecarError> for Trouble {
    fn from(error: SidecarError) -> Self {
        match error {
            SidecarError::System(_) => Trouble::Running(error.to_string()),
            other => Trouble::Settings(other.to_string()),
        }
    }
}

/// Stands for election, and returns the exit code.
fn stand(options: RunOptions, settings: &Settings, log: &LogGuard) -> Result<ExitCode, Trouble> {
    let running = |error: &dyn fmt::Display| Trouble::Running(error.to_string());
    let mut config = settings.election.clone();
    config.give_up_after = options.try_for;
    config.unless_led_within = options.unless_led_within;
    config.seed = random_seed().map_err(|error| running(&error))?;
    let identity = config.identity.clone();
    let lock = settings.gist.open(&config)?;
    let requests = lock.stats();
    log.identify(&identity, &lock.describe());
    let sidecar = Sidecar::start(sidecar_options(settings))?;
    log::info!(
        "elector {} stands for election as {identity}, by {}",
        env!("CARGO_PKG_VERSION"),
        lock.describe(),
    );
    for warning in settings.warnings() {
        log::warn!("{warning}");
    }
    warn_of_short_try(&config, settings.gist.confirm_delay);
    let health = settings.outside.workload_health_url.clone();
    if health.is_some() && options.command.is_empty() {
        log::warn!("WORKLOAD_HEALTH_URL is not asked: it takes a program, `elector run -- CMD`");
    }
    let workload = match options.command.is_empty() {
        true => None,
        false => Some(Workload::new(options.command, health, &config).map_err(|e| running(&e))?),
    };
    let hails = Hails {
        identity: identity.clone(),
        workload: workload.clone(),
    };
    let election = LeaderElection::new(config.clone(), lock, hails);
    let mut election = election.map_err(|error| running(&error))?;
    let sources = Sources {
        handle: election.handle(),
        config,
        gist: &settings.gist,
        requests,
        ready_when: settings.outside.ready_when,
        workload: workload.as_ref().map(Workload::counts),
    };
    let endpoints = observer::serve(settings.outside.http_addr.as_ref(), sources);
    let _endpoints = endpoints.map_err(|error| running(&error))?;
    let told = move |transition: &Transition| sayings::hail(&identity, transition);
    let following = sidecar.follow(&mut election, told);
    let following = following.map_err(|error| running(&error))?;
    if let Some(workload) = &workload {
        workload.belongs_to(election.handle());
    }
    let at_once = Arc::new(AtomicBool::new(false));
    let handle = election.handle();
    let watches = signals::watch_all(log, &handle, workload.as_ref(), sidecar, &at_once);
    let _watches = watches.map_err(|error| running(&error))?;
    let finish = election.run();
    following.finish();
    let finish = finish.map_err(|error| running(&error))?;
    if at_once.load(Ordering::Relaxed) {
        return Ok(ExitCode::from(signals::AT_ONCE));
    }
    let outcome = workload.and_then(|workload| workload.outcome());
    Ok(exit_code(finish, outcome))
}

fn sidecar_options(settings: &Settings) -> SidecarOptions {
    SidecarOptions {
        identity: settings.election.identity.clone(),
        leader_file: settings.outside.leader_file.clone(),
        webhook_url: settings.outside.webhook_url.clone(),
        ca_file: settings.gist.ca_file.clone(),
        proxy: ProxySettings::read(|name| std::env::var(name).ok()),
    }
}

/// A leader that crashed keeps its lease for a while.
fn warn_of_short_try(config: &LeaderElectionConfig, confirm_delay: Duration) {
    let needed =
        config.lease_duration + config.takeover_stagger + config.poll_period + confirm_delay;
    if let Some(patience) = config.give_up_after.filter(|patience| *patience < needed) {
        log::warn!(
            "--try {patience:?} is too short to outlast the lease of a leader that has crashed: that takes up \
             to {needed:?}"
        );
    }
}

/// Says who leads, in the spirit of the house, and has the workload run meanwhile.
struct Hails {
    identity: String,
    workload: Option<Workload>,
}

impl LeaderCallbacks for Hails {
    fn on_started_leading(&self, term: &Term) {
        sayings::leads(&self.identity, term);
        if let Some(workload) = &self.workload {
            workload.lead(term);
        }
        term.wait_until_over();
        // On this thread, so that the two lines stand in order.
        sayings::led(&self.identity, term);
    }
}

/// A workload that ended by itself decides the exit code; else the election does.
fn exit_code(finish: Finish, workload: Option<Outcome>) -> ExitCode {
    let code = finish_code(finish);
    match workload {
        _ if finish == Finish::WorkloadStuck => code,
        // Codes have eight bits, and this one came from a process.
        Some(Outcome::Exited(code)) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Some(Outcome::Failed) => ExitCode::FAILURE,
        None => code,
    }
}

fn finish_code(finish: Finish) -> ExitCode {
    match finish {
        Finish::Stopped => ExitCode::SUCCESS,
        Finish::NotReleased => {
            log::warn!(
                "the lease could not be given back: others wait until it has run out, if it has not"
            );
            ExitCode::SUCCESS
        }
        Finish::DidNotLead => {
            log::warn!("did not lead within the time that --try gives");
            ExitCode::from(DID_NOT_LEAD)
        }
        Finish::LedRecently => {
            log::info!("another one leads, or did too lately (--unless-led-within)");
            ExitCode::from(DID_NOT_LEAD)
        }
        Finish::LostLease => {
            log::warn!(
                "the lease was lost: ending, as EXIT_ON_LOST_LEASE or --unless-led-within asks for"
            );
            ExitCode::FAILURE
        }
        Finish::WorkloadStuck => {
            log::error!("the workload did not end in time; the lease is not given back");
            ExitCode::FAILURE
        }
    }
}

fn flush(log: &LogGuard) {
    // Lines that nobody reads are lost; the end does not wait for them.
    let _ = log.flush(LAST_LINES);
}

/// Says on standard error why this ends. If even that is impossible, the exit code has to do.
fn complain(error: &dyn fmt::Display, code: ExitCode) -> ExitCode {
    let _ = writeln!(io::stderr(), "elector: {error}");
    code
}
