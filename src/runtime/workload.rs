//! A program that runs while this candidate leads: its guard, its signals, and what becomes of it.
//!
//! ```text
//!   the term (extended, ended) ─┐
//!   guard's reports ────────────┤  one bounded   leading
//!   processes reaped ───────────┼─▶ queue of  ─▶ thread ──▶ supervisor ──▶ guard
//!   signals from outside ───────┤   events
//!   health, timer ──────────────┘
//! ```
//!
//! What is decided stands in [`supervisor`](crate::workload::supervisor); this file carries it out.
//! The guard holds the deadline by itself, so that nothing here has to be in time.

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
use super::signals::{self, SignalWatch};
use crate::election::action::StopReason;
use crate::election::config::LeaderElectionConfig;
use crate::net::Url;
use crate::observe::WorkloadCounts;
use crate::system::clock::BootClock;
use crate::system::monitor::Monitor;
use crate::workload::health::HealthConfig;
use crate::workload::message::FromGuard;
use crate::workload::process::reaping::{Left, reap_all};
use crate::workload::process::{
    GuardProcess, SELF, become_subreaper, become_undumpable, spawn_guard,
};
use crate::workload::supervisor::Ended;
use run::Run;

/// Few events can be under way at once; what finds no room is a wake-up among others, or a signal.
const QUEUE: usize = 64;

/// How long a second signal waits for the workload to be killed and reaped, before it gives that up
/// and has it done by the guard, which sees the elector's end.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What the workload is told of the term, beside what it inherits.
const IDENTITY: &str = "LEADER_ELECTION_IDENTITY";
const FENCING_TOKEN: &str = "LEADER_ELECTION_FENCING_TOKEN";

/// What is the elector's own business: nothing of it reaches the workload.
const OWN_PREFIX: &str = "ELECTOR_";
const OWN_VARIABLES: &[&str] = &["GITHUB_API_TOKEN", "GITHUB_API_TOKEN_FILE"];

/// How a workload's run came to its end for the elector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program ended by itself, with this exit code.
    Exited(i32),
    /// It failed: its health was bad, or it could not be guarded. The log says which.
    Failed,
}

#[derive(Clone, Copy)]
enum Event {
    /// The term has changed, or it is time to look.
    Look,
    /// Of the guard of this run.
    Report(u64, FromGuard),
    /// The guard of this run will say nothing more.
    ReportsEnded(u64),
    Signal(Signal),
    /// Its health is bad, as the log says.
    Unhealthy,
    Kill,
}

/// A program that runs while this candidate leads.
#[derive(Clone)]
pub struct Workload {
    shared: Arc<Shared>,
}

struct Shared {
    command: Vec<OsString>,
    identity: String,
    grace: Duration,
    margin: Duration,
    /// Asked while the program runs.
    health: Option<Url>,
    election: OnceLock<Handle>,
    counts: Arc<WorkloadCounts>,
    state: Monitor<State>,
}

struct State {
    /// Where events go while a term lasts.
    events: Option<SyncSender<Event>>,
    /// The process of the guard, until it is reaped: then its number may be another's.
    guard: Option<i32>,
    /// What a polite stop passes on.
    stop_signal: Signal,
    /// No further program is started.
    over: bool,
    outcome: Option<Outcome>,
}

impl Workload {
    /// The program `command`, with its arguments, for the candidate of this election. While it runs,
    /// `health` is asked. From now on this process adopts what its children leave behind.
    ///
    /// # Errors
    /// When the system does not let it do so, or gives no thread.
    pub fn new(
        command: Vec<OsString>,
        health: Option<Url>,
        election: &LeaderElectionConfig,
    ) -> io::Result<Self> {
        become_subreaper()?;
        become_undumpable()?;
        Ok(Workload {
            shared: Arc::new(Shared {
                command,
                identity: election.identity.clone(),
                grace: election.termination_grace,
                margin: election.margin(),
                health,
                election: OnceLock::new(),
                counts: Arc::default(),
                state: Monitor::new(State {
                    events: None,
                    guard: None,
                    stop_signal: Signal::SIGTERM,
                    over: false,
                    outcome: None,
                }),
            }),
        })
    }

    /// The election that is stopped when the program has ended by itself, or failed.
    pub fn belongs_to(&self, election: Handle) {
        // Set twice is a mistake that nothing rests on.
        let _ = self.shared.election.set(election);
    }

    /// How often it was started and how it ended, for those who look in.
    #[must_use]
    pub fn counts(&self) -> Arc<WorkloadCounts> {
        Arc::clone(&self.shared.counts)
    }

    /// How it came to its end, if not by being stopped.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.shared.state().outcome
    }

    /// A process that was a child of this one has ended.
    fn reaped(&self, pid: i32) {
        // While a guard is being started this waits until its number is known.
        self.shared.state().guard.take_if(|guard| *guard == pid);
        self.shared.send(Event::Look);
    }

    /// Passes a signal on to the program, if it runs.
    pub fn signal(&self, signal: Signal) {
        self.shared.send(Event::Signal(signal));
    }

    /// What the program is sent when the elector is stopped politely; SIGTERM unless this is called.
    pub fn stop_with(&self, signal: Signal) {
        self.shared.state().stop_signal = signal;
    }

    /// Kills the program and waits until nothing is left of it, for some seconds at most.
    pub fn kill(&self) {
        self.shared.state.change(|state| {
            state.over = true;
            if let Some(events) = &state.events {
                let _ = events.try_send(Event::Kill);
            }
        });
        let runs = |state: &mut State| state.events.is_some();
        drop(self.shared.state.wait_while_for(KILL_PATIENCE, runs));
    }

    /// Runs the program for the length of a term. Comes back when nothing is left of it.
    pub fn lead(&self, term: &Term) {
        let (sender, events) = sync_channel(QUEUE);
        {
            let mut state = self.shared.state();
            if state.over {
                return;
            }
            state.events = Some(sender.clone());
        }
        let woken = sender.clone();
        term.on_change(move || {
            let _ = woken.try_send(Event::Look);
        });
        let outcome = self.shared.run(term, &sender, &events);
        self.shared.state.change(|state| {
            state.events = None;
            state.outcome = state.outcome.or(outcome);
        });
        if outcome.is_some()
            && let Some(election) = self.shared.election.get()
        {
            election.workload_ended();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn send(&self, event: Event) {
        if let Some(events) = &self.state().events {
            // Where there is no room, the guard's deadline is what counts.
            let _ = events.try_send(event);
        }
    }

    /// Runs the program until the term is over. One that its guard stopped in time, because word of a
    /// renewal came too late, is started again.
    fn run(
        &self,
        term: &Term,
        sender: &SyncSender<Event>,
        events: &Receiver<Event>,
    ) -> Option<Outcome> {
        for number in 0.. {
            let ended = match Run::start(self, number, term, sender) {
                Ok(run) => run.drive(term, events),
                Err(error) => {
                    log::error!("the workload cannot be guarded: {error}");
                    return Some(Outcome::Failed);
                }
            };
            if matches!(ended, Ok(Ended::GuardLost | Ended::GuardOverdue)) {
                self.counts.ended(None);
            }
            let Ok(ended) = ended else {
                return Some(Outcome::Failed);
            };
            match ended {
                Ended::ByItself(code) => {
                    log::info!("the workload has ended with code {code}");
                    return Some(Outcome::Exited(code));
                }
                Ended::GuardLost if term.view().stop.is_none() => {
                    log::error!("the workload's guard was lost: what it left was killed");
                    return Some(Outcome::Failed);
                }
                Ended::Stopped | Ended::GuardOverdue | Ended::GuardLost => {}
            }
            if !self.goes_on(term, events) {
                return None;
            }
            log::warn!(
                "the term {} goes on: the workload is started again",
                term.fencing_token()
            );
        }
        None
    }

    /// Waits until the term is over, or has turned out to last.
    fn goes_on(&self, term: &Term, events: &Receiver<Event>) -> bool {
        loop {
            let view = term.view();
            if view.stop.is_some() || self.state().over {
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

    fn spawn_guard(&self, token: u64) -> io::Result<GuardProcess> {
        // Held until the number is known, for whoever reaps it meanwhile.
        let mut state = self.state();
        let guard = spawn_guard(
            Path::new(SELF),
            &self.command,
            &self.environment(token),
            stdin(),
            self.grace,
        )?;
        state.guard = Some(guard.pid);
        Ok(guard)
    }

    /// Kills the guard, unless it has been reaped. Returns whether that was to be done.
    fn kill_guard(&self) -> bool {
        let Some(guard) = self.state().guard else {
            return false;
        };
        let _ = kill(Pid::from_raw(guard), Signal::SIGKILL);
        true
    }

    fn prober(&self, sender: &SyncSender<Event>) -> io::Result<Option<Prober>> {
        let Some(url) = self.health.clone() else {
            return Ok(None);
        };
        let sender = sender.clone();
        let on_failed = move |why: String| {
            log::error!("{why}: stopping it");
            let _ = sender.send(Event::Unhealthy);
        };
        Prober::start(url, HealthConfig::default(), on_failed).map(Some)
    }

    fn stop_signal(&self, stop: Stop) -> i32 {
        match stop.reason {
            StopReason::Cancelled => self.state().stop_signal as i32,
            _ => Signal::SIGTERM as i32,
        }
    }

    /// How the program's environment differs from this process's.
    fn environment(&self, token: u64) -> Vec<(OsString, Option<OsString>)> {
        let own = |name: &OsString| {
            let name = name.to_string_lossy();
            name.starts_with(OWN_PREFIX) || OWN_VARIABLES.contains(&&*name)
        };
        let names = std::env::vars_os().map(|(name, _)| name);
        let removed = names.filter(own).map(|name| (name, None));
        let told = [
            (IDENTITY, self.identity.clone()),
            (FENCING_TOKEN, token.to_string()),
        ];
        let told = told.map(|(name, value)| (name.into(), Some(value.into())));
        removed.chain(told).collect()
    }
}

/// The program reads what this process would, but not from a terminal: it would be stopped for that, as
/// the terminal belongs to our process group.
fn stdin() -> Stdio {
    if io::stdin().is_terminal() {
        Stdio::null()
    } else {
        Stdio::inherit()
    }
}

/// Reaps every child that ends, as PID 1 has to: those it did not start are orphans. `workload` is told
/// of each.
///
/// # Errors
/// When the system refuses the handler or the thread.
pub fn reap_children(workload: Option<Workload>) -> io::Result<SignalWatch> {
    signals::watch(&[Signal::SIGCHLD], move |_| {
        loop {
            let reaped = match reap_all() {
                Ok(reaped) => reaped,
                Err(error) => return log::error!("children cannot be reaped: {error}"),
            };
            for ended in &reaped.ended {
                log::debug!(
                    "the process {} has ended with code {}",
                    ended.pid,
                    ended.code
                );
                if let Some(workload) = &workload {
                    workload.reaped(ended.pid);
                }
            }
            if reaped.left != Left::More {
                return;
            }
        }
    })
}
