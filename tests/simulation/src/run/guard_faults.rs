//! Faults of workloads and guards, and the time that their steps take, all from a separate
//! generator.

use std::time::Duration;

use super::{Event, Run};
use crate::node::{Node, Power};
use crate::tally::Kind;
use crate::workload::Guard;

impl Run {
    // ---- how long steps take ----

    /// Draws the time until a runnable thread or process runs.
    pub(super) fn latency(&mut self) -> Duration {
        Duration::from_nanos(self.workload_rng.u64(50_000..5_000_000))
    }

    /// Draws the time until a new thread or process runs: usually short, seconds on an overloaded
    /// machine.
    pub(super) fn start_delay(&mut self) -> Duration {
        let probability = self.workload_faults.slow_starts;
        if probability > 0.0 && self.workload_rng.f64() < probability {
            self.tally.count(Kind::SlowStart);
            return self.seconds_of_workloads(0.5, 20.0);
        }
        self.latency() * 4
    }

    pub(super) fn seconds_of_workloads(&mut self, least: f64, most: f64) -> Duration {
        Duration::from_secs_f64(least + (most - least) * self.workload_rng.f64())
    }

    pub(super) fn workload_chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.workload_rng.f64() < probability
    }

    // ---- faults ----

    pub(super) fn plan_guard_faults(&mut self) {
        // Times are drawn like those of other faults, but from the other generator.
        std::mem::swap(&mut self.rng, &mut self.workload_rng);
        for at in self.moments(self.workload_faults.guards_killed) {
            self.at(at, Event::GuardFault { kills: true });
        }
        for at in self.moments(self.workload_faults.guards_stopped) {
            self.at(at, Event::GuardFault { kills: false });
        }
        std::mem::swap(&mut self.rng, &mut self.workload_rng);
    }

    /// Kills or stops one of the guards whose elector runs.
    pub(super) fn guard_fault(&mut self, kills: bool) {
        if self.recovery.is_some() {
            return;
        }
        let runs = |node: &Node, guard: &Guard| {
            node.power == Power::On && guard.generation == node.generation && !guard.stopped
        };
        let guards = self.nodes.iter().enumerate().flat_map(|(index, node)| {
            let guards = node.guards.iter().filter(move |guard| runs(node, guard));
            guards.map(move |guard| (index, guard.number))
        });
        let guards: Vec<(usize, u64)> = guards.collect();
        if guards.is_empty() {
            return;
        }
        let (node, number) = guards[self.workload_rng.usize(..guards.len())];
        if kills {
            self.tally.count(Kind::GuardKilled);
            return self.kill_guard(node, number);
        }
        self.tally.count(Kind::GuardStopped);
        self.note(|run| format!("the guard of {} is STOPPED", run.nodes[node].name()));
        if let Some(guard) = self.guard(node, number) {
            guard.stopped = true;
        }
        if self.workload_rng.u8(..3) > 0 {
            let lasts = self.seconds_of_workloads(0.05, 60.0);
            let guard = number;
            self.after(lasts, Event::GuardContinues { node, guard });
        }
    }

    /// Continues every guard before its elector is stopped or killed.
    pub(super) fn continue_guards(&mut self, node: usize) {
        for number in self.guard_numbers(node) {
            self.continue_guard(node, number);
        }
    }

    /// Ends all faults of a candidate's workload.
    pub(super) fn end_workload_faults(&mut self, node: usize) {
        self.continue_guards(node);
        let most = Duration::from_secs(3);
        let candidate = &mut self.nodes[node];
        for process in &mut candidate.workload {
            process.takes = process.takes.min(most);
            if !process.termed {
                process.ends_at = None;
            }
        }
        for guard in &mut candidate.guards {
            guard.takes = guard.takes.min(most);
        }
        if let Some(leading) = &mut candidate.leading {
            leading.takes = leading.takes.min(most);
        }
    }
}
