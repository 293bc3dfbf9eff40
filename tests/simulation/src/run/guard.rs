//! Guards and the processes that they run. A guard is the program's [`GuardState`] in a simulated
//! process, which may be late, stopped or killed.
//!
//! The simulation models Linux: a guard notices that its elector exited, and CMD dies with its
//! guard (parent-death signal). Processes that CMD leaves behind are reparented to the guard, or to
//! the elector if the guard has died. Nothing is promised if both die together outside a container,
//! so this does not happen here. A guard is killed or stopped only while its elector runs. The
//! elector is killed or stopped only after it has cleared up after a killed guard, and after a
//! stopped guard was continued.

use std::time::Duration;

use elector::election::time::Instant;
use elector::workload::guard_state::{GuardAction, GuardState};
use elector::workload::message::{FromGuard, LineBuffer, ToGuard};

use super::{Event, Run};
use crate::node::Power;
use crate::state_file::StateFile;
use crate::surroundings::{Rule, is_kept};
use crate::workload::{Guard, Message, Process};

impl Run {
    // ---- start and end ----

    pub(super) fn spawn_guard(&mut self, node: usize, number: u64) {
        let spawning = self.start_delay();
        let ready_at = self.now.after(spawning + self.start_delay());
        let candidate = &mut self.nodes[node];
        let Some(leading) = &candidate.leading else {
            return;
        };
        candidate.guards.push(Guard {
            number,
            generation: candidate.generation,
            holds_state: candidate.state.as_ref().is_some_and(StateFile::is_held),
            fencing_token: leading.fencing_token,
            state: GuardState::new(candidate.config.termination_grace),
            ready_at,
            stopped: false,
            pipe: LineBuffer::default(),
            cut: false,
            ending: false,
            runs_at: None,
            timer_at: None,
            unreaped: false,
            code: 0,
            takes: leading.takes,
            limit: self.now,
        });
        self.limit_run(node);
        self.send_message(node, spawning, Message::Spawned(number));
    }

    pub(super) fn guard(&mut self, node: usize, number: u64) -> Option<&mut Guard> {
        let guards = &mut self.nodes[node].guards;
        guards.iter_mut().find(|guard| guard.number == number)
    }

    /// Kills a guard (SIGKILL). CMD dies with it.
    pub(super) fn kill_guard(&mut self, node: usize, number: u64) {
        let candidate = &mut self.nodes[node];
        let Some(index) = candidate.guards.iter().position(|it| it.number == number) else {
            return;
        };
        let guard = candidate.guards.swap_remove(index);
        let dies = |process: &Process| process.main && process.guard == number;
        candidate.workload.retain(|process| !dies(process));
        self.note(|run| format!("the guard of {} is KILLED", run.nodes[node].name()));
        self.report_guard_ended(node, &guard);
    }

    fn report_guard_ended(&mut self, node: usize, guard: &Guard) {
        if guard.generation == self.nodes[node].generation {
            let delay = self.latency();
            self.send_message(node, delay, Message::GuardEnded(guard.number));
        }
    }

    pub(super) fn continue_guard(&mut self, node: usize, number: u64) {
        let Some(guard) = self.guard(node, number).filter(|guard| guard.stopped) else {
            return;
        };
        guard.stopped = false;
        self.note(|run| format!("the guard of {} continues", run.nodes[node].name()));
        let delay = self.latency();
        self.run_guard_soon(node, number, delay);
    }

    /// Returns whether processes of a killed guard still wait for the elector to kill them.
    pub(super) fn has_orphans(&self, node: usize) -> bool {
        let candidate = &self.nodes[node];
        let guarded = |process: &Process| {
            let mut guards = candidate.guards.iter();
            guards.any(|guard| guard.number == process.guard)
        };
        candidate.workload.iter().any(|process| !guarded(process))
    }

    pub(super) fn guard_numbers(&self, node: usize) -> Vec<u64> {
        let guards = self.nodes[node].guards.iter();
        guards.map(|guard| guard.number).collect()
    }

    // ---- when it runs ----

    /// Schedules the guard to check its pipe, its children and the time after `delay`.
    pub(super) fn run_guard_soon(&mut self, node: usize, number: u64, delay: Duration) {
        let soon = self.now.after(delay);
        let Some(guard) = self.guard(node, number) else {
            return;
        };
        let at = soon.max(guard.ready_at);
        if guard.runs_at.is_some_and(|runs_at| runs_at <= at) {
            return;
        }
        guard.runs_at = Some(at);
        let guard = number;
        self.at(at, Event::GuardRuns { node, guard });
    }

    pub(super) fn guard_runs(&mut self, node: usize, number: u64) {
        let now = self.now;
        if let Some(guard) = self.guard(node, number)
            && guard.runs_at == Some(now)
        {
            guard.runs_at = None;
            self.run_guard(node, number);
        }
    }

    pub(super) fn guard_timer(&mut self, node: usize, number: u64) {
        let now = self.now;
        let clock = self.nodes[node].clock;
        let Some(guard) = self.guard(node, number) else {
            return;
        };
        if guard.timer_at != Some(now) {
            return;
        }
        guard.timer_at = None;
        let due = guard.state.poll_timeout();
        if due.is_some_and(|due| clock.true_time(due) <= now) {
            let delay = self.latency();
            return self.run_guard_soon(node, number, delay);
        }
        self.set_timer(node, number);
    }

    /// Sets the timer. A timer that fires early is set again.
    fn set_timer(&mut self, node: usize, number: u64) {
        let now = self.now;
        let clock = self.nodes[node].clock;
        let Some(guard) = self.guard(node, number) else {
            return;
        };
        let Some(due) = guard
            .state
            .poll_timeout()
            .filter(|_| enforces_deadline(guard))
        else {
            return;
        };
        let at = clock.true_time(due).max(now);
        if guard.timer_at.is_some_and(|set| set <= at) {
            return;
        }
        guard.timer_at = Some(at);
        let guard = number;
        self.at(at, Event::GuardTimer { node, guard });
    }

    /// Resets the timers after the clock was set or the machine was suspended.
    pub(super) fn reset_timers(&mut self, node: usize) {
        for number in self.guard_numbers(node) {
            if let Some(guard) = self.guard(node, number) {
                guard.timer_at = None;
            }
            self.set_timer(node, number);
        }
    }

    // ---- what it does ----

    /// Runs the guard: it reaps its children, reads its messages, checks the time and carries out
    /// its actions.
    pub(super) fn run_guard(&mut self, node: usize, number: u64) {
        let now = self.now;
        let suspended = self.nodes[node].power == Power::Suspended;
        let runs = |guard: &&mut Guard| !guard.stopped && guard.ready_at <= now && !suspended;
        if self.guard(node, number).filter(runs).is_none() {
            return;
        }
        let local_now = self.local_now(node);
        self.reap(node, number, local_now);
        self.read_messages(node, number, local_now);
        if let Some(guard) = self.guard(node, number).filter(|it| enforces_deadline(it)) {
            guard.state.handle_timeout(local_now);
        }
        self.act_as_guard(node, number);
        self.set_timer(node, number);
    }

    fn reap(&mut self, node: usize, number: u64, local_now: Instant) {
        let (mut main, mut any) = (false, false);
        for process in &self.nodes[node].workload {
            any |= process.guard == number;
            main |= process.guard == number && process.main;
        }
        let Some(guard) = self.guard(node, number) else {
            return;
        };
        if guard.unreaped && !main {
            guard.unreaped = false;
            guard.ending = true;
            guard.state.handle_exited(local_now, guard.code);
        }
        if !any {
            guard.state.handle_workload_stopped();
        }
    }

    fn read_messages(&mut self, node: usize, number: u64, local_now: Instant) {
        let generation = self.nodes[node].generation;
        let Some(guard) = self.guard(node, number) else {
            return;
        };
        while let Some(line) = guard.pipe.next_line() {
            match line.and_then(|line| ToGuard::parse(&line)) {
                Ok(message) => {
                    guard.ending |= matches!(message, ToGuard::Stop { .. } | ToGuard::Kill);
                    guard.state.handle_message(local_now, message);
                }
                Err(error) => return self.break_rule(|_| error.to_string()),
            }
        }
        let ended = guard.generation != generation && is_kept(Rule::GuardNoticesElectorExit);
        if ended && !std::mem::replace(&mut guard.cut, true) {
            guard.ending = true;
            guard.state.handle_disconnected(local_now);
        }
    }

    fn act_as_guard(&mut self, node: usize, number: u64) {
        while let Some(action) = self.next_guard_action(node, number) {
            match action {
                GuardAction::Start => self.start_cmd(node, number),
                GuardAction::SignalProgram(_) => self.terminate(node, number, |it| it.main),
                GuardAction::TerminateAll => self.terminate(node, number, |_| true),
                GuardAction::TerminateOthers => self.terminate(node, number, |it| !it.main),
                GuardAction::ContinueGroup => {}
                GuardAction::KillAll => self.kill_all(node, number),
                GuardAction::Report(report) => self.report(node, number, report),
                GuardAction::Exit => self.finish_guard(node, number),
            }
        }
    }

    fn next_guard_action(&mut self, node: usize, number: u64) -> Option<GuardAction> {
        self.guard(node, number)?.state.poll_action()
    }

    fn report(&mut self, node: usize, number: u64, report: FromGuard) {
        let leading = &mut self.nodes[node].leading;
        // Without that thread the report is not read.
        let Some(run) = leading.as_mut().and_then(|leading| leading.run_of(number)) else {
            return;
        };
        run.reports.push(report.to_line().as_bytes());
        if !std::mem::replace(&mut run.unread, true) {
            let delay = self.latency();
            self.send_message(node, delay, Message::Reports(number));
        }
    }

    fn finish_guard(&mut self, node: usize, number: u64) {
        let guards = &mut self.nodes[node].guards;
        let Some(index) = guards.iter().position(|guard| guard.number == number) else {
            return;
        };
        let guard = guards.swap_remove(index);
        let runs = |process: &Process| process.guard == number;
        if self.nodes[node].workload.iter().any(runs) {
            self.break_rule(|run| {
                let name = run.nodes[node].name();
                format!("the guard of {name} exits while a process of it runs")
            });
        }
        let candidate = &mut self.nodes[node];
        if let Some(state) = &mut candidate.state
            && guard.holds_state
            && guard.generation != candidate.generation
        {
            state.note_stopped();
        }
        self.report_guard_ended(node, &guard);
    }

    /// Resumes the machine: everything due happens immediately.
    pub(super) fn resume_guards(&mut self, node: usize) {
        self.nodes[node].resumed_at = self.now;
        self.advance_processes(node);
        self.reset_timers(node);
        for number in self.guard_numbers(node) {
            self.run_guard(node, number);
            // A guard that was still starting continues to do so.
            self.run_guard_soon(node, number, Duration::ZERO);
        }
    }
}

/// Returns whether a guard acts on its deadline. With that rule disabled, it acts on messages
/// alone.
fn enforces_deadline(guard: &Guard) -> bool {
    guard.ending || is_kept(Rule::GuardEnforcesDeadline)
}
