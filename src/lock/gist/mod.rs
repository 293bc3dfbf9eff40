//! The lease record in a GitHub gist, with a compare-and-swap by its history.

pub mod revision;
pub mod wire;
