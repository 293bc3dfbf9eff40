//! `elector run`: stands for election as the environment says, until it is told to stop.

mod options;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;

use self::options::RunOptions;
use super::help;
use super::settings::Settings;
use super::usage::{self, USAGE};
use crate::election::action::Finish;
use crate::election::lock::ResourceLock;
use crate::election::time::Instant;
use crate::lock::gist::client::ClientError;
use crate::runtime::election::LeaderElection;
use crate::runtime::gist::{OpenError, random_seed};
use crate::runtime::logging::{self, LogGuard};
use crate::runtime::observer::{self, Sources};
use crate::runtime::signals::{self, STOP_SIGNALS, SignalWatch};
use crate::runtime::{LeaderCallbacks, Term};
use crate::system::clock::BootClock;

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

/// The exit code when a second signal asks for it.
const AT_ONCE: i32 = 1;

/// `timeout` and some supervisors send a signal to the process and to its group: what comes so soon
/// after the first is the same wish, said twice.
const DOUBLED: Duration = Duration::from_millis(50);

/// How long an end at once waits for its last line to be read.
const LAST_WORDS: Duration = Duration::from_millis(50);

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
    let log = match logging::init(&settings.log_filter) {
        Ok(log) => log,
        Err(error) => return complain(&error, ExitCode::FAILURE),
    };
    let code = match stand(&options, &settings, &log) {
        Ok(finish) => exit_code(finish),
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
    Settings(ClientError),
    /// Everything else.
    Running(String),
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Settings(error) => Trouble::Settings(error),
            other => Trouble::Running(other.to_string()),
        }
    }
}

fn stand(options: &RunOptions, settings: &Settings, log: &LogGuard) -> Result<Finish, Trouble> {
    let running = |error: &dyn fmt::Display| Trouble::Running(error.to_string());
    let mut config = settings.election.clone();
    config.give_up_after = options.try_for;
    config.unless_led_within = options.unless_led_within;
    config.seed = random_seed().map_err(|error| running(&error))?;
    let identity = config.identity.clone();
    let lock = settings.gist.open(&config)?;
    let requests = lock.stats();
    log::info!(
        "elector {} stands for election as {identity}, by {}",
        env!("CARGO_PKG_VERSION"),
        lock.describe(),
    );
    for warning in settings.warnings() {
        log::warn!("{warning}");
    }
    let election = LeaderElection::new(config.clone(), lock, Hails { identity });
    let election = election.map_err(|error| running(&error))?;
    let sources = Sources {
        handle: election.handle(),
        config,
        gist: &settings.gist,
        requests,
        ready_when: settings.outside.ready_when,
        workload: None,
    };
    let endpoints = observer::serve(settings.outside.http_addr.as_ref(), sources);
    let _endpoints = endpoints.map_err(|error| running(&error))?;
    let stop = election.handle();
    let _watch =
        stop_on_signals(log.clone(), move || stop.stop()).map_err(|error| running(&error))?;
    election.run().map_err(|error| running(&error))
}

/// The first signal stops the election, a second one ends the process at once.
fn stop_on_signals(log: LogGuard, stop: impl Fn() + Send + 'static) -> io::Result<SignalWatch> {
    let mut first: Option<Instant> = None;
    signals::watch(STOP_SIGNALS, move |signal: Signal| {
        let now = BootClock::now();
        let Some(first) = first else {
            first = Some(now);
            log::info!("{signal}: stopping; a second one ends this at once");
            return stop();
        };
        if now.since(first) >= DOUBLED {
            log::warn!("{signal} again: ending at once, the lease may not be given back");
            let _ = log.flush(LAST_WORDS);
            signal_hook::low_level::exit(AT_ONCE);
        }
    })
}

/// Says who leads, in the spirit of the house.
struct Hails {
    identity: String,
}

impl LeaderCallbacks for Hails {
    fn on_started_leading(&self, term: &Term) {
        log::info!(
            "I am {}! I will lead you to greatness! (token {})",
            self.identity,
            term.token()
        );
        term.wait_until_over();
        // On this thread, so that the two lines stand in order.
        log::info!("{} does not lead any more", self.identity);
    }

    fn on_new_leader(&self, identity: &str) {
        if identity.is_empty() {
            log::info!("nobody leads");
        } else if identity != self.identity {
            log::info!("All hail {identity}");
        }
    }
}

fn exit_code(finish: Finish) -> ExitCode {
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
            log::warn!("the lease was lost, and EXIT_ON_LOST_LEASE is set");
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
