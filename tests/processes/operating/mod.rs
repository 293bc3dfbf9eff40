//! The commands for who operates an election, as a person or a script runs them: `status`, `doctor`,
//! `depose` and `step-down` as processes, against a gist service in the test's own.

pub(crate) mod command;
mod depose;
mod doctor;
mod status;
mod step_down;
