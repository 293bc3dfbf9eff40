//! The guard with real processes: the test plays the elector.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]
#![allow(unreachable_pub, reason = "one program, whose parts are files")]

mod deadline;
mod ends;
mod escapes;
mod orphaned;
mod signals;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod trial;
