//! What the core asks of a store: the lock interface, what a look at the store shows, and how calls
//! fail.
//!
//! This is client-go's `resourcelock.Interface` with the differences that a store needs which is
//! neither transactional nor always honest: what is seen is an [`Observed`], not just a record, and
//! a [`LockError`] keeps apart what the elector must treat differently.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::LeaderElectionRecord;
use super::time::Instant;

/// A place where the lease record is kept, seen by one process.
///
/// The elector makes one call at a time. Each call must come back within its `timeout`, or soon
/// after; the elector does not wait for it to decide that its own lease has run out.
pub trait ResourceLock {
    /// Looks at the store.
    ///
    /// # Errors
    /// Every kind but [`LockError::Conflict`] and [`LockError::OutcomeUnknown`].
    fn get(&mut self, timeout: Duration) -> Result<Observed, LockError>;

    /// Writes the first record.
    ///
    /// # Errors
    /// [`LockError::Conflict`] when there is a record, or when somebody else's came first; else as
    /// for [`update`](Self::update).
    fn create(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError>;

    /// Writes `record` in place of what this lock last saw or wrote, and only then: it is a
    /// compare-and-swap.
    ///
    /// # Errors
    /// [`LockError::Conflict`] when something else is in its place by now;
    /// [`LockError::OutcomeUnknown`] when the write may or may not have landed, or may still;
    /// [`LockError::Unavailable`] and the others only when it certainly did not.
    fn update(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError>;

    /// Whether an acknowledged write can be lost afterwards.
    ///
    /// `None`: what is acknowledged stays. `Some(d)`: a write counts only once a later one of this
    /// process took effect too that was sent at least `d` after the state right below it was first
    /// known ([`Written::head_known_since`]). The store takes less than `d` from reading its state
    /// to changing it.
    fn confirm_delay(&self) -> Option<Duration>;

    /// Returns the shortest interval between a candidate's reads that the store's rate limits leave;
    /// zero without such a limit. Asked after each call.
    fn min_poll_interval(&self) -> Duration {
        Duration::ZERO
    }

    /// Notes an event ("baz became leader") where people look for such things.
    fn record_event(&mut self, event: &str);

    /// The name under which this process stands for election.
    fn identity(&self) -> &str;

    /// Where the record is kept, for people.
    fn describe(&self) -> String;
}

/// What the store said of a write that took effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Written {
    /// Since when this lock had known the state of the store on which the write stands: an answer
    /// that came then showed it as the newest one. `None` if that is not known, or if anybody wrote
    /// in between, be it beside the record. Without [`confirmation`](ResourceLock::confirm_delay) it
    /// does not matter.
    pub head_known_since: Option<Instant>,
}

/// What a look at the store showed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observed {
    /// What is in effect.
    pub content: Content,
    /// Names the write that is in effect: equal for two observations of one lock if and only if
    /// they saw the same write (Kubernetes' `resourceVersion`, which is opaque too).
    pub resource_version: u64,
    /// Which `create` or `update` call of this lock wrote it, counted from 1 over both, failed calls
    /// included; `None` if another process did, even one of the same name.
    pub mine: Option<u64>,
    /// How long ago it was written, by the store's own clock, where that can be trusted.
    pub age: Option<Duration>,
    /// The same, but of any record that was in a term, also one that may carry any date. Used where a
    /// wrong one makes no second leader; `None` for what begins a history (a floor).
    pub dated: Option<Duration>,
    /// It came past the compare-and-swap (a person, or client-go on a gist): nobody may take an
    /// empty holder for a release, and it is waited for at least this long, the longest lease that
    /// it may have overwritten.
    pub foreign_wait: Option<Duration>,
    /// The write seen before this one is gone from the store, as if it had never been: what it
    /// showed may come back, and nothing is to be claimed for a lease from now.
    pub record_lost: bool,
    /// Since when the newest state of the store that this look showed is known, whoever wrote it and
    /// be it beside the record; `None` for since this look.
    pub head_known_since: Option<Instant>,
    /// The highest token in any write seen or looked up, in effect or not; `None` if there was
    /// none.
    pub highest_fencing_token: Option<u64>,
}

/// What is in effect in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// There is no record, and there never was.
    NeverWritten,
    /// There was a record, and it is gone.
    Deleted,
    /// What stands there is no readable record, for the reason given.
    Corrupt(Arc<str>),
    /// A record, with or without a holder.
    Record(Arc<LeaderElectionRecord>),
}

impl Content {
    /// The record, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&LeaderElectionRecord> {
        match self {
            Content::Record(record) => Some(record),
            _ => None,
        }
    }

    /// Who holds the lease by this content; empty for nobody.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.record()
            .map_or("", |record| record.holder_identity.as_str())
    }
}

/// How a call to the store failed.
///
/// Each text is one clause for people that says what happened and what to do about it, and holds no
/// secret.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LockError {
    /// The place where the record should be does not exist, or is hidden from us.
    NotFound(String),
    /// Somebody else wrote since this lock last saw the store; what is there now is known.
    Conflict,
    /// The store does not take our credentials, or they do not permit this.
    Unauthorized(String),
    /// We are to come back later.
    RateLimited {
        /// After how long.
        retry_after: Duration,
        /// Which limit it was.
        why: String,
    },
    /// The store cannot be reached, does not work, or does not yet show what it should; nothing was
    /// written.
    Unavailable(String),
    /// There is more to be read than one call has time for: the next one goes on where this one
    /// ended, and may be made soon. Of an update: nothing is known on top of which it could be written,
    /// so that a [`get`](ResourceLock::get) has to come first.
    Unfinished(String),
    /// A write may or may not have landed, or may still land later.
    OutcomeUnknown(String),
    /// What is there is not ours to touch, or not ours to understand.
    Refused(String),
}

impl LockError {
    /// Returns whether only an operator can fix the error, so that retries are of no use.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            LockError::NotFound(_) | LockError::Unauthorized(_) | LockError::Refused(_)
        )
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Conflict => f.write_str("somebody else wrote first"),
            LockError::RateLimited { retry_after, why } => {
                write!(f, "{why}; to be tried again in {}s", retry_after.as_secs())
            }
            LockError::OutcomeUnknown(why) => {
                write!(f, "it is not known whether the write landed: {why}")
            }
            LockError::NotFound(why)
            | LockError::Unauthorized(why)
            | LockError::Unavailable(why)
            | LockError::Unfinished(why)
            | LockError::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for LockError {}
