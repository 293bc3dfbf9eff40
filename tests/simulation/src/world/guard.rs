//! Guards and what they run: a guard is the program's [`GuardState`] in a process of its own, which may be
//! late, stopped or killed.
//!
//! What Linux does is played here: a guard sees the end of its elector; CMD dies with its guard (the
//! parent-death signal); what CMD leaves behind falls to the guard, and to the elector if the guard has
//! died. If both died together outside a container, nobody would be left to kill it. For that nothing is
//! promised, so it does not happen here: a guard is killed or stopped only while its elector runs, and
//! its elector is killed or stopped only once it has cleared up after a guard that was killed, and after
//! a guard that was stopped was continued.

use std::time::Duration;

use elector::election::time::Instant;
use elector::workload::guard_state::{GuardAction, GuardState};
use elector::workload::message::{FromGuard, LineBuffer, ToGuard};

use super::{Event, World};
use crate::missing::{Rule, rule_holds};
use crate::node::Power;
use crate::workload::{Guard, Process, Word};

impl World {
    // ---- its life ----

    pub(super) fn spawn_guard(&mut self, node: usize, number: u64) {
        let spawning = self.start_delay();
        let ready_at = self.now.after(spawning + self.start_delay());
        let candidate = &mut self.nodes[node];
        let Some(leading) = &candidate.leading else {
            return;
        };
        candidate.guards.push(Guard {
            number,
            life: candidate.life,
            token: leading.token,
            watch: GuardState::new(candidate.config.termination_grace),
            ready_at,
            stopped: false,
            pipe: LineBuffer::new(),
            cut: false,
            ending: false,
            looks_at: None,
            timer_at: None,
            unreaped: false,
            code: 0,
            takes: leading.takes,
            limit: self.now,
        });
        self.limit_run(node);
        self.send_word(node, spawning, Word::Spawned(number));
    }

    pub(super) fn guard(&mut self, node: usize, number: u64) -> Option<&mut Guard> {
        let guards = &mut self.nodes[node].guards;
        guards.iter_mut().find(|guard| guard.number == number)
    }

    /// SIGKILL, with what follows at once: CMD dies as well.
    pub(super) fn kill_guard(&mut self, node: usize, number: u64) {
        let candidate = &mut self.nodes[node];
        let Some(index) = candidate.guards.iter().position(|it| it.number == number) else {
            return;
        };
        let guard = candidate.guards.swap_remove(index);
        let dies = |process: &Process| process.main && process.guard == number;
        candidate.workload.retain(|process| !dies(process));
        self.note(|w| format!("the guard of {} is KILLED", w.nodes[node].name()));
        self.tell_guard_ended(node, &guard);
    }

    fn tell_guard_ended(&mut self, node: usize, guard: &Guard) {
        if guard.life == self.nodes[node].life {
            let delay = self.latency();
            self.send_word(node, delay, Word::GuardEnded(guard.number));
        }
    }

    pub(super) fn continue_guard(&mut self, node: usize, number: u64) {
        let Some(guard) = self.guard(node, number).filter(|guard| guard.stopped) else {
            return;
        };
        guard.stopped = false;
        self.note(|w| format!("the guard of {} goes on", w.nodes[node].name()));
        let delay = self.latency();
        self.look_soon(node, number, delay);
    }

    /// Whether something of the elector's guards waits for the elector to kill it.
    pub(super) fn has_orphans(&self, node: usize) -> bool {
        let candidate = &self.nodes[node];
        let guarded = |process: &Process| {
            let mut guards = candidate.guards.iter();
            guards.any(|guard| guard.number == process.guard)
        };
        candidate.workload.iter().any(|process| !guarded(process))
    }

    pub(super) fn numbers_of_guards(&self, node: usize) -> Vec<u64> {
        let guards = self.nodes[node].guards.iter();
        guards.map(|guard| guard.number).collect()
    }

    // ---- when it looks ----

    /// It looks at its pipe, its children and the time, after a while at the latest.
    pub(super) fn look_soon(&mut self, node: usize, number: u64, delay: Duration) {
        let soon = self.now.after(delay);
        let Some(guard) = self.guard(node, number) else {
            return;
        };
        let at = soon.max(guard.ready_at);
        if guard.looks_at.is_some_and(|looks_at| looks_at <= at) {
            return;
        }
        guard.looks_at = Some(at);
        let guard = number;
        self.at(at, Event::GuardLooks { node, guard });
    }

    pub(super) fn guard_looks(&mut self, node: usize, number: u64) {
        let now = self.now;
        if let Some(guard) = self.guard(node, number)
            && guard.looks_at == Some(now)
        {
            guard.looks_at = None;
            self.look(node, number);
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
        let due = guard.watch.poll_timeout();
        if due.is_some_and(|due| clock.true_time(due) <= now) {
            let delay = self.latency();
            return self.look_soon(node, number, delay);
        }
        self.set_timer(node, number);
    }

    /// The timer that is set may be earlier than what is due: then it is set anew when it fires.
    fn set_timer(&mut self, node: usize, number: u64) {
        let now = self.now;
        let clock = self.nodes[node].clock;
        let Some(guard) = self.guard(node, number) else {
            return;
        };
        let Some(due) = guard.watch.poll_timeout().filter(|_| minds_time(guard)) else {
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

    /// The clock was set, or has stood still.
    pub(super) fn reset_timers(&mut self, node: usize) {
        for number in self.numbers_of_guards(node) {
            if let Some(guard) = self.guard(node, number) {
                guard.timer_at = None;
            }
            self.set_timer(node, number);
        }
    }

    // ---- what it does then ----

    /// It reaps what has ended, reads what was said and looks at the time, and then does what there is
    /// to do.
    pub(super) fn look(&mut self, node: usize, number: u64) {
        let now = self.now;
        let suspended = self.nodes[node].power == Power::Suspended;
        let runs = |guard: &&mut Guard| !guard.stopped && guard.ready_at <= now && !suspended;
        if self.guard(node, number).filter(runs).is_none() {
            return;
        }
        let told = self.told(node);
        self.reap(node, number, told);
        self.listen(node, number, told);
        if let Some(guard) = self.guard(node, number).filter(|it| minds_time(it)) {
            guard.watch.handle_timeout(told);
        }
        self.act_as_guard(node, number);
        self.set_timer(node, number);
    }

    fn reap(&mut self, node: usize, number: u64, told: Instant) {
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
            guard.watch.handle_exited(told, guard.code);
        }
        if !any {
            guard.watch.handle_workload_stopped();
        }
    }

    fn listen(&mut self, node: usize, number: u64, told: Instant) {
        let life = self.nodes[node].life;
        let Some(guard) = self.guard(node, number) else {
            return;
        };
        while let Some(line) = guard.pipe.next_line() {
            match line.and_then(|line| ToGuard::parse(&line)) {
                Ok(message) => {
                    guard.ending |= matches!(message, ToGuard::Stop { .. } | ToGuard::Kill);
                    guard.watch.handle_message(told, message);
                }
                Err(error) => return self.break_rule(|_| error.to_string()),
            }
        }
        let ended = guard.life != life && rule_holds(Rule::GuardSeesElectorsEnd);
        if ended && !std::mem::replace(&mut guard.cut, true) {
            guard.ending = true;
            guard.watch.handle_disconnected(told);
        }
    }

    fn act_as_guard(&mut self, node: usize, number: u64) {
        while let Some(action) = self.next_watch_action(node, number) {
            match action {
                GuardAction::Start => self.start_cmd(node, number),
                GuardAction::SignalGroup(_) => self.terminate(node, number, true),
                GuardAction::TerminateAll => self.terminate(node, number, false),
                GuardAction::ContinueGroup => {}
                GuardAction::KillAll => self.kill_all(node, number),
                GuardAction::Report(report) => self.report(node, number, report),
                GuardAction::Exit => self.finish_guard(node, number),
            }
        }
    }

    fn next_watch_action(&mut self, node: usize, number: u64) -> Option<GuardAction> {
        self.guard(node, number)?.watch.poll_action()
    }

    fn report(&mut self, node: usize, number: u64, report: FromGuard) {
        let leading = &mut self.nodes[node].leading;
        // Whoever started it is gone otherwise, and nobody reads.
        let Some(run) = leading.as_mut().and_then(|leading| leading.run_of(number)) else {
            return;
        };
        run.reports.push(report.to_line().as_bytes());
        if !std::mem::replace(&mut run.unread, true) {
            let delay = self.latency();
            self.send_word(node, delay, Word::Reports(number));
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
            self.break_rule(|w| {
                let name = w.nodes[node].name();
                format!("the guard of {name} ends while something of it runs")
            });
        }
        self.tell_guard_ended(node, &guard);
    }

    /// The machine goes on: whatever is due is done at once.
    pub(super) fn thaw(&mut self, node: usize) {
        self.nodes[node].thawed = self.now;
        self.processes_go_on(node);
        self.reset_timers(node);
        for number in self.numbers_of_guards(node) {
            self.look(node, number);
            // One that was still starting goes on with that.
            self.look_soon(node, number, Duration::ZERO);
        }
    }
}

/// Whether a guard acts when its time is over. With that rule left out, it acts on what it is told alone.
fn minds_time(guard: &Guard) -> bool {
    guard.ending || rule_holds(Rule::GuardHoldsDeadline)
}
