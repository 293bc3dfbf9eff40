//! The guard with real processes, where the test takes the role of the elector.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(unreachable_pub, reason = "one binary of several files")]

mod deadline;
mod ends;
mod escapes;
mod orphaned;
mod signals;
mod start;
mod state;
mod stops;
#[path = "../support/mod.rs"]
mod support;
mod trial;
