//! The judge: makes terms of what leaders recorded, and says what was not as promised.
//!
//! A term counts from when its leader recorded that it begins, which it does before it acts, until
//! the earlier of when it recorded that nothing of it runs, and of the last limit that it recorded,
//! lengthened by the grace that a workload gets. For both ends only what was said beforehand counts:
//! one that was frozen and comes back late cannot lengthen its term. All times are of one machine's
//! `CLOCK_BOOTTIME`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use elector::election::time::Instant;

use crate::fence::Attempt;

/// What a leader recorded of its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Begins { at: Instant, until: Instant },
    LastsUntil(Instant),
    Over(Instant),
}

/// What a leader recorded, and which of all processes it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) process: String,
    pub(crate) token: u64,
    pub(crate) what: What,
}

/// A term of leadership.
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
        write!(f, "{process} with the token {token} from {from} to {to}")
    }
}

impl Term {
    /// The same, with times since `start`.
    pub(crate) fn since(&self, start: Instant) -> Term {
        let relative = |at: Instant| Instant::from_boot(at.since(start));
        Term {
            from: relative(self.from),
            to: relative(self.to),
            ..self.clone()
        }
    }

    /// Its leader was stopped between its election and its first act for so long that there was
    /// nothing left of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.to <= self.from
    }
}

/// The terms of all processes, by when they begin.
pub(crate) fn terms(said: &[Said], grace: Duration) -> Vec<Term> {
    #[derive(Default)]
    struct Parts {
        from: Option<Instant>,
        until: Option<Instant>,
        over: Option<Instant>,
    }
    let mut all: BTreeMap<(&str, u64), Parts> = BTreeMap::new();
    for one in said {
        let parts = all.entry((&one.process, one.token)).or_default();
        match one.what {
            What::Begins { at, until } => {
                parts.from.get_or_insert(at);
                parts.until = parts.until.max(Some(until));
            }
            What::LastsUntil(until) => parts.until = parts.until.max(Some(until)),
            What::Over(at) => drop(parts.over.get_or_insert(at)),
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

/// Something that is not as promised, and when it came to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: Instant,
    pub(crate) text: String,
}

/// What is wrong with terms in the order of their beginnings; times are told since `start`.
pub(crate) fn flaws(terms: &[Term], start: Instant) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    // Of those so far, the one that ends last, and the one with the highest token.
    let mut longest: Option<&Term> = None;
    let mut highest: Option<&Term> = None;
    for term in terms.iter().filter(|term| !term.is_empty()) {
        if let Some(before) = longest.filter(|before| before.to > term.from) {
            let [a, b] = [before.since(start), term.since(start)];
            flaws.push(Flaw {
                at: term.from,
                text: format!("two lead at once: {a}, and {b}"),
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

/// What is wrong with what the fenced store decided: the tokens of the writes it took may not fall,
/// and no other write may be refused.
pub(crate) fn fence_flaws(attempts: &[Attempt]) -> Vec<String> {
    let mut highest: Option<u64> = None;
    let mut flaws = Vec::new();
    for attempt in attempts {
        let stale = highest.is_some_and(|highest| attempt.token < highest);
        if stale == attempt.taken {
            let was = if stale { "taken" } else { "refused" };
            flaws.push(format!(
                "a write of {} with the token {} was {was} after {highest:?}",
                attempt.who, attempt.token
            ));
        }
        highest = highest.max(Some(attempt.token));
    }
    flaws
}

/// How many writes were refused, and of how many terms.
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

    fn said(process: &str, token: u64, what: What) -> Said {
        Said {
            process: process.to_owned(),
            token,
            what,
        }
    }

    fn begins(process: &str, token: u64, from: u64, until: u64) -> Said {
        let (at, until) = (at(from), at(until));
        said(process, token, What::Begins { at, until })
    }

    fn flaws_of(records: &[Said]) -> Vec<String> {
        let flaws = flaws(&terms(records, GRACE), at(0));
        flaws.into_iter().map(|flaw| flaw.text).collect()
    }

    #[test]
    fn successive_terms_have_no_flaw() {
        let records = [
            begins("a", 0, 1, 5),
            said("a", 0, What::LastsUntil(at(9))),
            begins("b", 1, 10, 14),
            said("b", 1, What::Over(at(12))),
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
                "two lead at once: a with the token 0 from 1.000s to 6.000s, and b with the token 1 \
                 from 5.000s to 9.000s"
            ]
        );
    }

    #[test]
    fn renewal_extends_term() {
        let extended = said("a", 0, What::LastsUntil(at(9)));
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
            said("a", 0, What::Over(at(12))),
            begins("b", 2, 8, 20),
            // It was frozen with the news of its election on the way.
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
