//! What the elections cost GitHub, and what its limits cost them, in virtual hours.

mod worlds;

pub use worlds::*;
