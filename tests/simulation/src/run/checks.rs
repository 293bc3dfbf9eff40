//! Checks of every step: the promises, and the rules that ensure them, compared with the true
//! events, which no candidate knows.

use std::time::Duration;

use elector::election::action::{Finish, StopReason};
use elector::election::time::Instant;

use super::{Checks, Run, Sender};
use crate::clock::Time;
use crate::lock::Lock;
use crate::node::{Node, Power, TermWrite};
use crate::service::{Effective, Landed};
use crate::workload::Process;

/// Error of converting one clock's time to another's.
const ROUNDING: Duration = Duration::from_nanos(3);

impl Run {
    /// Notes that a promise to users is broken.
    pub(super) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// Notes that a rule behind the promises is broken.
    pub(super) fn break_rule(&mut self, what: impl FnOnce(&Run) -> String) {
        if self.checks == Checks::All {
            let what = what(self);
            self.violate(what);
        }
    }

    pub(super) fn check(&mut self) {
        let now = self.now;
        self.check_paused();
        let runs = |node: &&Node| node.running(now).is_some();
        let mut workloads = self.nodes.iter().filter(runs);
        if let (Some(one), Some(other), false) =
            (workloads.next(), workloads.next(), self.is_disturbed())
        {
            let fencing_token =
                |node: &Node| node.running(now).map_or(0, |process| process.fencing_token);
            let what = format!(
                "two workloads run: of {} (fencing token {}) and of {} (fencing token {})",
                one.name(),
                fencing_token(one),
                other.name(),
                fencing_token(other)
            );
            self.violate(what);
        }
        if self.checks == Checks::All {
            self.check_deadlines();
            self.check_end_times();
        }
    }

    /// Checks at the start of a workload that nothing else runs on its machine.
    pub(super) fn check_start(&mut self, node: usize, index: usize) {
        let Node { workload, .. } = &self.nodes[node];
        let mut others = workload.iter().enumerate();
        let other = others.find(|(other, it)| *other != index && it.becomes_cmd.is_none());
        if let Some((_, other)) = other {
            let name = self.nodes[node].name();
            let (old, new) = (other.fencing_token, workload[index].fencing_token);
            let what = format!("two workloads run, both of {name}: of the terms {old} and {new}");
            self.violate(what);
        }
    }

    /// Checks that each process of a workload was killed and reaped by its latest time.
    fn check_end_times(&mut self) {
        let now = self.now;
        let overdue = |node: &Node| {
            let mut processes = node.workload.iter();
            node.running(now).is_some() && processes.any(|process| process.limit < now)
        };
        if let Some(node) = self.nodes.iter().position(overdue) {
            self.break_rule(|run| {
                let Node { workload, .. } = &run.nodes[node];
                format!(
                    "a process of {} runs that must have stopped: {workload:?}",
                    run.nodes[node].name()
                )
            });
        }
    }

    /// Checks that nothing is left when an elector gets the report that its workload has stopped.
    pub(super) fn check_workload_stopped(&mut self, node: usize) {
        let Node {
            workload,
            generation,
            ..
        } = &self.nodes[node];
        if workload
            .iter()
            .any(|process| process.generation == *generation)
        {
            self.break_rule(|run| {
                let name = run.nodes[node].name();
                format!(
                    "{name} gets the report that its workload has stopped, but a process of it runs"
                )
            });
        }
    }

    /// Checks an elector that exits because its election has ended.
    pub(super) fn check_leaving(&mut self, node: usize, finish: Finish) {
        // Every process of a simulation can be killed.
        if finish == Finish::WorkloadStuck {
            self.break_rule(|run| format!("{} abandons its workload", run.nodes[node].name()));
        }
        self.check_left_behind(node);
    }

    /// Checks that a running guard owns everything that an exiting elector leaves behind.
    pub(super) fn check_left_behind(&mut self, node: usize) {
        let Node {
            workload,
            guards,
            generation,
            ..
        } = &self.nodes[node];
        let guarded = |process: &Process| {
            let mut guards = guards.iter().filter(|guard| !guard.stopped);
            guards.any(|guard| guard.number == process.guard)
        };
        let mut own = workload
            .iter()
            .filter(|process| process.generation == *generation);
        if own.any(|process| !guarded(process)) {
            self.break_rule(|run| {
                let name = run.nodes[node].name();
                format!("{name} exits, and no guard owns what it leaves behind")
            });
        }
    }

    /// Checks that a leader that could not renew has stopped by its leadership deadline.
    fn check_deadlines(&mut self) {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let Some(leading) = &node.leading else {
                continue;
            };
            let local_now = node.clock.local_now(self.now);
            let late = local_now.since(leading.valid_until) > ROUNDING;
            if node.power == Power::On && node.elector.is_leader() && late {
                self.break_rule(|run| {
                    let node = &run.nodes[index];
                    format!(
                        "{} leads at {local_now}, its workload knows {:?}: {:?}",
                        node.name(),
                        node.leading,
                        node.elector.status()
                    )
                });
            }
        }
    }

    /// Returns the time since boot until which a term may last, judged by the true outcome of its
    /// writes.
    fn deadline(&self, node: usize) -> Option<Instant> {
        let Node { config, term, .. } = &self.nodes[node];
        let effective = term.1.iter().filter(|write| !write.landed.is_empty());
        let newest = effective.clone().map(|write| write.sent).max()?;
        let confirmed = effective.filter(|write| write.confirmed);
        let confirmed = confirmed.map(|write| write.sent).max()?;
        // Repeats the rule of the program independently: the grace and a thirtieth of the lease are
        // kept back.
        let kept = config.termination_grace + config.lease_duration / 30;
        let usable = config.lease_duration - kept;
        Some((newest + config.renew_deadline).min(confirmed + usable))
    }

    /// Checks the end of a term that an elector announces.
    pub(super) fn check_valid_until(&mut self, node: usize, until: Instant) {
        if self.checks == Checks::Promises {
            return;
        }
        let clock = self.nodes[node].clock;
        let until = clock.boot_time(clock.true_time(until).max(Time(0)));
        let deadline = self.deadline(node);
        let late = deadline.is_none_or(|deadline| until.since(deadline) > ROUNDING);
        if late {
            self.break_rule(|run| {
                format!(
                    "{} leads until {until}, but its confirmed writes allow only {}",
                    run.nodes[node].name(),
                    deadline.map_or("never".to_owned(), |deadline| deadline.to_string())
                )
            });
        }
    }

    /// Checks when a stopping workload is killed. A graceful stop keeps the lease until then.
    pub(super) fn check_kill(&mut self, node: usize, reason: StopReason, kill_at: Instant) {
        let candidate = &self.nodes[node];
        let Some(leading) = &candidate.leading else {
            return;
        };
        let latest = leading.valid_until + candidate.config.termination_grace;
        if reason.is_loss() && kill_at.since(latest) > ROUNDING {
            self.break_rule(|run| {
                format!(
                    "the workload of {} is killed at {kill_at}, later than {latest}",
                    run.nodes[node].name()
                )
            });
        }
    }

    /// Checks that a leader keeps leading in a run without faults.
    pub(super) fn check_loss(&mut self, node: usize, reason: StopReason) {
        let allowed = self.scenario.kind == "switching" && reason == StopReason::HandedOver;
        if matches!(self.scenario.kind, "calm" | "shared" | "switching") && !allowed {
            let name = self.nodes[node].name();
            self.violate(format!("{name} loses its lease: {reason}"));
        }
    }

    /// Checks a write before it is sent.
    pub(super) fn check_sending(&mut self, node: usize, holder: &str) {
        let candidate = &self.nodes[node];
        let runs = candidate.leading.is_some() || !candidate.workload.is_empty();
        if runs && holder.is_empty() {
            self.break_rule(|run| {
                format!(
                    "{} releases the lease while its workload runs",
                    run.nodes[node].name()
                )
            });
        }
    }

    /// Checks that the fencing token of a claim is above those that the process knows.
    pub(super) fn check_claim(&mut self, node: usize, fencing_token: u64, holder: &str) {
        let candidate = &self.nodes[node];
        let claims = candidate.term.0 != fencing_token && !holder.is_empty();
        let known = candidate.known.fencing_token;
        if claims && known.is_some_and(|known| fencing_token <= known) {
            self.break_rule(|run| {
                let name = run.nodes[node].name();
                format!("{name} claims with {fencing_token}, and knows {known:?}")
            });
        }
    }

    /// Checks that a candidate's effective write replaced no lease that another candidate may still
    /// hold.
    pub(super) fn check_landing(&mut self, node: usize, from: Sender, before: Effective) {
        if before.process == Some(from.process) {
            return;
        }
        self.nodes[node].takeover_from = None;
        self.check_no_workload_left(node);
        let candidate = &self.nodes[node];
        let is_own = |writer: u64| candidate.state.is_some() && candidate.ended.contains(&writer);
        if before.released || before.process.is_some_and(is_own) {
            return;
        }
        let (Some(lease), Some(since)) = (before.lease, before.since) else {
            return;
        };
        let candidate = &self.nodes[node];
        let lease = if before.own_protocol {
            lease
        } else {
            lease.max(candidate.config.lease_duration)
        };
        let clock = candidate.clock;
        self.nodes[node].takeover_from = Some(since.after(lease));
        let passed = clock.boot_time(from.sent).since(clock.boot_time(since));
        if passed < lease {
            self.break_rule(|run| {
                format!(
                    "{} overwrites a lease of {lease:?} after {passed:?}",
                    run.nodes[node].name()
                )
            });
        }
    }

    /// Checks that no workload of another candidate is left when a lease is acquired.
    fn check_no_workload_left(&mut self, acquirer: usize) {
        let now = self.now;
        let runs = |node: &Node| node.running(now).is_some();
        let Some(left) = self.nodes.iter().position(runs) else {
            return;
        };
        self.break_rule(|run| {
            let (acquirer, left) = (run.nodes[acquirer].name(), run.nodes[left].name());
            format!("{acquirer} acquires the lease while the workload of {left} still runs")
        });
    }

    /// Records the true outcome of a write of the current term.
    pub(super) fn note_landing(&mut self, node: usize, id: &str, landed: &Landed) {
        let delay = self.scenario.confirm_delay;
        let clock = self.nodes[node].clock;
        let mut writes = std::mem::take(&mut self.nodes[node].term.1);
        if let Some(write) = writes.iter_mut().find(|write| &*write.id == id) {
            write.landed.push(landed.revision);
            // Any write that was based on an older head than the parent has landed by now.
            if clock.boot_time(landed.head_since) + delay <= write.sent {
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
        // Only the writes since the newest confirmed one matter.
        if let Some(confirmed) = writes.iter().rposition(|write| write.confirmed)
            && writes.len() > 50
        {
            writes.drain(..confirmed);
        }
        self.nodes[node].term.1 = writes;
    }

    /// Checks that the newest confirmed write of every term is an ancestor of the head.
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
                self.break_rule(|run| {
                    format!("{} loses its confirmed write {id}", run.nodes[index].name())
                });
            }
        }
    }

    /// Checks that a candidate agrees with the full rule about the head that it knows.
    pub(super) fn check_agreement(&mut self, node: usize) {
        if self.checks == Checks::Promises {
            return;
        }
        let Lock::Gist(lock) = &self.nodes[node].lock else {
            return;
        };
        let Some((head, effect)) = lock.effective() else {
            return;
        };
        let expected = self.service.effective_at(head);
        let expected = expected.map(|effective| effective.revision);
        if expected != Some(effect) {
            self.break_rule(|run| {
                format!(
                    "{} considers {effect} effective, by the rule it is {expected:?}",
                    run.nodes[node].name()
                )
            });
        }
    }
}
