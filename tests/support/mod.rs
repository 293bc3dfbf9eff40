//! Helpers that several tests share.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "every test binary uses another part"
)]

pub mod authority;
pub mod memory;
pub mod process;
pub mod tools;
pub mod wire;
