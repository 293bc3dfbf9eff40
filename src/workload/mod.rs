//! What runs only while this candidate leads: a program of somebody's, and the guard above it.
//!
//! The elector does not run the workload itself. It starts itself again as a guard, which is the
//! workload's parent and holds the time until when the workload may run, so that this time ends also
//! when the elector is killed, stopped or starved.
//!
//! ```text
//!   elector ──── until, signal, stop, kill ────►  guard ────►  CMD ───► ...
//!           ◄─── started, exited, gone ─────────
//! ```

pub mod exec;
pub mod guard;
pub mod health;
pub mod message;
pub mod process;
pub mod supervisor;
pub mod watch;
