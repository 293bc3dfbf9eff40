//! The gist lock, its client and the history rule, and the gist server, all in one process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bodies;
mod client;
mod faults;
mod inspect;
mod lock;
mod rule;
mod scan;
mod server;
#[path = "../support/mod.rs"]
mod support;
