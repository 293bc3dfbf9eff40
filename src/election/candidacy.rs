//! Observations of a candidate: when it may acquire the lease, and what it then writes.

mod steering;

use std::hash::{Hash, Hasher};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Map, Value};

use super::action::{Notice, RecentLeader, StopReason};
use super::annotation::{HOLDER_PREFERRED, REQUESTS};
use super::config::LeaderElectionConfig;
use super::lock::{Content, Observed};
use super::record::{LeaderElectionRecord, RELEASED_BY, STOP_REASON};
use super::status::ObservedStatus;
use super::time::Instant;

/// A record that is older than this by the store's clock, and than [`LONG_EXPIRED_LEASES`] of its leases,
/// may be claimed after the first read.
const LONG_EXPIRED: Duration = Duration::from_secs(600);
const LONG_EXPIRED_LEASES: u32 = 10;

/// Dates have whole seconds, and the dates of a write and of an answer come from two clocks.
pub(super) const DATE_SLACK: Duration = Duration::from_secs(2);

/// Polls vary by up to this part of their period, so that candidates that start together do not poll
/// together for ever.
pub(super) const POLL_JITTER: f64 = 0.1;

/// The part of a poll period by which the read after a renewal may come sooner. With more, reads that
/// show nothing new would follow too soon on one that did.
const MOST_SPREAD: f64 = 0.75;

/// Factor for the longest stagger after the first read, when a lease may be acquired immediately.
const START_STAGGERS: u32 = 3;

/// Fields that only one holder's records or its release carry.
const RELEASE_FIELDS: [&str; 3] = [STOP_REASON, RELEASED_BY, HOLDER_PREFERRED];

/// Steepness of the staggers after the first read. Most are late, so that however many candidates start
/// simultaneously, few write first.
const START_STEEPNESS: f64 = 4.0;

/// Last observed content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Observation {
    observed: Observed,
    /// Time of the answer that first showed the content as effective.
    since: Instant,
    /// Whether the first read showed it, long expired by the store's clock.
    long_expired: bool,
    /// Random delay of this candidate's claim after the lease may be acquired.
    stagger: Duration,
}

/// Source of the random delays. They decide nothing that matters for safety, so candidates that differ
/// only in them are equal.
#[derive(Clone, Debug)]
struct Dice(Rng);

impl PartialEq for Dice {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Dice {}

impl Hash for Dice {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// The delay after a failed claim varies by up to this part of it, so that candidates that failed
/// together do not claim together for ever.
const BACKOFF_JITTER: f64 = 0.25;

/// Delay of this candidate's next claim, while its claims fail and nothing new is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ClaimBackoff {
    delay: Duration,
    until: Instant,
}

/// Observations of one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidacy {
    identity: String,
    /// Lease duration of this candidate's own records.
    own_lease: Duration,
    longest_stagger: Duration,
    preferred: bool,
    failback_after: Option<Duration>,
    /// Time before which this candidate asks no leader to hand over to it.
    failback_not_before: Instant,
    dice: Dice,
    observation: Option<Observation>,
    /// Time before which this candidate does not claim.
    not_before: Instant,
    /// Time until which an operator keeps this candidate from claiming.
    stepped_down_until: Instant,
    first_backoff: Duration,
    backoff: Option<ClaimBackoff>,
    highest_fencing_token: Option<u64>,
}

impl Candidacy {
    pub(super) fn new(config: &LeaderElectionConfig) -> Self {
        let own_lease = Duration::from_secs(config.lease_duration_seconds());
        Candidacy {
            identity: config.identity.clone(),
            own_lease,
            first_backoff: config.poll_period.min(own_lease),
            backoff: None,
            longest_stagger: match config.preferred {
                true => Duration::ZERO,
                false => config.takeover_stagger,
            },
            preferred: config.preferred,
            failback_after: config.failback_after,
            failback_not_before: Instant::BOOT,
            dice: Dice(Rng::with_seed(config.seed)),
            observation: None,
            not_before: Instant::BOOT,
            stepped_down_until: Instant::BOOT,
            highest_fencing_token: None,
        }
    }

    /// Takes in the result of a read that was answered `now`, and returns notices about it.
    pub(super) fn observe(&mut self, now: Instant, observed: Observed) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.highest_fencing_token = self
            .highest_fencing_token
            .max(observed.highest_fencing_token);
        if observed.record_lost {
            let pause = longest_lease(&observed).max(self.own_lease);
            self.not_before = self.not_before.max(now + pause);
            notices.push(Notice::RecordLost { pause });
        }
        let first_read = self.observation.is_none();
        let was_paused = self.is_paused();
        let same = self
            .observation
            .take()
            .filter(|old| old.observed.lease_id() == observed.lease_id());
        self.observation = Some(match same {
            Some(old) => Observation { observed, ..old },
            None => {
                notices.extend(self.foreign_write_notice(&observed, first_read));
                self.backoff = self.backoff.filter(|_| first_read);
                Observation {
                    since: now,
                    long_expired: first_read && is_long_expired(&observed),
                    stagger: self.draw_stagger(first_read),
                    observed,
                }
            }
        });
        match (was_paused, self.pause()) {
            (false, Some(pause)) => notices.push(Notice::Paused(pause)),
            (true, None) => notices.push(Notice::Resumed),
            _ => {}
        }
        notices
    }

    /// Draws the delay between when the lease may be acquired and the claim.
    fn draw_stagger(&mut self, first_read: bool) -> Duration {
        let chance = self.dice.0.f64();
        if first_read {
            let late = (chance * START_STEEPNESS.exp_m1()).ln_1p() / START_STEEPNESS;
            return self
                .longest_stagger
                .saturating_mul(START_STAGGERS)
                .mul_f64(late);
        }
        self.longest_stagger.mul_f64(chance)
    }

    fn foreign_write_notice(&self, observed: &Observed, first_read: bool) -> Option<Notice> {
        let longest = observed.foreign_wait?;
        let what = match &observed.content {
            Content::NeverWritten => return None,
            Content::Deleted if first_read => "there is no record".to_owned(),
            Content::Deleted => "the record was deleted".to_owned(),
            Content::Corrupt(why) => format!("the record is corrupt, {why}"),
            Content::Record(_) => "the record was written by hand or by another program".to_owned(),
        };
        let wait = longest.max(self.own_lease);
        Some(Notice::ForeignWrite { what, wait })
    }

    /// Returns the last observation; `None` before the first read.
    pub(super) fn observed(&self) -> Option<&Observed> {
        Some(&self.observation.as_ref()?.observed)
    }

    /// Returns the effective content; `None` before the first read.
    pub(super) fn content(&self) -> Option<&Content> {
        Some(&self.observed()?.content)
    }

    /// Returns the effective record, if the effective content is one.
    pub(super) fn record(&self) -> Option<&LeaderElectionRecord> {
        self.content()?.record()
    }

    /// Returns the observed record, for operators.
    pub(super) fn status(&self) -> Option<ObservedStatus> {
        let observation = self.observation.as_ref()?;
        Some(ObservedStatus {
            content: observation.observed.content.clone(),
            since: observation.since,
            acquire_at: self.acquire_at(),
        })
    }

    /// Returns the holder of the lease; empty for nobody.
    pub(super) fn holder(&self) -> &str {
        self.content().map_or("", Content::holder)
    }

    /// Returns the number of this process's write that is effective, if one is.
    pub(super) fn mine(&self) -> Option<u64> {
        self.observation.as_ref()?.observed.mine
    }

    /// Returns the earliest time of a claim over the effective record, if a dead process of this candidate
    /// wrote it.
    pub(super) fn predecessor(&self) -> Option<Instant> {
        let observed = &self.observation.as_ref()?.observed;
        observed
            .predecessor
            .filter(|_| observed.foreign_wait.is_none())
    }

    /// Returns whether the lease is held, and this candidate may release it now: it is its own, or that of a
    /// dead predecessor.
    pub(super) fn may_release(&self, now: Instant) -> bool {
        let own = self.mine().is_some() || self.predecessor().is_some_and(|at| now >= at);
        own && !self.holder().is_empty()
    }

    /// Returns when the newest state of the store, by the last read, was first known.
    pub(super) fn head_known_since(&self) -> Option<Instant> {
        self.observation.as_ref()?.observed.head_known_since
    }

    /// Returns when this candidate acquires the lease, unless it observes something else before.
    pub(super) fn acquire_at(&self) -> Instant {
        let Some(observation) = &self.observation else {
            return Instant::from_boot(Duration::MAX);
        };
        if self.is_paused() {
            return Instant::from_boot(Duration::MAX);
        }
        let wait = self.wait(observation);
        let not_before = self.not_before.max(self.backoff_until());
        let not_before = not_before.max(self.stepped_down_until);
        let free_at = (observation.since + wait).max(not_before);
        let next = self.preferred_holder() == self.identity;
        let acquire_at = match wait.is_zero() && (next || self.mine().is_some()) {
            // No other candidate acquires it now.
            true => free_at,
            false => free_at + observation.stagger,
        };
        match self.predecessor() {
            // The same here: all others wait for the lease.
            Some(dead) if self.request().is_none() => {
                acquire_at.min(observation.since.max(dead).max(not_before))
            }
            _ => acquire_at,
        }
    }

    /// Returns whether a lease must expire first.
    pub(super) fn waits(&self) -> bool {
        let waits = |observation| !self.wait(observation).is_zero();
        self.predecessor().is_none() && self.observation.as_ref().is_some_and(waits)
    }

    /// Returns whether the answer that came `now` was the first to show the effective content.
    pub(super) fn is_news(&self, now: Instant) -> bool {
        self.observation
            .as_ref()
            .is_some_and(|observation| observation.since == now)
    }

    /// Prevents claims before `until`.
    pub(super) fn back_off(&mut self, until: Instant) {
        self.not_before = self.not_before.max(until);
    }

    /// Delays the next claim after a failed one: twice as long as the last time, up to one lease. A
    /// permanent failure delays it by a lease.
    pub(super) fn claim_failed(&mut self, now: Instant, permanent: bool) {
        let delay = match self.backoff {
            _ if permanent => self.own_lease,
            None => self.first_backoff,
            Some(last) => (last.delay * 2).min(self.own_lease),
        };
        let early = delay.mul_f64(BACKOFF_JITTER * self.dice.0.f64());
        let until = now + (delay - early);
        self.backoff = Some(ClaimBackoff { delay, until });
    }

    /// Forgets failed claims, because one has succeeded.
    pub(super) fn claim_succeeded(&mut self) {
        self.backoff = None;
    }

    /// Returns the time before which no claim may be sent or confirmed after failed ones.
    pub(super) fn backoff_until(&self) -> Instant {
        self.backoff.map_or(Instant::BOOT, |backoff| backoff.until)
    }

    /// Returns the other candidate that leads, or led within `period` before `now` by the store's clock. A
    /// record that names a holder counts until its lease expires.
    pub(super) fn led_within(&self, now: Instant, period: Duration) -> Option<RecentLeader> {
        let observation = self.observation.as_ref()?;
        let observed = &observation.observed;
        let Content::Record(record) = &observed.content else {
            return None;
        };
        if observed.mine.is_some() {
            return None;
        }
        let (holder, ended) = match record.holder_identity.as_str() {
            "" => (record.released_by(), Some(observed.dated?)),
            holder => {
                // Without a date it may have been written just before it was first observed.
                let age = observed.dated.unwrap_or(now.since(observation.since));
                (holder, age.checked_sub(record.lease_duration()))
            }
        };
        let recent = ended.is_none_or(|ended| ended < period.saturating_add(DATE_SLACK));
        recent.then(|| RecentLeader {
            identity: holder.to_owned(),
            ended,
        })
    }

    /// Returns the time from the first observation until the lease may be acquired.
    fn wait(&self, observation: &Observation) -> Duration {
        let observed = &observation.observed;
        match (&observed.content, observed.foreign_wait) {
            (Content::NeverWritten, _) => Duration::ZERO,
            (_, Some(longest)) => longest.max(self.own_lease),
            (Content::Deleted | Content::Corrupt(_), None) => self.own_lease,
            (Content::Record(record), None) => {
                if record.holder_identity.is_empty() {
                    // The former holder and every other candidate wait, so that the preferred one acquires it.
                    return match record.preferred_holder() {
                        "" => Duration::ZERO,
                        next if next == self.identity => Duration::ZERO,
                        _ => self.own_lease,
                    };
                }
                if self.mine().is_some() || observation.long_expired {
                    return Duration::ZERO;
                }
                record.lease_duration()
            }
        }
    }

    /// Returns a random factor for the time from a read that showed a renewal to the next read. All
    /// standbys observe a renewal at about the same time. With different times for the next read, one of
    /// them observes a release early, and few do simultaneously.
    pub(super) fn spread(&mut self) -> f64 {
        1.0 - MOST_SPREAD * self.dice.0.f64()
    }

    /// Returns a random factor for the time between two reads: 1 ± `POLL_JITTER`.
    pub(super) fn poll_jitter(&mut self) -> f64 {
        1.0 - POLL_JITTER + 2.0 * POLL_JITTER * self.dice.0.f64()
    }

    /// Returns the fencing token of a claim: one more than the highest one read.
    pub(super) fn next_fencing_token(&self) -> u64 {
        self.highest_fencing_token
            .map_or(0, |token| token.saturating_add(1))
    }

    /// Returns the fields of the effective record that a claim keeps, and with `in_term` those that a write of
    /// the same term keeps: a leader that is itself preferred has followed the request.
    pub(super) fn other_fields(&self, in_term: bool) -> Map<String, Value> {
        let other = self.record().map(|record| record.other.clone());
        let mut fields = other.unwrap_or_default();
        for name in RELEASE_FIELDS {
            fields.remove(name);
        }
        if !in_term || self.preferred_holder() == self.identity {
            for name in REQUESTS {
                fields.remove(name);
            }
        }
        fields
    }

    /// Returns the fields of a record that names this candidate as the holder.
    pub(super) fn holder_fields(&self, in_term: bool) -> Map<String, Value> {
        let mut fields = self.other_fields(in_term);
        if self.preferred {
            fields.insert(HOLDER_PREFERRED.to_owned(), true.into());
        }
        fields
    }

    /// Returns the record of a release, as client-go writes it: one second, with the fencing token kept.
    /// `reason` is why `identity` stopped leading.
    pub(super) fn release_record(
        &self,
        identity: &str,
        reason: Option<StopReason>,
        wall: String,
    ) -> LeaderElectionRecord {
        let record = self.record();
        let transitions = record.map_or(0, |record| record.leader_transitions);
        let mut other = self.other_fields(true);
        other.insert(RELEASED_BY.into(), identity.into());
        if let Some(reason) = reason {
            other.insert(STOP_REASON.into(), reason.as_str().into());
        }
        LeaderElectionRecord {
            other,
            ..LeaderElectionRecord::without_holder(transitions, wall)
        }
    }
}

/// Returns the longest lease that the observed content may have replaced or still grants.
fn longest_lease(observed: &Observed) -> Duration {
    let record = observed.content.record();
    let lease = record.map_or(Duration::ZERO, LeaderElectionRecord::lease_duration);
    lease.max(observed.foreign_wait.unwrap_or_default())
}

fn is_long_expired(observed: &Observed) -> bool {
    let (Some(age), Some(record)) = (observed.age, observed.content.record()) else {
        return false;
    };
    age > LONG_EXPIRED && age > record.lease_duration() * LONG_EXPIRED_LEASES
}
