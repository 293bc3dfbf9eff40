//! The commands for operators, `status`, `doctor`, `health`, `depose` and `step-down`, as processes
//! against a gist service in the test's process.

pub(crate) mod command;
mod depose;
mod doctor;
mod health;
mod status;
mod step_down;
