//! placeholder

pub mod cli;
pub mod commands;
pub mod election;
/// Written elsewhere.
pub mod emulator;
/// Written elsewhere.
pub mod http;
pub mod lock;
pub mod runtime;
