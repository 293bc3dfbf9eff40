//! What befalls candidates, and how it ends: crashes, pauses, suspends, partitions.

use std::time::Duration;

use fastrand::Rng;

use super::{Event, Trouble, World};
use crate::clock::Time;
use crate::node::Power;
use crate::tally::Kind;

/// How near to one of a world's spots the troubles of a burst come, in seconds.
const NEAR: f64 = 15.0;

impl World {
    pub(super) fn plan_troubles(&mut self) {
        let faults = self.faults.clone();
        let troubles = [
            (Trouble::Crash, faults.crashes),
            (Trouble::PoliteStop, faults.polite_stops),
            (Trouble::Pause, faults.pauses),
            (Trouble::Suspend, faults.suspends),
            (Trouble::WallJump, faults.wall_jumps),
            (Trouble::Partition, faults.partitions),
        ];
        for (kind, an_hour) in troubles {
            for at in self.moments(an_hour) {
                let node = self.rng.usize(..self.nodes.len());
                self.at(at, Event::Trouble { node, kind });
            }
        }
        for at in self.moments(faults.outages) {
            self.at(at, Event::Outage);
        }
        for at in self.moments(faults.other_files) {
            self.at(at, Event::OtherFile);
        }
        for at in self.moments(faults.people) {
            self.at(at, Event::Person);
        }
        for at in self.moments(faults.rewrites) {
            self.at(at, Event::Rewrite);
        }
        self.plan_outsiders();
    }

    /// What other programs send, some requests at once. From a generator of its own: it was not always
    /// there, and the worlds without it are to stay what they are.
    fn plan_outsiders(&mut self) {
        let span = self.scenario.troubled;
        let mut rng = Rng::with_seed(self.scenario.seed ^ 0x0dd);
        let mut left = self.faults.outsiders * span.as_secs_f64() / 3600.0;
        while left >= 1.0 {
            let some = left.min(1.0 + 100.0 * rng.f64()) as u32;
            let at = Time(rng.u64(..Time(0).after(span).0));
            self.at(at, Event::Outsiders(some));
            left -= f64::from(some);
        }
        for (at, requests) in self.scenario.foreign_bursts.clone() {
            self.at(Time(0).after(at), Event::Outsiders(requests));
        }
        for write in [false, true] {
            self.outside_again(write);
        }
    }

    /// Random moments in the troubled time, this many an hour.
    pub(super) fn moments(&mut self, an_hour: f64) -> Vec<Time> {
        let span = self.scenario.troubled;
        let count = (an_hour * span.as_secs_f64() / 3600.0).round() as usize;
        (0..count).map(|_| self.moment(span)).collect()
    }

    fn moment(&mut self, span: Duration) -> Time {
        let end = Time(0).after(span);
        if self.faults.bursts && self.rng.u8(..3) > 0 {
            let spot = self.spots[self.rng.usize(..self.spots.len())];
            return spot.after(self.seconds(0.0, NEAR)).min(end);
        }
        Time(self.rng.u64(..end.0))
    }

    pub(super) fn trouble(&mut self, node: usize, kind: Trouble) {
        if self.nodes[node].power != Power::On || self.healing.is_some() {
            return;
        }
        if matches!(kind, Trouble::Crash | Trouble::Pause) {
            // Never a guard and its elector at once: see `guard`.
            if self.has_orphans(node) {
                return;
            }
            self.continue_guards(node);
        }
        self.note(|w| format!("TROUBLE for {}: {kind:?}", w.nodes[node].name()));
        let lasts = match kind {
            Trouble::Crash => self.crash(node),
            Trouble::PoliteStop => return self.stop_politely(node),
            Trouble::WallJump => return self.set_clock(node),
            Trouble::Pause => self.stand_still(node, Power::Paused, Kind::Pause),
            Trouble::Suspend => self.stand_still(node, Power::Suspended, Kind::Suspend),
            Trouble::Partition => {
                self.tally.count(Kind::Partition);
                self.nodes[node].cut_off = true;
                self.seconds(0.5, 120.0)
            }
        };
        self.after(lasts, Event::Relief { node, kind });
    }

    fn crash(&mut self, node: usize) -> Duration {
        let lasts = self.seconds(0.2, 120.0);
        self.power_off(node);
        if self.rng.bool() {
            self.tally.count(Kind::MachineCrash);
            self.nodes[node].guards.clear();
            self.nodes[node].workload.clear();
        } else {
            self.tally.count(Kind::Crash);
        }
        lasts
    }

    fn stop_politely(&mut self, node: usize) {
        self.tally.count(Kind::PoliteStop);
        let told = self.told(node);
        self.nodes[node].elector.handle_cancel(told);
        if self.workload_chance(self.workload_faults.impatience) {
            let life = self.nodes[node].life;
            let later = self.seconds_of_workloads(0.0, 10.0);
            self.after(later, Event::SecondSignal { node, life });
        }
        self.step(node);
    }

    fn set_clock(&mut self, node: usize) {
        self.tally.count(Kind::WallJump);
        let by = self.seconds(1.0, 3600.0).as_nanos() as i64;
        // Set back by no more than it is ahead of the time since boot.
        let forward = self.rng.bool();
        let clock = &mut self.nodes[node].clock;
        clock.set_forward += if forward {
            by
        } else {
            -by.min(clock.offset as i64 / 4)
        };
        clock.set_forward = clock.set_forward.max(-(clock.offset as i64) / 2);
        // The timer is one of the same clock.
        self.nodes[node].wake = None;
        self.reset_timers(node);
        self.step(node);
    }

    fn stand_still(&mut self, node: usize, power: Power, kind: Kind) -> Duration {
        self.tally.count(kind);
        self.nodes[node].power = power;
        self.nodes[node].wake = None;
        self.nodes[node].suspended_at = self.now;
        self.seconds(0.5, 120.0)
    }

    pub(super) fn power_off(&mut self, node: usize) {
        let candidate = &mut self.nodes[node];
        candidate.power = Power::Off;
        candidate.life += 1;
        candidate.call = None;
        candidate.wake = None;
        candidate.unheard.clear();
        if candidate.leading.take().is_some() {
            self.note_change();
        }
        self.cut_guards(node);
    }

    pub(super) fn relief(&mut self, node: usize, kind: Trouble) {
        match (kind, self.nodes[node].power) {
            (Trouble::Partition, _) => self.nodes[node].cut_off = false,
            (Trouble::Crash, Power::Off) => self.restart(node),
            (Trouble::Pause, Power::Paused) | (Trouble::Suspend, Power::Suspended) => {
                self.resume(node);
            }
            _ => {}
        }
    }

    pub(super) fn restart(&mut self, node: usize) {
        let candidate = &self.nodes[node];
        let runs = !candidate.guards.is_empty() || !candidate.workload.is_empty();
        if runs && !self.workload_faults.uncontained {
            // The container does not start anew before everything in it has ended.
            let later = Duration::from_millis(200);
            let kind = Trouble::Crash;
            return self.after(later, Event::Relief { node, kind });
        }
        self.note(|w| format!("{} starts again", w.nodes[node].name()));
        let (config, clock) = (self.nodes[node].config.clone(), self.nodes[node].clock);
        let process = self.process(&config, clock);
        self.nodes[node].restart(process);
        self.step(node);
    }

    pub(super) fn resume(&mut self, node: usize) {
        self.note(|w| format!("{} goes on", w.nodes[node].name()));
        let candidate = &mut self.nodes[node];
        let slept = self.now.since(candidate.suspended_at);
        let before = std::mem::replace(&mut candidate.power, Power::On);
        if before == Power::Suspended {
            candidate.clock.stood_still += slept.as_nanos() as u64;
            self.thaw(node);
        }
        let life = self.nodes[node].life;
        for word in std::mem::take(&mut self.nodes[node].unheard) {
            self.hear_word(node, life, word);
        }
        self.step(node);
    }
}
