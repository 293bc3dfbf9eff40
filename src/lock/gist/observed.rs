//! What the lock tells the elector of a revision in effect.

use std::sync::Arc;
use std::time::Duration;

use super::revision::Revision;
use super::rule::{EffectiveRevision, is_checkpoint};
use super::stored::{Moved, Stored};
use crate::election::lock::{Content, LockError, Observed};
use crate::election::time::Instant;

/// Turns revisions in effect into observations, and keeps what has to be remembered from one to the
/// next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ObservedBuilder {
    /// What the write ids of this process begin with.
    prefix: String,
    /// The newest rule that this process goes by.
    understands: u64,
    /// The server's clock, as of the newest answer that told it, in seconds since the Unix epoch.
    date: Option<i64>,
    highest_fencing_token: Option<u64>,
    resource_version: u64,
    last_told: Option<Revision>,
}

impl ObservedBuilder {
    pub(super) fn new(process: &str, understands: u64) -> Self {
        ObservedBuilder {
            prefix: format!("{process}-"),
            understands,
            date: None,
            highest_fencing_token: None,
            resource_version: 0,
            last_told: None,
        }
    }

    /// The id of this process's write with this number.
    pub(super) fn write_id(&self, number: u64) -> Arc<str> {
        format!("{}{number}", self.prefix).into()
    }

    /// Remembers the server's clock, where an answer tells it.
    pub(super) fn note_date(&mut self, date: Option<i64>) {
        self.date = date.or(self.date);
    }

    /// Remembers what any revision says of tokens, in effect or not.
    pub(super) fn note(&mut self, stored: &Stored) {
        self.highest_fencing_token = self.highest_fencing_token.max(stored.token());
    }

    /// What the elector is told of this revision in effect.
    pub(super) fn observe(
        &mut self,
        effect: &EffectiveRevision,
        record_lost: bool,
        head_known_since: Option<Instant>,
    ) -> Result<Observed, LockError> {
        self.understood(effect)?;
        let revision = effect.commit.revision;
        if self.last_told != Some(revision) {
            self.last_told = Some(revision);
            self.resource_version += 1;
        }
        let origin = effect.stored.origin();
        let ours = origin.is_some();
        Ok(Observed {
            content: content(effect),
            resource_version: self.resource_version,
            mine: origin.and_then(|origin| self.number(&origin.write_id)),
            age: if ours { self.age(effect) } else { None },
            dated: self.age(effect).filter(|_| !is_checkpoint(&effect.stored)),
            foreign_wait: (!ours).then_some(effect.longest_lease.unwrap_or_default()),
            record_lost,
            head_known_since,
            highest_fencing_token: self.highest_fencing_token,
        })
    }

    /// Whether this process goes by the rule that decides what is in effect.
    pub(super) fn goes_by(&self, effect: &EffectiveRevision) -> bool {
        effect
            .newer_protocol
            .is_none_or(|newer| newer <= self.understands)
    }

    /// Refuses what goes by a newer rule: which revision is in effect is not known then.
    pub(super) fn understood(&self, effect: &EffectiveRevision) -> Result<(), LockError> {
        if self.goes_by(effect) {
            return Ok(());
        }
        let moved = effect.stored.record().and_then(|it| it.moved.as_ref());
        Err(LockError::Refused(match moved {
            Some(Moved::To(place)) => format!(
                "the lock was moved to {}: set that for every candidate, nobody leads by this one \
                 any more",
                place
            ),
            Some(Moved::From(place)) => format!(
                "the lock is being moved here from {}, and nobody may lead by this one yet: have \
                 `elector init --from {}` come to its end",
                place, place.gist
            ),
            None => format!(
                "the gist is used by a newer elector (protocol {}), which this one does not \
                 understand: upgrade it, or look in the record for the gist that took over",
                effect.newer_protocol.unwrap_or_default()
            ),
        }))
    }

    /// Which write of this process has this id, if it is one.
    fn number(&self, write_id: &str) -> Option<u64> {
        write_id.strip_prefix(&self.prefix)?.parse().ok()
    }

    /// How long ago it was written, by the server's clock. What is not ours may carry any date.
    fn age(&self, effect: &EffectiveRevision) -> Option<Duration> {
        let seconds = self.date?.checked_sub(effect.commit.committed_at?)?;
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }
}

/// What a revision in effect means.
pub(super) fn content(effect: &EffectiveRevision) -> Content {
    match &*effect.stored {
        Stored::Record(stored) => Content::Record(Arc::clone(&stored.record)),
        Stored::Blank | Stored::Empty(_) if effect.longest_lease.is_none() => Content::NeverWritten,
        Stored::Blank => Content::Deleted,
        Stored::Empty(_) => Content::Corrupt("it is a JSON object without a holder".into()),
        Stored::Corrupt { why, .. } | Stored::Unrelated(why) => Content::Corrupt(Arc::clone(why)),
    }
}
