//! What runs while a candidate leads, and the guard that holds its deadline.

use std::time::Duration;

use multi_cluster_leader_election::election::time::Instant;

use super::{Event, World};
use crate::missing::{Rule, rule_holds};
use crate::node::{Power, Workload};
use crate::tally::Kind;

impl World {
    pub(super) fn start_workload(&mut self, node: usize, token: u64, until: Instant) {
        let told = self.told(node);
        self.note(|w| {
            format!(
                "{} LEADS, token {token}, until {until} (now {told})",
                w.nodes[node].name()
            )
        });
        self.tally.terms += 1;
        if let Some(from) = self.nodes[node].takeover_from.take() {
            let late = self.now.since(from);
            self.tally.takeover(self.scenario.seed, late);
        }
        if self.highest_token.is_some_and(|highest| token <= highest) {
            self.violate(format!(
                "the token {token} does not rise above {:?}",
                self.highest_token
            ));
        }
        self.highest_token = self.highest_token.max(Some(token));
        self.note_leader();
        self.note_change();
        if told >= until {
            self.break_rule(|_| "a term begins after its own end".into());
        }
        self.check_until(node, until);
        if let Some(old) = &self.nodes[node].workload {
            let (name, old) = (self.nodes[node].name(), old.token);
            self.violate(format!(
                "two workloads run, both of {name}: of the terms {old} and {token}"
            ));
        }
        let grace = self.nodes[node].config.termination_grace;
        let takes = if self.fault(self.faults.stubborn_workloads, Kind::Stubborn) {
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
        self.check_until(node, until);
        if let Some(workload) = &mut self.nodes[node].workload {
            workload.until = until;
        }
        self.schedule_guard(node);
    }

    pub(super) fn stop_workload(&mut self, node: usize, kill_at: Instant) {
        self.note_change();
        let told = self.told(node);
        if let Some(workload) = &mut self.nodes[node].workload {
            workload.stopping.get_or_insert(told);
            workload.kill_at = kill_at;
        }
        self.schedule_guard(node);
    }

    pub(super) fn schedule_guard(&mut self, node: usize) {
        let guarded = rule_holds(Rule::GuardHoldsDeadline);
        let candidate = &mut self.nodes[node];
        let grace = candidate.config.termination_grace;
        candidate.orders += 1;
        let order = candidate.orders;
        let Some(workload) = &candidate.workload else {
            return;
        };
        if !guarded && workload.stopping.is_none() {
            return;
        }
        let gone_at = candidate.clock.true_time(workload.gone_at(grace));
        self.at(gone_at.max(self.now), Event::Guard { node, order });
    }

    /// The time of the workload is over: nothing of it is left.
    pub(super) fn guard(&mut self, node: usize) {
        if self.nodes[node].power == Power::Suspended {
            return;
        }
        if self.nodes[node].workload.take().is_none() {
            return;
        }
        self.note(|w| format!("the workload of {} is gone", w.nodes[node].name()));
        self.note_change();
        if self.nodes[node].power == Power::On {
            self.tell_gone(node);
        }
    }

    pub(super) fn tell_gone(&mut self, node: usize) {
        let told = self.told(node);
        self.nodes[node].elector.handle_timeout(told);
        self.nodes[node].elector.handle_workload_gone(told);
        self.step(node);
    }
}
