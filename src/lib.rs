//! placeholder
pub mod election;
pub mod emulator;
pub mod http;
pub mod lock;
pub mod runtime;
