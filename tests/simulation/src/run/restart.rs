//! State files: their locks, the end of containers, and what programs beside the elector rely on.

use std::time::Duration;

use elector::election::record::LeaderElectionRecord;
use elector::election::time::Instant;

use super::Run;
use crate::state_file::StateFile;

/// Longest time for which processes of a container outlive its first one, in nanoseconds.
const LINGER: u64 = 64_000_000;

impl Run {
    /// Gives a candidate a state file, perhaps.
    pub(super) fn give_state_file(&mut self, node: usize) {
        if !self.scenario.restarts || self.rng.u8(..4) == 0 {
            return;
        }
        let pid = match self.workload_faults.uncontained {
            true => 7,
            false => 1,
        };
        let followed = self.rng.bool();
        self.nodes[node].state = Some(StateFile::new(pid, followed));
    }

    /// Tries to take the lock of the state file, as is done before each read.
    pub(super) fn take_state(&mut self, node: usize) {
        let now = self.local_now(node);
        let candidate = &mut self.nodes[node];
        let free = !candidate.guards.iter().any(|guard| guard.holds_state);
        let lease = candidate.config.lease_duration;
        if let Some(state) = &mut candidate.state {
            let process = format!("p{}", candidate.process);
            state.take(now, &process, free, lease);
        }
    }

    /// Notes the latest leadership deadline that a write of a holder can lead to.
    pub(super) fn extend_state(&mut self, node: usize, record: &LeaderElectionRecord) {
        let valid_until = self.local_now(node) + self.nodes[node].config.renew_deadline;
        if let Some(state) = &mut self.nodes[node].state
            && !record.holder_identity.is_empty()
        {
            state.extend(valid_until);
        }
    }

    /// Ends everything that a container ran with its elector, or nothing outside of a container.
    pub(super) fn end_container(&mut self, node: usize) {
        let candidate = &mut self.nodes[node];
        if !candidate
            .state
            .as_ref()
            .is_some_and(StateFile::is_container)
        {
            return;
        }
        // The lock is free immediately, and the last process ends a moment later.
        candidate.guards.clear();
        let mut ends = Vec::new();
        for process in &mut candidate.workload {
            let end = self
                .now
                .after(Duration::from_nanos(self.workload_rng.u64(..LINGER)));
            process.becomes_cmd = None;
            process.termed = true;
            process.ends_at = Some(end);
            ends.push(end);
        }
        for at in ends {
            self.at(at, super::Event::Processes { node });
        }
    }

    /// Checks that no term begins while programs beside an earlier process may rely on its deadline, and
    /// notes the deadline of this one.
    pub(super) fn check_announced(&mut self, node: usize, now: Instant) {
        let candidate = &self.nodes[node];
        let is_followed = candidate.state.as_ref().is_some_and(StateFile::is_followed);
        let announced = candidate.announced;
        if is_followed && now < announced {
            self.break_rule(|run| {
                let name = run.nodes[node].name();
                format!("{name} leads at {now}, and an earlier process of it until {announced}")
            });
        }
    }

    /// Notes the leadership deadlines of a process that has ended.
    pub(super) fn note_announced(&mut self, node: usize) {
        let candidate = &mut self.nodes[node];
        let until = candidate
            .leading
            .as_ref()
            .map(|leading| leading.valid_until);
        candidate.announced = candidate.announced.max(until.unwrap_or(Instant::BOOT));
    }
}
