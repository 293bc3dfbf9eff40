//! The pure core of an election, without I/O, threads, clocks, environment or global randomness.

pub mod action;
pub mod annotation;
mod candidacy;
pub mod config;
pub mod elector;
pub mod lock;
mod prediction;
pub mod record;
mod same_name;
pub mod status;
mod term;
pub mod time;
