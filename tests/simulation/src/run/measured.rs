//! Measurements of a run, and the ends of measured terms. In runs that are not measured this draws
//! nothing.

use std::time::Duration;

use elector::election::action::StopReason;

use super::{Event, NodeFault, Requester, Run, Sender};
use crate::faults::Latency;
use crate::ledger::{End, Purpose, Requests};
use crate::node::Power;
use crate::service::Landed;

impl Run {
    /// Draws the part of a request's duration that passes before it arrives; the rest passes before
    /// the answer.
    pub(super) fn split(
        &mut self,
        latency: Latency,
        from: Sender,
        write: bool,
    ) -> (Duration, Sender) {
        let all = match write {
            true => latency.write,
            false => latency.read,
        };
        let there = all.mul_f64(self.rng.f64());
        if let Some(ledger) = &mut self.tally.ledger {
            ledger.note_sent();
        }
        let back = Some(all.saturating_sub(there));
        (there, Sender { back, ..from })
    }

    /// Delays the start of a process, if the scenario spreads the starts.
    pub(super) fn starts_later(&mut self, node: usize) -> bool {
        let within = self.scenario.starts_within;
        if within.is_zero() {
            return false;
        }
        self.power_off(node);
        let after = self.between((Duration::ZERO, within));
        let kind = NodeFault::Crash;
        self.after(after, Event::NodeFaultEnds { node, kind });
        true
    }

    /// Measures a request that has reached the service.
    pub(super) fn measure(&mut self, from: Sender, count: fn(&mut Requests)) {
        if self.tally.ledger.is_none() || !matches!(from.requester, Requester::Candidate(_)) {
            return;
        }
        let leads = self.leads(from);
        let (hour, left) = self.quota.left();
        let now = self.now;
        if let Some(ledger) = &mut self.tally.ledger {
            let mut one = Requests::default();
            count(&mut one);
            ledger.note(now, leads, one);
            ledger.note_left(hour, left);
        }
    }

    pub(super) fn measure_answer(&mut self, from: Sender) {
        if let Some(ledger) = &mut self.tally.ledger
            && from.back.is_some()
        {
            ledger.note_answered();
        }
    }

    /// Measures a write that is sent with this fencing token.
    pub(super) fn measure_write(&mut self, node: usize, fencing_token: u64, holder: &str) {
        let candidate = &self.nodes[node];
        let purpose = if candidate.elector.is_leader() || holder.is_empty() {
            Purpose::Other
        } else if candidate.term.0 == fencing_token && !candidate.term.1.is_empty() {
            Purpose::Confirmation
        } else {
            Purpose::Claim
        };
        let now = self.now;
        if let Some(ledger) = &mut self.tally.ledger {
            ledger.note_purpose(now, purpose);
        }
    }

    pub(super) fn measure_landing(&mut self, from: Sender, landed: &Landed) {
        if self.tally.ledger.is_none() || !matches!(from.requester, Requester::Candidate(_)) {
            return;
        }
        let before = landed.before;
        let taken = landed.is_effective && before.process != Some(from.process);
        let since = self.service.landed_at(before.revision);
        let free_at = before
            .lease
            .zip(since)
            .filter(|_| taken && !before.released);
        if let Some(ledger) = &mut self.tally.ledger {
            if !landed.is_effective {
                ledger.note_lost_claim();
            }
            if let Some((lease, since)) = free_at {
                ledger.note_taken(since.after(lease));
            }
        }
    }

    /// Measures a term that begins, and plans its end.
    pub(super) fn measure_term(&mut self, node: usize, fencing_token: u64) {
        let now = self.now;
        if let Some(ledger) = &mut self.tally.ledger {
            ledger.note_term(now);
        }
        let Some(ends) = self.scenario.ends else {
            return;
        };
        let generation = self.nodes[node].generation;
        let after = self.between(ends.after);
        self.after(
            after,
            Event::TermEnds {
                node,
                generation,
                fencing_token,
            },
        );
    }

    fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        self.seconds(least.as_secs_f64(), most.as_secs_f64())
    }

    pub(super) fn end_term(&mut self, node: usize, generation: u64, fencing_token: u64) {
        let candidate = &self.nodes[node];
        let leads = candidate.generation == generation && candidate.elector.is_leader();
        let Some(ends) = self.scenario.ends else {
            return;
        };
        if !leads || candidate.term.0 != fencing_token || self.recovery.is_some() {
            return;
        }
        match ends.how {
            End::Killed => self.kill(node, ends.away),
            End::Stopped => self.stop(node),
        }
    }

    fn kill(&mut self, node: usize, away: (Duration, Duration)) {
        if self.nodes[node].power != Power::On || self.has_orphans(node) {
            return;
        }
        self.note(|run| format!("{} is KILLED", run.nodes[node].name()));
        let now = self.now;
        if let Some(ledger) = &mut self.tally.ledger {
            ledger.note_end(End::Killed, now);
        }
        self.continue_guards(node);
        self.power_off(node);
        let away = self.between(away);
        let kind = NodeFault::Crash;
        self.after(away, Event::NodeFaultEnds { node, kind });
    }

    fn stop(&mut self, node: usize) {
        self.note(|run| format!("{} gets a STOP signal", run.nodes[node].name()));
        let local_now = self.local_now(node);
        self.nodes[node]
            .elector
            .handle_stop(local_now, StopReason::Cancelled);
        self.step(node);
    }

    /// Measures a stopped workload: a leader that was asked to stop releases its lease now.
    pub(super) fn measure_workload_stopped(&mut self, node: usize) {
        let stops = self.nodes[node].elector.is_leader() && self.recovery.is_none();
        let now = self.now;
        if let Some(ledger) = &mut self.tally.ledger
            && stops
        {
            ledger.note_end(End::Stopped, now);
        }
    }

    /// Handles one request of another program of the account, and plans the next.
    pub(super) fn foreign_request(&mut self, write: bool) {
        self.quota.foreign_request(self.now, write);
        self.plan_foreign_request(write);
    }

    pub(super) fn plan_foreign_request(&mut self, write: bool) {
        let (reads, writes) = self.faults.foreign_reads_and_writes;
        let an_hour = if write { writes } else { reads };
        if an_hour > 0.0 {
            let period = Duration::from_secs_f64(3600.0 / an_hour);
            self.after(period, Event::ForeignRequest { write });
        }
    }
}
