//! Threads, signals and the real clock: the only module that combines the pure modules with them.

mod callbacks;
pub mod election;
pub mod endpoints;
mod failures;
pub mod health;
pub mod leader_file;
mod lock_thread;
pub mod logging;
mod notices;
pub mod restart;
pub mod service_manager;
pub mod sidecar;
pub mod signals;
mod startup_check;
mod timer_thread;
mod transitions;
mod webhook;
pub mod workload;

pub use callbacks::{LeaderCallbacks, Term};
