//! What the system gives: the time since boot, the wall clock, and a timer that counts suspended time.
//! Nothing else in this program reads a clock that anything rests on.

pub mod clock;
pub mod timer;
