//! A gist service that behaves like GitHub's, in memory or on a file, with every fault that a client
//! must survive. It takes the names of revisions from the lock, and nothing else: it is what the
//! lock is tested against.
//!
//! ```text
//!   pure:    revision  files  history  write  store    the gists; a simulator drives these
//!            chance  faults  limits  render           what goes wrong, the limits, the bodies
//!   server:  call  caller  answer  cache  counters
//!            state                                     the file the gists are kept in
//!            routes -> service -> server         one route, one request, the whole
//! ```

mod answer;
mod cache;
mod call;
mod caller;
mod chance;
mod counters;
mod faults;
mod files;
mod history;
mod limits;
mod render;
mod revision;
#[expect(clippy::disallowed_methods, reason = "it delays answers")]
mod routes;
#[expect(clippy::disallowed_methods, reason = "it serves in threads of its own")]
mod server;
#[expect(clippy::disallowed_methods, reason = "it serves in threads of its own")]
mod service;
#[expect(clippy::disallowed_methods, reason = "it keeps its state in a file")]
mod state;
mod store;
mod write;

pub use caller::{BadToken, Token};
pub use chance::{Chance, Span};
pub use counters::Counters;
pub use faults::{Faults, FaultsError, RaceMode};
pub use files::{ChangeStatus, Edit, FileEdit, Files};
pub use history::{Commit, View};
pub use revision::{Revision, Timestamp};
pub use server::{BadStartGist, GistService, Options, SeenRevision, StartError, StartGist};
pub use state::StateError;
pub use store::Store;
pub use write::{Event, NewGist, PendingWrite, Race, Rules, WriteError};
