//! A gist service that behaves like GitHub's, in memory or on a file, with every fault that a client
//! must survive. It imports from `http` only.
//!
//! ```text
//!   pure:    revision  files  history  store     the gists; a simulator drives these directly
//!            faults  limits  render              what goes wrong, GitHub's limits, GitHub's bodies
//!   server:  call  caller  answer  cache  counters
//!            state                               the file the gists are kept in
//!            routes -> service -> server         one route, one request, the whole
//! ```

mod answer;
mod cache;
mod call;
mod caller;
mod counters;
mod faults;
mod files;
mod history;
mod limits;
mod render;
mod revision;
mod routes;
mod server;
mod service;
mod state;
mod store;

pub use caller::{BadToken, Token};
pub use counters::Counters;
pub use faults::{Chance, Faults, FaultsError, RaceMode, Span};
pub use files::{ChangeStatus, Edit, FileEdit, Files};
pub use history::{Commit, View};
pub use revision::{NotARevision, Revision, Timestamp};
pub use server::{BadStartGist, GistService, Options, SeenRevision, StartError, StartGist};
pub use state::StateError;
pub use store::{Event, NewGist, PendingWrite, Race, Rules, Store, WriteError};
