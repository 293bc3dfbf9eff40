//! The pure core of an election: no I/O, no threads, no clock, no environment, no global randomness.

pub mod config;
pub mod lock;
pub mod record;
pub mod time;
