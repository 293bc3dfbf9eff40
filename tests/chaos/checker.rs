//! The checker: derives terms from what leaders recorded, and finds broken promises.
//!
//! A term begins when its leader records the beginning, which it does before it acts. It ends when the leader
//! records that its workload has stopped, but at the latest at the last recorded deadline plus the workload's
//! grace. A process that was frozen and wakes late cannot lengthen its term, because only deadlines recorded
//! beforehand count. All times are of one machine's `CLOCK_BOOTTIME`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use elector::election::time::Instant;

use crate::fence::Attempt;

/// Kind of event in a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Started { at: Instant, until: Instant },
    Extended(Instant),
    Ended(Instant),
}

/// Event that a leader recorded about its term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TermEvent {
    pub(crate) process: String,
    pub(crate) token: u64,
    pub(crate) kind: EventKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) process: String,
    pub(crate) token: u64,
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Term {
            process,
            token,
            from,
            to,
        } = self;
        write!(f, "{process} with token {token} from {from} to {to}")
    }
}

impl Term {
    /// Returns the term with its times counted from `start`.
    pub(crate) fn since(&self, start: Instant) -> Term {
        let relative = |at: Instant| Instant::from_boot(at.since(start));
        Term {
            from: relative(self.from),
            to: relative(self.to),
            ..self.clone()
        }
    }

    /// Returns whether the term ended before it began, because its leader was frozen in between.
    pub(crate) fn is_empty(&self) -> bool {
        self.to <= self.from
    }
}

/// Returns the terms of all processes, by their beginning.
pub(crate) fn terms(events: &[TermEvent], grace: Duration) -> Vec<Term> {
    #[derive(Default)]
    struct Parts {
        from: Option<Instant>,
        until: Option<Instant>,
        over: Option<Instant>,
    }
    let mut all: BTreeMap<(&str, u64), Parts> = BTreeMap::new();
    for one in events {
        let parts = all.entry((&one.process, one.token)).or_default();
        match one.kind {
            EventKind::Started { at, until } => {
                parts.from.get_or_insert(at);
                parts.until = parts.until.max(Some(until));
            }
            EventKind::Extended(until) => parts.until = parts.until.max(Some(until)),
            EventKind::Ended(at) => drop(parts.over.get_or_insert(at)),
        }
    }
    let mut terms: Vec<Term> = all
        .into_iter()
        .filter_map(|((process, token), parts)| {
            let limit = parts.until? + grace;
            Some(Term {
                process: process.to_owned(),
                token,
                from: parts.from?,
                to: parts.over.map_or(limit, |over| over.min(limit)),
            })
        })
        .collect();
    terms.sort_by_key(|term| (term.from, term.token));
    terms
}

/// Broken promise, and the time at which it broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: Instant,
    pub(crate) text: String,
}

/// Returns what is wrong with these terms, which must be sorted by their beginning. Shown times count from
/// `start`.
pub(crate) fn flaws(terms: &[Term], start: Instant) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    // Of the terms so far: the one that ends last, and the one with the highest token.
    let mut longest: Option<&Term> = None;
    let mut highest: Option<&Term> = None;
    for term in terms.iter().filter(|term| !term.is_empty()) {
        if let Some(before) = longest.filter(|before| before.to > term.from) {
            let [a, b] = [before.since(start), term.since(start)];
            flaws.push(Flaw {
                at: term.from,
                text: format!("terms overlap: {a}, and {b}"),
            });
        }
        if let Some(before) = highest.filter(|before| before.token >= term.token) {
            let [a, b] = [before.since(start), term.since(start)];
            flaws.push(Flaw {
                at: term.from,
                text: format!("the token does not rise: {a}, then {b}"),
            });
        }
        if longest.is_none_or(|before| term.to > before.to) {
            longest = Some(term);
        }
        if highest.is_none_or(|before| term.token > before.token) {
            highest = Some(term);
        }
    }
    flaws
}

/// Returns the wrong decisions of the fenced store. It must accept a write unless it has accepted one with a
/// higher token.
pub(crate) fn fence_flaws(attempts: &[Attempt]) -> Vec<String> {
    let mut highest: Option<u64> = None;
    let mut flaws = Vec::new();
    for attempt in attempts {
        let stale = highest.is_some_and(|highest| attempt.token < highest);
        if stale == attempt.taken {
            let was = if stale { "taken" } else { "refused" };
            flaws.push(format!(
                "a write by {} with token {} was {was} after {highest:?}",
                attempt.who, attempt.token
            ));
        }
        highest = highest.max(Some(attempt.token));
    }
    flaws
}

/// Returns the number of refused writes, and the number of terms with one.
pub(crate) fn refused(attempts: &[Attempt]) -> (usize, usize) {
    let refused = attempts.iter().filter(|attempt| !attempt.taken);
    let mut terms: Vec<_> = refused.map(|one| (&one.who, one.token)).collect();
    let writes = terms.len();
    terms.sort_unstable();
    terms.dedup();
    (writes, terms.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(1000 + seconds))
    }

    fn event(process: &str, token: u64, kind: EventKind) -> TermEvent {
        TermEvent {
            process: process.to_owned(),
            token,
            kind,
        }
    }

    fn begins(process: &str, token: u64, from: u64, until: u64) -> TermEvent {
        let (at, until) = (at(from), at(until));
        event(process, token, EventKind::Started { at, until })
    }

    fn flaws_of(records: &[TermEvent]) -> Vec<String> {
        let flaws = flaws(&terms(records, GRACE), at(0));
        flaws.into_iter().map(|flaw| flaw.text).collect()
    }

    #[test]
    fn successive_terms_have_no_flaw() {
        let records = [
            begins("a", 0, 1, 5),
            event("a", 0, EventKind::Extended(at(9))),
            begins("b", 1, 10, 14),
            event("b", 1, EventKind::Ended(at(12))),
            begins("a", 3, 12, 20),
        ];
        assert_eq!(flaws_of(&records), [] as [&str; 0]);
        let terms = terms(&records, GRACE);
        let ends: Vec<_> = terms.iter().map(|term| term.to).collect();
        assert_eq!(ends, [at(10), at(12), at(21)]);
    }

    #[test]
    fn overlapping_terms_are_found() {
        let flaws = flaws_of(&[begins("a", 0, 1, 5), begins("b", 1, 5, 8)]);
        assert_eq!(
            flaws,
            [
                "terms overlap: a with token 0 from 1.000s to 6.000s, and b with token 1 \
                 from 5.000s to 9.000s"
            ]
        );
    }

    #[test]
    fn renewal_extends_term() {
        let extended = event("a", 0, EventKind::Extended(at(9)));
        let later = begins("b", 1, 7, 8);
        assert_eq!(flaws_of(&[begins("a", 0, 1, 5), later.clone()]).len(), 0);
        let flaws = flaws_of(&[begins("a", 0, 1, 5), extended, later]);
        assert_eq!(flaws.len(), 1, "{flaws:?}");
    }

    #[test]
    fn long_term_overlaps_each_inner_one() {
        let records = [
            begins("a", 0, 1, 50),
            begins("b", 1, 5, 8),
            begins("c", 2, 20, 30),
        ];
        assert_eq!(flaws_of(&records).len(), 2);
    }

    #[test]
    fn non_rising_tokens_are_found() {
        for second in [3, 4] {
            let flaws = flaws_of(&[begins("a", 4, 1, 5), begins("b", second, 10, 14)]);
            assert!(
                flaws.len() == 1 && flaws[0].starts_with("the token does not rise"),
                "{flaws:?}"
            );
        }
    }

    #[test]
    fn late_record_cannot_extend_term() {
        let records = [
            begins("a", 0, 1, 5),
            event("a", 0, EventKind::Ended(at(12))),
            begins("b", 2, 8, 20),
            // It was frozen before it learned of its election.
            begins("c", 1, 9, 5),
        ];
        assert_eq!(flaws_of(&records), [] as [&str; 0]);
    }

    #[test]
    fn wrong_fence_decisions_are_found() {
        let attempt = |token, taken| Attempt {
            who: "a".to_owned(),
            token,
            taken,
        };
        let good = [attempt(1, true), attempt(2, true), attempt(1, false)];
        assert_eq!(fence_flaws(&good), [] as [&str; 0]);
        assert_eq!(refused(&good), (1, 1));
        assert_eq!(fence_flaws(&[attempt(2, true), attempt(1, true)]).len(), 1);
        assert_eq!(fence_flaws(&[attempt(2, true), attempt(2, false)]).len(), 1);
    }
}
