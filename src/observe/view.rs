//! What an elector knows at a moment, and what follows from it then.
//!
//! Everything that is told outside is reckoned here against the time of the answer, not against what
//! the owner of the election got round to: a leader whose threads stand still does not lead any more
//! once its limit has passed.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::journal::Journal;
use super::{ReadyWhen, WorkloadCounts};
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::Content;
use crate::election::record::LeaderElectionRecord;
use crate::election::status::{RoleName, Status};
use crate::election::time::Instant;
use crate::fmt;
use crate::lock::stats::StoreStats;

/// What does not change while an elector runs.
#[derive(Clone, Debug)]
pub struct About {
    /// Names the lease in metrics, in a word.
    pub lease: String,
    /// The lock, as it describes itself.
    pub lock: String,
    /// The name and the times.
    pub config: LeaderElectionConfig,
    /// How long a claim waits for the write that confirms it, where it does.
    pub confirm_delay: Option<Duration>,
    /// When `/readyz` says ready.
    pub ready_when: ReadyWhen,
    /// The workload's counters, where there is one.
    pub workload: Option<Arc<WorkloadCounts>>,
}

/// What an elector knows at a moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The moment.
    pub now: Instant,
    /// The same by the wall clock, for people.
    pub wall: OffsetDateTime,
    /// What does not change.
    pub about: Arc<About>,
    /// How the candidate is.
    pub status: Status,
    /// What it did and saw.
    pub journal: Journal,
    /// What was sent to GitHub and heard from it.
    pub requests: StoreStats,
}

/// A term that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leads {
    /// The fencing token.
    pub token: u64,
    /// How long it lasts, unless it is extended.
    pub left: Duration,
}

/// The lease that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lease<'a> {
    /// The record.
    pub record: &'a LeaderElectionRecord,
    /// It is this candidate's, which leads.
    pub own: bool,
    /// When it runs out: one's own for its leader, another's for those who wait for it.
    pub until: Instant,
    /// How long it lasts when it has just been renewed.
    pub of: Duration,
}

/// Whether this candidate leads at `now`: not from when it is told to stop, and not past its limit,
/// whatever the owner of its state is doing.
#[must_use]
pub fn leads(status: &Status, now: Instant) -> Option<Leads> {
    let leading = status.leading.filter(|_| !status.stopping)?;
    let left = leading.valid_until.since(now);
    (!left.is_zero()).then_some(Leads {
        token: leading.fencing_token,
        left,
    })
}

/// Who leads, as far as is known; empty for nobody. This candidate's own name only while it leads, for
/// a program may compare it with its own.
#[must_use]
pub fn leader<'a>(status: &'a Status, identity: &str, now: Instant) -> &'a str {
    if status.leader == identity && leads(status, now).is_none() {
        return "";
    }
    &status.leader
}

impl View {
    /// The name of this candidate.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.about.config.identity
    }

    /// Whether it leads.
    #[must_use]
    pub fn leads(&self) -> Option<Leads> {
        leads(&self.status, self.now)
    }

    /// Who leads, as [`leader`] says it.
    #[must_use]
    pub fn leader(&self) -> &str {
        leader(&self.status, self.identity(), self.now)
    }

    /// What is in effect, as far as is known.
    #[must_use]
    pub fn content(&self) -> Option<&Content> {
        self.journal.known.as_ref().map(|known| &known.content)
    }

    /// The lease, if somebody holds it. It may have run out.
    #[must_use]
    pub fn lease(&self) -> Option<Lease<'_>> {
        let known = self.journal.known.as_ref()?;
        let record = known.content.record()?;
        if record.holder_identity.is_empty() {
            return None;
        }
        let config = &self.about.config;
        if let (Some(_), Some(leading)) = (self.leads(), self.status.leading) {
            return Some(Lease {
                record,
                own: true,
                until: leading.valid_until,
                of: config.renew_deadline.min(config.usable_lease()),
            });
        }
        let of = record.lease_duration();
        Some(Lease {
            record,
            own: false,
            until: known.since + of,
            of,
        })
    }

    /// When this candidate takes the lease, unless something else is seen before; `None` where it does
    /// not wait for that.
    #[must_use]
    pub fn acquire_at(&self) -> Option<Instant> {
        let waits = self.status.role == RoleName::Candidate && !self.status.stopping;
        let seen = self.status.observed.as_ref().filter(|_| waits)?;
        Some(seen.acquire_at)
    }

    /// Whether it is ready, as the setting `READY_WHEN` means it, or why not.
    ///
    /// A candidate is as soon as it was answered once, which shows that it can take part; or after a
    /// lease's time without an answer, or an outage would take every standby out of service that is
    /// restarted meanwhile. Once it is, no outage changes that.
    ///
    /// # Errors
    /// Says why it is not.
    pub fn ready(&self) -> Result<(), &'static str> {
        let leaves = self.status.finishing || self.status.role == RoleName::Finished;
        match self.about.ready_when {
            ReadyWhen::Leader => self.leads().map(drop).ok_or("it does not lead"),
            ReadyWhen::Candidate if leaves => Err("it is leaving the election"),
            ReadyWhen::Candidate => {
                let patience = self.about.config.lease_duration;
                let waited = self.now.since(self.journal.started) >= patience;
                let answered = self.journal.answered_at.is_some();
                (answered || waited)
                    .then_some(())
                    .ok_or("it had no answer from the store yet")
            }
        }
    }

    /// How long ago that was.
    #[must_use]
    pub fn ago(&self, then: Instant) -> Duration {
        self.now.since(then)
    }

    /// The wall clock at an instant, if it is not beyond all calendars.
    #[must_use]
    pub fn wall_at(&self, at: Instant) -> Option<OffsetDateTime> {
        if at >= self.now {
            let ahead = time::Duration::try_from(at.since(self.now)).ok()?;
            return self.wall.checked_add(ahead);
        }
        let ago = time::Duration::try_from(self.now.since(at)).ok()?;
        self.wall.checked_sub(ago)
    }

    /// The same, as RFC 3339 text in UTC with whole seconds.
    #[must_use]
    pub fn time_at(&self, at: Instant) -> Option<String> {
        fmt::utc(self.wall_at(at)?.unix_timestamp())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::election::status::{LeaderStatus, ObservedStatus};

    pub(in crate::observe) fn at(millis: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(100_000) + Duration::from_millis(millis))
    }

    /// That of the candidate `me`, which started at 0 and knows nothing; now it is 60 s later.
    pub(in crate::observe) fn view() -> View {
        View {
            now: at(60_000),
            wall: OffsetDateTime::from_unix_timestamp(1_795_341_751).unwrap(),
            about: Arc::new(About {
                lease: "abc".into(),
                lock: "gist abc".into(),
                config: LeaderElectionConfig::new("me"),
                confirm_delay: Some(Duration::from_secs(2)),
                ready_when: ReadyWhen::Candidate,
                workload: None,
            }),
            status: Status::default(),
            journal: Journal::new(at(0)),
            requests: StoreStats::default(),
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

    /// A look at `when` showed this.
    pub(in crate::observe) fn sees(view: &mut View, when: Instant, content: &Content) {
        view.journal.looked(
            when,
            &Ok(crate::election::lock::Observed {
                content: content.clone(),
                resource_version: when.since_boot().as_nanos() as u64,
                mine: None,
                age: None,
                dated: None,
                foreign_wait: None,
                record_lost: false,
                head_known_since: None,
                highest_fencing_token: None,
            }),
        );
        view.status.leader = content.holder().to_owned();
        view.status.observed = Some(ObservedStatus {
            content: content.clone(),
            since: when,
            acquire_at: when + Duration::from_secs(30),
        });
    }

    /// It leads with the token 4, until then.
    pub(in crate::observe) fn leads_until(view: &mut View, until: Instant) {
        sees(view, at(50_000), &record("me", 4));
        view.journal.led(at(52_000), "me", 4);
        view.status.role = RoleName::Leader;
        view.status.leading = Some(LeaderStatus {
            fencing_token: 4,
            valid_until: until,
        });
    }

    #[test]
    fn nobody_leads_past_its_limit_or_once_it_is_told_to_stop() {
        let mut view = view();
        leads_until(&mut view, at(60_001));
        let left = Duration::from_millis(1);
        assert_eq!(view.leads(), Some(Leads { token: 4, left }));
        assert_eq!(view.leader(), "me");
        view.status.stopping = true;
        assert_eq!((view.leads(), view.leader()), (None, ""));
        view.status.stopping = false;
        // The owner of the state did not get round to ending the term.
        view.now = at(60_001);
        assert_eq!((view.leads(), view.leader()), (None, ""));
        assert_eq!(view.status.role, RoleName::Leader);
    }

    #[test]
    fn the_name_of_another_leader_is_told_as_it_was_seen() {
        let mut view = view();
        assert_eq!(view.leader(), "");
        sees(&mut view, at(59_000), &record("other", 7));
        assert_eq!(view.leader(), "other");
        let lease = view.lease().unwrap();
        assert!(!lease.own);
        assert_eq!(lease.until, at(89_000));
        assert_eq!(view.acquire_at(), Some(at(89_000)));
        sees(&mut view, at(60_000), &record("", 7));
        assert_eq!((view.leader(), view.lease()), ("", None));
    }

    #[test]
    fn a_leaders_own_lease_is_what_it_may_still_use() {
        let mut view = view();
        leads_until(&mut view, at(70_000));
        let lease = view.lease().unwrap();
        assert!(lease.own);
        assert_eq!(
            (lease.until, lease.of),
            (at(70_000), Duration::from_secs(16))
        );
        assert_eq!(view.acquire_at(), None);
    }

    #[test]
    fn a_candidate_is_ready_once_it_was_answered_or_has_waited_and_until_it_leaves() {
        let mut view = view();
        view.now = at(29_999);
        assert!(view.ready().is_err());
        view.now = at(30_000);
        assert_eq!(view.ready(), Ok(()), "nobody answers for a lease");
        view.now = at(10_000);
        sees(&mut view, at(9_000), &record("other", 7));
        assert_eq!(view.ready(), Ok(()), "it was answered");
        view.status.stopping = true;
        assert_eq!(view.ready(), Ok(()), "it steps down, and stands again");
        view.status.finishing = true;
        assert!(view.ready().is_err());
    }

    #[test]
    fn times_are_those_of_the_wall_clock_now() {
        let view = view();
        let time = |at| view.time_at(at).unwrap();
        assert_eq!(time(view.now), "2026-11-22T10:02:31Z");
        assert_eq!(time(at(0)), "2026-11-22T10:01:31Z");
        assert_eq!(time(at(70_500)), "2026-11-22T10:02:41Z");
        assert_eq!(view.time_at(Instant::from_boot(Duration::MAX)), None);
    }
}
