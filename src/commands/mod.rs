//! Commands of the program, one file each, and the settings.
//!
//! `spelling`, `command`, `local_endpoint` and `settings` are below the commands; `table` and `help` are above them.

pub mod command;
pub mod completions;
pub mod demo;
pub mod depose;
pub mod doctor;
pub mod gist_server;
pub mod health;
pub mod help;
pub mod history;
pub mod init;
pub mod install;
pub mod leads;
mod local_endpoint;
pub mod pause;
pub mod run;
pub mod settings;
mod spelling;
pub mod status;
#[expect(
    clippy::disallowed_methods,
    reason = "waits between two reads, and reads USER"
)]
mod steering;
pub mod step_down;
pub mod switchover;
pub mod table;
pub mod version;
