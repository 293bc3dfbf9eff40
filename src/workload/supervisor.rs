//! State machine of the elector for one run of the wrapped program: commands to the guard, and what
//! follows if the guard fails.
//!
//! ```text
//!            guard spawned            workload stopped
//!   Starting ─────────────▶ Guarded ───────────────────▶ Over
//!                              │                           ▲
//!                              │ guard ended or overdue    │
//!                              └───────▶ Clearing ─────────┘
//!                                (all descendants are killed)
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

/// An action for the caller to perform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SupervisorAction {
    /// Start the guard, then call [`Supervisor::handle_guard_spawned`].
    SpawnGuard,
    /// Send this message to the guard.
    SendToGuard(ToGuard),
    /// Kill the guard. Call [`Supervisor::handle_guard_exited`] once it has ended.
    KillGuard,
    /// Kill and reap all descendants of this process, until none is left. Then call
    /// [`Supervisor::handle_descendants_killed`].
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
    /// Exit code of the program, if nothing had told it to exit.
    exit_code: Option<i32>,
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
            exit_code: None,
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
        killed_at + self.report_timeout
    }

    // ---- requests of the election ----

    /// Replaces the leadership deadline.
    pub fn extend(&mut self, valid_until: Instant) {
        self.valid_until = valid_until;
        self.send(ToGuard::ValidUntil(valid_until));
    }

    /// Stops the workload: sends `signal` now, and KILL at `kill_at`. Ignored unless `kill_at` is earlier
    /// than that of previous calls.
    pub fn stop(&mut self, signal: i32, kill_at: Instant) {
        if self.kill_at.is_some_and(|earlier| earlier <= kill_at) {
            return;
        }
        self.kill_at = Some(kill_at);
        self.send(ToGuard::Stop { signal, kill_at });
    }

    /// Kills the workload.
    pub fn kill(&mut self, now: Instant) {
        self.kill_at = Some(self.kill_at.map_or(now, |earlier| earlier.min(now)));
        self.send(ToGuard::Kill);
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
            | FromGuard::Terminated(_)
            | FromGuard::Suspended(_)
            | FromGuard::Continued
            | FromGuard::LeftBehind { .. } => {}
            // An exit after the deadline, or after a stop was requested, counts as requested.
            FromGuard::Exited(code) => {
                if self.kill_at.is_none() && now < self.valid_until {
                    self.exit_code.get_or_insert(code);
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

    /// Handles that this process has no descendant left.
    pub fn handle_descendants_killed(&mut self) {
        if self.phase == Phase::Clearing {
            self.phase = Phase::Over(if self.guard_killed {
                WorkloadEnd::GuardOverdue
            } else {
                WorkloadEnd::GuardLost
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
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);
    const MARGIN: Duration = Duration::from_secs(1);
    const TERM: i32 = 15;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(1_000 + seconds))
    }

    fn actions(supervisor: &mut Supervisor) -> Vec<SupervisorAction> {
        std::iter::from_fn(|| supervisor.poll_action()).collect()
    }

    /// Returns a supervisor whose program runs, with its deadline in 20 s.
    fn running() -> Supervisor {
        let mut supervisor = Supervisor::start(at(20), GRACE, MARGIN);
        assert_eq!(actions(&mut supervisor), [SupervisorAction::SpawnGuard]);
        supervisor.handle_guard_spawned();
        let deadline = SupervisorAction::SendToGuard(ToGuard::ValidUntil(at(20)));
        assert_eq!(actions(&mut supervisor), [deadline]);
        supervisor.handle_report(at(0), FromGuard::Started(7));
        supervisor
    }

    #[test]
    fn exit_code_arrives_once_workload_stopped() {
        let mut supervisor = running();
        supervisor.handle_report(at(3), FromGuard::Exited(3));
        assert_eq!(supervisor.end(), None);
        // The processes that it left behind are stopped.
        supervisor.stop(TERM, at(9));
        supervisor.handle_report(at(7), FromGuard::WorkloadStopped(Some(3)));
        assert_eq!(supervisor.end(), Some(WorkloadEnd::Exited(3)));
    }

    #[test]
    fn exit_after_stop_counts_as_stopped() {
        let mut supervisor = running();
        supervisor.stop(TERM, at(9));
        supervisor.handle_report(at(4), FromGuard::Exited(0));
        supervisor.handle_report(at(4), FromGuard::WorkloadStopped(Some(0)));
        assert_eq!(supervisor.end(), Some(WorkloadEnd::Stopped));
    }

    #[test]
    fn exit_at_deadline_counts_as_stopped() {
        for until in [20, 28] {
            let mut supervisor = running();
            // The message of a renewal may have reached the guard too late.
            supervisor.extend(at(until));
            supervisor.handle_report(at(20), FromGuard::Terminated(0));
            supervisor.handle_report(at(20), FromGuard::WorkloadStopped(Some(0)));
            assert_eq!(supervisor.end(), Some(WorkloadEnd::Stopped));
        }
    }

    #[test]
    fn only_earlier_stops_reach_guard() {
        let mut supervisor = running();
        supervisor.extend(at(28));
        supervisor.signal(1);
        supervisor.stop(TERM, at(40));
        supervisor.stop(TERM, at(50));
        supervisor.extend(at(36));
        supervisor.stop(TERM, at(33));
        supervisor.kill(at(31));
        let stop = |kill_at| {
            SupervisorAction::SendToGuard(ToGuard::Stop {
                signal: TERM,
                kill_at,
            })
        };
        assert_eq!(
            actions(&mut supervisor),
            [
                SupervisorAction::SendToGuard(ToGuard::ValidUntil(at(28))),
                SupervisorAction::SendToGuard(ToGuard::Signal(1)),
                stop(at(40)),
                SupervisorAction::SendToGuard(ToGuard::ValidUntil(at(36))),
                stop(at(33)),
                SupervisorAction::SendToGuard(ToGuard::Kill),
            ]
        );
    }

    #[test]
    fn stop_before_guard_starts_nothing() {
        let mut supervisor = Supervisor::start(at(20), GRACE, MARGIN);
        supervisor.stop(TERM, at(5));
        assert_eq!(actions(&mut supervisor), [SupervisorAction::SpawnGuard]);
        supervisor.handle_guard_spawned();
        assert_eq!(
            actions(&mut supervisor),
            [SupervisorAction::SendToGuard(ToGuard::Kill)]
        );
        supervisor.handle_report(at(1), FromGuard::WorkloadStopped(None));
        assert_eq!(supervisor.end(), Some(WorkloadEnd::Stopped));
    }

    #[test]
    fn extension_before_guard_is_sent() {
        let mut supervisor = Supervisor::start(at(20), GRACE, MARGIN);
        supervisor.extend(at(28));
        actions(&mut supervisor);
        supervisor.handle_guard_spawned();
        let deadline = SupervisorAction::SendToGuard(ToGuard::ValidUntil(at(28)));
        assert_eq!(actions(&mut supervisor), [deadline]);
    }

    #[test]
    fn overdue_guard_is_killed_with_descendants() {
        let mut supervisor = running();
        supervisor.stop(TERM, at(60));
        actions(&mut supervisor);
        // The leadership deadline is earlier than the stop's KILL.
        let overdue = at(25) + MARGIN / REPORT_DIVISOR;
        assert_eq!(supervisor.poll_timeout(), Some(overdue));
        supervisor.handle_timeout(at(25));
        assert_eq!(actions(&mut supervisor), []);
        supervisor.handle_timeout(overdue);
        assert_eq!(actions(&mut supervisor), [SupervisorAction::KillGuard]);
        supervisor.handle_timeout(overdue);
        assert_eq!(actions(&mut supervisor), [], "killed twice");
        supervisor.handle_guard_exited();
        assert_eq!(
            actions(&mut supervisor),
            [SupervisorAction::KillDescendants]
        );
        assert_eq!(supervisor.end(), None);
        supervisor.handle_descendants_killed();
        assert_eq!(supervisor.end(), Some(WorkloadEnd::GuardOverdue));
    }

    #[test]
    fn lost_guard_leads_to_clearing() {
        let mut supervisor = running();
        supervisor.extend(at(28));
        supervisor.handle_guard_exited();
        assert_eq!(
            actions(&mut supervisor),
            [SupervisorAction::KillDescendants]
        );
        supervisor.extend(at(36));
        supervisor.kill(at(3));
        assert_eq!(actions(&mut supervisor), [], "sent to no guard");
        supervisor.handle_descendants_killed();
        assert_eq!(supervisor.end(), Some(WorkloadEnd::GuardLost));
    }

    #[test]
    fn guard_may_exit_after_last_report() {
        let mut supervisor = running();
        supervisor.handle_report(at(3), FromGuard::Exited(0));
        supervisor.handle_report(at(3), FromGuard::WorkloadStopped(Some(0)));
        supervisor.handle_guard_exited();
        supervisor.handle_timeout(at(100));
        assert_eq!(actions(&mut supervisor), []);
        assert_eq!(supervisor.end(), Some(WorkloadEnd::Exited(0)));
    }
}
