//! One file per subcommand, and what they share: the settings, how durations are written, and how
//! wrong arguments are told.

pub mod command;
pub mod demo;
pub mod depose;
pub mod doctor;
pub mod gist_server;
pub mod help;
pub mod history;
pub mod init;
pub mod install;
mod output;
pub mod run;
pub mod settings;
pub mod status;
pub mod step_down;
pub mod table;
pub mod usage;
