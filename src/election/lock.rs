//! The lock interface: calls to a store, what a read shows, and how calls fail.
//!
//! This is client-go's `resourcelock.Interface` with two differences, for stores that are neither
//! transactional nor always up to date: a read returns an [`Observed`], which says more than the
//! record, and a [`LockError`] tells apart what the elector must treat differently.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::annotation::Annotation;
use super::record::LeaderElectionRecord;
use super::time::Instant;

/// Store of one lease record, as one process uses it.
///
/// The elector makes one call at a time. Each call should return within its `timeout`. If it does not,
/// the elector still ends its own lease in time.
///
/// # Examples
/// A store that can refuse a stale write needs no confirm delay, and reports the version that it read:
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use elector::{Content, LeaderElectionRecord, LockError, Observed, ResourceLock, Written};
/// /// Record in memory, for the only candidate.
/// #[derive(Default)]
/// struct MemoryLock {
///     record: Option<Arc<LeaderElectionRecord>>,
///     writes: u64,
/// }
///
/// impl ResourceLock for MemoryLock {
///     fn get(&mut self, _timeout: Duration) -> Result<Observed, LockError> {
///         let record = self.record.clone();
///         Ok(Observed {
///             highest_fencing_token: record.as_ref().map(|record| record.leader_transitions),
///             content: record.map_or(Content::NeverWritten, Content::Record),
///             resource_version: self.writes,
///             mine: (self.writes > 0).then_some(self.writes),
///             ..Observed::default()
///         })
///     }
///
///     fn create(
///         &mut self,
///         record: &LeaderElectionRecord,
///         timeout: Duration,
///     ) -> Result<Written, LockError> {
///         self.update(record, timeout)
///     }
///
///     fn update(
///         &mut self,
///         record: &LeaderElectionRecord,
///         _timeout: Duration,
///     ) -> Result<Written, LockError> {
///         self.record = Some(Arc::new(record.clone()));
///         self.writes += 1;
///         Ok(Written::default())
///     }
///
///     fn confirm_delay(&self) -> Option<Duration> {
///         None
///     }
///
///     fn record_event(&mut self, _event: &str) {}
///
///     fn identity(&self) -> &str {
///         "napoleon"
///     }
///
///     fn describe(&self) -> String {
///         "a record in memory".to_owned()
///     }
/// }
/// ```
/// `examples/custom_lock.rs` has one for several candidates.
pub trait ResourceLock {
    /// Reads the effective record.
    ///
    /// # Errors
    /// Returns every kind except [`LockError::Conflict`] and [`LockError::OutcomeUnknown`].
    fn get(&mut self, timeout: Duration) -> Result<Observed, LockError>;

    /// Writes the first record.
    ///
    /// # Errors
    /// Returns [`LockError::Conflict`] if there is a record; otherwise as [`update`](Self::update).
    fn create(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError>;

    /// Replaces what this lock last read or wrote by `record`, if that is still effective
    /// (compare-and-swap).
    ///
    /// # Errors
    /// Returns [`LockError::Conflict`] if something else is effective by now,
    /// [`LockError::OutcomeUnknown`] if the write may have landed or may still land, and the other
    /// kinds only if it certainly did not.
    fn update(
        &mut self,
        record: &LeaderElectionRecord,
        timeout: Duration,
    ) -> Result<Written, LockError>;

    /// Changes fields of the effective record for operators, and no other, if what this lock last read or
    /// wrote is still effective. It does not count among the calls of [`Observed::mine`].
    ///
    /// The default is for a lock that cannot.
    ///
    /// # Errors
    /// As [`update`](Self::update), and [`LockError::Refused`] if the record must not be annotated.
    fn annotate(
        &mut self,
        _annotation: &Annotation,
        _timeout: Duration,
    ) -> Result<Written, LockError> {
        Err(LockError::Unavailable(
            "this kind of lock cannot annotate its record".to_owned(),
        ))
    }

    /// Returns the confirm delay of a store that can lose acknowledged writes; `None` for a store that
    /// cannot.
    ///
    /// With a delay `d`, a write counts only once a later write of this process is effective too that
    /// was sent at least `d` after the state right below it was first known
    /// ([`Written::head_known_since`]). The store must take less than `d` from reading its state to
    /// changing it.
    fn confirm_delay(&self) -> Option<Duration>;

    /// Returns the shortest interval between a candidate's reads that the store's rate limits leave;
    /// zero without such a limit. Asked after each call.
    fn min_poll_interval(&self) -> Duration {
        Duration::ZERO
    }

    /// Records an event ("baz became leader") where operators of the store find it.
    fn record_event(&mut self, event: &str);

    /// Returns the name of this candidate.
    fn identity(&self) -> &str;

    /// Returns where the record is kept, for messages.
    fn describe(&self) -> String;
}

/// Result of an effective write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Written {
    /// Time of the first answer that showed the state right below the write as the newest. `None` if it
    /// is not known, or if there was another write in between, even beside the record. Ignored without
    /// a [`confirm_delay`](ResourceLock::confirm_delay).
    pub head_known_since: Option<Instant>,
}

/// Result of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Observed {
    /// Effective content.
    pub content: Content,
    /// Number of the effective write: equal for two observations of one lock if and only if they saw
    /// the same write (like Kubernetes' `resourceVersion`).
    pub resource_version: u64,
    /// Number of this lock's `create` or `update` call that is the holder's last write, or that wrote a record
    /// without a holder, counted from 1 over both, failed calls included; `None` if another process made
    /// it, even one of the same name. Annotations of a holder's record do not change it.
    pub mine: Option<u64>,
    /// Id of the holder's last write, which begins with the name of its process and `-`; `None` without a
    /// holder, for a foreign write, and for a lock without annotations. The lease counts from when a
    /// candidate first observes it.
    pub renew_id: Option<Arc<str>>,
    /// Whether the holder wrote last, and has renewed since its claim. Otherwise no candidate annotates the
    /// record by itself.
    pub renewed: bool,
    /// Earliest time of a claim if that process was an earlier one of this candidate, of which nothing runs
    /// any more: its lease need not expire. `None` otherwise. A store cannot know this, so a lock over one
    /// leaves it `None`.
    pub predecessor: Option<Instant>,
    /// Time since it was written, by the store's clock, if that can be trusted.
    pub age: Option<Duration>,
    /// Like `age`, but also set for records whose date may be forged. Use only where a wrong age cannot
    /// cause a second leader. `None` for a checkpoint.
    pub dated: Option<Duration>,
    /// Set for a foreign write, one without compare-and-swap: an empty holder is no release, and a
    /// candidate waits at least this long, the longest lease that the write may have replaced.
    pub foreign_wait: Option<Duration>,
    /// Whether the write observed before was lost from the store. It may come back, so a candidate must
    /// not claim for one lease from now.
    pub record_lost: bool,
    /// Time of the first answer that showed the newest state of this read, which may be a write beside
    /// the record; `None` for this read itself.
    pub head_known_since: Option<Instant>,
    /// Highest fencing token in any write read so far, effective or not; `None` if there was none.
    pub highest_fencing_token: Option<u64>,
}

/// Last sign of life of a lease: equal for two observations if the holder has not written between them. The
/// lease counts from when it is first observed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LeaseId {
    /// Id of the holder's last write.
    Renewal(Arc<str>),
    /// Number of the effective write, of a record without such an id.
    Version(u64),
}

impl Observed {
    /// Returns the last sign of life of the observed lease.
    #[must_use]
    pub fn lease_id(&self) -> LeaseId {
        match &self.renew_id {
            Some(id) => LeaseId::Renewal(Arc::clone(id)),
            None => LeaseId::Version(self.resource_version),
        }
    }
}

/// Effective content of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Content {
    /// No record was ever written.
    #[default]
    NeverWritten,
    /// The record was deleted.
    Deleted,
    /// The content is not a readable record, for the reason given.
    Corrupt(Arc<str>),
    /// Record, with or without a holder.
    Record(Arc<LeaderElectionRecord>),
}

impl Content {
    /// Returns the record, if it is one.
    #[must_use]
    pub fn record(&self) -> Option<&LeaderElectionRecord> {
        match self {
            Content::Record(record) => Some(record),
            _ => None,
        }
    }

    /// Returns the holder of the lease; empty for nobody.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.record()
            .map_or("", |record| record.holder_identity.as_str())
    }
}

/// Failure of a call to the store.
///
/// Each text is one clause that says what happened and what to do. It contains no secret.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LockError {
    /// The store does not exist, or is hidden from this client.
    NotFound(String),
    /// Another process wrote since this lock last read the store.
    Conflict,
    /// The store rejects the credentials, or they do not permit the call.
    Unauthorized(String),
    /// The store refuses calls for a while.
    RateLimited {
        /// Time until the next call may be made.
        retry_after: Duration,
        /// Description of the limit.
        why: String,
    },
    /// The store cannot be reached, does not work, or gives an outdated answer. Nothing was written.
    Unavailable(String),
    /// There is more to read than one call has time for. The next call continues, and may be made soon.
    /// For an update: a [`get`](ResourceLock::get) must come first.
    Unfinished(String),
    /// The write may have landed, or may still land.
    OutcomeUnknown(String),
    /// The content must not be changed by this version, or cannot be understood by it.
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
            LockError::Conflict => f.write_str("another process wrote first"),
            LockError::RateLimited { retry_after, why } => {
                write!(f, "{why}; retry in {}s", retry_after.as_secs())
            }
            LockError::OutcomeUnknown(why) => {
                write!(f, "the write may have landed: {why}")
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
