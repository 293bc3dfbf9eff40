//! Statistics of a lock's requests to its store, the same for every kind of store.
//!
//! The lock counts while it sends requests; status, metrics and the page read snapshots from other
//! threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Snapshot of what a lock has sent to its store and received from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Number of answers by HTTP method and status code, unusable bodies included.
    pub answers: BTreeMap<(&'static str, u16), u64>,
    /// Number of requests without an answer.
    pub unanswered: u64,
    /// Number of answers that the record has not changed.
    pub not_modified: u64,
    /// Number of requests for revisions and pages of the record's history.
    pub history_scan_requests: u64,
    /// Number of requests that were not sent because of a rate limit.
    pub held_back: u64,
    /// Most recently reported rate limit; `None` if the store has not reported one.
    pub rate_limit: Option<RateLimit>,
}

/// Rate limit of a store, as its answers report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Number of requests that one window permits.
    pub limit: u64,
    /// Number of requests left in the current window.
    pub remaining: u64,
    /// End of the current window by the store's clock, in seconds since the Unix epoch.
    pub resets_at: i64,
}

/// Statistics shared between a lock and its observers.
#[derive(Clone, Debug, Default)]
pub struct StatsHandle(Arc<Mutex<StoreStats>>);

impl StatsHandle {
    /// Returns a snapshot.
    #[must_use]
    pub fn snapshot(&self) -> StoreStats {
        let stats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stats.clone()
    }

    /// Applies `change` to the shared statistics.
    pub fn update(&self, change: impl FnOnce(&mut StoreStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
