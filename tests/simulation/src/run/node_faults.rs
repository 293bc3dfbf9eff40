//! Faults of candidates and how they end: crashes, pauses, suspends, partitions.

use std::time::Duration;

use elector::election::action::StopReason;
use fastrand::Rng;

use super::{Event, NodeFault, Run};
use crate::clock::Time;
use crate::node::Power;
use crate::state_file::StateFile;
use crate::tally::Kind;

/// Spread of the faults of a burst, in seconds.
const BURST_SPREAD: f64 = 15.0;

impl Run {
    pub(super) fn plan_faults(&mut self) {
        let faults = self.faults.clone();
        let node_faults = [
            (NodeFault::Crash, faults.crashes),
            (NodeFault::GracefulStop, faults.graceful_stops),
            (NodeFault::Pause, faults.pauses),
            (NodeFault::Suspend, faults.suspends),
            (NodeFault::WallJump, faults.wall_jumps),
            (NodeFault::Partition, faults.partitions),
        ];
        for (kind, an_hour) in node_faults {
            for at in self.moments(an_hour) {
                let node = self.rng.usize(..self.nodes.len());
                self.at(at, Event::NodeFault { node, kind });
            }
        }
        for at in self.moments(faults.outages) {
            self.at(at, Event::Outage);
        }
        for at in self.moments(faults.other_files) {
            self.at(at, Event::OtherFile);
        }
        for at in self.moments(faults.operator_edits) {
            self.at(at, Event::OperatorEdit);
        }
        for at in self.moments(faults.rewrites) {
            self.at(at, Event::Rewrite);
        }
        self.plan_foreign_requests();
    }

    /// Plans the requests of other programs, some of them simultaneously. They come from a separate
    /// generator, so that runs without them stay the same.
    fn plan_foreign_requests(&mut self) {
        let span = self.scenario.fault_period;
        let mut rng = Rng::with_seed(self.scenario.seed ^ 0x0dd);
        let mut left = self.faults.foreign_requests_an_hour * span.as_secs_f64() / 3600.0;
        while left >= 1.0 {
            let some = left.min(1.0 + 100.0 * rng.f64()) as u32;
            let at = Time(rng.u64(..Time(0).after(span).0));
            self.at(at, Event::ForeignBurst(some));
            left -= f64::from(some);
        }
        for (at, requests) in self.scenario.foreign_bursts.clone() {
            self.at(Time(0).after(at), Event::ForeignBurst(requests));
        }
        for write in [false, true] {
            self.plan_foreign_request(write);
        }
    }

    /// Draws random times in the fault period, `an_hour` of them per hour.
    pub(super) fn moments(&mut self, an_hour: f64) -> Vec<Time> {
        let span = self.scenario.fault_period;
        let count = (an_hour * span.as_secs_f64() / 3600.0).round() as usize;
        (0..count).map(|_| self.moment(span)).collect()
    }

    fn moment(&mut self, span: Duration) -> Time {
        let end = Time(0).after(span);
        if self.faults.bursts && self.rng.u8(..3) > 0 {
            let burst_time = self.burst_times[self.rng.usize(..self.burst_times.len())];
            return burst_time.after(self.seconds(0.0, BURST_SPREAD)).min(end);
        }
        Time(self.rng.u64(..end.0))
    }

    pub(super) fn begin_fault(&mut self, node: usize, kind: NodeFault) {
        if self.nodes[node].power != Power::On || self.recovery.is_some() {
            return;
        }
        if matches!(kind, NodeFault::Crash | NodeFault::Pause) {
            // A guard and its elector never fail together; see `guard`.
            if self.has_orphans(node) {
                return;
            }
            self.continue_guards(node);
        }
        self.note(|run| format!("FAULT of {}: {kind:?}", run.nodes[node].name()));
        let lasts = match kind {
            NodeFault::Crash => self.crash(node),
            NodeFault::GracefulStop => return self.stop_gracefully(node),
            NodeFault::WallJump => return self.set_clock(node),
            NodeFault::Pause => self.halt(node, Power::Paused, Kind::Pause),
            NodeFault::Suspend => self.halt(node, Power::Suspended, Kind::Suspend),
            NodeFault::Partition => {
                self.tally.count(Kind::Partition);
                self.nodes[node].cut_off = true;
                self.seconds(0.5, 120.0)
            }
        };
        self.after(lasts, Event::NodeFaultEnds { node, kind });
    }

    fn crash(&mut self, node: usize) -> Duration {
        let lasts = match self.scenario.restarts && self.rng.u8(..8) > 0 {
            true => self.seconds(0.0, 4.0),
            false => self.seconds(0.2, 120.0),
        };
        self.power_off(node);
        if self.scenario.restarts && self.rng.u8(..4) > 0 {
            self.tally.count(Kind::Crash);
            self.end_container(node);
            return lasts;
        }
        if let Some(state) = &mut self.nodes[node].state {
            state.reboot();
        }
        if self.rng.bool() || self.scenario.restarts {
            self.tally.count(Kind::MachineCrash);
            self.nodes[node].guards.clear();
            self.nodes[node].workload.clear();
        } else {
            self.tally.count(Kind::Crash);
        }
        lasts
    }

    fn stop_gracefully(&mut self, node: usize) {
        self.tally.count(Kind::GracefulStop);
        let local_now = self.local_now(node);
        self.nodes[node]
            .elector
            .handle_stop(local_now, StopReason::Cancelled);
        if self.workload_chance(self.workload_faults.impatience) {
            let generation = self.nodes[node].generation;
            let later = self.seconds_of_workloads(0.0, 10.0);
            self.after(later, Event::SecondSignal { node, generation });
        }
        self.step(node);
    }

    fn set_clock(&mut self, node: usize) {
        self.tally.count(Kind::WallJump);
        let by = self.seconds(1.0, 3600.0).as_nanos() as i64;
        // The clock is set back by at most what it is ahead of the time since boot.
        let forward = self.rng.bool();
        let clock = &mut self.nodes[node].clock;
        clock.set_forward += if forward {
            by
        } else {
            -by.min(clock.offset as i64 / 4)
        };
        clock.set_forward = clock.set_forward.max(-(clock.offset as i64) / 2);
        // The timer uses the same clock.
        self.nodes[node].wake = None;
        self.reset_timers(node);
        self.step(node);
    }

    fn halt(&mut self, node: usize, power: Power, kind: Kind) -> Duration {
        self.tally.count(kind);
        self.nodes[node].power = power;
        self.nodes[node].wake = None;
        self.nodes[node].suspended_at = self.now;
        self.seconds(0.5, 120.0)
    }

    pub(super) fn power_off(&mut self, node: usize) {
        self.note_announced(node);
        let candidate = &mut self.nodes[node];
        candidate.power = Power::Off;
        candidate.generation += 1;
        candidate.call = None;
        candidate.wake = None;
        candidate.pending_messages.clear();
        candidate.ended.push(candidate.process);
        if candidate.leading.take().is_some() {
            self.note_change();
        }
        self.cut_guards(node);
    }

    pub(super) fn end_fault(&mut self, node: usize, kind: NodeFault) {
        match (kind, self.nodes[node].power) {
            (NodeFault::Partition, _) => self.nodes[node].cut_off = false,
            (NodeFault::Crash, Power::Off) => self.restart(node),
            (NodeFault::Pause, Power::Paused) | (NodeFault::Suspend, Power::Suspended) => {
                self.resume(node);
            }
            _ => {}
        }
    }

    pub(super) fn restart(&mut self, node: usize) {
        let candidate = &self.nodes[node];
        let runs = !candidate.guards.is_empty() || !candidate.workload.is_empty();
        let is_container = |state: &StateFile| state.is_container();
        // A new container may start just before everything in the old one has ended.
        let soon = candidate.state.as_ref().is_some_and(is_container);
        if runs && !soon && !self.workload_faults.uncontained {
            // A container restarts only after everything in it has ended.
            let later = Duration::from_millis(200);
            let kind = NodeFault::Crash;
            return self.after(later, Event::NodeFaultEnds { node, kind });
        }
        self.note(|run| format!("{} starts again", run.nodes[node].name()));
        let (config, clock) = (self.nodes[node].config.clone(), self.nodes[node].clock);
        let process = self.process(&config, clock);
        self.nodes[node].restart(process);
        self.step(node);
    }

    pub(super) fn resume(&mut self, node: usize) {
        self.note(|run| format!("{} continues", run.nodes[node].name()));
        let candidate = &mut self.nodes[node];
        let slept = self.now.since(candidate.suspended_at);
        let before = std::mem::replace(&mut candidate.power, Power::On);
        if before == Power::Suspended {
            candidate.clock.suspended_for += slept.as_nanos() as u64;
            self.resume_guards(node);
        }
        let generation = self.nodes[node].generation;
        for message in std::mem::take(&mut self.nodes[node].pending_messages) {
            self.receive_message(node, generation, message);
        }
        self.step(node);
    }
}
