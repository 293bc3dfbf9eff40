//! A gist service that behaves like GitHub's, in memory or with a state file, with every fault that a
//! client must survive.
//!
//! The gist lock is tested against it, so that it takes only the names of revisions from the lock.
//!
//! ```text
//!   pure:    revision  error  files  change  history  store    the gists; the simulation drives these
//!            random  faults  rate_limit  render                faults, rate limits, bodies
//!   server:  api_error  caller  call  counters
//!            state_file                                        the changes of the gists in a file
//!            service -> routes -> server                       one request, its route, the whole
//! ```

mod api_error;
mod call;
mod caller;
mod change;
mod counters;
mod error;
mod faults;
mod files;
mod history;
mod random;
mod rate_limit;
mod render;
mod revision;
#[expect(
    clippy::disallowed_methods,
    reason = "it measures how long writes take"
)]
mod routes;
#[expect(clippy::disallowed_methods, reason = "it serves in its own threads")]
mod server;
mod service;
#[expect(clippy::disallowed_methods, reason = "it keeps the gists in a file")]
mod state_file;
mod store;

pub use caller::AccessToken;
pub use change::{Change, GistChange, NewGist, PendingWrite, Race, Rules};
pub use counters::Counters;
pub use error::{StartError, WriteError};
pub use faults::Faults;
pub use files::{Edit, FileChanges, FileEdit, Files};
pub use history::{Commit, View};
pub use random::{Delay, Probability};
pub use revision::{Revision, Timestamp};
pub use server::{GistRevision, GistService, InitialGist, Options};
pub use store::Store;
