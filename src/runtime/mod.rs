//! Threads, signals and the real clocks: the only place where the pure rooms meet the world.

pub mod clock;
pub mod logging;
pub mod signals;
pub mod timer;
