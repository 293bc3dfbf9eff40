//! The wrapped program and its workload: everything that runs only while this candidate leads.
//!
//! The elector does not start the program itself. It starts a second copy of itself as a guard, which is
//! the program's parent and knows the leadership deadline. So the workload ends in time even if the elector
//! is killed, stopped or starved of CPU time.
//!
//! ```text
//!   elector ─── valid-until, signal, stop, … ───────►  guard ────►  program ───► ...
//!           ◄─── started, exited, workload-stopped ──
//! ```

#[expect(clippy::disallowed_methods, reason = "it starts the wrapped program")]
pub mod exec;
#[expect(clippy::disallowed_methods, reason = "it is a process")]
pub mod guard;
pub mod guard_state;
pub mod health;
pub mod message;
#[expect(clippy::disallowed_methods, reason = "it starts and finds processes")]
pub mod process;
pub mod restart;
#[expect(clippy::disallowed_methods, reason = "it is a process")]
pub mod self_test;
#[expect(clippy::disallowed_methods, reason = "it is a file")]
pub mod state_file;
pub mod supervisor;
pub mod suspension;
