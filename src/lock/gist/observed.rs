//! Conversion of an effective revision into what the elector observes.

use std::sync::Arc;
use std::time::Duration;

use super::revision::Revision;
use super::rule::{EffectiveRevision, is_checkpoint};
use super::stored::{Stored, StoredRecord};
use crate::election::lock::{Content, LockError, Observed};
use crate::election::time::Instant;
use crate::lock::stored::WriteIds;

/// Builds observations of effective revisions, and keeps what later ones depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ObservedBuilder {
    pub(super) ids: WriteIds,
    /// The server's clock in the newest answer with a date, in seconds since the Unix epoch.
    date: Option<i64>,
    highest_fencing_token: Option<u64>,
    resource_version: u64,
    last_observed: Option<Revision>,
}

impl ObservedBuilder {
    /// Creates a builder for the process with this name.
    pub(super) fn new(process: &str) -> Self {
        ObservedBuilder {
            ids: WriteIds::new(process),
            date: None,
            highest_fencing_token: None,
            resource_version: 0,
            last_observed: None,
        }
    }

    /// Notes the server's clock, if an answer has a date.
    pub(super) fn note_date(&mut self, date: Option<i64>) {
        self.date = date.or(self.date);
    }

    /// Notes the fencing token of a revision, effective or not.
    pub(super) fn note(&mut self, stored: &Stored) {
        self.highest_fencing_token = self.highest_fencing_token.max(stored.token());
    }

    /// Builds the observation of an effective revision.
    ///
    /// # Errors
    /// [`LockError::Refused`] if the effective revision follows a newer protocol.
    pub(super) fn build(
        &mut self,
        effective: &EffectiveRevision,
        record_lost: bool,
        head_known_since: Option<Instant>,
    ) -> Result<Observed, LockError> {
        Self::check_protocol(effective)?;
        let revision = effective.commit.revision;
        if self.last_observed != Some(revision) {
            self.last_observed = Some(revision);
            self.resource_version += 1;
        }
        let conditional = effective.stored.origin().is_some();
        let record = effective.stored.record();
        // An annotation is not a sign of life.
        let annotated = record.is_some_and(StoredRecord::is_annotated);
        let age = self.age(effective).filter(|_| !annotated);
        Ok(Observed {
            content: content(effective),
            resource_version: self.resource_version,
            mine: record.and_then(|record| self.ids.number(record.owner_id()?)),
            renew_id: record.and_then(|record| record.renew_id().cloned()),
            renewed: record.is_some_and(StoredRecord::is_renewed),
            predecessor: None,
            age: age.filter(|_| conditional),
            dated: age.filter(|_| !is_checkpoint(&effective.stored)),
            foreign_wait: (!conditional).then_some(effective.longest_lease.unwrap_or_default()),
            record_lost,
            head_known_since,
            highest_fencing_token: self.highest_fencing_token,
        })
    }

    /// Refuses a revision that follows a newer protocol, because then the effective revision is unknown.
    ///
    /// # Errors
    /// [`LockError::Refused`].
    pub(super) fn check_protocol(effective: &EffectiveRevision) -> Result<(), LockError> {
        match effective.newer_protocol {
            None => Ok(()),
            Some(newer) => Err(LockError::Refused(format!(
                "the gist's record follows protocol {newer}, which this elector does not understand; \
                 upgrade this elector"
            ))),
        }
    }

    /// Returns how long ago it was written, by the server's clock. A foreign write may carry any date.
    fn age(&self, effective: &EffectiveRevision) -> Option<Duration> {
        let seconds = self.date?.checked_sub(effective.commit.committed_at?)?;
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }
}

/// Converts an effective revision to the core's terms.
pub(super) fn content(effective: &EffectiveRevision) -> Content {
    match &*effective.stored {
        Stored::Record(stored) => Content::Record(Arc::clone(&stored.record)),
        Stored::Blank | Stored::Empty(_) if effective.longest_lease.is_none() => {
            Content::NeverWritten
        }
        Stored::Blank => Content::Deleted,
        Stored::Empty(_) => Content::Corrupt("it is a JSON object without a holder".into()),
        Stored::Corrupt { why, .. } | Stored::Unrelated(why) => Content::Corrupt(Arc::clone(why)),
    }
}
