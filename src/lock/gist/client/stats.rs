//! Fills in the statistics of a store from the client's requests and answers.

use crate::lock::gist::wire::head::Head;
use crate::lock::gist::wire::request::Method;
use crate::lock::gist::wire::{self, Request};
use crate::lock::stats::{RateLimit, StatsHandle};

/// Counts a request that is about to be sent.
pub(super) fn count_request(stats: &StatsHandle, request: &Request) {
    if matches!(request, Request::Revision(_) | Request::Commits { .. }) {
        stats.update(|stats| stats.history_scan_requests += 1);
    }
}

/// Counts an answer. A status has three digits, so the number of entries is bounded.
pub(super) fn count_answer(stats: &StatsHandle, method: Method, head: &Head) {
    stats.update(|stats| {
        let key = (method.as_str(), head.status);
        *stats.answers.entry(key).or_insert(0) += 1;
        if method == Method::Get && head.status == 304 {
            stats.not_modified += 1;
        }
        stats.rate_limit = head.rate().map(RateLimit::from).or(stats.rate_limit);
    });
}

impl From<wire::RateLimit> for RateLimit {
    fn from(rate: wire::RateLimit) -> Self {
        RateLimit {
            limit: rate.limit,
            remaining: rate.remaining,
            resets_at: rate.reset,
        }
    }
}
