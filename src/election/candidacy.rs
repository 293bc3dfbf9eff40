//! What a candidate knows of the lease, when it may take it, and what it then writes.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Map, Value};

use super::action::Notice;
use super::config::LeaderElectionConfig;
use super::lock::{Content, Observed};
use super::record::LeaderElectionRecord;
use super::status::ObservedStatus;
use super::time::Instant;

/// A record is a leader's long gone, and may be claimed on the first look, when it is older than
/// this by the store's own clock, and than [`LONG_GONE_LEASES`] of its leases.
const LONG_GONE: Duration = Duration::from_secs(600);
const LONG_GONE_LEASES: u32 = 10;

/// Dates have whole seconds, and those of a write and of an answer come from two clocks.
const DATE_SLACK: Duration = Duration::from_secs(2);

/// Polls are spread by up to this part of their period, either way, so that candidates started
/// together do not look together for ever.
pub(super) const POLL_JITTER: f64 = 0.1;

/// The part of a poll period by which the look after a renewal may come sooner: not more, or looks
/// that show nothing new would come close upon one that did.
const MOST_SPREAD: f64 = 0.75;

/// After so many times the longest stagger the last candidate writes of those that start at once, where
/// nobody has to be waited for.
const START_STAGGERS: u32 = 3;

/// How steeply these grow more towards the end. So however many there are, few are the first.
const START_STEEPNESS: f64 = 4.0;

/// What was last observed, and since when that is in effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Observation {
    observed: Observed,
    /// When the answer came in which it was first seen in effect.
    since: Instant,
    /// It was seen on the first look, and its leader is long gone.
    long_gone: bool,
    /// How long after the end of the lease this candidate takes it.
    stagger: Duration,
}

/// What is drawn at random. It decides nothing that matters, so candidates that differ only in what
/// they will draw count as equal.
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

/// The observations of one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidacy {
    /// The lease that it would write itself: as long as the record will say.
    own_lease: Duration,
    longest_stagger: Duration,
    dice: Dice,
    observation: Option<Observation>,
    /// Nothing is claimed before this.
    not_before: Instant,
    highest_fencing_token: Option<u64>,
}

impl Candidacy {
    pub(super) fn new(config: &LeaderElectionConfig) -> Self {
        Candidacy {
            own_lease: Duration::from_secs(config.lease_duration_seconds()),
            longest_stagger: config.takeover_stagger,
            dice: Dice(Rng::with_seed(config.seed)),
            observation: None,
            not_before: Instant::BOOT,
            highest_fencing_token: None,
        }
    }

    /// Takes in what a look that was answered `now` showed, and says what of it is remarkable.
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
        let first_look = self.observation.is_none();
        let same = self
            .observation
            .take()
            .filter(|old| old.observed.resource_version == observed.resource_version);
        self.observation = Some(match same {
            Some(old) => Observation { observed, ..old },
            None => {
                notices.extend(self.overwritten_notice(&observed));
                Observation {
                    since: now,
                    long_gone: first_look && is_long_gone(&observed),
                    stagger: self.draw_stagger(first_look),
                    observed,
                }
            }
        });
        notices
    }

    /// How long after the lease is free a candidate that sees it so writes.
    fn draw_stagger(&mut self, first_look: bool) -> Duration {
        let chance = self.dice.0.f64();
        if first_look {
            let late = (chance * START_STEEPNESS.exp_m1()).ln_1p() / START_STEEPNESS;
            return self
                .longest_stagger
                .saturating_mul(START_STAGGERS)
                .mul_f64(late);
        }
        self.longest_stagger.mul_f64(chance)
    }

    fn overwritten_notice(&self, observed: &Observed) -> Option<Notice> {
        let longest = observed.foreign_wait?;
        let what = match &observed.content {
            Content::NeverWritten => return None,
            Content::Deleted => "the record is gone".to_owned(),
            Content::Corrupt(why) => format!("the record cannot be read, {why}"),
            Content::Record(_) => "the record was written past the elections".to_owned(),
        };
        let wait = longest.max(self.own_lease);
        Some(Notice::ForeignWrite { what, wait })
    }

    /// What is in effect; `None` before the first look.
    pub(super) fn content(&self) -> Option<&Content> {
        Some(&self.observation.as_ref()?.observed.content)
    }

    /// What is known, for those who look in from outside.
    pub(super) fn status(&self) -> Option<ObservedStatus> {
        let observation = self.observation.as_ref()?;
        Some(ObservedStatus {
            content: observation.observed.content.clone(),
            since: observation.since,
            acquire_at: self.acquire_at(),
        })
    }

    /// Who holds the lease, empty for nobody.
    pub(super) fn holder(&self) -> &str {
        self.content().map_or("", Content::holder)
    }

    /// Which of this process's writes is in effect, if one is.
    pub(super) fn mine(&self) -> Option<u64> {
        self.observation.as_ref()?.observed.mine
    }

    /// Since when the newest state of the store is known, by the last look.
    pub(super) fn head_known_since(&self) -> Option<Instant> {
        self.observation.as_ref()?.observed.head_known_since
    }

    /// When this candidate takes the lease, unless something else is observed before.
    pub(super) fn acquire_at(&self) -> Instant {
        let Some(observation) = &self.observation else {
            return Instant::from_boot(Duration::MAX);
        };
        let wait = self.wait(observation);
        let free_at = (observation.since + wait).max(self.not_before);
        if wait.is_zero() && self.mine().is_some() {
            // Nobody else takes it now.
            return free_at;
        }
        free_at + observation.stagger
    }

    /// Whether a lease has to run out.
    pub(super) fn waits(&self) -> bool {
        self.observation
            .as_ref()
            .is_some_and(|observation| !self.wait(observation).is_zero())
    }

    /// Whether what is in effect was first seen in the answer that came `now`.
    pub(super) fn is_news(&self, now: Instant) -> bool {
        self.observation
            .as_ref()
            .is_some_and(|observation| observation.since == now)
    }

    /// Claims nothing before then.
    pub(super) fn back_off(&mut self, until: Instant) {
        self.not_before = self.not_before.max(until);
    }

    /// Whether another candidate's term was alive within `period` before `now`, by the store's own
    /// clock. Of a record that names a holder, the lease counts as used to its end.
    pub(super) fn led_within(&self, now: Instant, period: Duration) -> bool {
        let Some(observation) = &self.observation else {
            return false;
        };
        let observed = &observation.observed;
        let Content::Record(record) = &observed.content else {
            return false;
        };
        if observed.mine.is_some() {
            return false;
        }
        if record.holder_identity.is_empty() {
            return observed.dated.is_some_and(|age| age < period + DATE_SLACK);
        }
        // Without a date it may have been written just before it was first seen.
        let age = observed.dated.unwrap_or(now.since(observation.since));
        age < record.lease_duration() + period + DATE_SLACK
    }

    /// How long after it was first seen this may be taken.
    fn wait(&self, observation: &Observation) -> Duration {
        let observed = &observation.observed;
        match (&observed.content, observed.foreign_wait) {
            (Content::NeverWritten, _) => Duration::ZERO,
            (_, Some(longest)) => longest.max(self.own_lease),
            (Content::Deleted | Content::Corrupt(_), None) => self.own_lease,
            (Content::Record(record), None) => {
                let free = record.holder_identity.is_empty();
                if free || self.mine().is_some() || observation.long_gone {
                    return Duration::ZERO;
                }
                record.lease_duration()
            }
        }
    }

    /// A factor for the time from a look that showed a renewal to the next one. All see it at about
    /// the same time, and are not to look at the same times for ever: who gives the lease back is to be
    /// seen soon, and by few at once.
    pub(super) fn spread(&mut self) -> f64 {
        1.0 - MOST_SPREAD * self.dice.0.f64()
    }

    /// A factor for the time between two looks, up to `POLL_JITTER` above or below one.
    pub(super) fn poll_jitter(&mut self) -> f64 {
        1.0 - POLL_JITTER + 2.0 * POLL_JITTER * self.dice.0.f64()
    }

    /// The token of a term that is claimed now: one more than every one seen.
    pub(super) fn next_fencing_token(&self) -> u64 {
        self.highest_fencing_token
            .map_or(0, |token| token.saturating_add(1))
    }

    /// The fields of the record in effect that are not ours to change.
    pub(super) fn other_fields(&self) -> Map<String, Value> {
        let record = self.content().and_then(Content::record);
        record
            .map(|record| record.other.clone())
            .unwrap_or_default()
    }

    /// The record that gives the lease back: client-go's, for one second, with the token kept.
    pub(super) fn release_record(&self, wall: String) -> LeaderElectionRecord {
        let transitions = self
            .content()
            .and_then(Content::record)
            .map_or(0, |record| record.leader_transitions);
        LeaderElectionRecord {
            holder_identity: String::new(),
            lease_duration_seconds: 1,
            acquire_time: wall.clone(),
            renew_time: wall,
            leader_transitions: transitions,
            other: self.other_fields(),
        }
    }
}

/// The longest lease that may stand behind what was observed.
fn longest_lease(observed: &Observed) -> Duration {
    let record = observed.content.record();
    let lease = record.map_or(Duration::ZERO, LeaderElectionRecord::lease_duration);
    lease.max(observed.foreign_wait.unwrap_or_default())
}

fn is_long_gone(observed: &Observed) -> bool {
    let (Some(age), Some(record)) = (observed.age, observed.content.record()) else {
        return false;
    };
    age > LONG_GONE && age > record.lease_duration() * LONG_GONE_LEASES
}
