//! Threads, signals and the real clock: the only place where the pure rooms are put together.

mod callbacks;
pub mod clock;
pub mod election;
pub mod gist;
pub mod logging;
mod notices;
pub mod signals;
pub mod timer;
mod worker;

pub use callbacks::{LeaderCallbacks, Term};
