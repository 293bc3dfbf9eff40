//! What the system gives: the time since boot, the wall clock, a timer that counts suspended time, and a
//! value that threads share. Nothing else in this program reads a clock that anything rests on.

pub mod clock;
pub(crate) mod monitor;
pub mod random;
pub mod timer;
