//! The gist lock, its client and the history rule, and the gist server, all in one process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bodies;
mod client;
mod faults;
mod lock;
mod look;
mod rule;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod terms;
