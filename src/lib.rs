//! Elects exactly one leader among copies of a workload in several Kubernetes clusters, through a
//! lease record in a store that all of them reach.
//!
//! This is client-go's `leaderelection` package as a synchronous library, and the program `elector` on
//! top of it. A program embeds a [`LeaderElection`]: it is configured by a [`LeaderElectionConfig`],
//! decided in a [`ResourceLock`] (such as one in a gist, [`GistOptions::open`]), and calls
//! [`LeaderCallbacks`].
//!
//! ```no_run
//! use elector::{
//!     AccessTokenSource, GistOptions, LeaderCallbacks, LeaderElection, LeaderElectionConfig, Term,
//! };
//!
//! struct Work;
//!
//! impl LeaderCallbacks for Work {
//!     fn on_started_leading(&self, term: &Term) {
//!         while !term.is_over() {
//!             // A short piece of work, fenced by term.fencing_token().
//!         }
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = LeaderElectionConfig::new("napoleon");
//!     let access_token = AccessTokenSource::File("/run/secrets/gist-token".into());
//!     let lock = GistOptions::new("1fa0cfa3f1f0d1a4c7e7a5b2e0d3c9f8", access_token)?;
//!     LeaderElection::new(config.clone(), Box::new(lock.open(&config)?), Work)?.run()?;
//!     Ok(())
//! }
//! ```
//!
//! The modules are public for the program's own tests only: they are not part of the interface.

// Modules get time, files and threads from their callers. Those that do not are marked.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
#[expect(clippy::disallowed_methods, reason = "files, environment, threads")]
pub mod commands;
#[doc(hidden)]
pub mod election;
#[doc(hidden)]
pub mod emulator;
#[doc(hidden)]
pub mod fmt;
#[doc(hidden)]
#[expect(clippy::disallowed_methods, reason = "threads and deadlines")]
pub mod http;
#[doc(hidden)]
pub mod lock;
#[doc(hidden)]
#[expect(clippy::disallowed_methods, reason = "threads, deadlines and files")]
pub mod net;
#[doc(hidden)]
pub mod observe;
#[doc(hidden)]
#[expect(clippy::disallowed_methods, reason = "threads, files, environment")]
pub mod runtime;
#[doc(hidden)]
#[expect(clippy::disallowed_methods, reason = "clocks and timers")]
pub mod system;
#[doc(hidden)]
pub mod workload;

#[doc(inline)]
pub use election::action::{Finish, StopReason};
#[doc(inline)]
pub use election::config::LeaderElectionConfig;
#[doc(inline)]
pub use election::lock::{Content, LockError, Observed, ResourceLock, Written};
#[doc(inline)]
pub use election::record::LeaderElectionRecord;
#[doc(inline)]
pub use election::time::Instant;
#[doc(inline)]
pub use lock::gist::options::GistOptions;
#[doc(inline)]
pub use net::AccessTokenSource;
#[doc(inline)]
pub use runtime::election::{ElectionError, Handle, LeaderElection};
#[doc(inline)]
pub use runtime::{LeaderCallbacks, Term};
