//! Status of a running candidate over HTTP: JSON, metrics, health checks and a page.
//!
//! ```text
//!   election ──────▶ Status, Journal ─┐
//!   lock ──────────▶ StoreStats ──────┼──▶ Snapshot ──▶ routes ──▶ JSON, metrics, page
//!   supervisor ────▶ WorkloadCounts ──┘
//! ```
//!
//! Every response is made from a [`Snapshot`], a copy of the state at one moment, so that a slow client
//! delays nothing. No endpoint ever causes a request to the store. `runtime::endpoints` listens and
//! provides the snapshots.

pub mod journal;
mod json;
mod knowledge;
mod local_client;
mod metrics;
pub mod observed_terms;
mod page;
pub mod routes;
pub mod snapshot;
mod status_line;
mod workload_counts;

pub use snapshot::{CandidateInfo, ReadyWhen, Snapshot, SteppedDown};
pub use workload_counts::{Health, WorkloadCounts};
