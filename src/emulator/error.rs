//! Errors of writes to the store. Pure.

use std::fmt;

/// Error of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// No such gist exists.
    NotFound,
    /// The head has moved since the write began.
    Conflict,
    /// The edit does not fit the gist.
    Invalid(String),
    /// A gist or revision of this name exists.
    Exists,
    /// The store is full.
    Full,
    /// The state file could not be written.
    NotSaved(String),
}

impl WriteError {
    pub(super) fn no_files() -> Self {
        Self::Invalid("a gist needs at least one file".to_owned())
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such gist"),
            Self::Conflict => f.write_str("the gist has changed; read it again"),
            Self::Invalid(why) => f.write_str(why),
            Self::Exists => f.write_str("the name is taken; choose another"),
            Self::Full => f.write_str("the store is full; delete gists or start an empty service"),
            Self::NotSaved(why) => write!(f, "cannot write the state file: {why}"),
        }
    }
}

impl std::error::Error for WriteError {}
