//! Threads, signals and the real clock: the only place where the pure rooms are put together.

mod callbacks;
pub mod clock;
pub mod election;
mod notices;
pub mod timer;
mod worker;
