//! `elector run`: runs for election as the environment says, until it is told to stop.

mod options;
mod signals;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::options::RunOptions;
use super::command::{Arguments, Command, CommandError, CommandResult, FAILED, Operands};
use super::settings::Settings;
use crate::election::action::Finish;
use crate::election::config::LeaderElectionConfig;
use crate::net::{AccessTokenReader, AccessTokenSource, ProxySettings, WebClient};
use crate::observe::CandidateInfo;
use crate::observe::routes::StatusSource;
use crate::runtime::election::LeaderElection;
use crate::runtime::endpoints::{self, LiveSource};
use crate::runtime::logging::{self, LogGuard};
use crate::runtime::restart::{Restart, RestartConfig};
use crate::runtime::service_manager::Notifications;
use crate::runtime::sidecar::{Sidecar, WebhookTarget};
use crate::runtime::workload::{Outcome, Workload};
use crate::runtime::{self, LeaderCallbacks, Term};
use crate::system::random::random_seed;
use crate::workload::exec;
use crate::workload::self_test::check_guard;

/// The command.
pub const COMMAND: Command = Command {
    name: "run",
    summary: "run for election; the default without a command",
    details: "\
Runs for election until SIGTERM or SIGINT. All settings are environment variables,
see `elector help settings`. With a PROGRAM, it runs that program while this candidate leads,
and only then.",
    options: options::OPTIONS,
    operands: Operands::Program,
    notes: "\
Exit codes: 0 stopped on request, 1 failed while running, 2 wrong usage or settings,
75 or CODE did not lead (--try, --unless-led-within); otherwise the program's own
(126 it cannot be executed, 127 it was not found, 128+n it was killed by signal n).",
    run,
};

/// Exit code if this candidate must not lead, or did not in time (`EX_TEMPFAIL`).
const DID_NOT_LEAD: u8 = 75;

/// Longest wait at the end for the last log lines to be read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

fn run(args: &Arguments) -> CommandResult {
    let options = RunOptions::read(args)?;
    let settings = Settings::from_environment(args.program().is_some())?;
    if let Some(program) = options.program.first() {
        let found = exec::check_executable(program);
        found.map_err(|(code, why)| CommandError::Failed { code, why })?;
        check_guard().map_err(CommandError::failed)?;
    }
    // Before the first thread.
    runtime::signals::block().map_err(CommandError::failed)?;
    let log = logging::init(&settings.log_filter, settings.log_format);
    let log = log.map_err(CommandError::failed)?;
    let mut result = run_election(options, &settings, &log);
    if let Err(CommandError::Failed { code: FAILED, why }) = result {
        log::error!(event = "failed"; "{why}");
        result = Ok(ExitCode::FAILURE);
    }
    // If nobody reads standard error, the last lines are lost rather than the end delayed.
    let _ = log.flush(FLUSH_TIMEOUT);
    result
}

fn run_election(options: RunOptions, settings: &Settings, log: &LogGuard) -> CommandResult {
    let mut config = settings.election.clone();
    config.give_up_after = options.try_for;
    config.unless_led_within = options.unless_led_within;
    config.seed = random_seed().map_err(CommandError::failed)?;
    let identity = config.identity.clone();
    let backend = settings.lock.backend();
    let opened = backend.open(&config)?;
    let restart = settings.state_dir.clone().map(|directory| {
        let restart = RestartConfig {
            directory,
            process: opened.process,
            has_workload: !options.program.is_empty(),
            followed: settings.leader_file.is_some(),
        };
        Restart::new(restart, &opened.lock.describe(), &config)
    });
    log.identify(&identity, &opened.lock.describe());
    let else_exit = options.else_exit.unwrap_or(DID_NOT_LEAD);
    let webhook = webhook(settings, opened.lock.describe()).map_err(CommandError::settings)?;
    let sidecar = Sidecar::start(&identity, settings.leader_file.as_deref(), webhook);
    let sidecar = sidecar.map_err(CommandError::settings)?;
    log::info!(
        event = "running", identity = identity, lock = opened.lock.describe(),
        version = env!("CARGO_PKG_VERSION");
        "running for election"
    );
    for warning in settings.warnings() {
        log::warn!(event = "settings_warning"; "{warning}");
    }
    warn_of_short_try(&config, backend.confirm_delay().unwrap_or_default());
    let health = settings.workload_health_url.clone();
    if health.is_some() && options.program.is_empty() {
        log::warn!(
            event = "settings_warning";
            "WORKLOAD_HEALTH_URL: no program to check; use `elector run -- PROGRAM`"
        );
    }
    let workload = match options.program.is_empty() {
        true => None,
        false => {
            let secrets = backend.secret_variables();
            let restart = restart.clone();
            let workload = Workload::new(options.program, secrets, health, restart, &config);
            Some(workload.map_err(CommandError::failed)?)
        }
    };
    let callbacks = WorkloadCallbacks(workload.clone());
    let lock = match &restart {
        Some(restart) => restart.over(opened.lock),
        None => opened.lock,
    };
    let election = LeaderElection::new(config.clone(), lock, callbacks);
    let mut election = election.map_err(CommandError::failed)?;
    let handle = election.handle();
    let candidate = CandidateInfo {
        lease_name: backend.lease_name(),
        name: settings.name.clone(),
        lock_page: backend.web_page(),
        lock: handle.describe().to_owned(),
        config,
        confirm_delay: backend.confirm_delay(),
        ready_when: settings.ready_when,
        workload: workload.as_ref().map(Workload::counts),
    };
    if let Some(restart) = &restart {
        restart.set_election(handle.clone());
    }
    let source = LiveSource::new(handle.clone(), opened.stats, candidate, restart);
    let source: Arc<dyn StatusSource> = Arc::new(source);
    let addr = settings.http_addr.as_ref();
    let serve = |addr| endpoints::serve(addr, Arc::clone(&source));
    let _endpoints = addr.map(serve).transpose().map_err(CommandError::failed)?;
    let _notifications = Notifications::start(source).map_err(CommandError::failed)?;
    sidecar.follow(&mut election);
    if let Some(workload) = &workload {
        workload.set_election(handle.clone());
    }
    let killed = Arc::new(AtomicBool::new(false));
    let handled = signals::handle_all(log, &handle, workload.as_ref(), &sidecar, &killed);
    handled.map_err(CommandError::failed)?;
    let finish = election.run();
    sidecar.finish();
    let finish = finish.map_err(CommandError::failed)?;
    if killed.load(Ordering::Relaxed) {
        return Ok(ExitCode::from(signals::KILLED));
    }
    let outcome = workload.and_then(|workload| workload.outcome());
    Ok(exit_code(finish, outcome, else_exit))
}

/// Returns the receiver of the webhook, if there is one.
fn webhook(settings: &Settings, lock: String) -> Result<Option<WebhookTarget>, String> {
    let Some(url) = settings.webhook_url.clone() else {
        return Ok(None);
    };
    let proxy = ProxySettings::from_environment();
    let client = WebClient::new(&url, settings.ca_file.as_deref(), &proxy);
    let mut client = client.map_err(|error| format!("WEBHOOK_URL: {error}"))?;
    if let Some(file) = &settings.webhook_token_file {
        let source = AccessTokenSource::File(file.clone());
        client = client.with_access_token(AccessTokenReader::open(&source, "WEBHOOK_TOKEN")?);
    }
    Ok(Some(WebhookTarget {
        url,
        client,
        name: settings.name.clone(),
        lock,
    }))
}

/// Warns if `--try` is shorter than a takeover from a leader that crashed.
fn warn_of_short_try(config: &LeaderElectionConfig, confirm_delay: Duration) {
    let needed =
        config.lease_duration + config.takeover_stagger + config.poll_period + confirm_delay;
    if let Some(try_for) = config.give_up_after.filter(|try_for| *try_for < needed) {
        log::warn!(
            event = "settings_warning";
            "--try: {try_for:?} is too short to outlast the lease of a leader that crashed; give \
             {needed:?} or more"
        );
    }
}

/// Runs the workload, if there is one, during each term.
struct WorkloadCallbacks(Option<Workload>);

impl LeaderCallbacks for WorkloadCallbacks {
    fn on_started_leading(&self, term: &Term) {
        if let Some(workload) = &self.0 {
            workload.run(term);
        }
        term.wait_until_over();
    }
}

/// Returns the exit code of a workload that ended without being told to, or else the election's.
/// `else_exit` is the code if another candidate leads or led.
fn exit_code(finish: Finish, workload: Option<Outcome>, else_exit: u8) -> ExitCode {
    let code = finish_code(finish, else_exit);
    match workload {
        _ if finish == Finish::WorkloadStuck => code,
        // Always fits: it is the code of a process.
        Some(Outcome::Exited(code)) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Some(Outcome::Unhealthy | Outcome::Failed) => ExitCode::FAILURE,
        None => code,
    }
}

/// Logs why the election ended, unless it was stopped, and returns the exit code.
fn finish_code(finish: Finish, else_exit: u8) -> ExitCode {
    match finish {
        Finish::Stopped => ExitCode::SUCCESS,
        Finish::NotReleased => {
            log::warn!(
                event = "release_failed";
                "could not release lease, other candidates wait until it expires"
            );
            ExitCode::SUCCESS
        }
        Finish::DidNotLead => {
            log::warn!(event = "did_not_lead"; "did not lead within the time of --try");
            ExitCode::from(DID_NOT_LEAD)
        }
        // The election has logged the name of the recent leader.
        Finish::LedRecently => ExitCode::from(else_exit),
        Finish::LostLease => {
            log::warn!(
                event = "exiting";
                "exiting after losing the lease, because of EXIT_ON_LOST_LEASE or --unless-led-within"
            );
            ExitCode::FAILURE
        }
        Finish::WorkloadStuck => {
            log::error!(
                event = "workload_stuck";
                "workload did not stop in time, not releasing the lease"
            );
            ExitCode::FAILURE
        }
    }
}
