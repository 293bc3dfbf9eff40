//! The lock in a git repository, against the server that comes with git.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod confirmed;
mod contents;
mod faults;
mod lock;
mod packs;
mod parents;
mod races;
mod repository;
mod steering;
#[path = "../support/mod.rs"]
mod support;
mod writes;
