//! Counters of requests since the start or the last reset.

use std::collections::BTreeMap;

use serde_json::json;

/// Numbers of requests by method, route and outcome.
///
/// An outcome is a status, or `dropped`, `hung`, `late` (done after the connection was dropped), `lost`
/// (done, not answered) or `truncated`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters(BTreeMap<(&'static str, &'static str, String), u64>);

impl Counters {
    pub(super) fn count(&mut self, method: &'static str, route: &'static str, outcome: &str) {
        let key = (method, route, outcome.to_owned());
        *self.0.entry(key).or_default() += 1;
    }

    /// Returns the number of requests with a method (`GET`, also for HEAD), route (`/gists/{id}`) and
    /// outcome (`200`). An empty text matches all.
    #[must_use]
    pub fn of(&self, method: &str, route: &str, outcome: &str) -> u64 {
        let fits = |wanted: &str, text: &str| wanted.is_empty() || wanted == text;
        let counted = self
            .0
            .iter()
            .filter(|((m, r, o), _)| fits(method, m) && fits(route, r) && fits(outcome, o));
        counted.map(|(_, count)| count).sum()
    }

    /// Returns the number of all requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns the counters as `GET /_requests` shows them.
    pub(super) fn to_json(&self) -> String {
        let requests = self.0.iter().map(|((method, route, outcome), count)| {
            json!({"method": method, "route": route, "outcome": outcome, "count": count})
        });
        let requests: Vec<_> = requests.collect();
        json!({"total": self.total(), "requests": requests}).to_string() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_text_matches_all() {
        let mut counters = Counters::default();
        counters.count("GET", "/gists/{id}", "200");
        counters.count("GET", "/gists/{id}", "304");
        counters.count("PATCH", "/gists/{id}", "200");
        assert_eq!(counters.of("GET", "", ""), 2);
        assert_eq!(counters.of("", "/gists/{id}", "200"), 2);
        assert_eq!((counters.of("", "", ""), counters.total()), (3, 3));
    }
}
