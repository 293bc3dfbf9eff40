//! Places where the lease record is kept, behind one interface.
//!
//! A new kind of lock needs a separate folder and one line in [`LockSpec::backend`].

pub mod admin;
pub mod backend;
pub mod gist;
pub mod inspection;
pub mod settings;
pub mod stats;
pub mod term_history;

use std::path::Path;
use std::time::Duration;

use self::backend::Backend;
use self::gist::options::GistOptions;
use self::settings::{Noted, Reader, Setting};

/// Lock that the settings describe.
#[derive(Clone, Debug)]
pub enum LockSpec {
    /// A file of a gist, through GitHub's REST API.
    Gist(GistOptions),
}

impl LockSpec {
    /// Reads the settings of the lock. `ca_file` is a PEM file with certificates to trust; `new` permits that its place does not exist yet.
    ///
    /// Returns the confirm delay beside the lock, because the times are checked against it even if another
    /// setting of the lock is missing or bad. Such settings are noted.
    pub fn read(
        reader: &mut Reader<'_>,
        ca_file: Option<&Path>,
        new: bool,
    ) -> (Result<LockSpec, Noted>, Option<Duration>) {
        let (options, confirm_delay) = gist::settings::read(reader, ca_file, new);
        (options.map(LockSpec::Gist), confirm_delay)
    }

    /// Returns the interface of the lock's kind.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        match self {
            LockSpec::Gist(options) => options,
        }
    }
}

/// Returns the settings of all kinds of locks, as `elector help settings` shows them.
pub fn settings() -> impl Iterator<Item = Setting> {
    gist::settings::SETTINGS.iter().copied()
}
