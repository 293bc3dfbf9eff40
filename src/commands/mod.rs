//! One file per subcommand, and what they share: the settings and how durations are written.

pub mod demo;
pub mod duration;
pub mod gist_server;
pub mod help;
pub mod run;
pub mod settings;
