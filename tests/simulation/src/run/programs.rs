//! Processes that a guard runs: CMD, and the descendants that CMD leaves behind. They exit a while
//! after SIGTERM, or by themselves, or never. A killed process does nothing any more.

use std::time::Duration;

use elector::election::time::Instant;

use super::{Event, Run};
use crate::clock::Time;
use crate::node::{Node, Power};
use crate::tally::Kind;
use crate::workload::{Phase, Process};

/// Exit code of a workload that exits by itself.
pub(super) const EXIT_CODE: i32 = 3;

/// Exit code of a workload that was not started because it was too late.
pub(super) const NOT_STARTED: i32 = 126;

/// Exit codes of a workload that SIGTERM or SIGKILL ended.
const TERMINATED: i32 = 128 + 15;
const KILLED: i32 = 128 + 9;

impl Run {
    /// Starts the process that becomes CMD.
    pub(super) fn start_cmd(&mut self, node: usize, number: u64) {
        let begins_at = self.now.after(self.start_delay());
        let Some(guard) = self.guard(node, number) else {
            return;
        };
        guard.unreaped = true;
        guard.code = EXIT_CODE;
        guard.state.handle_started(1);
        let process = Process {
            guard: number,
            generation: guard.generation,
            fencing_token: guard.fencing_token,
            main: true,
            becomes_cmd: Some((begins_at, guard.state.valid_until())),
            escapes: false,
            takes: guard.takes,
            termed: false,
            ends_at: None,
            limit: guard.limit,
        };
        self.nodes[node].workload.push(process);
        self.at(begins_at, Event::Processes { node });
    }

    /// Turns the process into CMD, unless its time is over or it was already asked to stop.
    fn become_cmd(&mut self, node: usize, index: usize, until: Instant) {
        let local_now = self.local_now(node);
        let process = &self.nodes[node].workload[index];
        let (number, fencing_token) = (process.guard, process.fencing_token);
        if process.termed || until <= local_now {
            self.nodes[node].workload.swap_remove(index);
            return self.report_exit(node, number, Some(NOT_STARTED));
        }
        self.check_start(node, index);
        let ends = self.workload_chance(self.workload_faults.ends);
        let ends_at = ends.then(|| self.now.after(self.seconds_of_workloads(0.0, 600.0)));
        self.nodes[node].workload[index].ends_at = ends_at;
        if let Some(at) = ends_at {
            self.at(at, Event::Processes { node });
        }
        if self.workload_chance(self.workload_faults.leftovers) {
            self.start_child(node, index);
        }
        self.note_leader();
        self.note_change();
        self.note(|run| {
            format!(
                "the workload of {} RUNS, fencing token {fencing_token}",
                run.nodes[node].name()
            )
        });
    }

    /// Starts a child that CMD will leave behind.
    fn start_child(&mut self, node: usize, index: usize) {
        self.tally.count(Kind::Leftover);
        let takes = if self.workload_rng.bool() {
            Duration::from_secs(3600)
        } else {
            self.seconds_of_workloads(0.0, 6.0)
        };
        let parent = &self.nodes[node].workload[index];
        let child = Process {
            main: false,
            escapes: self.workload_rng.u8(..4) == 0,
            takes,
            ends_at: None,
            ..*parent
        };
        self.nodes[node].workload.push(child);
    }

    /// Sends SIGTERM to some of a guard's processes.
    pub(super) fn terminate(&mut self, node: usize, number: u64, meant: fn(&Process) -> bool) {
        let now = self.now;
        let mut ends = Vec::new();
        let mut twice = false;
        let processes = self.nodes[node].workload.iter_mut();
        for process in processes.filter(|it| it.guard == number && meant(it)) {
            twice |= std::mem::replace(&mut process.termed, true);
            if process.becomes_cmd.is_some() {
                // It reacts when it becomes CMD.
                continue;
            }
            let at = now.after(process.takes);
            if process.ends_at.is_none_or(|ends_at| at < ends_at) {
                process.ends_at = Some(at);
                ends.push(at);
            }
        }
        for at in ends {
            self.at(at, Event::Processes { node });
        }
        if twice {
            self.break_rule(|run| {
                let name = run.nodes[node].name();
                format!("a process of {name} gets TERM twice")
            });
        }
        self.note(|run| format!("TERM to the workload of {}", run.nodes[node].name()));
    }

    /// Sends SIGKILL to all of a guard's processes.
    pub(super) fn kill_all(&mut self, node: usize, number: u64) {
        let mut killed_cmd = false;
        self.nodes[node].workload.retain_mut(|process| {
            let meant = process.guard == number;
            let escapes = meant && std::mem::take(&mut process.escapes);
            killed_cmd |= meant && process.main;
            !meant || escapes
        });
        self.note(|run| format!("KILL to the workload of {}", run.nodes[node].name()));
        self.report_exit(node, number, killed_cmd.then_some(KILLED));
    }

    /// Starts and ends the processes that are due.
    pub(super) fn advance_processes(&mut self, node: usize) {
        if self.nodes[node].power == Power::Suspended {
            return;
        }
        let now = self.now;
        while let Some((index, until)) = {
            let mut processes = self.nodes[node].workload.iter_mut().enumerate();
            processes.find_map(|(index, process)| {
                let due = process.becomes_cmd.take_if(|(at, _)| *at <= now);
                due.map(|(_, until)| (index, until))
            })
        } {
            self.become_cmd(node, index, until);
        }
        let due = |process: &Process| process.ends_at.is_some_and(|at| at <= now);
        while let Some(index) = self.nodes[node].workload.iter().position(due) {
            let process = self.nodes[node].workload.swap_remove(index);
            if !process.termed {
                self.tally.count(Kind::EndedItself);
            }
            let code = match process.termed {
                true => TERMINATED,
                false => EXIT_CODE,
            };
            self.report_exit(node, process.guard, process.main.then_some(code));
        }
    }

    /// Reports to the guard that one of its processes exited; `code` is set for CMD.
    fn report_exit(&mut self, node: usize, number: u64, code: Option<i32>) {
        if let (Some(guard), Some(code)) = (self.guard(node, number), code) {
            guard.code = code;
        }
        let delay = self.latency();
        self.run_guard_soon(node, number, delay);
    }

    // ---- latest time at which it may run ----

    /// Updates the latest time at which anything of the program run may run, by the messages that
    /// its thread has received. Why: a paused elector cannot tell its guard about a stop.
    pub(super) fn limit_run(&mut self, node: usize) {
        let local_now = self.local_now(node);
        if let Some((guard, limit)) = self.limit_by(node, local_now) {
            self.limit_guard(node, guard, |last| *last = limit);
        }
    }

    /// Extends the latest time for a renewed term of which the thread has not heard yet.
    pub(super) fn extend_limit(&mut self, node: usize) {
        let local_now = self.local_now(node);
        if let Some((guard, limit)) = self.limit_by(node, local_now) {
            self.limit_guard(node, guard, |last| *last = limit.max(*last));
        }
    }

    fn limit_by(&self, node: usize, local_now: Instant) -> Option<(u64, Time)> {
        let Node {
            leading,
            config,
            clock,
            ..
        } = &self.nodes[node];
        let leading = leading.as_ref()?;
        let Phase::Runs(run) = &leading.phase else {
            return None;
        };
        let end = leading.valid_until + config.termination_grace;
        let kill_at = leading.kill_at.map(|kill_at| kill_at.max(local_now));
        let end = kill_at.map_or(end, |kill_at| kill_at.min(end)) + config.margin();
        Some((run.guard, clock.true_time(end)))
    }

    fn limit_guard(&mut self, node: usize, number: u64, set: impl Fn(&mut Time)) {
        let candidate = &mut self.nodes[node];
        let guards = candidate.guards.iter_mut();
        let processes = candidate.workload.iter_mut();
        let guards = guards.filter(|guard| guard.number == number);
        let processes = processes.filter(|process| process.guard == number);
        guards.for_each(|guard| set(&mut guard.limit));
        processes.for_each(|process| set(&mut process.limit));
    }

    /// Disconnects the guards of an elector that exited; they notice when they run.
    pub(super) fn cut_guards(&mut self, node: usize) {
        let config = &self.nodes[node].config;
        let kept = config.termination_grace + config.margin();
        for number in self.guard_numbers(node) {
            let now = self.now;
            let seen_at = self
                .guard(node, number)
                .map_or(now, |it| it.ready_at.max(now));
            let clock = self.nodes[node].clock;
            let limit = clock.true_time(clock.local_now(seen_at) + kept);
            self.limit_guard(node, number, |last| *last = limit.min(*last));
            let delay = self.latency();
            self.run_guard_soon(node, number, delay);
        }
    }
}
