//! What runs beside an elector: the leader file, the webhook, the health of a workload, and the log.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "../authority/mod.rs"]
mod authority;
mod health;
mod leader_file;
mod logs;
#[path = "../memory/mod.rs"]
mod memory;
#[path = "../process/mod.rs"]
mod process;
mod receiver;
mod refused;
mod scratch;
mod transitions;
mod webhook;
