//! Errors of writes, and of starting the service. Pure.

use std::fmt;
use std::io;
use std::path::PathBuf;

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
    pub(super) fn blank() -> Self {
        Self::Invalid("contents can't be blank".to_owned())
    }

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

/// Error of starting a service.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The service cannot listen or start its thread.
    Io(io::Error),
    /// The state file cannot be opened, read or written.
    StateFile(PathBuf, io::Error),
    /// Another service uses the state file.
    InUse(PathBuf),
    /// The file is not a state file.
    Foreign(PathBuf),
    /// A complete line of the state file is invalid: its number and the reason.
    Corrupt(PathBuf, usize, String),
    /// An initial gist cannot be created: its id and the reason.
    Gist(String, WriteError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::StateFile(path, error) => write!(f, "{}: {error}", path.display()),
            Self::InUse(path) => write!(
                f,
                "{}: in use by another service; stop it or name another file",
                path.display()
            ),
            Self::Foreign(path) => write!(
                f,
                "{}: not a state file of a gist service; name another file",
                path.display()
            ),
            Self::Corrupt(path, line, why) => write!(
                f,
                "{}: line {line} is invalid ({why}); fix it or move the file away",
                path.display()
            ),
            Self::Gist(id, error) => write!(f, "cannot create the gist {id}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StartError> for io::Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Io(error) => error,
            other => Self::other(other),
        }
    }
}
