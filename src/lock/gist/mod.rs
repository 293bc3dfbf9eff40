//! The lease record in a GitHub gist, with a compare-and-swap by its history.

pub mod history;
mod observation;
pub mod protocol;
pub mod revision;
pub mod stored;
pub mod wire;
