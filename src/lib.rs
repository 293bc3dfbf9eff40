//! Elects exactly one leader among copies of a workload in several Kubernetes clusters, through a
//! lease record in a GitHub gist.
//!
//! It brings the semantics of client-go's `leaderelection` package to a synchronous library, and to
//! the program `elector` that is built on it. The rooms, each of which imports only from those above
//! it:
//!
//! - [`election`]: the pure core; the record, the configuration, the lock interface
//!   ([`ResourceLock`]) and the state machine.
//! - [`system`]: the clocks, and a timer that counts suspended time.
//! - [`lock`]: the lock in a gist.
//! - [`workload`]: what runs only while leading, and the guard above it.
//! - [`http`], [`observe`]: a small HTTP server, and what is shown on it: status, metrics, a page.
//! - [`emulator`]: a gist service to test against.
//! - [`runtime`]: threads and signals; [`LeaderElection`] is what a program embeds.
//! - [`commands`], [`cli`]: the program.
//!
//! A program that leads only while it is elected:
//!
//! ```no_run
//! use elector::{
//!     GistOptions, LeaderCallbacks, LeaderElection, LeaderElectionConfig, Term, AccessTokenSource,
//! };
//!
//! struct Work;
//!
//! impl LeaderCallbacks for Work {
//!     fn on_started_leading(&self, term: &Term) {
//!         while !term.is_over() {
//!             // a short piece of work, that shows its right to do so by term.fencing_token()
//!         }
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = LeaderElectionConfig::new("napoleon");
//!     let token = AccessTokenSource::File("/run/secrets/gist-token".into());
//!     let lock = GistOptions::new("1fa0cfa3f1f0d1a4c7e7a5b2e0d3c9f8", token)?.open(&config)?;
//!     LeaderElection::new(config, lock, Work)?.run()?;
//!     Ok(())
//! }
//! ```

// Modules get time, files and threads from their callers. Those that do not are marked.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod cli;
#[expect(clippy::disallowed_methods, reason = "files, environment, threads")]
pub mod commands;
pub mod election;
pub mod emulator;
#[doc(hidden)]
pub mod fmt;
#[expect(clippy::disallowed_methods, reason = "threads and deadlines")]
pub mod http;
pub mod lock;
#[expect(clippy::disallowed_methods, reason = "threads, deadlines and files")]
pub mod net;
pub mod observe;
#[expect(clippy::disallowed_methods, reason = "threads, files, environment")]
pub mod runtime;
#[expect(clippy::disallowed_methods, reason = "clocks and timers")]
pub mod system;
pub mod workload;

pub use election::config::LeaderElectionConfig;
pub use election::lock::ResourceLock;
pub use election::record::LeaderElectionRecord;
pub use lock::gist::options::GistOptions;
pub use net::AccessTokenSource;
pub use runtime::election::{Handle, LeaderElection};
pub use runtime::{LeaderCallbacks, Term};

/// Has the examples of the README compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
