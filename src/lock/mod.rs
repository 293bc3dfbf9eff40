//! Where the lease record is kept.

pub mod gist;
pub mod stats;
