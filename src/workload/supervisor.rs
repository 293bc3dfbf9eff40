//! State machine of the elector for one run of the wrapped program: commands to the guard, and what
//! follows if the guard fails.
//!
//! ```text
//!            guard spawned            workload stopped
//!   Starting ─────────────▶ Guarded ───────────────────▶ Over
//!                              │                           ▲
//!                              │ guard ended or overdue    │
//!                              └───────▶ Clearing ─────────┘
//!                            (all descendants are killed, or cannot be)
//! ```
//!
//! The guard enforces the leadership deadline without the elector; this file only sends it changes. A
//! guard that does not report in time that the workload has stopped is killed. If a guard ends without
//! that report, this process kills all its descendants before anything else happens. This file touches no
//! process or clock: the caller passes in the time, and performs the actions.

use std::collections::VecDeque;
use std::time::Duration;

use super::message::{FromGuard, ToGuard};
use crate::election::time::Instant;

/// Part of the margin in which the guard must reap the workload and report, after the last KILL.
const REPORT_DIVISOR: u32 = 4;

/// Time in which killed processes must have ended. A process that survives KILL for longer hangs in the
/// kernel or belongs to another user.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// An action for the caller to perform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SupervisorAction {
    /// Start the guard, then call [`Supervisor::handle_guard_spawned`].
    SpawnGuard,
    /// Send this message to the guard.
    SendToGuard(ToGuard),
    /// Kill the guard. Call [`Supervisor::handle_guard_exited`] once it has ended.
    KillGuard,
    /// Kill and reap all descendants of this process, until none is left or [`KILL_TIMEOUT`] has passed.
    /// Then call [`Supervisor::handle_descendants_killed`].
    KillDescendants,
}

/// Reason why a workload has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadEnd {
    /// The program exited with this code, and nothing had told it to.
    Exited(i32),
    /// The workload was stopped, or never started.
    Stopped,
    /// The guard did not report in time that the workload has stopped, so both were killed.
    GuardOverdue,
    /// The guard was lost, so the workload was killed.
    GuardLost,
    /// Processes of the workload have survived KILL, so that this is their end as far as the election
    /// is concerned.
    Stuck,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Starting,
    Guarded,
    /// The guard has ended, and the processes it left are being killed.
    Clearing,
    Over(WorkloadEnd),
}

/// State of one run of the wrapped program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Supervisor {
    /// Time between TERM and KILL.
    grace: Duration,
    /// Time between KILL and the guard's last report.
    report_timeout: Duration,
    phase: Phase,
    valid_until: Instant,
    /// Time of KILL, once the workload was told to stop.
    kill_at: Option<Instant>,
    /// The guard was told that the lease is lost.
    terminated: bool,
    /// Exit code of the program, if nothing had told it to exit.
    exit_code: Option<i32>,
    /// Time by which the processes that it left behind must have ended.
    leftovers_due: Option<Instant>,
    guard_killed: bool,
    actions: VecDeque<SupervisorAction>,
}

impl Supervisor {
    /// Starts a run with this leadership deadline. `grace` is the time between TERM and KILL; `margin` is
    /// the part of the lease that is reserved for reaping a killed workload.
    #[must_use]
    pub fn start(valid_until: Instant, grace: Duration, margin: Duration) -> Self {
        Supervisor {
            grace,
            report_timeout: margin / REPORT_DIVISOR,
            phase: Phase::Starting,
            valid_until,
            kill_at: None,
            terminated: false,
            exit_code: None,
            leftovers_due: None,
            guard_killed: false,
            actions: VecDeque::from([SupervisorAction::SpawnGuard]),
        }
    }

    /// Returns the next action to perform.
    pub fn poll_action(&mut self) -> Option<SupervisorAction> {
        self.actions.pop_front()
    }

    /// Returns the time by which [`handle_timeout`](Self::handle_timeout) must be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.phase == Phase::Guarded && !self.guard_killed;
        waits.then(|| self.report_due())
    }

    /// Returns why the workload has stopped, once it has.
    #[must_use]
    pub fn end(&self) -> Option<WorkloadEnd> {
        match self.phase {
            Phase::Over(end) => Some(end),
            _ => None,
        }
    }

    /// Returns the time by which the guard must have reported that the workload has stopped.
    fn report_due(&self) -> Instant {
        let latest = self.valid_until + self.grace;
        let killed_at = self.kill_at.map_or(latest, |at| at.min(latest));
        let due = killed_at + self.report_timeout;
        self.leftovers_due.map_or(due, |at| at.min(due))
    }

    // ---- requests of the election ----

    /// Replaces the leadership deadline.
    pub fn extend(&mut self, valid_until: Instant) {
        self.valid_until = valid_until;
        self.send(ToGuard::ValidUntil(valid_until));
    }

    /// Stops the workload gracefully: sends `signal` to the program now, and KILL to all at `kill_at`.
    /// Ignored unless `kill_at` is earlier than that of previous calls.
    pub fn stop(&mut self, signal: i32, kill_at: Instant) {
        if self.advance_kill(kill_at) {
            self.send(ToGuard::Stop { signal, kill_at });
        }
    }

    /// Ends the workload because the lease is lost: sends TERM to all processes now, and KILL at `kill_at`
    /// or at the earlier time of a previous call.
    pub fn terminate(&mut self, kill_at: Instant) {
        let first = !std::mem::replace(&mut self.terminated, true);
        if self.advance_kill(kill_at) || first {
            self.send(ToGuard::Terminate { kill_at });
        }
    }

    /// Kills the workload.
    pub fn kill(&mut self, now: Instant) {
        self.advance_kill(now);
        self.send(ToGuard::Kill);
    }

    /// Returns whether `kill_at` is earlier than the times before.
    fn advance_kill(&mut self, kill_at: Instant) -> bool {
        let earlier = self.kill_at.is_none_or(|before| kill_at < before);
        if earlier {
            self.kill_at = Some(kill_at);
        }
        earlier
    }

    /// Passes a signal on to the program.
    pub fn signal(&mut self, signal: i32) {
        self.send(ToGuard::Signal(signal));
    }

    /// Sends a message. Before the guard runs nothing is sent: it gets the latest state when it does.
    fn send(&mut self, message: ToGuard) {
        if self.phase == Phase::Guarded {
            self.actions
                .push_back(SupervisorAction::SendToGuard(message));
        }
    }

    // ---- events ----

    /// Handles the start of the guard, which starts the program when it gets its first deadline.
    pub fn handle_guard_spawned(&mut self) {
        if self.phase != Phase::Starting {
            return;
        }
        self.phase = Phase::Guarded;
        match self.kill_at {
            // Told to stop before the program was started: never start it.
            Some(_) => self.send(ToGuard::Kill),
            None => self.send(ToGuard::ValidUntil(self.valid_until)),
        }
    }

    /// Handles a message of the guard.
    pub fn handle_report(&mut self, now: Instant, report: FromGuard) {
        if self.phase != Phase::Guarded {
            return;
        }
        match report {
            FromGuard::Started(_)
            | FromGuard::Suspended(_)
            | FromGuard::Continued
            | FromGuard::LeftBehind { .. } => {}
            FromGuard::Exited(code) | FromGuard::Terminated(code) => {
                if self.kill_at.is_none() {
                    self.leftovers_due = Some(now + self.grace + KILL_TIMEOUT);
                    // An exit after the deadline counts as requested, like one after a stop.
                    let by_itself =
                        matches!(report, FromGuard::Exited(_)) && now < self.valid_until;
                    self.exit_code = by_itself.then_some(code);
                }
            }
            FromGuard::WorkloadStopped(_) => {
                let exited = self.exit_code.map(WorkloadEnd::Exited);
                self.phase = Phase::Over(exited.unwrap_or(WorkloadEnd::Stopped));
            }
        }
    }

    /// Handles the end of the guard, after all its messages.
    pub fn handle_guard_exited(&mut self) {
        if matches!(self.phase, Phase::Starting | Phase::Guarded) {
            self.phase = Phase::Clearing;
            self.actions.clear();
            self.actions.push_back(SupervisorAction::KillDescendants);
        }
    }

    /// Handles that all descendants of this process were killed. `all_ended` says whether none is left.
    pub fn handle_descendants_killed(&mut self, all_ended: bool) {
        if self.phase == Phase::Clearing {
            self.phase = Phase::Over(match self.exit_code {
                _ if !all_ended => WorkloadEnd::Stuck,
                Some(code) => WorkloadEnd::Exited(code),
                None if self.guard_killed => WorkloadEnd::GuardOverdue,
                None => WorkloadEnd::GuardLost,
            });
        }
    }

    /// Handles the passing of time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| now >= at) {
            self.guard_killed = true;
            self.actions.push_back(SupervisorAction::KillGuard);
        }
    }
}

#[cfg(test)]
mod tests;
