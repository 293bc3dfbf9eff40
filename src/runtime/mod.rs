//! Threads, signals and the real clock: the only place where the pure rooms are put together.

mod alarm;
mod callbacks;
pub mod election;
pub mod gist;
pub mod logging;
mod notices;
pub mod observer;
pub mod signals;
mod worker;

pub use callbacks::{LeaderCallbacks, Term};
