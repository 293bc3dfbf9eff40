//! What is promised, checked at every step; and the rules that are to bring it about, held against
//! what truly happened, which no candidate knows.

use std::time::Duration;

use elector::election::action::{Finish, StopReason};
use elector::election::time::Instant;

use super::{Checks, Sender, World};
use crate::clock::Time;
use crate::node::{Node, Power, TermWrite};
use crate::service::{Landed, Standing};
use crate::workload::Process;

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
        let now = self.now;
        let runs = |node: &&Node| node.running(now).is_some();
        let mut workloads = self.nodes.iter().filter(runs);
        if let (Some(one), Some(other)) = (workloads.next(), workloads.next()) {
            let token = |node: &Node| node.running(now).map_or(0, |process| process.token);
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
            self.check_limits();
        }
    }

    /// A workload starts: nothing else runs on its machine.
    pub(super) fn check_start(&mut self, node: usize, index: usize) {
        let Node { workload, .. } = &self.nodes[node];
        let mut others = workload.iter().enumerate();
        let other = others.find(|(other, it)| *other != index && it.becomes_cmd.is_none());
        if let Some((_, other)) = other {
            let name = self.nodes[node].name();
            let (old, new) = (other.token, workload[index].token);
            let what = format!("two workloads run, both of {name}: of the terms {old} and {new}");
            self.violate(what);
        }
    }

    /// Nothing of a workload runs when it must have been killed and reaped, by its machine's clock.
    fn check_limits(&mut self) {
        let now = self.now;
        let overdue = |node: &Node| {
            let mut processes = node.workload.iter();
            node.running(now).is_some() && processes.any(|process| process.limit < now)
        };
        if let Some(node) = self.nodes.iter().position(overdue) {
            self.break_rule(|w| {
                let Node { workload, .. } = &w.nodes[node];
                format!(
                    "something of {} runs that must be gone: {workload:?}",
                    w.nodes[node].name()
                )
            });
        }
    }

    /// An elector is told that nothing is left of its workload.
    pub(super) fn check_gone(&mut self, node: usize) {
        let Node { workload, life, .. } = &self.nodes[node];
        if workload.iter().any(|process| process.life == *life) {
            self.break_rule(|w| {
                let name = w.nodes[node].name();
                format!("{name} is told that its workload is gone while something of it runs")
            });
        }
    }

    /// An elector ends because its election has.
    pub(super) fn check_leaving(&mut self, node: usize, finish: Finish) {
        // Whatever runs here can be killed.
        if finish == Finish::WorkloadStuck {
            self.break_rule(|w| format!("{} gives its workload up", w.nodes[node].name()));
        }
        self.check_left_behind(node);
    }

    /// An elector ends: what still runs is in the hands of a guard that runs.
    pub(super) fn check_left_behind(&mut self, node: usize) {
        let Node {
            workload,
            guards,
            life,
            ..
        } = &self.nodes[node];
        let guarded = |process: &Process| {
            let mut guards = guards.iter().filter(|guard| !guard.stopped);
            guards.any(|guard| guard.number == process.guard)
        };
        let mut own = workload.iter().filter(|process| process.life == *life);
        if own.any(|process| !guarded(process)) {
            self.break_rule(|w| {
                let name = w.nodes[node].name();
                format!("{name} ends, and nobody ends what it leaves behind")
            });
        }
    }

    /// A leader that could not renew has stopped by its deadline.
    fn check_deadlines(&mut self) {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let Some(leading) = &node.leading else {
                continue;
            };
            let told = node.clock.told(self.now);
            let late = told.since(leading.until) > ROUNDING;
            if node.power == Power::On && node.elector.is_leader() && late {
                self.break_rule(|w| {
                    let node = &w.nodes[index];
                    format!(
                        "{} leads at {told}, its workload was told {:?}: {:?}",
                        node.name(),
                        node.leading,
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
        let Some(leading) = &candidate.leading else {
            return;
        };
        let latest = leading.until + candidate.config.termination_grace;
        if reason != StopReason::Cancelled && kill_at.since(latest) > ROUNDING {
            self.break_rule(|w| {
                format!(
                    "the workload of {} is killed at {kill_at}, later than {latest}",
                    w.nodes[node].name()
                )
            });
        }
    }

    /// Where nothing goes wrong, a leader leads on.
    pub(super) fn check_loss(&mut self, node: usize, reason: StopReason) {
        if matches!(self.scenario.kind, "calm" | "shared") {
            let name = self.nodes[node].name();
            self.violate(format!("{name} loses its lead: {reason}"));
        }
    }

    /// A write is sent.
    pub(super) fn check_sending(&mut self, node: usize, holder: &str) {
        let candidate = &self.nodes[node];
        let runs = candidate.leading.is_some() || !candidate.workload.is_empty();
        if runs && holder.is_empty() {
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
        let now = self.now;
        let runs = |node: &Node| node.running(now).is_some();
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
        // Only the newest matter, from the newest that is confirmed on.
        if let Some(confirmed) = writes.iter().rposition(|write| write.confirmed)
            && writes.len() > 50
        {
            writes.drain(..confirmed);
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
        let Some((head, effect)) = self.nodes[node].protocol.effective() else {
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
