//! Terms of leadership, and how they met: pure arithmetic on times.

/// A time in which a workload ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The candidate; no two have one name.
    pub who: String,
    pub token: u64,
    /// In seconds since boot.
    pub from: f64,
    /// When it was last known to run; its end, once it has ended.
    pub until: f64,
    pub ended: bool,
}

/// How much of the time two or more ran at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overlap {
    /// In seconds.
    pub total: f64,
    /// The longest stretch of it.
    pub longest: f64,
}

/// Of all these terms.
#[must_use]
pub fn overlap(terms: &[Term]) -> Overlap {
    let mut edges: Vec<(f64, i32)> = Vec::new();
    for term in terms.iter().filter(|term| term.until > term.from) {
        edges.push((term.from, 1));
        edges.push((term.until, -1));
    }
    // Where one ends as the other begins, they did not run at once.
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

/// For how long somebody led.
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

/// What of the terms lies in that time.
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

/// How many terms have a token that is not above that of every earlier term of another candidate: a
/// resource that checks tokens would let in whoever led before.
#[must_use]
pub fn useless_tokens(terms: &[Term]) -> usize {
    let useless = |term: &&Term| {
        terms.iter().any(|other| {
            other.who != term.who && other.from < term.from && other.token >= term.token
        })
    };
    terms.iter().filter(useless).count()
}

/// How often the lead went to another candidate.
#[must_use]
pub fn changes(terms: &[Term]) -> usize {
    let mut sorted: Vec<&Term> = terms.iter().collect();
    sorted.sort_by(|a, b| a.from.total_cmp(&b.from));
    let changes = sorted.windows(2).filter(|pair| pair[0].who != pair[1].who);
    changes.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(who: &str, token: u64, from: f64, until: f64) -> Term {
        Term {
            who: who.to_owned(),
            token,
            from,
            until,
            ended: true,
        }
    }

    #[test]
    fn terms_that_only_touch_do_not_overlap() {
        let all = [term("b", 2, 5.0, 9.0), term("a", 1, 0.0, 5.0)];
        assert_eq!(overlap(&all), Overlap::default());
        assert_eq!(overlap(&[]), Overlap::default());
    }

    #[test]
    fn an_overlap_lasts_while_two_or_more_run() {
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
    fn time_with_two_leaders_is_time_with_a_leader_once() {
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
    fn a_token_must_be_above_all_that_others_had_before() {
        let rising = [term("a", 1, 0.0, 1.0), term("b", 2, 2.0, 3.0)];
        assert_eq!(useless_tokens(&rising), 0);
        // client-go gives a candidate that takes its own lease again the token that it had.
        let own = [term("a", 1, 0.0, 1.0), term("a", 1, 2.0, 3.0)];
        assert_eq!(useless_tokens(&own), 0);
        let equal = [term("a", 1, 0.0, 1.0), term("b", 1, 2.0, 3.0)];
        let fallen = [term("a", 5, 0.0, 1.0), term("b", 4, 2.0, 3.0)];
        assert_eq!((useless_tokens(&equal), useless_tokens(&fallen)), (1, 1));
    }

    #[test]
    fn a_change_is_a_lead_after_that_of_another() {
        let all = [
            term("b", 2, 5.0, 6.0),
            term("a", 1, 0.0, 1.0),
            term("a", 1, 2.0, 3.0),
        ];
        assert_eq!(changes(&all), 1);
    }
}
