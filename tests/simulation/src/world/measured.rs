//! What is written down of a world for who measures it, and the ends of terms that are measured. It
//! draws nothing in worlds that are not.

use std::time::Duration;

use super::{Event, Sender, Trouble, Who, World};
use crate::faults::Latency;
use crate::ledger::{End, Purpose, Requests};
use crate::node::Power;
use crate::service::Landed;

impl World {
    /// Draws which part of its time a request takes for the way there; the rest is for the way back.
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

    /// Where processes do not start all at once, this one does later.
    pub(super) fn starts_later(&mut self, node: usize) -> bool {
        let within = self.scenario.starts_within;
        if within.is_zero() {
            return false;
        }
        self.power_off(node);
        let after = self.between((Duration::ZERO, within));
        let kind = Trouble::Crash;
        self.after(after, Event::Relief { node, kind });
        true
    }

    /// A request has reached the service.
    pub(super) fn measure(&mut self, from: Sender, count: fn(&mut Requests)) {
        if self.tally.ledger.is_none() || !matches!(from.who, Who::Candidate(_)) {
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

    /// A write goes out, under this token.
    pub(super) fn measure_write(&mut self, node: usize, token: u64, holder: &str) {
        let candidate = &self.nodes[node];
        let purpose = if candidate.elector.is_leader() || holder.is_empty() {
            Purpose::Other
        } else if candidate.term.0 == token && !candidate.term.1.is_empty() {
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
        if self.tally.ledger.is_none() || !matches!(from.who, Who::Candidate(_)) {
            return;
        }
        let before = landed.before;
        let taken = landed.took_effect && before.process != Some(from.process);
        let since = self.service.landed_at(before.revision);
        let free_at = before
            .lease
            .zip(since)
            .filter(|_| taken && !before.released);
        if let Some(ledger) = &mut self.tally.ledger {
            if !landed.took_effect {
                ledger.note_forestalled();
            }
            if let Some((lease, since)) = free_at {
                ledger.note_taken(since.after(lease));
            }
        }
    }

    /// A term begins, and is to end some time.
    pub(super) fn measure_term(&mut self, node: usize, token: u64) {
        let now = self.now;
        if let Some(ledger) = &mut self.tally.ledger {
            ledger.note_term(now);
        }
        let Some(ends) = self.scenario.ends else {
            return;
        };
        let life = self.nodes[node].life;
        let after = self.between(ends.after);
        self.after(after, Event::TermEnds { node, life, token });
    }

    fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        self.seconds(least.as_secs_f64(), most.as_secs_f64())
    }

    pub(super) fn end_term(&mut self, node: usize, life: u64, token: u64) {
        let candidate = &self.nodes[node];
        let leads = candidate.life == life && candidate.elector.is_leader();
        let Some(ends) = self.scenario.ends else {
            return;
        };
        if !leads || candidate.term.0 != token || self.healing.is_some() {
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
        self.note(|w| format!("{} is KILLED", w.nodes[node].name()));
        let now = self.now;
        if let Some(ledger) = &mut self.tally.ledger {
            ledger.note_end(End::Killed, now);
        }
        self.continue_guards(node);
        self.power_off(node);
        let away = self.between(away);
        let kind = Trouble::Crash;
        self.after(away, Event::Relief { node, kind });
    }

    fn stop(&mut self, node: usize) {
        self.note(|w| format!("{} is to STOP", w.nodes[node].name()));
        let told = self.told(node);
        self.nodes[node].elector.handle_cancel(told);
        self.step(node);
    }

    /// Nothing is left of a workload: a leader that was asked to stop gives its lease back now.
    pub(super) fn measure_gone(&mut self, node: usize) {
        let stops = self.nodes[node].elector.is_leader() && self.healing.is_none();
        let now = self.now;
        if let Some(ledger) = &mut self.tally.ledger
            && stops
        {
            ledger.note_end(End::Stopped, now);
        }
    }

    /// Another program of the user reads or writes, and will again.
    pub(super) fn outside(&mut self, write: bool) {
        self.quota.outside(self.now, write);
        self.outside_again(write);
    }

    pub(super) fn outside_again(&mut self, write: bool) {
        let (reads, writes) = self.faults.outside;
        let an_hour = if write { writes } else { reads };
        if an_hour > 0.0 {
            let period = Duration::from_secs_f64(3600.0 / an_hour);
            self.after(period, Event::Outside { write });
        }
    }
}
