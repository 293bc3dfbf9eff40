//! What a process remembers of a store with a conditional write, and what it makes of a read.

use std::sync::Arc;
use std::time::Duration;

use super::origin::{PROTOCOL, Stored};
use crate::election::lock::{Content, LockError, Observed};
use crate::election::time::Instant;
use crate::fmt::span;
use crate::lock::store::{Snapshot, Version};
use crate::lock::stored::{StoredRecord, WriteIds};

/// Greatest difference between the store's clock and this machine's with which the store's date is used
/// for a fencing token. Why: a token by a wrong date would stay above every later one.
const CLOSE_CLOCKS: Duration = Duration::from_secs(24 * 3600);

/// Settings of [`CasProtocol`](super::protocol::CasProtocol).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CasConfig {
    /// Name of this process, which no other process has.
    pub process: String,
    /// Time without a successful renewal after which a leader stops leading.
    pub renew_deadline: Duration,
    /// Highest fencing token that the store can keep.
    pub highest_token: u64,
    /// Whether other writers may replace the place without a condition, so that a write must be confirmed.
    pub confirms: bool,
}

/// Newest known state of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Latest {
    pub(super) value: Option<Arc<[u8]>>,
    pub(super) version: Option<Version>,
    pub(super) stored: Arc<Stored>,
    /// Time of the first answer that showed this version.
    pub(super) known_since: Instant,
}

/// Memory of one process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Memory {
    pub(super) ids: WriteIds,
    renew_deadline: Duration,
    highest_token: u64,
    /// Whether acknowledged writes can be lost, and so are confirmed by later ones.
    confirms: bool,
    /// Highest fencing token observed or written.
    highest_observed: Option<u64>,
    /// Fencing token below which a record is older than an observed one.
    floor: Option<u64>,
    /// Longest lease observed.
    longest_lease: Duration,
    /// Newest acknowledged write of this process.
    acknowledged: Option<u64>,
    /// Whether that write holds the lease, and nothing newer was observed.
    holding: bool,
    /// First read that showed an older record than one observed before.
    regressed_since: Option<Instant>,
    /// Older record that counts as the present one, after a time.
    accepted: Option<Arc<[u8]>>,
    /// Number of the last observation.
    resource_version: u64,
    last: Option<Last>,
}

/// What the last observation showed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Last {
    value: Option<Arc<[u8]>>,
    /// Version of a foreign write, which may have been made twice with an elector's write in between.
    /// `None` for an elector's write, whose bytes are unique.
    version: Option<Version>,
}

impl Memory {
    pub(super) fn new(config: &CasConfig) -> Memory {
        Memory {
            ids: WriteIds::new(&config.process),
            renew_deadline: config.renew_deadline,
            highest_token: config.highest_token,
            confirms: config.confirms,
            highest_observed: None,
            floor: None,
            longest_lease: Duration::ZERO,
            acknowledged: None,
            holding: false,
            regressed_since: None,
            accepted: None,
            resource_version: 0,
            last: None,
        }
    }

    /// Refuses content that no elector of this version may act on.
    ///
    /// # Errors
    /// [`LockError::Refused`].
    pub(super) fn check(&self, latest: &Latest, place: &str) -> Result<(), LockError> {
        let protocol = latest.stored.protocol();
        if protocol > PROTOCOL {
            return Err(LockError::Refused(format!(
                "{place}: the record follows protocol {protocol}, which this elector does not \
                 understand; upgrade this elector"
            )));
        }
        match &*latest.stored {
            // After a record, it is a foreign write.
            Stored::Unrelated(why) if self.floor.is_none() => Err(not_a_record(place, why)),
            _ => Ok(()),
        }
    }

    /// Notes an acknowledged write of this process; `number` is `None` for an annotation.
    pub(super) fn acknowledge(&mut self, number: Option<u64>, latest: &Latest) {
        self.acknowledged = self.acknowledged.max(number);
        self.holding = number.is_some() && is_held(latest);
        self.note(latest);
        self.settle_on(latest);
    }

    /// Returns what a read means for the elector. `at` is when it was answered, by the clock since boot
    /// and by this machine's time of day.
    ///
    /// # Errors
    /// [`LockError::Unavailable`] if the store shows an older record than before, or if the next
    /// fencing token depends on a clock that cannot be trusted.
    pub(super) fn observe(
        &mut self,
        latest: &Latest,
        snapshot: &Snapshot,
        at: (Instant, i64),
        place: &str,
    ) -> Result<Observed, LockError> {
        let (now, wall) = at;
        let accepted = self.accepted.is_some() && self.accepted == latest.value;
        let regressed = !accepted && self.is_regressed(latest);
        if regressed {
            self.tolerate(now, place)?;
        }
        let record = latest.stored.record();
        let foreign = latest.stored.origin().is_none();
        // An older record may have replaced terms that this process did not observe.
        let by_date = match foreign || regressed || accepted {
            true => Some(self.token_by_date(snapshot.server_time, wall, place)?),
            false => None,
        };
        self.note(latest);
        if regressed {
            self.accepted.clone_from(&latest.value);
        } else if !accepted {
            self.accepted = None;
        }
        self.settle_on(latest);
        let current = record.filter(|_| !regressed && !accepted);
        let mine = current.and_then(|stored| self.ids.number(stored.owner_id()?));
        // A read that shows an own write acknowledges it.
        self.acknowledged = self.acknowledged.max(mine);
        self.holding = mine.is_some() && is_held(latest);
        // An annotation is not a sign of life.
        let lives = current.is_some_and(|stored| !stored.is_annotated());
        let age = age(snapshot).filter(|_| !foreign && lives);
        let checkpoint = record.is_some_and(|stored| stored.checkpoint);
        Ok(Observed {
            content: content(&latest.stored),
            resource_version: self.resource_version,
            mine,
            renew_id: current.and_then(|stored| stored.renew_id().cloned()),
            renewed: current.is_some_and(StoredRecord::is_renewed),
            predecessor: None,
            age,
            dated: age.filter(|_| !checkpoint),
            // The leader of a newer state may still lead by its own lease.
            foreign_wait: (foreign || regressed).then_some(self.longest_lease),
            record_lost: regressed,
            head_known_since: None,
            highest_fencing_token: self.highest_observed.max(by_date),
        })
    }

    /// Returns whether the store shows an older state than one that this process knows.
    fn is_regressed(&self, latest: &Latest) -> bool {
        let Some(stored) = latest.stored.record() else {
            return false;
        };
        let number = stored.owner_id().and_then(|id| self.ids.number(id));
        let older_write = !self.confirms && number.is_some() && number < self.acknowledged;
        let token = Some(stored.record.leader_transitions);
        let returned = stored.origin.is_some() && self.is_interrupted() && token == self.floor;
        older_write || returned || token < self.floor
    }

    /// Returns whether the last observation showed no elector's write. Why it matters: a claim over that
    /// has a higher fencing token than each record before, so an equal one is an old record that returned.
    fn is_interrupted(&self) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|last| last.value.is_none() || last.version.is_some())
    }

    /// Refuses an older record while this process may still lead by a newer one.
    fn tolerate(&mut self, now: Instant, place: &str) -> Result<(), LockError> {
        let since = *self.regressed_since.get_or_insert(now);
        if self.holding && now.since(since) < self.renew_deadline {
            return Err(LockError::Unavailable(format!(
                "{place}: the store shows an older record than the last one written; it may have \
                 been restored from a backup"
            )));
        }
        Ok(())
    }

    fn note(&mut self, latest: &Latest) {
        self.highest_observed = self.highest_observed.max(latest.stored.token());
        let lease = latest.stored.lease().unwrap_or_default();
        self.longest_lease = self.longest_lease.max(lease);
    }

    /// Takes a state as the present one.
    fn settle_on(&mut self, latest: &Latest) {
        self.regressed_since = None;
        if let Some(stored) = latest.stored.record() {
            self.floor = Some(stored.record.leader_transitions);
        }
        let last = Last {
            value: latest.value.clone(),
            version: match latest.stored.origin() {
                Some(_) => None,
                None => latest.version.clone(),
            },
        };
        if self.last.as_ref() != Some(&last) {
            self.last = Some(last);
            self.resource_version += 1;
        }
    }

    /// Returns the fencing token right below that of a claim over nothing, or over a record that is
    /// corrupt, foreign or older than an observed one: the store's clock in seconds. Why: terms last at
    /// least a second each, so every term that was there before has a lower token.
    fn token_by_date(
        &self,
        server_time: Option<i64>,
        wall: i64,
        place: &str,
    ) -> Result<u64, LockError> {
        let Some(date) = server_time else {
            return Err(LockError::Unavailable(format!(
                "{place}: the answer has no date, which the next fencing token depends on; check any \
                 proxy on the way"
            )));
        };
        let apart = Duration::from_secs(date.abs_diff(wall));
        let token = u64::try_from(date).unwrap_or(0);
        if apart > CLOSE_CLOCKS || token > self.highest_token {
            return Err(LockError::Unavailable(format!(
                "{place}: the server's clock and this machine's differ by {}, and the next fencing \
                 token depends on the server's; set the wrong clock",
                span(apart)
            )));
        }
        Ok(token.saturating_sub(1))
    }
}

/// Converts what is stored to the core's terms.
fn content(stored: &Stored) -> Content {
    match stored {
        Stored::Record(stored) => Content::Record(Arc::clone(&stored.record)),
        Stored::Blank => Content::Deleted,
        Stored::Empty(_) => Content::Corrupt("it is a JSON object without a holder".into()),
        Stored::Corrupt { why, .. } | Stored::Unrelated(why) => Content::Corrupt(Arc::clone(why)),
    }
}

/// Returns the error for content of another program.
pub(super) fn not_a_record(place: &str, why: &str) -> LockError {
    LockError::Refused(format!(
        "{place}: the content is not a lease record, {why}; it is left unchanged; use another place"
    ))
}

/// Returns whether a record names a holder.
fn is_held(latest: &Latest) -> bool {
    let record = latest.stored.record();
    record.is_some_and(|stored| !stored.record.holder_identity.is_empty())
}

/// Returns the time since the write, by the store's clock.
fn age(snapshot: &Snapshot) -> Option<Duration> {
    let seconds = snapshot.server_time?.checked_sub(snapshot.written_at?)?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}
