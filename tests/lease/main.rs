//! The lock in a Lease over real sockets, against a small API server: every documented answer, lost and
//! repeated writes, other clients, and whole electors.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod annotations;
mod answers;
mod client;
mod elections;
mod leases;
mod server;
mod steering;
#[path = "../support/mod.rs"]
mod support;
mod writes;
