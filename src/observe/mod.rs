//! How people and machines look in: what an elector knows, as JSON, metrics, health and a page.
//!
//! ```text
//!   the owner of the election ──▶ Journal ──┐
//!                                 Status  ──┼──▶ View ──▶ routes ──▶ status, metrics, page
//!   the gist client ────────────▶ Stats   ──┤             (an http::Response)
//!   the workload's supervisor ──▶ counts  ──┘
//! ```
//!
//! Everything here is made of a [`View`], a copy of what is known at a moment, so that a slow client
//! holds up nothing. No endpoint ever causes a request to the store. Who listens, and where the parts
//! of a view come from, is the business of `runtime::observer`.

mod accept;
mod door;
pub mod journal;
mod json;
mod metrics;
mod page;
pub mod routes;
pub mod terms;
pub mod view;
mod workload;

pub use view::{About, View};
pub use workload::{ExitClass, WorkloadCounts};

/// When `/readyz` says ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadyWhen {
    /// As soon as this candidate stands for election.
    #[default]
    Candidate,
    /// While it leads.
    Leader,
}
