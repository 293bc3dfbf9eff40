//! What befalls workloads and guards, and how long things take there: all drawn from a generator of their
//! own.

use std::time::Duration;

use super::{Event, World};
use crate::node::{Node, Power};
use crate::tally::Kind;
use crate::workload::Guard;

impl World {
    // ---- how long things take ----

    /// A thread or process that has something to do gets to run.
    pub(super) fn latency(&mut self) -> Duration {
        Duration::from_nanos(self.workload_rng.u64(50_000..5_000_000))
    }

    /// One that is new: mostly soon, and seconds later on a starved machine.
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

    // ---- troubles ----

    pub(super) fn plan_workload_troubles(&mut self) {
        // With the moments drawn as those of other troubles are, but from another generator.
        std::mem::swap(&mut self.rng, &mut self.workload_rng);
        for at in self.moments(self.workload_faults.guards_killed) {
            self.at(at, Event::GuardTrouble { kills: true });
        }
        for at in self.moments(self.workload_faults.guards_stopped) {
            self.at(at, Event::GuardTrouble { kills: false });
        }
        std::mem::swap(&mut self.rng, &mut self.workload_rng);
    }

    /// One of the guards whose electors run is killed or stopped.
    pub(super) fn guard_trouble(&mut self, kills: bool) {
        if self.healing.is_some() {
            return;
        }
        let runs = |node: &Node, guard: &Guard| {
            node.power == Power::On && guard.life == node.life && !guard.stopped
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
        self.note(|w| format!("the guard of {} is STOPPED", w.nodes[node].name()));
        if let Some(guard) = self.guard(node, number) {
            guard.stopped = true;
        }
        if self.workload_rng.u8(..3) > 0 {
            let lasts = self.seconds_of_workloads(0.05, 60.0);
            let guard = number;
            self.after(lasts, Event::GuardContinues { node, guard });
        }
    }

    /// Before its elector is stopped or killed, every guard goes on.
    pub(super) fn continue_guards(&mut self, node: usize) {
        for number in self.numbers_of_guards(node) {
            self.continue_guard(node, number);
        }
    }

    /// Whatever runs behaves from now on.
    pub(super) fn heal_workload(&mut self, node: usize) {
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
