//! Actions that the elector asks of its owner, and notices about what happened.

use std::fmt;
use std::time::Duration;

use super::annotation::Annotation;
use super::lock::LockError;
use super::record::LeaderElectionRecord;
use super::time::Instant;

/// Action that the owner of an elector must carry out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Call [`ResourceLock::get`](super::lock::ResourceLock::get) and hand the result to
    /// [`handle_got`](super::elector::LeaderElector::handle_got).
    Get {
        /// Longest time that the call may take.
        timeout: Duration,
    },
    /// Call [`ResourceLock::create`](super::lock::ResourceLock::create) and hand the result to
    /// [`handle_wrote`](super::elector::LeaderElector::handle_wrote).
    Create {
        /// Record to write.
        record: LeaderElectionRecord,
        /// Longest time that the call may take.
        timeout: Duration,
    },
    /// Call [`ResourceLock::update`](super::lock::ResourceLock::update) and hand the result to
    /// [`handle_wrote`](super::elector::LeaderElector::handle_wrote).
    Update {
        /// Record to write.
        record: LeaderElectionRecord,
        /// Longest time that the call may take.
        timeout: Duration,
    },
    /// Call [`ResourceLock::annotate`](super::lock::ResourceLock::annotate) and hand the result to
    /// [`handle_wrote`](super::elector::LeaderElector::handle_wrote).
    Annotate {
        /// Fields to change.
        annotation: Annotation,
        /// Longest time that the call may take.
        timeout: Duration,
    },
    /// Start the workload. Call
    /// [`handle_workload_stopped`](super::elector::LeaderElector::handle_workload_stopped) once nothing of it
    /// runs any more.
    StartLeading {
        /// Fencing token of this term.
        fencing_token: u64,
        /// Leadership deadline, unless it is extended.
        valid_until: Instant,
    },
    /// Let the workload run until the new leadership deadline.
    ExtendLease {
        /// Leadership deadline.
        valid_until: Instant,
    },
    /// Stop the workload now. May be repeated with an earlier `kill_at`.
    StopLeading {
        /// Reason for the stop.
        reason: StopReason,
        /// Latest time at which the workload must be killed.
        kill_at: Instant,
    },
    /// Report a new holder of the lease; an empty name stands for nobody.
    NewLeader(String),
    /// Call [`ResourceLock::record_event`](super::lock::ResourceLock::record_event).
    Event(String),
    /// Report a notice to operators.
    Notice(Notice),
}

/// Reason why a workload must stop.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The elector was asked to stop.
    Cancelled,
    /// The leader was asked to let another candidate lead.
    SteppedDown,
    /// The record asks the leader to hand over to another candidate.
    HandedOver,
    /// The election is paused.
    Paused,
    /// The workload has ended by itself.
    WorkloadEnded,
    /// The workload was stopped because it was unhealthy.
    Unhealthy,
    /// The lease could not be renewed in time.
    RenewDeadline,
    /// The lease is held by another process, or its record was lost.
    Deposed,
}

impl StopReason {
    /// Every reason.
    pub const ALL: [StopReason; 8] = [
        StopReason::Cancelled,
        StopReason::SteppedDown,
        StopReason::HandedOver,
        StopReason::Paused,
        StopReason::WorkloadEnded,
        StopReason::Unhealthy,
        StopReason::RenewDeadline,
        StopReason::Deposed,
    ];

    /// Returns the reason of this name, as [`as_str`](Self::as_str) returns it; `None` for any other text.
    #[must_use]
    pub fn from_name(name: &str) -> Option<StopReason> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// Returns whether the lease is lost, so that the workload must stop by the leadership deadline. For all
    /// other reasons the leader renews until its workload has stopped.
    #[must_use]
    pub fn is_loss(self) -> bool {
        matches!(self, StopReason::RenewDeadline | StopReason::Deposed)
    }

    /// Returns the reason's name for programs: in the record, JSON, metrics and the webhook.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StopReason::Cancelled => "stopped",
            StopReason::SteppedDown => "stepped_down",
            StopReason::HandedOver => "handed_over",
            StopReason::Paused => "paused",
            StopReason::WorkloadEnded => "workload_ended",
            StopReason::Unhealthy => "unhealthy",
            StopReason::RenewDeadline => "not_renewed",
            StopReason::Deposed => "deposed",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::Cancelled => "asked to stop",
            StopReason::SteppedDown => "asked to step down",
            StopReason::HandedOver => "asked to hand over",
            StopReason::Paused => "the election is paused",
            StopReason::WorkloadEnded => "the workload has ended",
            StopReason::Unhealthy => "the workload is unhealthy",
            StopReason::RenewDeadline => "the lease could not be renewed in time",
            StopReason::Deposed => "the lease is held by another candidate",
        })
    }
}

/// Event in an election that operators may want to know.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// A call to the store failed, and will be tried again.
    Failed {
        /// Name of the call, such as "renewing the lease".
        call: &'static str,
        /// Cause.
        error: LockError,
        /// Whether the call was a write.
        write: bool,
        /// Time until the next try.
        retry_in: Duration,
    },
    /// The store refuses the leader's calls for longer than its lease lasts. The leader leads until its
    /// deadline; after that nobody can, because the standbys share the rate limit.
    RateLimitedPastDeadline {
        /// Time until the leadership deadline.
        leads_for: Duration,
        /// Time for which the store refuses calls.
        retry_after: Duration,
    },
    /// A claim is effective, and must be confirmed.
    Claimed {
        /// Fencing token of the term that the claim begins.
        fencing_token: u64,
    },
    /// Another candidate's claim came first.
    ClaimLost,
    /// The observed record was lost from the store: this candidate does not claim for a while.
    RecordLost {
        /// Time for which nothing is claimed.
        pause: Duration,
    },
    /// The effective record is a foreign write, and its lease must expire.
    ForeignWrite {
        /// Description of the foreign write.
        what: String,
        /// Time until the lease may be acquired.
        wait: Duration,
    },
    /// Another process, or an earlier one, holds the lease under this candidate's name.
    SameName,
    /// Another process runs under this candidate's name. Reported once.
    SameNameRuns,
    /// The lease was released.
    Released,
    /// This candidate finishes, because another one leads or led within
    /// [`unless_led_within`](super::config::LeaderElectionConfig::unless_led_within).
    LedRecently(RecentLeader),
    /// The election is paused, for this reason: nobody may lead.
    Paused(String),
    /// The election is not paused any more.
    Resumed,
    /// This candidate stepped down, and does not claim for a while.
    BackingOff {
        /// Time for which nothing is claimed.
        pause: Duration,
    },
}

/// Candidate that leads, or led recently.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecentLeader {
    /// Name of the candidate; empty if the record does not name the former holder.
    pub identity: String,
    /// Time since the lease was released or expired; `None` if it has not expired.
    pub ended: Option<Duration>,
}

/// End of an election for this candidate.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// Stopped on request, without a lease.
    Stopped,
    /// Stopped on request, but could not release the lease, so other candidates wait until it expires.
    NotReleased,
    /// Lost the lease, and is configured to finish then.
    LostLease,
    /// Did not lead within [`give_up_after`](super::config::LeaderElectionConfig::give_up_after).
    DidNotLead,
    /// Another candidate leads, or led too recently for this one to lead.
    LedRecently,
    /// The workload did not stop in time. The lease is not released.
    WorkloadStuck,
}
