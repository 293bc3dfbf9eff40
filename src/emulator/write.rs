//! The words of the store: rules, races, writes under way, what may be said against them, events. Pure.

use std::fmt;

use super::files::{Edit, Files};
use super::revision::{Revision, Timestamp};

/// What GitHub does, where it is not known or can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Blank content is swallowed (success, and nothing happens) rather than refused.
    pub swallow_blank: bool,
    /// A write that changes nothing makes a revision nevertheless.
    pub identical_makes_revision: bool,
    /// How far the clock that stamps the commits is ahead, in milliseconds.
    pub clock_offset_ms: i64,
}

/// What happens to a write if the head has moved between its two phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Race {
    /// It is refused with 409.
    Conflict,
    /// It is put on top of whatever the head is now.
    Stack,
    /// It stays built on the head it found and replaces the head: what came in between vanishes.
    Vanish,
}

/// Why a write was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// There is no such gist, or none any more.
    NotFound,
    /// The head has moved since the write began.
    Conflict,
    /// The edit makes no sense.
    Invalid(String),
    /// A gist of this id is there already.
    Exists,
    /// The store is full.
    Full,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such gist"),
            Self::Conflict => f.write_str("the gist was changed meanwhile: read it again"),
            Self::Invalid(why) => f.write_str(why),
            Self::Exists => f.write_str("there is a gist of this id already: choose another"),
            Self::Full => {
                f.write_str("the store is full: delete gists, or start with an empty one")
            }
        }
    }
}

impl std::error::Error for WriteError {}

/// What a gist is made of.
#[derive(Debug, Clone, Default)]
pub struct NewGist {
    /// A line about it.
    pub description: String,
    /// Whether it is listed for everybody.
    pub public: bool,
    /// At least one.
    pub files: Files,
}

/// A write that has found its head and has not moved it yet.
#[derive(Debug, Clone)]
pub struct PendingWrite {
    pub(super) id: String,
    pub(super) edit: Edit,
    pub(super) base: usize,
    pub(super) base_revision: Revision,
    pub(super) forced: bool,
}

impl PendingWrite {
    /// Makes a revision even if nothing changes: for a request that is applied twice.
    #[must_use]
    pub fn forced(self) -> Self {
        Self {
            forced: true,
            ..self
        }
    }

    /// The head it found.
    #[must_use]
    pub fn base(&self) -> Revision {
        self.base_revision
    }
}

/// What changed in a store, in order: enough to build the same store again.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A gist was made, as yet without a revision.
    Created {
        /// Its description.
        description: String,
        /// Whether it is listed for everybody.
        public: bool,
        /// In seconds, by the server's clock.
        at: i64,
    },
    /// A revision was made and became the head.
    Committed {
        /// Its name.
        revision: Revision,
        /// What it was built on.
        parent: Option<Revision>,
        /// In seconds, by the server's clock.
        committed_at: i64,
        /// When the head was moved.
        at: Timestamp,
    },
    /// The head was moved to an older revision.
    HeadMoved {
        /// Where to.
        revision: Revision,
        /// When.
        at: Timestamp,
    },
    /// The description was changed.
    Described {
        /// The new one.
        description: String,
        /// In seconds, by the server's clock.
        at: i64,
    },
    /// The gist was deleted.
    Deleted,
}
