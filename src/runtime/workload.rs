//! The wrapped program of a candidate: its guard, its signals, and its end.
//!
//! ```text
//!   the term (extended, ended) ─┐
//!   the guard's reports ────────┤  one bounded   leading
//!   reaped processes ───────────┼─▶ queue of  ─▶ thread ──▶ supervisor ──▶ guard
//!   signals ────────────────────┤   events
//!   health check, timer ────────┘
//! ```
//!
//! [`supervisor`](crate::workload::supervisor) decides, and this module performs its actions. The guard
//! enforces the leadership deadline independently, so that no action here is urgent.

mod reports;
mod run;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::callbacks::{Stop, Term};
use super::election::Handle;
use super::health::Prober;
use super::restart::Restart;
use super::{service_manager, signals};
use crate::election::action::StopReason;
use crate::election::config::LeaderElectionConfig;
use crate::net::Url;
use crate::observe::WorkloadCounts;
use crate::system::clock::BootClock;
use crate::system::monitor::Monitor;
use crate::workload::health::HealthConfig;
use crate::workload::message::FromGuard;
use crate::workload::process::reaping::{
    ExitedChild, Remaining, keep_exit_codes, reap_exited_after,
};
use crate::workload::process::{
    GuardProcess, SELF, become_subreaper, become_undumpable, spawn_guard,
};
use crate::workload::state_file::StateFile;
use crate::workload::supervisor::{KILL_TIMEOUT, WorkloadEnd};
use run::Run;

/// Events that may be queued. A sender that finds no room only wanted to wake the thread, or sends a
/// signal.
const QUEUE: usize = 64;

/// Variables that the wrapped program gets.
const IDENTITY: &str = "LEADER_ELECTION_IDENTITY";
const FENCING_TOKEN: &str = "LEADER_ELECTION_FENCING_TOKEN";

/// Prefix of the elector's own settings, which the wrapped program does not get.
const PRIVATE_PREFIX: &str = "ELECTOR_";

/// Reason why the wrapped program ended the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program exited with this code, and nothing had told it to.
    Exited(i32),
    /// The program was stopped because it was unhealthy.
    Unhealthy,
    /// The program could not be guarded. The log says why.
    Failed,
}

#[derive(Clone, Copy)]
enum Event {
    /// The term has changed, a process was reaped, or the timer has fired.
    Wake,
    /// Report of the guard of the run with this number.
    Report(u64, FromGuard),
    /// End of the reports of the run with this number.
    ReportsEnded(u64),
    Signal(Signal),
    /// The health check has failed.
    Unhealthy,
    Kill,
}

/// A wrapped program, which runs while this candidate leads.
#[derive(Clone)]
pub struct Workload {
    shared: Arc<Shared>,
}

struct Shared {
    command: Vec<OsString>,
    private_variables: &'static [&'static str],
    identity: String,
    grace: Duration,
    margin: Duration,
    health_url: Option<Url>,
    restart: Option<Restart>,
    election: OnceLock<Handle>,
    counts: Arc<WorkloadCounts>,
    state: Monitor<State>,
}

struct State {
    /// Queue of the current term.
    events: Option<SyncSender<Event>>,
    /// Process id of the guard, until shortly before it is reaped and the kernel may reuse the id.
    guard: Option<i32>,
    /// Signal for a graceful shutdown.
    stop_signal: Signal,
    /// The program must not be started any more.
    killed: bool,
    outcome: Option<Outcome>,
}

impl Workload {
    /// Creates the workload of a candidate. It starts nothing, but makes this process the parent of all
    /// orphans below it.
    ///
    /// `command` is the program with its arguments. It does not get `private_variables`, those that
    /// begin with `ELECTOR_`, nor those of the service manager. `health_url` is polled while the program runs. Guards hold the lock of the state
    /// file of `restart`.
    ///
    /// # Errors
    /// Returns an error if the system refuses to adopt orphans, or to protect the memory of this process.
    pub fn new(
        command: Vec<OsString>,
        private_variables: &'static [&'static str],
        health_url: Option<Url>,
        restart: Option<Restart>,
        config: &LeaderElectionConfig,
    ) -> io::Result<Self> {
        become_subreaper()?;
        become_undumpable()?;
        Ok(Workload {
            shared: Arc::new(Shared {
                command,
                private_variables,
                identity: config.identity.clone(),
                grace: config.termination_grace,
                margin: config.margin(),
                health_url,
                restart,
                election: OnceLock::new(),
                counts: Arc::default(),
                state: Monitor::new(State {
                    events: None,
                    guard: None,
                    stop_signal: Signal::SIGTERM,
                    killed: false,
                    outcome: None,
                }),
            }),
        })
    }

    /// Sets the election that is stopped when the program exits or fails.
    pub fn set_election(&self, election: Handle) {
        // A second call has no effect.
        let _ = self.shared.election.set(election);
    }

    /// Returns the counters of starts and exits.
    #[must_use]
    pub fn counts(&self) -> Arc<WorkloadCounts> {
        Arc::clone(&self.shared.counts)
    }

    /// Returns why the program ended the election, or `None` if it did not.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.shared.state().outcome
    }

    /// Notes that a child of this process has exited. Call this before it is reaped, because its id then may
    /// belong to another process.
    fn handle_exited(&self, pid: i32) {
        // The lock also waits until the id of a guard that is being started is known.
        self.shared.state().guard.take_if(|guard| *guard == pid);
        self.shared.send(Event::Wake);
    }

    /// Passes a signal on to the program, if it runs.
    pub fn signal(&self, signal: Signal) {
        self.shared.send(Event::Signal(signal));
    }

    /// Sets the signal for a graceful shutdown. The default is SIGTERM.
    pub fn set_stop_signal(&self, signal: Signal) {
        self.shared.state().stop_signal = signal;
    }

    /// Kills the workload, and waits for at most [`KILL_TIMEOUT`] until it has stopped. After that the guard
    /// completes the kill.
    pub fn kill(&self) {
        self.shared.state.change(|state| {
            state.killed = true;
            if let Some(events) = &state.events {
                let _ = events.try_send(Event::Kill);
            }
        });
        let runs = |state: &mut State| state.events.is_some();
        drop(self.shared.state.wait_while_for(KILL_TIMEOUT, runs));
    }

    /// Runs the program for the length of a term. Returns once the workload has stopped.
    pub fn run(&self, term: &Term) {
        let (sender, events) = sync_channel(QUEUE);
        {
            let mut state = self.shared.state();
            if state.killed {
                return;
            }
            state.events = Some(sender.clone());
        }
        let term_changes = sender.clone();
        term.on_change(move || {
            let _ = term_changes.try_send(Event::Wake);
        });
        let outcome = self.shared.run(term, &sender, &events);
        self.shared.state.change(|state| {
            state.events = None;
            state.outcome = state.outcome.or(outcome);
        });
        if let Some(election) = self.shared.election.get() {
            match outcome {
                Some(Outcome::Unhealthy) => election.stop_because(StopReason::Unhealthy),
                Some(_) => election.stop_because(StopReason::WorkloadEnded),
                None => {}
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn send(&self, event: Event) {
        if let Some(events) = &self.state().events {
            // If the queue is full, the guard still enforces the deadline.
            let _ = events.try_send(event);
        }
    }

    /// Runs the program until the term is over. If the guard stopped the program because it learned too
    /// late of a renewal, the program is started again.
    fn run(
        &self,
        term: &Term,
        sender: &SyncSender<Event>,
        events: &Receiver<Event>,
    ) -> Option<Outcome> {
        for number in 0.. {
            let end = match Run::start(self, number, term, sender) {
                Ok(run) => run.drive(term, events),
                Err(error) => {
                    log::error!(event = "guard_failed", error:% = error; "cannot start guard");
                    return Some(Outcome::Failed);
                }
            };
            if end.unhealthy {
                return Some(Outcome::Unhealthy);
            }
            match end.end {
                WorkloadEnd::Stuck => return Some(Outcome::Failed),
                WorkloadEnd::Exited(code) => {
                    log::info!(event = "program_exited", exit_code = code; "wrapped program exited");
                    return Some(Outcome::Exited(code));
                }
                WorkloadEnd::GuardLost if term.view().stop.is_none() => {
                    log::error!(event = "guard_lost"; "lost guard, killed its workload");
                    return Some(Outcome::Failed);
                }
                WorkloadEnd::Stopped | WorkloadEnd::GuardOverdue | WorkloadEnd::GuardLost => {}
            }
            if !self.wait_for_deadline(term, events) {
                return None;
            }
            log::warn!(
                event = "workload_restarted", fencing_token = term.fencing_token();
                "restarting wrapped program, because the term was extended too late for the guard"
            );
        }
        None
    }

    /// Waits until the term has a leadership deadline in the future, or has ended. Returns whether it
    /// lasts.
    fn wait_for_deadline(&self, term: &Term, events: &Receiver<Event>) -> bool {
        loop {
            let view = term.view();
            if view.stop.is_some() || self.state().killed {
                return false;
            }
            if BootClock::now() < view.valid_until {
                return true;
            }
            if events.recv().is_err() {
                return false;
            }
        }
    }

    fn spawn_guard(&self, fencing_token: u64) -> io::Result<GuardProcess> {
        // Locked until the process id is known, because another thread may reap the guard before.
        let mut state = self.state();
        let spawn = |file: Option<&StateFile>| {
            spawn_guard(
                Path::new(SELF),
                &self.command,
                &self.environment(fencing_token),
                stdin(),
                self.grace,
                file,
            )
        };
        let guard = match &self.restart {
            Some(restart) => restart.with_file(spawn)?,
            None => spawn(None)?,
        };
        state.guard = Some(guard.pid);
        Ok(guard)
    }

    /// Kills the guard. Returns false if it has exited.
    fn kill_guard(&self) -> bool {
        // Locked until it is killed, so that it cannot be reaped before.
        let state = self.state();
        let Some(guard) = state.guard else {
            return false;
        };
        let _ = kill(Pid::from_raw(guard), Signal::SIGKILL);
        true
    }

    fn start_prober(&self, sender: &SyncSender<Event>) -> io::Result<Option<Prober>> {
        let Some(url) = self.health_url.clone() else {
            return Ok(None);
        };
        let sender = sender.clone();
        let on_failed = move |reason: String| {
            log::error!(event = "unhealthy", reason; "stopping unhealthy workload");
            let _ = sender.send(Event::Unhealthy);
        };
        let counts = Arc::clone(&self.counts);
        Prober::start(url, HealthConfig::default(), counts, on_failed).map(Some)
    }

    fn stop_signal(&self, stop: Stop) -> i32 {
        match stop.reason {
            StopReason::Cancelled => self.state().stop_signal as i32,
            _ => Signal::SIGTERM as i32,
        }
    }

    /// Returns the variables to set or remove, compared to the environment of this process.
    fn environment(&self, fencing_token: u64) -> Vec<(OsString, Option<OsString>)> {
        let is_private = |name: &OsString| {
            let name = name.to_string_lossy();
            name.starts_with(PRIVATE_PREFIX)
                || self.private_variables.contains(&&*name)
                || service_manager::VARIABLES.contains(&&*name)
        };
        let names = std::env::vars_os().map(|(name, _)| name);
        let removed = names.filter(is_private).map(|name| (name, None));
        let added = [
            (IDENTITY, self.identity.clone()),
            (FENCING_TOKEN, fencing_token.to_string()),
        ];
        let added = added.map(|(name, value)| (name.into(), Some(value.into())));
        removed.chain(added).collect()
    }
}

/// Returns the program's standard input: that of this process, unless it is a terminal. The kernel would
/// stop the program for reading a terminal, which belongs to the process group of the elector.
fn stdin() -> Stdio {
    if io::stdin().is_terminal() {
        Stdio::null()
    } else {
        Stdio::inherit()
    }
}

/// Starts a thread that reaps every child that exits, orphans included, as PID 1 must. `workload` learns of
/// each. SIGCHLD must be blocked.
///
/// # Errors
/// Returns an error if no file descriptor or thread is left.
pub fn reap_children(workload: Option<Workload>) -> io::Result<()> {
    keep_exit_codes()?;
    signals::handle(&Signal::SIGCHLD.into(), move |_| {
        loop {
            let handle_exited = |child: ExitedChild| {
                log::debug!(pid = child.pid, exit_code = child.code; "reaping child");
                if let Some(workload) = &workload {
                    workload.handle_exited(child.pid);
                }
            };
            let reaped = match reap_exited_after(handle_exited) {
                Ok(reaped) => reaped,
                Err(error) => {
                    return log::error!(event = "reaping_failed", error:% = error; "cannot reap exited children");
                }
            };
            if reaped.remaining != Remaining::MaybeExited {
                return;
            }
        }
    })
}
