//! The roles of a candidate in an election, the calls that it makes, and what follows a graceful stop.

use crate::election::action::{Finish, StopReason};
use crate::election::status::RoleName;
use crate::election::term::TermLease;
use crate::election::time::Instant;

/// Role of a candidate. Only a `Candidate` acquires the lease; only a `Leader` and a `Draining`
/// candidate have a workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Polls, and claims the lease as soon as it may be acquired.
    Candidate {
        /// Whether the record may name this process as the holder.
        may_hold: bool,
    },
    /// Has claimed the lease, and waits for the claim to be confirmed.
    Acquiring(TermLease),
    /// Leads, and renews the lease.
    Leader {
        lease: TermLease,
        workload: Workload,
    },
    /// Has lost the lease, and polls until nothing of its workload runs any more.
    Draining {
        may_hold: bool,
        leaving: Option<Leaving>,
    },
    /// Releases the lease until the deadline. Its workload has stopped.
    Releasing {
        deadline: Instant,
        reason: Option<StopReason>,
        after: After,
    },
    /// Has left the election.
    Finished(Finish),
}

/// Workload of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Workload {
    /// Runs.
    Running,
    /// Has ended by itself. The leader keeps the lease.
    Ended,
    /// Is being stopped gracefully, while the leader still renews.
    Stopping(Leaving),
}

/// Graceful stop of a workload, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leaving {
    pub(super) after: After,
    /// Reason for the end of the term, if there was one.
    pub(super) reason: Option<StopReason>,
    /// Time at which everything of the workload must have been killed; if `overdue`, the time at which
    /// the kill must have been reported.
    pub(super) deadline: Instant,
    pub(super) overdue: bool,
}

/// Next step after the release of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum After {
    /// The election is over for this candidate.
    Finish(Finish),
    /// This candidate rejoins after one lease, in which another one may lead.
    BackOff,
    /// This candidate rejoins immediately.
    Rejoin,
}

/// Call to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    /// Reads, to learn the effective record.
    Read,
    /// Reads, to learn of other writes beside the record before the renewal that is due then.
    ReadBeforeRenewal {
        renew_at: Instant,
    },
    Claim,
    Renew,
    Release,
    /// Asks the leader to hand over.
    Annotate,
}

/// Call that has been sent and not yet answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct InFlight {
    pub(super) call: Call,
    pub(super) sent_at: Instant,
    pub(super) overdue_at: Instant,
    /// Number of this process's last write, which is this call if it writes.
    pub(super) write: u64,
}

/// Number of renewals that a read precedes after a foreign write was noticed.
const READS_FIRST: u32 = 3;

/// Foreign writes to the store that this process has noticed while it held a term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ForeignWrites {
    /// Number of next renewals that a read must precede.
    reads_first: u32,
    /// Whether foreign writes kept the last write from confirming any.
    pub(super) delayed_confirmation: bool,
}

impl ForeignWrites {
    pub(super) fn note(&mut self) {
        self.reads_first = READS_FIRST;
    }

    pub(super) fn note_quiet_read(&mut self) {
        self.reads_first = self.reads_first.saturating_sub(1);
    }

    pub(super) fn note_renewal(&mut self, confirms: bool) {
        self.delayed_confirmation = !confirms && self.are_expected();
    }

    pub(super) fn are_expected(self) -> bool {
        self.reads_first > 0
    }
}

impl Role {
    pub(super) fn name(&self) -> RoleName {
        match self {
            Role::Candidate { .. } | Role::Draining { .. } => RoleName::Candidate,
            Role::Acquiring(_) => RoleName::Acquiring,
            Role::Leader { .. } => RoleName::Leader,
            Role::Releasing { .. } => RoleName::Leaving,
            Role::Finished(_) => RoleName::Finished,
        }
    }

    /// Returns the lease of a leader or an acquiring candidate.
    pub(super) fn lease(&self) -> Option<&TermLease> {
        match self {
            Role::Acquiring(lease) | Role::Leader { lease, .. } => Some(lease),
            _ => None,
        }
    }

    pub(super) fn lease_mut(&mut self) -> Option<&mut TermLease> {
        match self {
            Role::Acquiring(lease) | Role::Leader { lease, .. } => Some(lease),
            _ => None,
        }
    }

    /// Returns the graceful stop that waits for a workload.
    pub(super) fn leaving(&self) -> Option<&Leaving> {
        match self {
            Role::Leader {
                workload: Workload::Stopping(leaving),
                ..
            } => Some(leaving),
            Role::Draining { leaving, .. } => leaving.as_ref(),
            _ => None,
        }
    }

    pub(super) fn leaving_mut(&mut self) -> Option<&mut Leaving> {
        match self {
            Role::Leader {
                workload: Workload::Stopping(leaving),
                ..
            } => Some(leaving),
            Role::Draining { leaving, .. } => leaving.as_mut(),
            _ => None,
        }
    }

    /// Returns the next step, for a candidate that leaves the election for good or for a while.
    pub(super) fn after(&self) -> Option<After> {
        match self {
            Role::Releasing { after, .. } => Some(*after),
            Role::Finished(finish) => Some(After::Finish(*finish)),
            _ => self.leaving().map(|leaving| leaving.after),
        }
    }
}

impl Call {
    /// Returns the name of the call, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Call::Read | Call::ReadBeforeRenewal { .. } => "reading the lease",
            Call::Claim => "claiming the lease",
            Call::Renew => "renewing the lease",
            Call::Release => "releasing the lease",
            Call::Annotate => "asking the leader to hand over",
        }
    }

    pub(super) fn writes(self) -> bool {
        !matches!(self, Call::Read | Call::ReadBeforeRenewal { .. })
    }
}
