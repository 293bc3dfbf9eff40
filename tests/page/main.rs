//! The page in a real browser: with and without its script, in light and dark, on a phone, with names
//! that nobody would choose, and when the elector is gone.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod chromium;
mod looks;
mod picture;
#[path = "../process/mod.rs"]
mod process;
mod refreshed;
#[path = "../tools/mod.rs"]
mod tools;
#[path = "../endpoints/watched.rs"]
mod watched;
#[path = "../wire/mod.rs"]
mod wire;
