//! The lease record in a GitHub gist, with a compare-and-swap by its history.

pub mod client;
pub mod revision;
pub mod token;
pub mod wire;
