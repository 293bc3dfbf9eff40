//! The library in one process: the election on virtual time, its threads, properties of every input,
//! and the rules for the sources.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod backend;
mod cas;
mod conformance;
mod dependency_rule;
mod notices;
mod properties;
mod quorum;
mod runtime;
mod steering;
#[path = "../support/mod.rs"]
mod support;
mod wording;
