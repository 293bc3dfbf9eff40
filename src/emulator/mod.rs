//! A gist service that behaves like GitHub's.

mod files;
mod history;
mod revision;
mod store;

pub use files::{ChangeStatus, Edit, FileEdit, Files};
pub use history::{Commit, View};
pub use revision::{NotARevision, Revision, Timestamp};
pub use store::{Event, NewGist, PendingWrite, Race, Rules, Store, WriteError};
