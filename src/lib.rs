//! placeholder
pub mod commands;
pub mod election;
pub mod emulator;
pub mod http;
pub mod lock;
