//! The pure core of an election: no I/O, no threads, no clock, no environment, no global randomness.

pub mod action;
mod candidacy;
pub mod config;
pub mod elector;
pub mod lock;
mod prediction;
pub mod record;
pub mod status;
mod term;
pub mod time;
