//! The end of all faults, and what must come after it: a leader within a bound, and then no change.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Event, World};
use crate::clock::Time;
use crate::faults::Faults;
use crate::faults::workloads::WorkloadFaults;
use crate::node::{Node, Power};
use crate::tally::Kind;

/// How long nothing may change once there is a leader again.
const STABLE: Duration = Duration::from_secs(300);

/// What a leader may take after the healing beside the leases and waits of [`World::bound`]: a
/// candidate that has just left comes back within a minute, a workload that is stopped politely
/// within half of one; calls under way run out, polls that were stretched end, a claim is written
/// and confirmed.
const SETTLING: Duration = Duration::from_secs(120);

/// After this no write is under way any more that was built on an older state.
const SETTLED: Duration = Duration::from_secs(5);

/// How long after the healing requests may still arrive that were on their way.
const DRAINED: Duration = Duration::from_secs(60);

/// How long one read of the history takes, the pauses between portions included.
const READ: Duration = Duration::from_millis(700);

/// The world after its healing.
#[derive(Debug)]
pub(super) struct Healing {
    at: Time,
    /// Until when somebody must lead, and from when on nothing changes.
    bound: Time,
    pub(super) end: Time,
    led_at: Option<Time>,
    /// The last time at which a term began or ended.
    changed_at: Time,
}

impl World {
    /// How long after the healing nobody may lead: twice the longest lease (a record may have been
    /// overwritten just before), what the service told them to wait, and a read for every revision
    /// down to the second newest of ours that took effect.
    fn bound(&self) -> Duration {
        let lease = self.scenario.longest_lease().max(self.longest_foreign);
        let told_to_wait = self.nodes.iter().map(|node| {
            let told = node.clock.told(self.now);
            let pause = node.protocol.min_poll_interval(told);
            node.told_to_wait_until.since(told).max(pause)
        });
        let reads = self.service.depth_of_effect() as u32;
        SETTLING + lease * 2 + told_to_wait.max().unwrap_or_default() + READ * reads
    }

    pub(super) fn heal(&mut self) {
        self.note(|_| "HEALING".into());
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
        self.mend();
        self.after(SETTLED, Event::Settle);
        let bound = self.now.after(self.bound());
        self.healing = Some(Healing {
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
            self.heal_workload(node);
        }
        let still = self.rng.bool();
        for legacy in &mut self.legacy {
            legacy.stopped = still;
        }
        let leads = |node: &Node| node.elector.is_leader() && !node.workload.is_empty();
        if self.nodes.iter().any(leads) {
            self.note_leader();
        }
    }

    /// No write is under way any more that was built on an older state: what there is now stays.
    pub(super) fn settle(&mut self) {
        self.mend();
        let bound = self.now.after(self.bound());
        if let Some(healing) = &mut self.healing {
            healing.bound = healing.bound.max(bound);
            healing.end = healing.bound.after(STABLE);
        }
    }

    /// Old connections end: what would arrive much later never does.
    fn drain(&mut self) {
        let last = self.now.after(DRAINED);
        self.queue.retain(|Reverse(queued)| {
            queued.at <= last || !matches!(queued.event, Event::Arrive { .. })
        });
    }

    /// Who starts now refuses a file with other people's text: a person has to mend it.
    fn mend(&mut self) {
        if self.service.text_in_effect().as_deref() == Some("spoilt") {
            self.service.edit_by_hand(Some("{}"), self.now, false);
        }
    }

    /// Somebody leads.
    pub(super) fn note_leader(&mut self) {
        let now = self.now;
        if let Some(healing) = &mut self.healing {
            healing.led_at.get_or_insert(now);
        }
    }

    /// A term begins or ends.
    pub(super) fn note_change(&mut self) {
        let now = self.now;
        if let Some(healing) = &mut self.healing {
            healing.changed_at = now;
        }
    }

    /// There is a leader in time, exactly one, and it stays.
    pub(super) fn check_liveness(&mut self) {
        let Some(healing) = &self.healing else {
            return self.violate("it was not healed".into());
        };
        if self.legacy_leads() {
            return;
        }
        let (at, bound) = (healing.at, healing.bound);
        let Some(led_at) = healing.led_at.filter(|led_at| *led_at <= bound) else {
            let within = bound.since(at);
            return self.violate(format!("nobody leads {within:?} after the healing"));
        };
        let changed_at = healing.changed_at;
        self.tally.recovery(self.scenario.seed, led_at.since(at));
        if let Some(missing) = self.nodes.iter().find(|node| node.power != Power::On) {
            let what = format!("{} is not back at the end", missing.name());
            return self.violate(what);
        }
        let leaders = self.nodes.iter().filter(|node| node.elector.is_leader());
        let leaders = leaders.count();
        if leaders != 1 {
            return self.violate(format!("{leaders} lead at the end"));
        }
        let runs = |node: &&Node| node.running(self.now).is_some();
        let running = self.nodes.iter().filter(runs).count();
        if running != 1 {
            return self.violate(format!("{running} workloads run at the end"));
        }
        if self.legacy.is_empty() && changed_at > bound {
            let late = changed_at.since(at);
            self.violate(format!(
                "leadership still changes {late:?} after the healing"
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
