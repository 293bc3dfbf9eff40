//! The end of all faults, and the required recovery: a leader within a bound, and then no change.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Event, Run};
use crate::clock::Time;
use crate::faults::Faults;
use crate::faults::workloads::WorkloadFaults;
use crate::node::{Node, Power};
use crate::tally::Kind;

/// Time without changes that must follow the recovery.
const STABLE: Duration = Duration::from_secs(300);

/// Time for recovery in addition to the leases and waits of [`Run::bound`]. A candidate that has
/// just left returns within a minute, and a workload stops gracefully within half a minute. Calls
/// in flight time out, stretched poll intervals end, and a claim is written and confirmed.
const SETTLING: Duration = Duration::from_secs(120);

/// Time after which no write in flight is based on an older state.
const SETTLED: Duration = Duration::from_secs(5);

/// Time for which requests in flight may still arrive.
const DRAINED: Duration = Duration::from_secs(60);

/// Time that one read of the history takes, including the pauses between pages.
const READ: Duration = Duration::from_millis(700);

/// State of a run after its faults have ended.
#[derive(Debug)]
pub(super) struct Recovery {
    at: Time,
    /// Time by which a candidate must lead, and after which nothing changes.
    bound: Time,
    pub(super) end: Time,
    led_at: Option<Time>,
    /// Time at which a term last began or ended.
    changed_at: Time,
}

impl Run {
    /// Returns how long there may be no leader: twice the longest lease (a record may have been
    /// overwritten just before), the waits that the service demanded, and one read per revision
    /// down to the second newest effective protocol write.
    fn bound(&self) -> Duration {
        let lease = self.scenario.longest_lease().max(self.longest_foreign);
        let rate_limited = self.nodes.iter().map(|node| {
            let local_now = node.clock.local_now(self.now);
            let pause = node.lock.min_poll_interval(local_now);
            node.rate_limited_until.since(local_now).max(pause)
        });
        let reads = self.service.effective_depth() as u32;
        SETTLING
            + self.steering_bound()
            + lease * 2
            + rate_limited.max().unwrap_or_default()
            + READ * reads
    }

    pub(super) fn end_faults(&mut self) {
        self.note(|_| "FAULTS END".into());
        self.faults = Faults {
            drift_ppm: self.faults.drift_ppm,
            ..Faults::none()
        };
        self.workload_faults = WorkloadFaults {
            uncontained: self.workload_faults.uncontained,
            ..WorkloadFaults::none()
        };
        self.outage = false;
        self.drain();
        self.fix_corrupt_record();
        self.after(SETTLED, Event::Settle);
        self.end_steering();
        let bound = self.now.after(self.bound());
        self.recovery = Some(Recovery {
            at: self.now,
            bound,
            end: bound.after(STABLE),
            led_at: None,
            changed_at: self.now,
        });
        for node in 0..self.nodes.len() {
            self.nodes[node].cut_off = false;
            match self.nodes[node].power {
                Power::Off => self.restart(node),
                Power::Paused | Power::Suspended => self.resume(node),
                Power::On => {}
            }
            self.end_workload_faults(node);
        }
        let still = self.rng.bool();
        for client_go in &mut self.client_go {
            client_go.stopped = still;
        }
        let leads = |node: &Node| node.elector.is_leader() && !node.workload.is_empty();
        if self.nodes.iter().any(leads) {
            self.note_leader();
        }
    }

    /// Extends the bound once no write in flight is based on an older state.
    pub(super) fn settle(&mut self) {
        self.fix_corrupt_record();
        let bound = self.now.after(self.bound());
        if let Some(recovery) = &mut self.recovery {
            recovery.bound = recovery.bound.max(bound);
            recovery.end = recovery.bound.after(STABLE);
        }
    }

    /// Closes old connections, so that very late requests never arrive.
    fn drain(&mut self) {
        let last = self.now.after(DRAINED);
        self.queue.retain(|Reverse(queued)| {
            queued.at <= last || !matches!(queued.event, Event::Arrive { .. })
        });
    }

    /// Fixes a corrupt record as an operator must, because a starting candidate refuses it.
    fn fix_corrupt_record(&mut self) {
        if let Some(cell) = &mut self.cell {
            if cell.text().as_deref() == Some("corrupt") {
                cell.edit_by_hand(Some("{}"), self.now);
            }
            return;
        }
        if self.service.effective_text().as_deref() == Some("corrupt") {
            self.service.edit_by_hand(Some("{}"), self.now, false);
        }
    }

    /// Notes that a candidate leads.
    pub(super) fn note_leader(&mut self) {
        let now = self.now;
        if let Some(recovery) = &mut self.recovery {
            recovery.led_at.get_or_insert(now);
        }
    }

    /// Notes that a term begins or ends.
    pub(super) fn note_change(&mut self) {
        let now = self.now;
        if let Some(recovery) = &mut self.recovery {
            recovery.changed_at = now;
        }
    }

    /// Checks that exactly one candidate leads in time and keeps leading.
    pub(super) fn check_liveness(&mut self) {
        let Some(recovery) = &self.recovery else {
            return self.violate("the faults did not end".into());
        };
        if self.client_go_leads() {
            return;
        }
        let (at, bound) = (recovery.at, recovery.bound);
        let Some(led_at) = recovery.led_at.filter(|led_at| *led_at <= bound) else {
            let within = bound.since(at);
            return self.violate(format!("no candidate leads {within:?} after the faults"));
        };
        let changed_at = recovery.changed_at;
        self.tally.recovery(self.scenario.seed, led_at.since(at));
        if let Some(down) = self.nodes.iter().find(|node| node.power != Power::On) {
            let what = format!("{} does not run at the end", down.name());
            return self.violate(what);
        }
        let leaders = self.nodes.iter().filter(|node| node.elector.is_leader());
        let leaders = leaders.count();
        if leaders != 1 {
            return self.violate(format!("{leaders} candidates lead at the end"));
        }
        let runs = |node: &&Node| node.running(self.now).is_some();
        let running = self.nodes.iter().filter(runs).count();
        if running != 1 {
            return self.violate(format!("{running} workloads run at the end"));
        }
        if self.client_go.is_empty() && changed_at > bound {
            let late = changed_at.since(at);
            self.violate(format!(
                "leadership still changes {late:?} after the faults"
            ));
        }
    }

    pub(super) fn outage(&mut self) {
        self.note(|_| "OUTAGE begins".into());
        self.tally.count(Kind::Outage);
        self.outage = true;
        let lasts = self.seconds(1.0, 400.0);
        self.after(lasts, Event::OutageEnds);
    }
}
