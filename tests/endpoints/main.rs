//! The status endpoints of real electors: what they answer, to whom, and what nobody can do by them.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod hostile;
mod leading;
mod probes;
#[path = "../process/mod.rs"]
mod process;
mod shown;
mod step_down;
#[path = "../tools/mod.rs"]
mod tools;
mod watched;
#[path = "../wire/mod.rs"]
mod wire;
