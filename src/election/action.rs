//! What the elector asks its owner to do, and what it says of itself.

use std::fmt;
use std::time::Duration;

use super::lock::LockError;
use super::record::LeaderElectionRecord;
use super::time::Instant;

/// What the owner is to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Call [`ResourceLock::get`](super::lock::ResourceLock::get) and hand the result to
    /// [`handle_got`](super::elector::LeaderElector::handle_got).
    Get {
        /// For how long at the most.
        timeout: Duration,
    },
    /// Call [`ResourceLock::create`](super::lock::ResourceLock::create) and hand the result to
    /// [`handle_wrote`](super::elector::LeaderElector::handle_wrote).
    Create {
        /// What to write.
        record: LeaderElectionRecord,
        /// For how long at the most.
        timeout: Duration,
    },
    /// Call [`ResourceLock::update`](super::lock::ResourceLock::update) and hand the result to
    /// [`handle_wrote`](super::elector::LeaderElector::handle_wrote).
    Update {
        /// What to write.
        record: LeaderElectionRecord,
        /// For how long at the most.
        timeout: Duration,
    },
    /// Start the workload. Say so with [`handle_workload_gone`](super::elector::LeaderElector::handle_workload_gone) once nothing of it
    /// is left, whenever that is.
    StartLeading {
        /// The fencing token of this term.
        fencing_token: u64,
        /// Until when it may run, unless that is extended.
        valid_until: Instant,
    },
    /// The workload may run until then.
    ExtendLease {
        /// Until when.
        valid_until: Instant,
    },
    /// Stop the workload now. May come a second time with an earlier `kill_at`.
    StopLeading {
        /// Why.
        reason: StopReason,
        /// When it must be killed at the latest.
        kill_at: Instant,
    },
    /// Somebody else holds the lease by now, or nobody: then the name is empty.
    NewLeader(String),
    /// Call [`ResourceLock::record_event`](super::lock::ResourceLock::record_event).
    Event(String),
    /// Something that people may want to read.
    Notice(Notice),
}

/// Why a workload has to stop.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The elector was asked to stop.
    Cancelled,
    /// It was asked to let another one lead.
    SteppedDown,
    /// What worked in the term has ended by itself.
    WorkloadEnded,
    /// The lease could not be renewed in time.
    RenewDeadline,
    /// The lease is somebody else's, or what was written is gone.
    Deposed,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::Cancelled => "asked to stop",
            StopReason::SteppedDown => "asked to let another one lead",
            StopReason::WorkloadEnded => "the workload has ended",
            StopReason::RenewDeadline => "the lease could not be renewed in time",
            StopReason::Deposed => "the lease is not ours any more",
        })
    }
}

/// Something that people may want to read.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// A call to the store failed, and is to be tried again.
    Failed {
        /// Which call.
        call: &'static str,
        /// How.
        error: LockError,
        /// Whether it was to write.
        write: bool,
        /// After how long it is tried again.
        retry_in: Duration,
    },
    /// The store told a leader to stay away for longer than its lease lasts: it leads to the end of
    /// that, and then nobody can, as the others share the store's limits.
    RateLimitedPastDeadline {
        /// How long it still leads.
        leads_for: Duration,
        /// For how long nobody is to ask the store.
        retry_after: Duration,
    },
    /// A claim took effect, and is to be confirmed.
    Claimed {
        /// The token of the term that it is to begin.
        fencing_token: u64,
    },
    /// Another candidate's claim came first.
    ClaimLost,
    /// What was written last is gone from the store: nothing is claimed for so long.
    RecordLost {
        /// For how long.
        pause: Duration,
    },
    /// What stands in the store came past the elections, and is waited for.
    ForeignWrite {
        /// What it is.
        what: String,
        /// For how long.
        wait: Duration,
    },
    /// Another process holds the lease under this candidate's name, or an earlier one of its own did.
    SameName,
    /// The lease was given back.
    Released,
    /// It stepped down, and claims nothing for so long.
    BackingOff {
        /// For how long.
        pause: Duration,
    },
}

/// How an election ended for this candidate.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// It was stopped, and holds nothing.
    Stopped,
    /// It was stopped, and could not give the lease back: others wait until it has run out.
    NotReleased,
    /// It lost the lease, and was told to end then.
    LostLease,
    /// It did not lead within the time that it was given for that.
    DidNotLead,
    /// Another candidate leads, or did too lately for this one to lead.
    LedRecently,
    /// Its workload did not end in time. The lease is not given back.
    WorkloadStuck,
}
