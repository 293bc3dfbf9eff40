//! The lock in an object of S3, Azure or Google over real sockets, against a small object store: every
//! documented answer, lost and repeated writes, credentials that expire, wrong clocks, and whole electors.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod azure;
mod client;
mod clocks;
mod commands;
mod credentials;
mod elections;
mod google;
mod lost;
mod objects;
mod polls;
mod s3;
mod secrets;
mod settings;
mod signature;
mod sources;
mod steering;
#[path = "../support/mod.rs"]
mod support;
mod writes;
