//! Records of the model, and what they show.

use elector::election::annotation::PAUSED;
use elector::election::record::LeaderElectionRecord;
use elector::lock::cas::origin::Stored;

use crate::gist::WriteId;

/// A state of the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shown {
    /// The holder's last write.
    pub owner: Option<WriteId>,
    /// Annotation that paused it.
    pub paused: Option<WriteId>,
    pub foreign: bool,
}

impl Shown {
    /// What a foreign record or no record shows.
    pub(super) const FOREIGN: Shown = Shown {
        owner: None,
        paused: None,
        foreign: true,
    };
}

/// Returns a record of the only term. Its lease names the write.
pub(super) fn record(holder: &str, lease: u64) -> LeaderElectionRecord {
    LeaderElectionRecord {
        holder_identity: holder.to_owned(),
        lease_duration_seconds: lease,
        leader_transitions: 7,
        ..LeaderElectionRecord::default()
    }
}

/// Returns whether `after` is a copy of the record `before` that differs only in its pause, and in the id of
/// the write unless it is foreign.
pub(super) fn is_copy(before: &str, after: &str) -> bool {
    let parsed = [before, after].map(Stored::parse);
    let [Some(before), Some(after)] = parsed.each_ref().map(Stored::record) else {
        return false;
    };
    let unpaused = |record: &LeaderElectionRecord| {
        let mut record = record.clone();
        record.other.remove(PAUSED);
        record
    };
    unpaused(&before.record) == unpaused(&after.record)
        && before.term == after.term
        && before.protocol == after.protocol
        && before.origin.is_some() == after.origin.is_some()
}
