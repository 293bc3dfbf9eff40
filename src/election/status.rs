//! State of a candidate for operators and probes, and the health check.

use std::fmt;
use std::time::Duration;

use super::lock::Content;
use super::time::Instant;

/// A call to the store that exceeds its timeout by this much never returns: the process must be
/// restarted.
const STUCK_CALL: Duration = Duration::from_secs(30);

/// State of a candidate at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Role in the election.
    pub role: RoleName,
    /// Whether it leaves, for good or for a while: it was asked to stop or to step down, or ends for
    /// another reason.
    pub stopping: bool,
    /// Whether it leaves for good.
    pub finishing: bool,
    /// Holder of the lease, as last observed; empty for nobody.
    pub leader: String,
    /// Set while this candidate leads, even while it is stopping.
    pub leading: Option<LeaderStatus>,
    /// Result of the last read; `None` before the first answer. A leader rarely reads.
    pub observed: Option<ObservedStatus>,
    /// Call to the store that is in flight.
    pub call: Option<CallStatus>,
    /// Number of calls that failed in a row.
    pub failures: u32,
    /// Time until which the store refuses calls; in the past if it accepts them.
    pub rate_limited_until: Instant,
    /// Number of times that a leader had to read before it could write.
    pub slow_paths: u64,
    /// Time until which an operator keeps this candidate from acquiring the lease; in the past if none does.
    pub stepped_down_until: Instant,
    /// Time at which a write of another running process under this candidate's name was last observed;
    /// `None` if no such process is certain.
    pub same_name: Option<Instant>,
}

/// Role of a candidate in the election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoleName {
    /// Polls until the lease may be acquired.
    #[default]
    Candidate,
    /// Has claimed the lease, and waits for the claim to be confirmed.
    Acquiring,
    /// Leads.
    Leader,
    /// Releases the lease.
    Leaving,
    /// Has left the election.
    Finished,
}

impl RoleName {
    /// Returns the name in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RoleName::Candidate => "candidate",
            RoleName::Acquiring => "acquiring",
            RoleName::Leader => "leader",
            RoleName::Leaving => "leaving",
            RoleName::Finished => "finished",
        }
    }
}

/// Result of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedStatus {
    /// Effective content.
    pub content: Content,
    /// Time at which it was first observed.
    pub since: Instant,
    /// Time at which this candidate acquires the lease, unless it observes something else before.
    pub acquire_at: Instant,
}

/// Term of this candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderStatus {
    /// Fencing token.
    pub fencing_token: u64,
    /// Leadership deadline, unless it is extended.
    pub valid_until: Instant,
}

/// Call to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallStatus {
    /// Name of the call, such as "renewing the lease".
    pub name: &'static str,
    /// Time at which it was sent.
    pub since: Instant,
    /// Time by which it should have returned.
    pub overdue_at: Instant,
}

/// Reason why a candidate is not healthy.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unhealthy {
    /// Its term is past the leadership deadline and has not ended.
    NotRenewed {
        /// Description of the lock.
        lock: String,
    },
    /// A call to the store does not return.
    StuckCall {
        /// Name of the call, such as "renewing the lease".
        name: &'static str,
    },
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unhealthy::NotRenewed { lock } => {
                write!(f, "failed election to renew leadership on lease {lock}")
            }
            Unhealthy::StuckCall { name } => {
                write!(f, "{name} exceeded its timeout by 30s; restart the process")
            }
        }
    }
}

impl std::error::Error for Unhealthy {}

impl Default for Status {
    /// Returns the state of a candidate before its first read.
    fn default() -> Self {
        Status {
            role: RoleName::Candidate,
            stopping: false,
            finishing: false,
            leader: String::new(),
            leading: None,
            observed: None,
            call: None,
            failures: 0,
            rate_limited_until: Instant::BOOT,
            slow_paths: 0,
            stepped_down_until: Instant::BOOT,
            same_name: None,
        }
    }
}

impl Status {
    /// Checks the health as client-go's `HealthzAdaptor` does: a candidate is unhealthy if it leads more
    /// than `tolerance` after its leadership deadline, or if a call to the store does not return. An
    /// unreachable store is healthy, because otherwise an outage would restart every candidate.
    ///
    /// # Errors
    /// Returns the reason why it is not healthy.
    pub fn check(&self, lock: &str, now: Instant, tolerance: Duration) -> Result<(), Unhealthy> {
        if let Some(leading) = self.leading
            && now > leading.valid_until + tolerance
        {
            return Err(Unhealthy::NotRenewed {
                lock: lock.to_owned(),
            });
        }
        match self.call {
            Some(call) if now > call.overdue_at + STUCK_CALL => {
                Err(Unhealthy::StuckCall { name: call.name })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Duration = Duration::from_secs(20);

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(10_000 + seconds))
    }

    fn leading_until(until: Instant) -> Status {
        Status {
            leader: "foo".into(),
            leading: Some(LeaderStatus {
                fencing_token: 1,
                valid_until: until,
            }),
            ..Status::default()
        }
    }

    #[test]
    fn new_candidate_is_healthy() {
        assert_eq!(Status::default().check("foo", at(0), TOLERANCE), Ok(()));
    }

    #[test]
    fn lease_of_another_is_healthy() {
        let status = Status {
            leader: "bar".into(),
            ..Status::default()
        };
        assert_eq!(status.check("foo", at(3600), TOLERANCE), Ok(()));
    }

    #[test]
    fn term_past_deadline_is_unhealthy() {
        let status = leading_until(at(60));
        assert_eq!(status.check("foo", at(0), TOLERANCE), Ok(()), "fresh");
        assert_eq!(status.check("foo", at(61), TOLERANCE), Ok(()), "tolerated");
        let error = status.check("foo", at(3660), TOLERANCE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed election to renew leadership on lease foo"
        );
    }

    #[test]
    fn call_past_timeout_is_unhealthy() {
        let status = Status {
            call: Some(CallStatus {
                name: "reading the lease",
                since: at(0),
                overdue_at: at(5),
            }),
            ..Status::default()
        };
        assert_eq!(status.check("foo", at(35), TOLERANCE), Ok(()));
        assert!(status.check("foo", at(36), TOLERANCE).is_err());
    }
}
