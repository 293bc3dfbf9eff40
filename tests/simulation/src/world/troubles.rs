//! What befalls candidates, and how it ends: crashes, pauses, suspends, partitions; and the healing.

use std::time::Duration;

use multi_cluster_leader_election::election::time::Instant;

use super::{Event, Trouble, World};
use crate::faults::Faults;
use crate::node::{Power, Workload};

impl World {
    pub(super) fn trouble(&mut self, node: usize, kind: Trouble) {
        if self.nodes[node].power != Power::On {
            return;
        }
        self.note(|w| format!("TROUBLE for {}: {kind:?}", w.nodes[node].name));
        let lasts = match kind {
            Trouble::Crash => self.seconds(0.2, 120.0),
            Trouble::PoliteStop => {
                let local = self.local(node);
                self.nodes[node].elector.handle_cancel(local);
                return self.step(node);
            }
            _ => self.seconds(0.5, 120.0),
        };
        match kind {
            Trouble::Crash => {
                self.power_off(node);
                if self.rng.bool() {
                    // The whole machine.
                    self.nodes[node].workload = None;
                } else {
                    let now = self.local(node);
                    self.stop_workload(node, now + self.scenario.config.termination_grace);
                }
            }
            Trouble::Pause => self.nodes[node].power = Power::Paused,
            Trouble::Suspend => self.nodes[node].power = Power::Suspended,
            Trouble::Partition => self.nodes[node].cut_off = true,
            Trouble::PoliteStop => {}
        }
        self.after(lasts, Event::Relief { node, kind });
    }

    pub(super) fn power_off(&mut self, node: usize) {
        let candidate = &mut self.nodes[node];
        candidate.power = Power::Off;
        candidate.life += 1;
        candidate.call = None;
        candidate.wake = None;
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
        if self.nodes[node].workload.is_some() {
            // The container does not start anew before everything in it has ended.
            let later = Duration::from_millis(200);
            return self.after(
                later,
                Event::Relief {
                    node,
                    kind: Trouble::Crash,
                },
            );
        }
        self.note(|w| format!("{} starts again", w.nodes[node].name));
        let (name, clock) = (self.nodes[node].name.clone(), self.nodes[node].clock);
        let (elector, protocol) = self.process(&name, clock);
        let candidate = &mut self.nodes[node];
        candidate.elector = elector;
        candidate.protocol = protocol;
        candidate.power = Power::On;
        candidate.throttled_until = Instant::BOOT;
        self.step(node);
    }

    pub(super) fn resume(&mut self, node: usize) {
        self.note(|w| format!("{} goes on", w.nodes[node].name));
        self.nodes[node].power = Power::On;
        let local = self.local(node);
        let grace = self.scenario.config.termination_grace;
        let overdue = |workload: &Workload| workload.gone_at(grace) <= local;
        if self.nodes[node].workload.as_ref().is_some_and(overdue) {
            self.nodes[node].workload = None;
        }
        if self.nodes[node].workload.is_none() {
            self.tell_gone(node);
        } else {
            self.schedule_guard(node);
        }
        self.step(node);
    }

    pub(super) fn heal(&mut self) {
        self.note(|_| "HEALING".into());
        self.faults = Faults {
            drift_ppm: self.faults.drift_ppm,
            ..Faults::none()
        };
        self.outage = false;
        self.healed_at = Some(self.now);
        if self.service.head_text().as_deref() == Some("spoilt") {
            // Who starts now refuses a file with other people's text: a person has to mend it.
            self.service.edit_by_hand(Some("{}"), self.now, false);
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].cut_off = false;
            match self.nodes[node].power {
                Power::Off => self.restart(node),
                Power::Paused | Power::Suspended => self.resume(node),
                Power::On => {}
            }
            if let Some(workload) = &mut self.nodes[node].workload {
                workload.takes = workload.takes.min(Duration::from_secs(3));
            }
        }
        if self
            .nodes
            .iter()
            .any(|node| node.elector.is_leader() && node.workload.is_some())
        {
            self.led_since_healing = Some(self.now);
        }
    }
}
