//! Statistics of a lock's requests to its store, the same for every kind of store.
//!
//! The lock counts while it sends requests; status, metrics and the page read snapshots from other
//! threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::fmt::{count, span, utc};

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
    /// Expiration of the access token, in seconds since the Unix epoch; `None` if the store has not
    /// reported one.
    pub access_token_expires_at: Option<i64>,
}

/// Rate limit of a store, as its answers report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl RateLimit {
    /// Returns the time until the window ends, if `now` is the store's clock in seconds since the Unix
    /// epoch.
    #[must_use]
    pub fn resets_in(&self, now: Option<i64>) -> Option<Duration> {
        let seconds = self.resets_at.checked_sub(now?)?;
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// Returns the requests left in words: `4,893 of 5,000 requests left, all again in 44m 59s`.
    #[must_use]
    pub fn summary(&self, now: Option<i64>) -> String {
        let again = match self.resets_in(now) {
            Some(time) => format!(", all again in {}", span(time)),
            None => String::new(),
        };
        let (remaining, limit) = (count(self.remaining), count(self.limit));
        format!("{remaining} of {limit} requests left{again}")
    }
}

/// Returns in words when the access token expires: `expires in 30d, on 2020-05-27T17:24:06Z`. `now` is the
/// store's clock in seconds since the Unix epoch.
#[must_use]
pub fn expiration(expires_at: i64, now: Option<i64>) -> String {
    let on = utc(expires_at).unwrap_or_default();
    let left = now.and_then(|now| expires_at.checked_sub(now));
    match left.map(u64::try_from) {
        Some(Ok(left @ 1..)) => {
            format!("expires in {}, on {on}", span(Duration::from_secs(left)))
        }
        Some(_) => format!("expired on {on}"),
        None => format!("expires on {on}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limit_summary_tells_reset() {
        let rate = RateLimit {
            limit: 5_000,
            remaining: 4_893,
            resets_at: 1_588_010_945,
        };
        assert_eq!(
            rate.summary(Some(1_588_008_246)),
            "4,893 of 5,000 requests left, all again in 44m 59s"
        );
        assert_eq!(rate.summary(None), "4,893 of 5,000 requests left");
        assert_eq!(rate.resets_in(Some(i64::MAX)), Some(Duration::ZERO));
    }

    #[test]
    fn expiration_is_told_by_store_clock() {
        let told = |now| expiration(1_590_600_246, now);
        let on = "on 2020-05-27T17:24:06Z";
        assert_eq!(told(Some(1_588_008_246)), format!("expires in 30d, {on}"));
        assert_eq!(told(Some(1_590_600_246)), format!("expired {on}"));
        assert_eq!(told(Some(i64::MAX)), format!("expired {on}"));
        assert_eq!(told(None), format!("expires {on}"));
    }
}
