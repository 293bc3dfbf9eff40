//! Snapshot of a candidate at one moment, and what follows from it.
//!
//! Everything is computed for the moment of the response, independently of the election's thread. A
//! leader whose threads hang therefore stops counting as leader at its leadership deadline.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::journal::Journal;
use super::workload_counts::WorkloadCounts;
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::Content;
use crate::election::record::LeaderElectionRecord;
use crate::election::status::{RoleName, Status, Unhealthy};
use crate::election::time::Instant;
use crate::fmt::{self, one_line};
use crate::lock::stats::StoreStats;

/// Time after its leadership deadline from which a leader that has not stopped is unhealthy: the value
/// that Kubernetes' controllers use with client-go.
const HEALTH_TOLERANCE: Duration = Duration::from_secs(20);

/// Time for which a write of another process under this candidate's name is reported.
const SAME_NAME_SHOWN: Duration = Duration::from_secs(3600);

/// Condition for `/readyz` to report ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadyWhen {
    /// The candidate takes part in the election.
    #[default]
    Candidate,
    /// The candidate leads, and its wrapped program can serve.
    Leader,
}

/// Properties of a candidate that do not change while it runs.
#[derive(Clone, Debug)]
pub struct CandidateInfo {
    /// Name of the lease in metrics.
    pub lease_name: String,
    /// Name of the election for operators.
    pub name: String,
    /// Description of the lock.
    pub lock: String,
    /// Address of the web page that shows the record, if there is one.
    pub lock_page: Option<String>,
    /// Identity and timings.
    pub config: LeaderElectionConfig,
    /// Time between a claim and the write that confirms it, for locks that need one.
    pub confirm_delay: Option<Duration>,
    /// Condition for `/readyz` to report ready.
    pub ready_when: ReadyWhen,
    /// Counters of the workload, if there is one.
    pub workload: Option<Arc<WorkloadCounts>>,
}

/// State of a candidate at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The moment.
    pub now: Instant,
    /// The moment by the wall clock, for display.
    pub wall: OffsetDateTime,
    /// Properties that do not change.
    pub candidate: Arc<CandidateInfo>,
    /// Status of the election.
    pub status: Status,
    /// Actions and observations of the candidate.
    pub journal: Journal,
    /// Statistics of the requests to the store.
    pub store: StoreStats,
}

/// This candidate's leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Fencing token of the term.
    pub fencing_token: u64,
    /// Time until the leadership deadline.
    pub time_left: Duration,
}

/// Effect of a request to step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteppedDown {
    /// Whether this candidate led.
    pub led: bool,
    /// Time until which it does not acquire the lease, in seconds since 1970; `None` if it may.
    pub until: Option<i64>,
    /// Whether that survives a restart of the process.
    pub kept: bool,
}

/// A lease with a holder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lease<'a> {
    /// The record.
    pub record: &'a LeaderElectionRecord,
    /// Whether this candidate leads by it.
    pub mine: bool,
    /// This candidate's leadership deadline, or the expiry of another holder's lease.
    pub valid_until: Instant,
    /// Time that a renewal adds.
    pub duration: Duration,
}

impl Snapshot {
    /// Returns the identity of this candidate.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.candidate.config.identity
    }

    /// Returns this candidate's leadership; `None` once it is told to stop and from its leadership
    /// deadline.
    #[must_use]
    pub fn leadership(&self) -> Option<Leadership> {
        let leading = self.status.leading.filter(|_| !self.status.stopping)?;
        let time_left = leading.valid_until.since(self.now);
        (!time_left.is_zero()).then_some(Leadership {
            fencing_token: leading.fencing_token,
            time_left,
        })
    }

    /// Returns whether this candidate leads.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.leadership().is_some()
    }

    /// Returns the effective content, as far as known.
    #[must_use]
    pub fn content(&self) -> Option<&Content> {
        let effective = self.journal.effective.as_ref()?;
        Some(&effective.content)
    }

    /// Returns the lease if it has a holder; it may have expired.
    #[must_use]
    pub fn lease(&self) -> Option<Lease<'_>> {
        let effective = self.journal.effective.as_ref()?;
        let record = effective.content.record()?;
        if record.holder_identity.is_empty() {
            return None;
        }
        let config = &self.candidate.config;
        if let (true, Some(leading)) = (self.is_leading(), self.status.leading) {
            return Some(Lease {
                record,
                mine: true,
                valid_until: leading.valid_until,
                duration: config.renew_deadline.min(config.usable_lease()),
            });
        }
        let duration = record.lease_duration();
        Some(Lease {
            record,
            mine: false,
            valid_until: effective.known_since + duration,
            duration,
        })
    }

    /// Returns whether the election is paused, as far as known.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let record = self.content().and_then(Content::record);
        record.is_some_and(LeaderElectionRecord::is_paused)
    }

    /// Returns what operators or preferred candidates ask of the election, in one clause.
    #[must_use]
    pub fn request(&self) -> Option<String> {
        Some(one_line(&self.content()?.record()?.request()?))
    }

    /// Returns whether this candidate neither holds the lease nor leaves the election.
    #[must_use]
    pub fn is_standby(&self) -> bool {
        self.status.role == RoleName::Candidate && !self.status.stopping
    }

    /// Returns when this candidate acquires the lease unless a read shows a change before; `None` if it
    /// does not wait for that.
    #[must_use]
    pub fn acquire_at(&self) -> Option<Instant> {
        let waits = self.is_standby() && !self.is_paused();
        let observed = self.status.observed.as_ref().filter(|_| waits)?;
        Some(observed.acquire_at)
    }

    /// Returns the time until which an operator keeps this candidate from acquiring the lease; `None` if no
    /// operator does.
    #[must_use]
    pub fn stepped_down_until(&self) -> Option<Instant> {
        let until = self.status.stepped_down_until;
        (until > self.now).then_some(until)
    }

    /// Returns the time since the last write of another process under this candidate's name; `None` if
    /// there was none within the last hour.
    #[must_use]
    pub fn same_name_ago(&self) -> Option<Duration> {
        let ago = self.ago(self.status.same_name?);
        (ago < SAME_NAME_SHOWN).then_some(ago)
    }

    /// Checks the health of this candidate, as client-go's `HealthzAdaptor` does.
    ///
    /// # Errors
    /// Returns the reason if it is not healthy.
    pub fn check_health(&self) -> Result<(), Unhealthy> {
        let lock = &self.candidate.lock;
        self.status.check(lock, self.now, HEALTH_TOLERANCE)
    }

    /// Checks whether this candidate is ready, as the setting `READY_WHEN` defines it. A leader is ready
    /// if its wrapped program is.
    ///
    /// A candidate is ready from the store's first answer, which shows that it can take part. Without
    /// an answer it is ready after one lease duration, because otherwise an outage would keep every
    /// restarted standby out of service. Later outages change nothing.
    ///
    /// # Errors
    /// Returns the reason if it is not ready.
    pub fn check_ready(&self) -> Result<(), &'static str> {
        match self.candidate.ready_when {
            ReadyWhen::Leader if !self.is_leading() => Err("this candidate does not lead"),
            ReadyWhen::Leader => match &self.candidate.workload {
                Some(workload) => workload.check_ready(),
                None => Ok(()),
            },
            ReadyWhen::Candidate => self.check_takes_part(),
        }
    }

    /// Checks whether this candidate takes part in the election.
    ///
    /// # Errors
    /// Returns the reason if it does not.
    pub fn check_takes_part(&self) -> Result<(), &'static str> {
        if self.is_leaving() {
            return Err("this candidate is leaving the election");
        }
        let waited = self.ago(self.journal.started);
        if self.journal.answered_at.is_some() || waited >= self.candidate.config.lease_duration {
            return Ok(());
        }
        Err("no answer from the store yet")
    }

    /// Returns whether this candidate leaves the election, or has left it.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.status.finishing || self.status.role == RoleName::Finished
    }

    /// Returns the time since `then`.
    #[must_use]
    pub fn ago(&self, then: Instant) -> Duration {
        self.now.since(then)
    }

    /// Returns the wall clock time of an instant; `None` outside of the calendar.
    #[must_use]
    pub fn wall_at(&self, at: Instant) -> Option<OffsetDateTime> {
        if at >= self.now {
            let ahead = time::Duration::try_from(at.since(self.now)).ok()?;
            return self.wall.checked_add(ahead);
        }
        let ago = time::Duration::try_from(self.ago(at)).ok()?;
        self.wall.checked_sub(ago)
    }

    /// Returns the wall clock time of an instant as RFC 3339 text in UTC with whole seconds.
    #[must_use]
    pub fn time_at(&self, at: Instant) -> Option<String> {
        fmt::utc(self.wall_at(at)?.unix_timestamp())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::election::status::{LeaderStatus, ObservedStatus};
    use crate::observe::knowledge::Leader;

    pub(in crate::observe) fn at(millis: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(100_000) + Duration::from_millis(millis))
    }

    /// Returns a snapshot of the candidate `me`, 60 s after its start and without any answer.
    pub(in crate::observe) fn snapshot() -> Snapshot {
        Snapshot {
            now: at(60_000),
            wall: OffsetDateTime::from_unix_timestamp(1_795_341_751).unwrap(),
            candidate: Arc::new(CandidateInfo {
                lease_name: "abc".into(),
                name: "abc".into(),
                lock: "lock abc".into(),
                lock_page: None,
                config: LeaderElectionConfig::new("me"),
                confirm_delay: Some(Duration::from_secs(2)),
                ready_when: ReadyWhen::Candidate,
                workload: None,
            }),
            status: Status::default(),
            journal: Journal::new(at(0)),
            store: StoreStats::default(),
        }
    }

    pub(in crate::observe) fn record(holder: &str, token: u64) -> Content {
        let record = LeaderElectionRecord {
            holder_identity: holder.into(),
            lease_duration_seconds: 30,
            acquire_time: "2026-11-22T09:00:00Z".into(),
            leader_transitions: token,
            ..LeaderElectionRecord::default()
        };
        Content::Record(record.into())
    }

    /// Applies a read at `when` that showed `content`.
    pub(in crate::observe) fn read(snapshot: &mut Snapshot, when: Instant, content: &Content) {
        snapshot.journal.read_finished(
            when,
            &Ok(crate::election::lock::Observed {
                content: content.clone(),
                resource_version: when.since_boot().as_nanos() as u64,
                ..crate::election::lock::Observed::default()
            }),
        );
        snapshot.status.leader = content.holder().to_owned();
        snapshot.status.observed = Some(ObservedStatus {
            content: content.clone(),
            since: when,
            acquire_at: when + Duration::from_secs(30),
        });
    }

    /// Makes the candidate lead with the fencing token 4 until then.
    pub(in crate::observe) fn lead_until(snapshot: &mut Snapshot, until: Instant) {
        read(snapshot, at(50_000), &record("me", 4));
        snapshot.journal.started_leading(at(52_000), "me", 4);
        snapshot.status.role = RoleName::Leader;
        snapshot.status.leading = Some(LeaderStatus {
            fencing_token: 4,
            valid_until: until,
        });
    }

    #[test]
    fn leadership_ends_at_deadline_or_stop() {
        let mut snapshot = snapshot();
        lead_until(&mut snapshot, at(60_001));
        let leadership = Leadership {
            fencing_token: 4,
            time_left: Duration::from_millis(1),
        };
        assert_eq!(snapshot.leadership(), Some(leadership));
        assert_eq!(snapshot.leader(), Leader::Known("me"));
        let stopped = (None, Leader::Nobody);
        snapshot.status.stopping = true;
        assert_eq!((snapshot.leadership(), snapshot.leader()), stopped);
        snapshot.status.stopping = false;
        // The election's thread has not ended the term yet.
        snapshot.now = at(60_001);
        assert_eq!((snapshot.leadership(), snapshot.leader()), stopped);
        assert_eq!(snapshot.status.role, RoleName::Leader);
    }

    #[test]
    fn other_leader_and_lease_are_known() {
        let mut snapshot = snapshot();
        assert_eq!(snapshot.leader(), Leader::Unknown { since: at(0) });
        read(&mut snapshot, at(59_000), &record("other", 7));
        assert_eq!(snapshot.leader(), Leader::Known("other"));
        let lease = snapshot.lease().unwrap();
        assert!(!lease.mine);
        assert_eq!(lease.valid_until, at(89_000));
        assert_eq!(snapshot.acquire_at(), Some(at(89_000)));
        read(&mut snapshot, at(60_000), &record("", 7));
        assert_eq!(
            (snapshot.leader(), snapshot.lease()),
            (Leader::Nobody, None)
        );
    }

    #[test]
    fn own_lease_ends_at_leadership_deadline() {
        let mut snapshot = snapshot();
        lead_until(&mut snapshot, at(70_000));
        let lease = snapshot.lease().unwrap();
        assert!(lease.mine);
        assert_eq!(
            (lease.valid_until, lease.duration),
            (at(70_000), Duration::from_secs(16))
        );
        assert_eq!(snapshot.acquire_at(), None);
    }

    #[test]
    fn candidate_is_ready_until_it_leaves() {
        let mut snapshot = snapshot();
        snapshot.now = at(29_999);
        assert!(snapshot.check_ready().is_err());
        snapshot.now = at(30_000);
        assert_eq!(snapshot.check_ready(), Ok(()), "no answer for one lease");
        snapshot.now = at(10_000);
        read(&mut snapshot, at(9_000), &record("other", 7));
        assert_eq!(snapshot.check_ready(), Ok(()), "first answer");
        snapshot.status.stopping = true;
        assert_eq!(
            snapshot.check_ready(),
            Ok(()),
            "stepping down, then candidate again"
        );
        snapshot.status.finishing = true;
        assert!(snapshot.check_ready().is_err());
    }

    #[test]
    fn ready_program_makes_leader_ready() {
        let mut snapshot = snapshot();
        let workload = Arc::new(WorkloadCounts::default());
        Arc::make_mut(&mut snapshot.candidate).ready_when = ReadyWhen::Leader;
        workload.started();
        assert_eq!(snapshot.check_ready(), Err("this candidate does not lead"));
        lead_until(&mut snapshot, at(70_000));
        assert_eq!(snapshot.check_ready(), Ok(()), "without a program");
        Arc::make_mut(&mut snapshot.candidate).workload = Some(Arc::clone(&workload));
        assert_eq!(snapshot.check_ready(), Ok(()));
        workload.ended(None);
        assert!(snapshot.check_ready().is_err());
    }

    #[test]
    fn same_name_shows_for_one_hour() {
        let mut snapshot = snapshot();
        assert_eq!(snapshot.same_name_ago(), None);
        snapshot.status.same_name = Some(at(59_000));
        assert_eq!(snapshot.same_name_ago(), Some(Duration::from_secs(1)));
        snapshot.now = at(59_000) + SAME_NAME_SHOWN;
        assert_eq!(snapshot.same_name_ago(), None);
    }

    #[test]
    fn instants_map_to_wall_clock() {
        let snapshot = snapshot();
        let time = |at| snapshot.time_at(at).unwrap();
        assert_eq!(time(snapshot.now), "2026-11-22T10:02:31Z");
        assert_eq!(time(at(0)), "2026-11-22T10:01:31Z");
        assert_eq!(time(at(70_500)), "2026-11-22T10:02:41Z");
        assert_eq!(snapshot.time_at(Instant::from_boot(Duration::MAX)), None);
    }
}
