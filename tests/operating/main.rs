//! The commands for who operates an election, as a person or a script runs them: `status`, `doctor`,
//! `depose` and `step-down` as processes, against a gist service in the test's own.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod command;
mod depose;
mod doctor;
#[path = "../process/mod.rs"]
mod process;
mod status;
mod step_down;
#[path = "../wire/mod.rs"]
mod wire;
