//! Probe whether a store refuses stale writes, before anything depends on it.
//!
//! Some servers ignore conditions that they do not know, and answer as if the write were a success.
//! A copy of what is stored, without the ids of an elector, is written with a version that no value ever
//! has, and as a creation. If either lands, it is a foreign write that every candidate waits for. The value
//! may be deleted before the creation, so a creation that lands is tried once more.

use std::sync::Arc;

use super::origin::{Stored, to_foreign_text};
use crate::election::lock::LockError;
use crate::lock::store::{Step, Store, Version};

/// A probe that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::lock) struct Probe {
    copy: Arc<[u8]>,
    half: Half,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Half {
    ImpossibleVersion,
    Creation,
    /// The first creation landed.
    SecondCreation,
}

impl Probe {
    /// Returns a probe that writes a copy of what is stored.
    pub(in crate::lock) fn new(stored: &Stored, value: Option<&Arc<[u8]>>) -> Probe {
        let copy = match stored.record() {
            Some(stored) => to_foreign_text(&stored.record, stored.checkpoint)
                .into_bytes()
                .into(),
            None => value.cloned().unwrap_or_default(),
        };
        Probe::of(&copy)
    }

    /// Returns a probe that writes this.
    pub(in crate::lock) fn of(text: &[u8]) -> Probe {
        Probe {
            copy: text.into(),
            half: Half::ImpossibleVersion,
        }
    }

    /// Begins the write that the store must refuse.
    pub(in crate::lock) fn write(&self, store: &mut impl Store) -> Step {
        let impossible = match self.half {
            Half::ImpossibleVersion => Some(store.impossible_version()),
            Half::Creation | Half::SecondCreation => None,
        };
        store.write(impossible.as_ref(), &self.copy)
    }

    /// Judges the result of the write. Returns the next one, or `None` after the last.
    ///
    /// # Errors
    /// [`LockError::Refused`] if the write landed; other errors if the store did not decide.
    pub(in crate::lock) fn next(
        self,
        result: Result<Version, LockError>,
        place: &str,
    ) -> Result<Option<Probe>, LockError> {
        let next = |half| Ok(Some(Probe { half, ..self }));
        match (result, self.half) {
            (Ok(_), Half::Creation) => next(Half::SecondCreation),
            (Ok(_), _) => Err(LockError::Refused(format!(
                "{place}: the server carried out a write that it had to refuse, so two candidates \
                 could lead; use another server, or a version of this one that honours conditional \
                 writes"
            ))),
            (Err(LockError::Conflict), Half::ImpossibleVersion) => next(Half::Creation),
            (Err(LockError::Conflict), _) => Ok(None),
            (Err(LockError::OutcomeUnknown(why)), _) => Err(LockError::Unavailable(why)),
            (Err(error), _) => Err(error),
        }
    }
}
