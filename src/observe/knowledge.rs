//! Knowledge of a candidate about the leader and the terms at one moment.
//!
//! A candidate that cannot read knows less with time: from the end of the last lease that it observed, it
//! does not know whether the holder has renewed, or whether another candidate leads.

use std::time::Duration;

use super::observed_terms::{EndReason, ObservedEnd, ObservedTerm};
use super::snapshot::Snapshot;
use crate::election::time::Instant;

/// Leader of the election, as far as this candidate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leader<'a> {
    /// This candidate leads, or the candidate of this name holds a lease that has not expired.
    Known(&'a str),
    /// Nobody leads.
    Nobody,
    /// The last known lease has expired or was free, and the store has not answered since.
    Unknown {
        /// Time until which the leader was known.
        since: Instant,
    },
}

impl Snapshot {
    /// Returns the leader, as far as known.
    ///
    /// It is this candidate only while it leads, even if another process holds a lease under the same
    /// name, because programs compare the name with their own.
    #[must_use]
    pub fn leader(&self) -> Leader<'_> {
        if self.is_leading() {
            return Leader::Known(self.identity());
        }
        let Some(answered_at) = self.journal.answered_at else {
            let since = self.journal.started;
            return Leader::Unknown { since };
        };
        if let Some(lease) = self.lease() {
            let holder = lease.record.holder_identity.as_str();
            if lease.valid_until > self.now {
                return match holder == self.identity() {
                    true => Leader::Nobody,
                    false => Leader::Known(holder),
                };
            }
            if answered_at < lease.valid_until {
                let since = lease.valid_until;
                return Leader::Unknown { since };
            }
        }
        // Another candidate may have acquired the free lease since the last answer.
        let outdated = self.ago(answered_at) > self.candidate.config.lease_duration;
        match outdated || self.unreachable_since().is_some() {
            true => Leader::Unknown { since: answered_at },
            false => Leader::Nobody,
        }
    }

    /// Returns the time since this candidate last knew a leader, or since its start; zero while it knows
    /// one. `None` if calls succeed but are too rare to know, as with a short request budget.
    #[must_use]
    pub fn time_without_leader(&self) -> Option<Duration> {
        match self.leader() {
            Leader::Known(_) => return Some(Duration::ZERO),
            Leader::Unknown { .. } if self.status.failures == 0 => return None,
            Leader::Unknown { .. } | Leader::Nobody => {}
        }
        let since = match self.journal.terms.last() {
            None => self.journal.started,
            Some(term) => match (self.end_of(term), &self.journal.effective) {
                (Some(end), _) => end.at,
                // A lease under this candidate's name counts from its last renewal until it expires.
                (None, Some(effective)) => effective.known_since,
                (None, None) => self.journal.started,
            },
        };
        Some(self.ago(since))
    }

    /// Returns the time of the store's last answer if calls have failed since, for longer than two polls;
    /// before the first answer that of the start.
    #[must_use]
    pub fn unreachable_since(&self) -> Option<Instant> {
        let answered_at = self.journal.answered_at.unwrap_or(self.journal.started);
        let failing = self.ago(answered_at) > self.candidate.config.poll_period * 2;
        (failing && self.status.failures > 0).then_some(answered_at)
    }

    /// Returns the end of an observed term, also of one whose end no read has shown yet; `None` while it
    /// lasts.
    #[must_use]
    pub fn end_of(&self, term: &ObservedTerm) -> Option<ObservedEnd> {
        if term.end.is_some() || (term.mine && self.is_leading()) {
            return term.end;
        }
        let deadline = self.status.leading.filter(|_| term.mine);
        let at = deadline.map_or(term.expires_at()?, |leading| leading.valid_until);
        let is_read = self.journal.answered_at >= Some(at);
        let (reason, latest) = match term.mine || is_read {
            true => (EndReason::Expired, at),
            false => (EndReason::Unknown, self.now),
        };
        (at <= self.now).then_some(ObservedEnd { at, latest, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::action::StopReason;
    use crate::observe::snapshot::tests::{at, lead_until, read, record, snapshot};

    #[test]
    fn leader_is_unknown_after_unanswered_lease() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(59_000), &record("other", 7));
        snapshot.status.failures = 3;
        snapshot.now = at(88_999);
        assert_eq!(snapshot.leader(), Leader::Known("other"));
        assert_eq!(snapshot.unreachable_since(), Some(at(59_000)));
        snapshot.now = at(89_000);
        let since = at(89_000);
        assert_eq!(snapshot.leader(), Leader::Unknown { since });
        // An answer shows that nobody has renewed the lease.
        read(&mut snapshot, at(89_000), &record("other", 7));
        snapshot.journal.effective.as_mut().unwrap().known_since = at(59_000);
        snapshot.status.failures = 0;
        assert_eq!(snapshot.leader(), Leader::Nobody);
        // Later another candidate may have acquired it.
        snapshot.now = at(93_001);
        assert_eq!(snapshot.leader(), Leader::Nobody, "the store answers");
        snapshot.status.failures = 1;
        assert_eq!(snapshot.leader(), Leader::Unknown { since });
    }

    #[test]
    fn former_leaders_lease_has_no_leader() {
        let mut snapshot = snapshot();
        lead_until(&mut snapshot, at(66_000));
        snapshot.status.failures = 2;
        assert_eq!(snapshot.leader(), Leader::Known("me"));
        snapshot.now = at(79_999);
        assert_eq!(snapshot.leader(), Leader::Nobody);
        snapshot.now = at(80_000);
        let since = at(80_000);
        assert_eq!(snapshot.leader(), Leader::Unknown { since });
    }

    #[test]
    fn time_without_leader_is_counted() {
        let mut snapshot = snapshot();
        let seconds = |snapshot: &Snapshot| Some(snapshot.time_without_leader()?.as_secs());
        assert_eq!(seconds(&snapshot), None, "the first call is under way");
        snapshot.status.failures = 1;
        assert_eq!(seconds(&snapshot), Some(60), "since the start");
        read(&mut snapshot, at(10_000), &record("other", 7));
        snapshot.now = at(39_999);
        assert_eq!(seconds(&snapshot), Some(0));
        snapshot.now = at(60_000);
        assert_eq!(seconds(&snapshot), Some(20), "since the lease expired");
        // The candidate polls rarely, and the other one may have renewed.
        snapshot.status.failures = 0;
        assert_eq!(seconds(&snapshot), None);
        // An earlier process of this name holds the lease.
        read(&mut snapshot, at(59_000), &record("me", 8));
        assert_eq!(seconds(&snapshot), Some(1));
        lead_until(&mut snapshot, at(70_000));
        assert_eq!(seconds(&snapshot), Some(0));
        snapshot
            .journal
            .stopped_leading(at(60_000), 4, StopReason::Cancelled);
        snapshot.status.leading = None;
        snapshot.now = at(63_000);
        assert_eq!(seconds(&snapshot), Some(3));
    }

    #[test]
    fn term_ends_at_earliest_evidence() {
        let mut snapshot = snapshot();
        let end = |snapshot: &Snapshot| {
            let end = snapshot.end_of(snapshot.journal.terms.last().unwrap());
            end.map(|end| (end.at, end.latest, end.reason))
        };
        read(&mut snapshot, at(59_000), &record("other", 7));
        assert_eq!(end(&snapshot), None);
        snapshot.now = at(95_000);
        let unknown = (at(89_000), at(95_000), EndReason::Unknown);
        assert_eq!(end(&snapshot), Some(unknown));
        snapshot.journal.answered_at = Some(at(90_000));
        let expired = (at(89_000), at(89_000), EndReason::Expired);
        assert_eq!(end(&snapshot), Some(expired));
        // A leader whose thread hangs is known to end at its leadership deadline.
        lead_until(&mut snapshot, at(94_000));
        let expired = (at(94_000), at(94_000), EndReason::Expired);
        assert_eq!(end(&snapshot), Some(expired));
    }
}
