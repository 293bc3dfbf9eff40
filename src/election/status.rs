//! What is known of a candidate at a moment, for probes and people, and whether that is healthy.

use std::fmt;
use std::time::Duration;

use super::lock::Content;
use super::time::Instant;

/// A call to the store that outlives its timeout by this much will not come back: the process needs
/// to be restarted.
const STUCK_CALL: Duration = Duration::from_secs(30);

/// A candidate at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is doing in the election.
    pub role: RoleName,
    /// It was asked to stop or to step down, or ends for another reason: what works in its term is to
    /// stop, if it is not gone yet.
    pub stopping: bool,
    /// It will not stand again.
    pub finishing: bool,
    /// Who holds the lease, as last observed; empty for nobody.
    pub leader: String,
    /// Set while this candidate leads, also while it is stopping.
    pub leading: Option<LeaderStatus>,
    /// What its last look at the store showed; `None` before the first answer. A leader rarely looks.
    pub observed: Option<ObservedStatus>,
    /// The call to the store that is under way.
    pub call: Option<CallStatus>,
    /// How many calls failed in a row, up to now.
    pub failures: u32,
    /// The store wants no call before this; past, if it has nothing against one.
    pub rate_limited_until: Instant,
    /// How often a leader had to look before it could write.
    pub slow_paths: u64,
}

/// What a candidate is doing in the election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoleName {
    /// It looks, and waits for the lease to be free.
    #[default]
    Candidate,
    /// It has claimed the lease, and waits for the claim to be confirmed.
    Acquiring,
    /// It leads.
    Leader,
    /// It gives the lease back.
    Leaving,
    /// It has left the election.
    Finished,
}

impl RoleName {
    /// The name, in lower case.
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

/// What a look at the store showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedStatus {
    /// What is in effect.
    pub content: Content,
    /// When it was first seen in effect.
    pub since: Instant,
    /// When this candidate takes the lease, unless something else is seen before.
    pub acquire_at: Instant,
}

/// A term of this candidate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderStatus {
    /// The fencing token.
    pub fencing_token: u64,
    /// Until when it leads, unless that is extended.
    pub valid_until: Instant,
}

/// A call to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallStatus {
    /// What is done.
    pub name: &'static str,
    /// When it was made.
    pub since: Instant,
    /// When it should have come back.
    pub overdue_at: Instant,
}

/// Why a candidate is not healthy.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unhealthy {
    /// Its term should long have ended, and was not ended.
    NotRenewed {
        /// The lock, as it describes itself.
        lock: String,
    },
    /// A call to the store does not come back.
    StuckCall {
        /// What is done.
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
                write!(
                    f,
                    "{name} did not come back within its timeout: restart the process"
                )
            }
        }
    }
}

impl std::error::Error for Unhealthy {}

impl Default for Status {
    /// That of a candidate that knows nothing yet.
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
        }
    }
}

impl Status {
    /// client-go's `HealthzAdaptor`: unhealthy when this candidate leads although its lease ran out
    /// more than `tolerance` ago, and when a call to the store does not come back. A store that
    /// cannot be reached is healthy, or an outage would restart every candidate.
    ///
    /// # Errors
    /// Says why it is not healthy.
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
    fn a_candidate_that_knows_nothing_yet_is_healthy() {
        assert_eq!(Status::default().check("foo", at(0), TOLERANCE), Ok(()));
    }

    #[test]
    fn the_lease_of_another_is_none_of_our_health() {
        let status = Status {
            leader: "bar".into(),
            ..Status::default()
        };
        assert_eq!(status.check("foo", at(3600), TOLERANCE), Ok(()));
    }

    #[test]
    fn a_lease_of_our_own_that_should_long_have_ended_is_unhealthy() {
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
    fn a_call_that_never_comes_back_is_unhealthy_half_a_minute_after_its_timeout() {
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
