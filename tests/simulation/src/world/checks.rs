//! What is promised, checked at every step; and the rules that are to bring it about, held against
//! what truly happened, which no candidate knows.

use std::time::Duration;

use multi_cluster_leader_election::election::action::StopReason;
use multi_cluster_leader_election::election::time::Instant;

use super::{Checks, Sender, World};
use crate::clock::Time;
use crate::node::{Node, Power, TermWrite};
use crate::service::{Landed, Standing};

/// What the conversion of one clock's time to another's may be off by.
const ROUNDING: Duration = Duration::from_nanos(3);

impl World {
    /// A promise to users is broken.
    pub(super) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// A rule is broken that is to bring the promises about.
    pub(super) fn break_rule(&mut self, what: impl FnOnce(&World) -> String) {
        if self.checks == Checks::All {
            let what = what(self);
            self.violate(what);
        }
    }

    pub(super) fn check(&mut self) {
        let running = |node: &&Node| node.workload.is_some() && node.power != Power::Suspended;
        let mut workloads = self.nodes.iter().filter(running);
        if let (Some(one), Some(other)) = (workloads.next(), workloads.next()) {
            let token = |node: &Node| node.workload.as_ref().map_or(0, |workload| workload.token);
            let what = format!(
                "two workloads run: of {} (token {}) and of {} (token {})",
                one.name(),
                token(one),
                other.name(),
                token(other)
            );
            self.violate(what);
        }
        if self.checks == Checks::All {
            self.check_deadlines();
        }
    }

    /// A leader that could not renew has stopped by its deadline.
    fn check_deadlines(&mut self) {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let Some(workload) = &node.workload else {
                continue;
            };
            let told = node.clock.told(self.now);
            let late = told.since(workload.until) > ROUNDING;
            if node.power == Power::On && node.elector.is_leader() && late {
                self.break_rule(|w| {
                    let node = &w.nodes[index];
                    format!(
                        "{} leads at {told}, its workload was told {:?}: {:?}",
                        node.name(),
                        node.workload,
                        node.elector.status()
                    )
                });
            }
        }
    }

    /// Until when a term may last, by what truly happened: the time since boot.
    fn deadline(&self, node: usize) -> Option<Instant> {
        let Node { config, term, .. } = &self.nodes[node];
        let in_effect = term.1.iter().filter(|write| !write.landed.is_empty());
        let newest = in_effect.clone().map(|write| write.sent).max()?;
        let confirmed = in_effect.filter(|write| write.confirmed);
        let confirmed = confirmed.map(|write| write.sent).max()?;
        // Said here once more: the grace and a thirtieth of the lease are kept back.
        let kept = config.termination_grace + config.lease_duration / 30;
        let usable = config.lease_duration - kept;
        Some((newest + config.renew_deadline).min(confirmed + usable))
    }

    /// A term is told to last until then.
    pub(super) fn check_until(&mut self, node: usize, until: Instant) {
        if self.checks == Checks::Promises {
            return;
        }
        let clock = self.nodes[node].clock;
        let until = clock.local(clock.true_time(until).max(Time(0)));
        let deadline = self.deadline(node);
        let late = deadline.is_none_or(|deadline| until.since(deadline) > ROUNDING);
        if late {
            self.break_rule(|w| {
                format!(
                    "{} is to lead until {until}, by its writes that are confirmed it may until {}",
                    w.nodes[node].name(),
                    deadline.map_or("never".to_owned(), |deadline| deadline.to_string())
                )
            });
        }
    }

    /// A workload is told to stop, and when it is killed; a polite stop keeps the lease meanwhile.
    pub(super) fn check_kill(&mut self, node: usize, reason: StopReason, kill_at: Instant) {
        let candidate = &self.nodes[node];
        let Some(workload) = &candidate.workload else {
            return;
        };
        let latest = workload.until + candidate.config.termination_grace;
        if reason != StopReason::Cancelled && kill_at.since(latest) > ROUNDING {
            self.break_rule(|w| {
                format!(
                    "the workload of {} is killed at {kill_at}, later than {latest}",
                    w.nodes[node].name()
                )
            });
        }
    }

    /// A write is sent.
    pub(super) fn check_sending(&mut self, node: usize, holder: &str) {
        if self.nodes[node].workload.is_some() && holder.is_empty() {
            self.break_rule(|w| {
                format!(
                    "{} gives the lease back while its workload runs",
                    w.nodes[node].name()
                )
            });
        }
    }

    /// A write of one of ours took effect: over nothing that may still be somebody's.
    pub(super) fn check_landing(&mut self, node: usize, from: Sender, before: Standing) {
        if before.process == Some(from.process) {
            return;
        }
        self.nodes[node].takeover_from = None;
        self.check_all_gone(node);
        if before.released {
            return;
        }
        let (Some(lease), Some(since)) = (before.lease, before.since) else {
            return;
        };
        let candidate = &self.nodes[node];
        let lease = if before.ours {
            lease
        } else {
            lease.max(candidate.config.lease_duration)
        };
        let clock = candidate.clock;
        self.nodes[node].takeover_from = Some(since.after(lease));
        let passed = clock.local(from.sent).since(clock.local(since));
        if passed < lease {
            self.break_rule(|w| {
                format!(
                    "{} writes over a lease of {lease:?} after {passed:?}",
                    w.nodes[node].name()
                )
            });
        }
    }

    /// The lease is taken: nothing of anybody's workload is left.
    fn check_all_gone(&mut self, taker: usize) {
        let runs = |node: &Node| node.workload.is_some() && node.power != Power::Suspended;
        let Some(left) = self.nodes.iter().position(runs) else {
            return;
        };
        self.break_rule(|w| {
            let (taker, left) = (w.nodes[taker].name(), w.nodes[left].name());
            format!("{taker} takes the lease while the workload of {left} still runs")
        });
    }

    /// Keeps what truly became of a write of the present term.
    pub(super) fn note_landing(&mut self, node: usize, id: &str, landed: &Landed) {
        let delay = self.scenario.confirm_delay;
        let clock = self.nodes[node].clock;
        let mut writes = std::mem::take(&mut self.nodes[node].term.1);
        if let Some(write) = writes.iter_mut().find(|write| &*write.id == id) {
            write.landed.push(landed.revision);
            // Whatever was built on an older head than the one right below has been carried out.
            if clock.local(landed.head_since) + delay <= write.sent {
                let stands_below = |write: &TermWrite| {
                    let mut landings = write.landed.iter();
                    landings.any(|revision| self.service.leads_to_head(*revision))
                };
                let open = |write: &&mut TermWrite| &*write.id != id && !write.confirmed;
                for below in writes.iter_mut().filter(open) {
                    below.confirmed = stands_below(below);
                }
            }
        }
        // Only the newest matter.
        if writes.len() > 50 {
            writes.drain(..25);
        }
        self.nodes[node].term.1 = writes;
    }

    /// What is confirmed stays: the newest confirmed write of every term leads to the head.
    pub(super) fn check_confirmed(&mut self) {
        if self.checks == Checks::Promises {
            return;
        }
        for index in 0..self.nodes.len() {
            let writes = self.nodes[index].term.1.iter();
            let Some(write) = writes.rev().find(|write| write.confirmed) else {
                continue;
            };
            let mut landings = write.landed.iter();
            if !landings.any(|revision| self.service.leads_to_head(*revision)) {
                let id = write.id.clone();
                self.break_rule(|w| {
                    format!("{} loses its confirmed write {id}", w.nodes[index].name())
                });
            }
        }
    }

    /// Every candidate agrees with the full rule about the head that it knows.
    pub(super) fn check_agreement(&mut self, node: usize) {
        if self.checks == Checks::Promises {
            return;
        }
        let Some((head, effect)) = self.nodes[node].protocol.in_effect() else {
            return;
        };
        let expected = self.service.effect_at(head);
        let expected = expected.map(|standing| standing.revision);
        if expected != Some(effect) {
            self.break_rule(|w| {
                format!(
                    "{} takes {effect} to be in effect, by the rule it is {expected:?}",
                    w.nodes[node].name()
                )
            });
        }
    }
}
