//! State machine of the guard: when the workload is started, terminated and killed.
//!
//! This file owns the rules and touches no process or clock. The caller passes in what happened and the
//! time, then performs the [`GuardAction`]s. [`GuardState::poll_timeout`] says when it must call again.
//!
//! ```text
//!   Waiting ──first deadline──► Starting ──► Running ──program exits──► Exited ─┐
//!      │                           └───────────┴─────────────┬─────────────┘    │
//!      │ deadline has passed,                                │ no process is    │
//!      │ stop, kill, end of pipe                             ▼ left             │
//!      └────────────────────────────────────────────────► Stopped ◄─────────────┘
//! ```
//!
//! While anything runs, each of these ends it, independently of the others:
//!
//! | event | TERM | KILL |
//! |---|---|---|
//! | leadership deadline passes | to all processes | deadline + grace |
//! | elector ends | to all processes | now + grace |
//! | `terminate` message | to all processes | at its `kill_at` |
//! | `stop` message | its signal, to the program alone | at its `kill_at` |
//! | program exits after one of these | to all processes it left behind | unchanged |
//! | program exits by itself | to all processes it left behind | now + grace |
//! | `kill` message | | now |
//!
//! **No process gets TERM twice.** TERM goes to all processes at most once, and not to a program that a
//! `stop` has sent it to.
//!
//! The earliest KILL counts, and the one at deadline + grace always applies. A later deadline moves that
//! one even during a `stop`, because the elector keeps renewing its lease. Nothing cancels an end that
//! has begun.

use std::collections::VecDeque;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::message::{FromGuard, ToGuard};
use crate::election::time::Instant;

/// First pause between two KILLs. The second KILL reaches processes that were forked during the first.
const FIRST_REPEAT: Duration = Duration::from_millis(5);

/// Longest pause between two KILLs. A process that survives several of them hangs in the kernel or
/// belongs to another user, so that faster repetition does not help.
const LONGEST_REPEAT: Duration = Duration::from_millis(100);

/// An action for the caller to perform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GuardAction {
    /// Start the program, unless [`GuardState::valid_until`] has passed by then. Afterwards call
    /// [`GuardState::handle_started`], or [`GuardState::handle_exited`] if it cannot be started.
    Start,
    /// Send this signal to the program, if it has not exited.
    SignalProgram(i32),
    /// Continue stopped processes in the program's group, so that the program acts on the last signal.
    ContinueGroup,
    /// Send TERM to all descendants and continue stopped ones.
    TerminateAll,
    /// The same, except for the program, which got TERM before or has exited.
    TerminateOthers,
    /// Kill all descendants. Repeated until none is left.
    KillAll,
    /// Send this message to the elector.
    Report(FromGuard),
    /// Exit, because nothing is left to do.
    Exit,
}

/// Progress of the wrapped program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// No leadership deadline has arrived yet.
    Waiting,
    /// The start was requested. This counts as running, because the caller may be performing it.
    Starting,
    Running,
    /// The program exited with this code. Processes that it left behind may run.
    Exited(i32),
    /// No process is left, or none was ever started.
    Stopped,
}

/// State of a guard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GuardState {
    grace: Duration,
    phase: Phase,
    /// Leadership deadline in the elector's last message.
    valid_until: Instant,
    /// Time of KILL, once an end has begun. The one at `valid_until` + grace applies as well.
    kill_at: Option<Instant>,
    /// TERM was sent to the program, or the program has exited.
    program_terminated: bool,
    /// TERM was sent to all processes.
    terminated: bool,
    /// After the first KILL: time of the next one, and the pause before it.
    next_kill: Option<(Instant, Duration)>,
    actions: VecDeque<GuardAction>,
}

impl GuardState {
    /// Creates the state of a guard that has not started its program. `grace` is the longest time between
    /// TERM and KILL after the leadership deadline.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        GuardState {
            grace,
            phase: Phase::Waiting,
            valid_until: Instant::BOOT,
            kill_at: None,
            program_terminated: false,
            terminated: false,
            next_kill: None,
            actions: VecDeque::new(),
        }
    }

    /// Returns the leadership deadline, or the time of boot before the first message.
    #[must_use]
    pub fn valid_until(&self) -> Instant {
        self.valid_until
    }

    /// Handles a message of the elector.
    pub fn handle_message(&mut self, now: Instant, message: ToGuard) {
        match message {
            ToGuard::ValidUntil(at) => self.handle_valid_until(now, at),
            ToGuard::Signal(signal) => {
                if self.runs() {
                    self.push(GuardAction::SignalProgram(signal));
                }
            }
            ToGuard::Stop { signal, kill_at } => self.handle_stop(now, signal, kill_at),
            ToGuard::Terminate { kill_at } => self.terminate_by(now, kill_at),
            ToGuard::Kill => self.kill_by(now, now),
        }
    }

    /// Handles the end of the elector, or a message that is not valid: nothing will extend the deadline.
    pub fn handle_disconnected(&mut self, now: Instant) {
        self.terminate_by(now, now + self.grace);
    }

    /// Handles the start of the program as this process.
    pub fn handle_started(&mut self, pid: i32) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Running;
            self.push(GuardAction::Report(FromGuard::Started(pid)));
        }
    }

    /// Handles the exit of the program, or a failed start. Call this before
    /// [`handle_workload_stopped`](Self::handle_workload_stopped).
    pub fn handle_exited(&mut self, now: Instant, code: i32) {
        if matches!(self.phase, Phase::Starting | Phase::Running) {
            self.phase = Phase::Exited(code);
            let report = match self.kill_at {
                Some(_) => FromGuard::Terminated(code),
                None => FromGuard::Exited(code),
            };
            self.push(GuardAction::Report(report));
            self.program_terminated = true;
            // What is left of an end that has begun keeps its time.
            self.terminate_by(now, self.kill_at.unwrap_or(now + self.grace));
        }
    }

    /// Handles that this process has no descendant. Ignored until the program has exited, because it may
    /// be about to start.
    pub fn handle_workload_stopped(&mut self) {
        if let Phase::Exited(code) = self.phase {
            self.finish(Some(code));
        }
    }

    /// Handles the passing of time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let expired = self.valid_until <= now;
        if !self.runs() || expired && !self.begin_end() {
            return;
        }
        if expired {
            self.advance_kill(self.valid_until + self.grace);
            self.terminate(now);
        }
        if let Some((at, pause)) = self.next_kill {
            if at <= now {
                self.kill(now, (pause * 2).min(LONGEST_REPEAT));
            }
        } else if self.kill_time() <= now {
            self.kill(now, FIRST_REPEAT);
        }
    }

    /// Returns the next action to perform.
    pub fn poll_action(&mut self) -> Option<GuardAction> {
        self.actions.pop_front()
    }

    /// Returns the time by which [`handle_timeout`](Self::handle_timeout) must be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.runs() {
            return None;
        }
        if let Some((at, _)) = self.next_kill {
            return Some(at);
        }
        if self.terminated {
            return Some(self.kill_time());
        }
        Some(self.valid_until.min(self.kill_time()))
    }

    /// Returns whether any process of the workload may run.
    fn runs(&self) -> bool {
        !matches!(self.phase, Phase::Waiting | Phase::Stopped)
    }

    /// Returns the time of the first KILL.
    fn kill_time(&self) -> Instant {
        let latest = self.valid_until + self.grace;
        self.kill_at.map_or(latest, |kill_at| kill_at.min(latest))
    }

    fn handle_valid_until(&mut self, now: Instant, valid_until: Instant) {
        match self.phase {
            Phase::Waiting if valid_until <= now => {
                self.valid_until = valid_until;
                self.finish(None);
            }
            Phase::Waiting => {
                self.valid_until = valid_until;
                self.phase = Phase::Starting;
                self.push(GuardAction::Start);
            }
            // Accepted even after the previous deadline, unless that was acted on: the elector sent this
            // in time. `handle_timeout` checks the new one, because a later one may already be waiting.
            _ if self.runs() => self.valid_until = valid_until,
            _ => {}
        }
    }

    fn handle_stop(&mut self, now: Instant, signal: i32, kill_at: Instant) {
        if !self.begin_end() {
            return;
        }
        // Later stops only advance KILL.
        if self.kill_at.is_none() {
            self.push(GuardAction::SignalProgram(signal));
            self.push(GuardAction::ContinueGroup);
            self.program_terminated = signal == Signal::SIGTERM as i32;
        }
        self.kill_by(now, kill_at);
    }

    /// Begins the end of the workload. A program that was not started never will be. Returns whether
    /// anything runs that must end.
    fn begin_end(&mut self) -> bool {
        let unstarted = self.actions.contains(&GuardAction::Start);
        if unstarted || self.phase == Phase::Waiting {
            self.finish(None);
        }
        self.runs()
    }

    /// Begins the end of the workload, with KILL at `kill_at` or earlier.
    fn kill_by(&mut self, now: Instant, kill_at: Instant) {
        if self.begin_end() {
            self.advance_kill(kill_at);
            self.handle_timeout(now);
        }
    }

    fn advance_kill(&mut self, kill_at: Instant) {
        self.kill_at = Some(self.kill_at.map_or(kill_at, |earlier| earlier.min(kill_at)));
    }

    /// Sends TERM to all processes, with KILL at `kill_at` or earlier.
    fn terminate_by(&mut self, now: Instant, kill_at: Instant) {
        if self.begin_end() {
            self.terminate(now);
            self.kill_by(now, kill_at);
        }
    }

    fn terminate(&mut self, now: Instant) {
        // If KILL is due now, TERM is pointless.
        if !self.terminated && now < self.kill_time() {
            self.push(match self.program_terminated {
                true => GuardAction::TerminateOthers,
                false => GuardAction::TerminateAll,
            });
        }
        self.terminated = true;
    }

    fn kill(&mut self, now: Instant, pause: Duration) {
        self.next_kill = Some((now + pause, pause));
        self.push(GuardAction::KillAll);
    }

    fn finish(&mut self, code: Option<i32>) {
        self.phase = Phase::Stopped;
        // Actions on the workload have lost their object.
        self.actions
            .retain(|action| matches!(action, GuardAction::Report(_)));
        self.push(GuardAction::Report(FromGuard::WorkloadStopped(code)));
        self.push(GuardAction::Exit);
    }

    fn push(&mut self, action: GuardAction) {
        self.actions.push_back(action);
    }
}

#[cfg(test)]
mod tests;
