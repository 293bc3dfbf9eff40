//! Clocks, a timer that counts suspended time, and a value that threads share.
//!
//! No other module reads a clock on which a decision depends.

pub mod clock;
pub(crate) mod monitor;
pub mod random;
pub mod timer;
