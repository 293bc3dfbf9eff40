//! Terms of leadership and their overlaps: pure arithmetic on times.

/// A span in which a workload ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Name of the candidate, unique in the election.
    pub candidate: String,
    pub fencing_token: u64,
    /// In seconds since boot.
    pub from: f64,
    /// End of the term, or when it was last known to run.
    pub until: f64,
    pub ended: bool,
}

/// Time in which two or more terms overlapped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overlap {
    /// Sum in seconds.
    pub total: f64,
    /// Longest span in seconds.
    pub longest: f64,
}

/// Returns the overlap of all terms.
#[must_use]
pub fn overlap(terms: &[Term]) -> Overlap {
    let mut edges: Vec<(f64, i32)> = Vec::new();
    for term in terms.iter().filter(|term| term.until > term.from) {
        edges.push((term.from, 1));
        edges.push((term.until, -1));
    }
    // A term that ends when another begins does not overlap with it.
    edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut overlap = Overlap::default();
    let (mut running, mut since) = (0, 0.0);
    for (at, change) in edges {
        let before = running;
        running += change;
        if before < 2 && running >= 2 {
            since = at;
        }
        if before >= 2 && running < 2 {
            overlap.total += at - since;
            overlap.longest = overlap.longest.max(at - since);
        }
    }
    overlap
}

/// Returns the time with a leader, in seconds.
#[must_use]
pub fn led(terms: &[Term]) -> f64 {
    let mut spans: Vec<(f64, f64)> = terms.iter().map(|term| (term.from, term.until)).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut led, mut reached) = (0.0, f64::NEG_INFINITY);
    for (from, until) in spans {
        led += (until - from.max(reached)).max(0.0);
        reached = reached.max(until);
    }
    led
}

/// Returns the parts of the terms within a span.
#[must_use]
pub fn within(terms: &[Term], from: f64, until: f64) -> Vec<Term> {
    let cut = |term: &Term| Term {
        from: term.from.max(from),
        until: term.until.min(until),
        ..term.clone()
    };
    let cut = terms.iter().map(cut);
    cut.filter(|term| term.from <= term.until).collect()
}

/// Returns how many terms have a fencing token that does not exceed that of every earlier term of
/// another candidate. A resource that checks tokens would accept the earlier leader.
#[must_use]
pub fn stale_tokens(terms: &[Term]) -> usize {
    let stale = |term: &&Term| {
        terms.iter().any(|other| {
            other.candidate != term.candidate
                && other.from < term.from
                && other.fencing_token >= term.fencing_token
        })
    };
    terms.iter().filter(stale).count()
}

/// Returns how often another candidate became the leader.
#[must_use]
pub fn changes(terms: &[Term]) -> usize {
    let mut sorted: Vec<&Term> = terms.iter().collect();
    sorted.sort_by(|a, b| a.from.total_cmp(&b.from));
    let changes = sorted
        .windows(2)
        .filter(|pair| pair[0].candidate != pair[1].candidate);
    changes.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(candidate: &str, fencing_token: u64, from: f64, until: f64) -> Term {
        Term {
            candidate: candidate.to_owned(),
            fencing_token,
            from,
            until,
            ended: true,
        }
    }

    #[test]
    fn touching_terms_do_not_overlap() {
        let all = [term("b", 2, 5.0, 9.0), term("a", 1, 0.0, 5.0)];
        assert_eq!(overlap(&all), Overlap::default());
        assert_eq!(overlap(&[]), Overlap::default());
    }

    #[test]
    fn overlap_lasts_while_two_run() {
        let all = [
            term("a", 1, 0.0, 10.0),
            term("b", 2, 4.0, 6.0),
            term("c", 3, 5.0, 8.0),
            term("b", 4, 9.0, 9.5),
        ];
        let found = overlap(&all);
        assert!((found.total - 4.5).abs() < 1e-9, "{found:?}");
        assert!((found.longest - 4.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn overlapping_terms_count_once() {
        let all = [
            term("b", 2, 4.0, 6.0),
            term("a", 1, 0.0, 5.0),
            term("c", 3, 4.5, 5.5),
            term("c", 4, 8.0, 9.0),
        ];
        assert!((led(&all) - 7.0).abs() < 1e-9);
        let part = within(&all, 5.0, 8.5);
        let spans: Vec<_> = part.iter().map(|term| (term.from, term.until)).collect();
        assert_eq!(spans, [(5.0, 6.0), (5.0, 5.0), (5.0, 5.5), (8.0, 8.5)]);
        assert!((led(&part) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn token_must_exceed_earlier_ones() {
        let rising = [term("a", 1, 0.0, 1.0), term("b", 2, 2.0, 3.0)];
        assert_eq!(stale_tokens(&rising), 0);
        // client-go keeps the token if a candidate acquires its own lease again.
        let own = [term("a", 1, 0.0, 1.0), term("a", 1, 2.0, 3.0)];
        assert_eq!(stale_tokens(&own), 0);
        let equal = [term("a", 1, 0.0, 1.0), term("b", 1, 2.0, 3.0)];
        let fallen = [term("a", 5, 0.0, 1.0), term("b", 4, 2.0, 3.0)];
        assert_eq!((stale_tokens(&equal), stale_tokens(&fallen)), (1, 1));
    }

    #[test]
    fn change_needs_another_candidate() {
        let all = [
            term("b", 2, 5.0, 6.0),
            term("a", 1, 0.0, 1.0),
            term("a", 1, 2.0, 3.0),
        ];
        assert_eq!(changes(&all), 1);
    }
}
