//! Threads, signals and the real clock: the only place where the pure rooms are put together.

mod alarm;
mod announcer;
mod callbacks;
pub mod election;
pub mod gist;
pub mod health;
mod leader_file;
pub mod logging;
mod notices;
pub mod observer;
pub mod sidecar;
pub mod signals;
mod webhook;
mod worker;
pub mod workload;

pub use callbacks::{LeaderCallbacks, Term};
