//! The elector's side of a workload: what it asks of the guard, and what follows if that fails.
//!
//! ```text
//!            spawned            exited              gone
//!   Starting ───────▶ Guarded ─────────▶ Guarded ─────────▶ Over
//!                        │                                    ▲
//!                        │ the guard died, or is overdue      │
//!                        └────────────▶ Clearing ─────────────┘
//!                                 (everything below is killed)
//! ```
//!
//! The guard holds the deadline by itself; this file only tells it what changes. A guard that ends
//! without having said that nothing is left, or that does not say so in time, is killed, and what it
//! leaves falls to this process, which kills all of that before anything else happens. Pure: the time
//! is handed in, and whoever drives it carries its actions out.

use std::collections::VecDeque;
use std::time::Duration;

use super::message::{FromGuard, ToGuard};
use crate::election::time::Instant;

/// Which part of the margin a guard gets, after everything was to be killed, to reap it and to say so.
const LAST_WORD_DIVISOR: u32 = 4;

/// What its driver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Start the guard, then say [`handle_spawned`](Supervisor::handle_spawned).
    Spawn,
    /// Tell the guard.
    Tell(ToGuard),
    /// Kill the guard. Its end is reported as that of any.
    KillGuard,
    /// Kill and reap everything below this process, until nothing is left; then say
    /// [`handle_cleared`](Supervisor::handle_cleared).
    Clear,
}

/// How it came that nothing of a workload is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The program ended by itself, with this exit code.
    ByItself(i32),
    /// It was stopped, or never started.
    Stopped,
    /// Its time was over and its guard did not say that nothing is left: both were killed.
    GuardOverdue,
    /// The guard was lost; whether the program would have ended is not known.
    GuardLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Starting,
    Guarded,
    /// The guard is gone, and what it left is being killed.
    Clearing,
    Over(Ended),
}

/// One workload, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Supervisor {
    /// Between TERM and KILL, and for how long a killed workload may take to be reaped.
    grace: Duration,
    last_word: Duration,
    phase: Phase,
    until: Instant,
    /// It was asked to end, and is killed at this time at the latest.
    stopping: Option<Instant>,
    /// The program ended, with this exit code, before it was asked to.
    ended_itself: Option<i32>,
    /// The guard was told to be killed.
    killed_guard: bool,
    actions: VecDeque<Action>,
}

impl Supervisor {
    /// A workload that may run until then. `grace` is what it gets between TERM and KILL, `margin` what
    /// is kept back of the lease for reaping it.
    #[must_use]
    pub fn start(until: Instant, grace: Duration, margin: Duration) -> Self {
        Supervisor {
            grace,
            last_word: margin / LAST_WORD_DIVISOR,
            phase: Phase::Starting,
            until,
            stopping: None,
            ended_itself: None,
            killed_guard: false,
            actions: VecDeque::from([Action::Spawn]),
        }
    }

    /// The next thing to do, if there is one.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.phase == Phase::Guarded && !self.killed_guard;
        waits.then(|| self.overdue_at())
    }

    /// How it ended, once nothing is left of it.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        match self.phase {
            Phase::Over(ended) => Some(ended),
            _ => None,
        }
    }

    /// When everything of it is killed by its guard at the latest.
    fn killed_at(&self) -> Instant {
        let killed_at = self.until + self.grace;
        self.stopping.map_or(killed_at, |stop| stop.min(killed_at))
    }

    fn overdue_at(&self) -> Instant {
        self.killed_at() + self.last_word
    }

    // ---- what the election wants ----

    /// The term lasts until then.
    pub fn extend(&mut self, until: Instant) {
        self.until = until;
        self.tell(ToGuard::Until(until));
    }

    /// It is to end: this signal now, KILL at `kill_at`. Of several wishes the earliest time counts.
    pub fn stop(&mut self, signal: i32, kill_at: Instant) {
        if self.stopping.is_some_and(|earlier| earlier <= kill_at) {
            return;
        }
        self.stopping = Some(kill_at);
        self.tell(ToGuard::Stop { signal, kill_at });
    }

    /// It is to be killed at once.
    pub fn kill(&mut self, now: Instant) {
        self.stopping = Some(self.stopping.map_or(now, |earlier| earlier.min(now)));
        self.tell(ToGuard::Kill);
    }

    /// A signal that is meant for it.
    pub fn signal(&mut self, signal: i32) {
        self.tell(ToGuard::Signal(signal));
    }

    /// A guard that is not there yet is told when it is.
    fn tell(&mut self, message: ToGuard) {
        if self.phase == Phase::Guarded {
            self.actions.push_back(Action::Tell(message));
        }
    }

    // ---- what becomes of it ----

    /// The guard runs. It starts the program as soon as it is told until when that may run.
    pub fn handle_spawned(&mut self) {
        if self.phase != Phase::Starting {
            return;
        }
        self.phase = Phase::Guarded;
        match self.stopping {
            // Asked to end before it began: nothing is started.
            Some(_) => self.tell(ToGuard::Kill),
            None => self.tell(ToGuard::Until(self.until)),
        }
    }

    /// There is no guard, and so no workload.
    pub fn handle_not_spawned(&mut self) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Over(Ended::GuardLost);
        }
    }

    /// The guard said something.
    pub fn handle_report(&mut self, now: Instant, report: FromGuard) {
        if self.phase != Phase::Guarded {
            return;
        }
        match report {
            FromGuard::Started(_) | FromGuard::Stopped(_) => {}
            FromGuard::Exited(code) => self.note_exit(now, code),
            FromGuard::Gone(_) => {
                let ended = self.ended_itself.map_or(Ended::Stopped, Ended::ByItself);
                self.phase = Phase::Over(ended);
            }
        }
    }

    /// What ends once it was asked to, or once its time is up, did not end by itself.
    fn note_exit(&mut self, now: Instant, code: i32) {
        if self.stopping.is_none() && now < self.until {
            self.ended_itself.get_or_insert(code);
        }
    }

    /// The guard has ended, or can say nothing any more.
    pub fn handle_guard_ended(&mut self) {
        if matches!(self.phase, Phase::Starting | Phase::Guarded) {
            self.phase = Phase::Clearing;
            self.actions.clear();
            self.actions.push_back(Action::Clear);
        }
    }

    /// Nothing runs below this process.
    pub fn handle_cleared(&mut self) {
        if self.phase == Phase::Clearing {
            self.phase = Phase::Over(if self.killed_guard {
                Ended::GuardOverdue
            } else {
                Ended::GuardLost
            });
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| now >= at) {
            self.killed_guard = true;
            self.actions.push_back(Action::KillGuard);
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

    fn actions(supervisor: &mut Supervisor) -> Vec<Action> {
        std::iter::from_fn(|| supervisor.poll_action()).collect()
    }

    /// A workload that runs, until 20 seconds from now.
    fn running() -> Supervisor {
        let mut supervisor = Supervisor::start(at(20), GRACE, MARGIN);
        assert_eq!(actions(&mut supervisor), [Action::Spawn]);
        supervisor.handle_spawned();
        let until = Action::Tell(ToGuard::Until(at(20)));
        assert_eq!(actions(&mut supervisor), [until]);
        supervisor.handle_report(at(0), FromGuard::Started(7));
        supervisor
    }

    #[test]
    fn a_program_that_ends_by_itself_is_told_with_its_code_once_nothing_is_left() {
        let mut supervisor = running();
        supervisor.handle_report(at(3), FromGuard::Exited(3));
        assert_eq!(supervisor.ended(), None);
        // What it left behind was stopped meanwhile.
        supervisor.stop(TERM, at(9));
        supervisor.handle_report(at(7), FromGuard::Gone(Some(3)));
        assert_eq!(supervisor.ended(), Some(Ended::ByItself(3)));
    }

    #[test]
    fn what_ends_after_it_was_asked_to_did_not_end_by_itself() {
        let mut supervisor = running();
        supervisor.stop(TERM, at(9));
        supervisor.handle_report(at(4), FromGuard::Exited(0));
        supervisor.handle_report(at(4), FromGuard::Gone(Some(0)));
        assert_eq!(supervisor.ended(), Some(Ended::Stopped));
    }

    #[test]
    fn what_its_guard_ended_at_its_time_did_not_end_by_itself() {
        for until in [20, 28] {
            let mut supervisor = running();
            // Word of a renewal may have come too late for the guard.
            supervisor.extend(at(until));
            supervisor.handle_report(at(20), FromGuard::Stopped(0));
            supervisor.handle_report(at(20), FromGuard::Gone(Some(0)));
            assert_eq!(supervisor.ended(), Some(Ended::Stopped));
        }
    }

    #[test]
    fn the_guard_is_told_what_changes_and_only_the_earliest_time_to_kill() {
        let mut supervisor = running();
        supervisor.extend(at(28));
        supervisor.signal(1);
        supervisor.stop(TERM, at(40));
        supervisor.stop(TERM, at(50));
        supervisor.extend(at(36));
        supervisor.stop(TERM, at(33));
        supervisor.kill(at(31));
        let stop = |kill_at| {
            Action::Tell(ToGuard::Stop {
                signal: TERM,
                kill_at,
            })
        };
        assert_eq!(
            actions(&mut supervisor),
            [
                Action::Tell(ToGuard::Until(at(28))),
                Action::Tell(ToGuard::Signal(1)),
                stop(at(40)),
                Action::Tell(ToGuard::Until(at(36))),
                stop(at(33)),
                Action::Tell(ToGuard::Kill),
            ]
        );
    }

    #[test]
    fn a_term_that_ends_before_its_guard_runs_starts_nothing() {
        let mut supervisor = Supervisor::start(at(20), GRACE, MARGIN);
        supervisor.stop(TERM, at(5));
        assert_eq!(actions(&mut supervisor), [Action::Spawn]);
        supervisor.handle_spawned();
        assert_eq!(actions(&mut supervisor), [Action::Tell(ToGuard::Kill)]);
        supervisor.handle_report(at(1), FromGuard::Gone(None));
        assert_eq!(supervisor.ended(), Some(Ended::Stopped));
    }

    #[test]
    fn a_term_that_is_extended_before_its_guard_runs_lasts_so_long() {
        let mut supervisor = Supervisor::start(at(20), GRACE, MARGIN);
        supervisor.extend(at(28));
        actions(&mut supervisor);
        supervisor.handle_spawned();
        let until = Action::Tell(ToGuard::Until(at(28)));
        assert_eq!(actions(&mut supervisor), [until]);
    }

    #[test]
    fn a_guard_that_does_not_say_gone_in_time_is_killed_and_everything_below() {
        let mut supervisor = running();
        supervisor.stop(TERM, at(60));
        actions(&mut supervisor);
        // Its own deadline is earlier than the stop's.
        let overdue = at(25) + MARGIN / LAST_WORD_DIVISOR;
        assert_eq!(supervisor.poll_timeout(), Some(overdue));
        supervisor.handle_timeout(at(25));
        assert_eq!(actions(&mut supervisor), []);
        supervisor.handle_timeout(overdue);
        assert_eq!(actions(&mut supervisor), [Action::KillGuard]);
        supervisor.handle_timeout(overdue);
        assert_eq!(actions(&mut supervisor), [], "once is enough");
        supervisor.handle_guard_ended();
        assert_eq!(actions(&mut supervisor), [Action::Clear]);
        assert_eq!(supervisor.ended(), None);
        supervisor.handle_cleared();
        assert_eq!(supervisor.ended(), Some(Ended::GuardOverdue));
    }

    #[test]
    fn a_guard_that_dies_leaves_what_is_below_to_be_killed() {
        let mut supervisor = running();
        supervisor.extend(at(28));
        supervisor.handle_guard_ended();
        assert_eq!(actions(&mut supervisor), [Action::Clear]);
        supervisor.extend(at(36));
        supervisor.kill(at(3));
        assert_eq!(actions(&mut supervisor), [], "there is nobody to be told");
        supervisor.handle_cleared();
        assert_eq!(supervisor.ended(), Some(Ended::GuardLost));
    }

    #[test]
    fn a_guard_that_said_gone_may_end() {
        let mut supervisor = running();
        supervisor.handle_report(at(3), FromGuard::Exited(0));
        supervisor.handle_report(at(3), FromGuard::Gone(Some(0)));
        supervisor.handle_guard_ended();
        supervisor.handle_timeout(at(100));
        assert_eq!(actions(&mut supervisor), []);
        assert_eq!(supervisor.ended(), Some(Ended::ByItself(0)));
    }
}
