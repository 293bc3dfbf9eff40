//! Probe whether a store refuses stale writes, before anything depends on it.
//!
//! Some servers ignore conditions that they do not know, and answer as if the write were a success.
//! A copy of what is stored, without the ids of an elector, is written with a version that no value ever
//! has, and as a creation. If either lands, it is a foreign write that every candidate waits for.

use std::sync::Arc;

use crate::election::lock::LockError;
use crate::lock::store::{Step, Store, Version};

/// A probe that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Probe {
    copy: Arc<[u8]>,
    /// Whether this is the second half, the creation.
    creates: bool,
}

impl Probe {
    /// Returns a probe that writes `copy`.
    pub(super) fn new(copy: Arc<[u8]>) -> Probe {
        Probe {
            copy,
            creates: false,
        }
    }

    /// Begins the write that the store must refuse.
    pub(super) fn write(&self, store: &mut impl Store) -> Step {
        let impossible = (!self.creates).then(|| store.impossible_version());
        store.write(impossible.as_ref(), &self.copy)
    }

    /// Judges the result of the write. Returns the second half, or `None` after it.
    ///
    /// # Errors
    /// [`LockError::Refused`] if the write landed; other errors if the store did not decide.
    pub(super) fn next(
        self,
        result: Result<Version, LockError>,
        place: &str,
    ) -> Result<Option<Probe>, LockError> {
        match result {
            Ok(_) => Err(LockError::Refused(format!(
                "{place}: the server carried out a write that it had to refuse, so two candidates \
                 could lead; use another server, or a version of this one that honours conditional \
                 writes"
            ))),
            Err(LockError::Conflict) if self.creates => Ok(None),
            Err(LockError::Conflict) => Ok(Some(Probe {
                creates: true,
                ..self
            })),
            Err(LockError::OutcomeUnknown(why)) => Err(LockError::Unavailable(why)),
            Err(error) => Err(error),
        }
    }
}
