//! What was asked and how it was answered, counted since the start or the last reset.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Requests by method, route and outcome. An outcome is a status, or `dropped`, `hung`, `late` (done
/// after the connection was dropped), `lost` (done, not answered), `truncated`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters(BTreeMap<(&'static str, &'static str, String), u64>);

impl Counters {
    pub(super) fn count(&mut self, method: &'static str, route: &'static str, outcome: &str) {
        *self
            .0
            .entry((method, route, outcome.to_owned()))
            .or_default() += 1;
    }

    /// How many requests there were with this method (`GET`, also for HEAD), route (`/gists/{id}`) and
    /// outcome (`200`); an empty text stands for all.
    #[must_use]
    pub fn of(&self, method: &str, route: &str, outcome: &str) -> u64 {
        let fits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        let counted = self
            .0
            .iter()
            .filter(|((m, r, o), _)| fits(method, m) && fits(route, r) && fits(outcome, o));
        counted.map(|(_, count)| count).sum()
    }

    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Everything, as `GET /_requests` shows it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = format!("{{\"total\":{},\"requests\":[", self.total());
        for (n, ((method, route, outcome), count)) in self.0.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            // None of these texts comes from a client.
            let _ = write!(
                out,
                "{comma}{{\"method\":\"{method}\",\"route\":\"{route}\",\"outcome\":\"{outcome}\",\"count\":{count}}}"
            );
        }
        out + "]}\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_stands_for_all() {
        let mut counters = Counters::default();
        counters.count("GET", "/gists/{id}", "200");
        counters.count("GET", "/gists/{id}", "304");
        counters.count("PATCH", "/gists/{id}", "200");
        assert_eq!(counters.of("GET", "", ""), 2);
        assert_eq!(counters.of("", "/gists/{id}", "200"), 2);
        assert_eq!((counters.of("", "", ""), counters.total()), (3, 3));
    }
}
