//! What runs while a candidate leads, and the guard that holds its deadline.

use std::time::Duration;

use multi_cluster_leader_election::election::time::Instant;

use super::{Event, World};
use crate::node::{Power, Workload};

impl World {
    pub(super) fn start_workload(&mut self, node: usize, token: u64, until: Instant) {
        let local = self.local(node);
        self.note(|w| {
            format!(
                "{} LEADS, token {token}, until {until} (now {local})",
                w.nodes[node].name
            )
        });
        self.summary.terms += 1;
        if self.highest_token.is_some_and(|highest| token <= highest) {
            self.violate(format!(
                "the token {token} does not rise above {:?}",
                self.highest_token
            ));
        }
        self.highest_token = self.highest_token.max(Some(token));
        if self.healed_at.is_some() {
            self.led_since_healing.get_or_insert(self.now);
        }
        if local >= until {
            self.violate("a term begins after its own end".into());
        }
        let grace = self.scenario.config.termination_grace;
        let takes = if self.chance(self.faults.stubborn_workloads) {
            Duration::from_secs(3600)
        } else {
            self.seconds(0.0, 6.0)
        };
        self.nodes[node].workload = Some(Workload {
            token,
            until,
            stopping: None,
            kill_at: until + grace,
            takes,
        });
        self.schedule_guard(node);
    }

    pub(super) fn extend(&mut self, node: usize, until: Instant) {
        if let Some(workload) = &mut self.nodes[node].workload {
            workload.until = until;
        }
        self.schedule_guard(node);
    }

    pub(super) fn stop_workload(&mut self, node: usize, kill_at: Instant) {
        let local = self.local(node);
        if let Some(workload) = &mut self.nodes[node].workload {
            workload.stopping.get_or_insert(local);
            workload.kill_at = kill_at;
        }
        self.schedule_guard(node);
    }

    pub(super) fn schedule_guard(&mut self, node: usize) {
        let grace = self.scenario.config.termination_grace;
        let candidate = &mut self.nodes[node];
        candidate.orders += 1;
        let life = candidate.orders;
        if let Some(workload) = &candidate.workload {
            let at = candidate
                .clock
                .true_time(workload.gone_at(grace))
                .max(self.now);
            self.at(at, Event::Guard { node, life });
        }
    }

    /// The time of the workload is over: nothing of it is left.
    pub(super) fn guard(&mut self, node: usize) {
        if self.nodes[node].power == Power::Suspended {
            return;
        }
        if self.nodes[node].workload.take().is_none() {
            return;
        }
        self.note(|w| format!("the workload of {} is gone", w.nodes[node].name));
        if self.nodes[node].power == Power::On {
            self.tell_gone(node);
        }
    }

    pub(super) fn tell_gone(&mut self, node: usize) {
        let local = self.local(node);
        self.nodes[node].elector.handle_timeout(local);
        self.nodes[node].elector.handle_workload_gone(local);
        self.step(node);
    }
}
