//! Elects exactly one leader among copies of a workload in several Kubernetes clusters, through a
//! lease record in a GitHub gist.
//!
//! It brings the semantics of client-go's `leaderelection` package to a synchronous library, and to
//! the program `elector` that is built on it. The rooms, each of which imports only from those above
//! it:
//!
//! - [`election`]: the pure core; the record, the configuration, the lock interface
//!   ([`ResourceLock`](election::lock::ResourceLock)) and the state machine.
//! - [`lock`]: the lock in a gist.
//! - [`http`], [`emulator`]: a small HTTP server, and a gist service to test against.
//! - [`runtime`]: threads, signals and the real clock;
//!   [`LeaderElection`](runtime::election::LeaderElection) is what a program embeds.
//! - [`commands`], [`cli`]: the program.

pub mod cli;
pub mod commands;
pub mod election;
pub mod emulator;
pub mod http;
pub mod lock;
pub mod runtime;
