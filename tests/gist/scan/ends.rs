//! Ends of terms, and the gaps between them.

use elector::lock::gist::scan::HistoryScan;
use elector::lock::gist::wire::{Request, Text};
use elector::lock::term_history::{Gap, TermEnd as End, TermHistory};

use super::history::{EPOCH, Fields, Gist, annotation, foreign, name, ours, with_ids};
use super::{REQUESTS, check, scan_at_rest};

/// History under construction, write by write.
pub(crate) struct Builder {
    pub(crate) gist: Gist,
    writes: usize,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        let mut gist = Gist::default();
        gist.push(Text::Whole("{}".into()), Some(EPOCH));
        Builder { gist, writes: 0 }
    }

    fn fields<'a>(holder: &'a str, token: u64, at: i64) -> Fields<'a> {
        Fields {
            holder,
            token,
            acquired: EPOCH + at,
            renewed: EPOCH + at,
        }
    }

    /// Adds a process's write over the effective revision, `at` seconds after the beginning.
    pub(crate) fn write(mut self, process: &str, holder: &str, token: u64, at: i64) -> Builder {
        self.writes += 1;
        let effect = self.gist.effective_at(self.gist.len() - 1);
        let write_id = format!("{process}-{}", self.writes);
        let text = ours(&Builder::fields(holder, token, at), &write_id, name(effect));
        let text = with_ids(&text, &self.gist.stored(effect));
        self.gist.push(text, Some(EPOCH + at));
        self
    }

    /// Adds an annotation of the effective revision.
    pub(crate) fn annotate(self, at: i64) -> Builder {
        let effect = self.gist.effective_at(self.gist.len() - 1);
        let write_id = format!("operator{at}-1");
        let text = annotation(self.gist.text(effect), &write_id, name(effect));
        self.put(text, at)
    }

    pub(crate) fn put(mut self, text: Text, at: i64) -> Builder {
        self.gist.push(text, Some(EPOCH + at));
        self
    }

    pub(crate) fn report(&self) -> TermHistory {
        let found = scan_at_rest(&self.gist, REQUESTS, 1000);
        assert!(check(&self.gist, &found));
        found.report
    }

    /// Returns holder, fencing token, from, to and end of each term, in seconds after the beginning.
    pub(crate) fn terms(&self) -> Vec<(String, u64, i64, Option<i64>, End)> {
        let report = self.report();
        report
            .terms()
            .map(|term| {
                assert!(term.begins, "{term:?}");
                let (from, to) = (term.from.unwrap() - EPOCH, term.to.map(|to| to - EPOCH));
                (term.holder.clone(), term.fencing_token, from, to, term.end)
            })
            .collect()
    }
}

pub(crate) fn gaps(builder: &Builder) -> Vec<Gap> {
    builder.report().gaps().collect()
}

pub(crate) fn led(
    holder: &str,
    token: u64,
    from: i64,
    to: impl Into<Option<i64>>,
    end: End,
) -> (String, u64, i64, Option<i64>, End) {
    (holder.to_owned(), token, from, to.into(), end)
}

/// Returns a term of `a`, claimed at 10 and last renewed at 40.
pub(crate) fn begun() -> Builder {
    let builder = Builder::new();
    let builder = builder.write("p", "a", 0, 10).write("p", "a", 0, 12);
    builder.write("p", "a", 0, 20).write("p", "a", 0, 40)
}

#[test]
fn renewed_term_lasts_until_expiry() {
    assert_eq!(begun().terms(), [led("a", 0, 10, None, End::Alive)]);
    // Something else of the gist was written much later.
    let later = begun();
    let text = later.gist.text(4).clone();
    let later = later.put(text, 100);
    assert_eq!(later.terms(), [led("a", 0, 10, 70, End::Expired)]);
    let gap = Gap {
        from: EPOCH + 70,
        to: None,
    };
    assert_eq!(gaps(&later), [gap]);
}

#[test]
fn release_ends_term_claim_ends_gap() {
    let builder = begun().write("p", "", 0, 45).write("q", "b", 1, 47);
    let builder = builder.write("q", "b", 1, 49);
    let expected = [
        led("a", 0, 10, 45, End::Released),
        led("b", 1, 47, None, End::Alive),
    ];
    assert_eq!(builder.terms(), expected);
    let gap = Gap {
        from: EPOCH + 45,
        to: Some(EPOCH + 47),
    };
    assert_eq!(gaps(&builder), [gap]);
}

#[test]
fn takeover_follows_expiry() {
    let builder = begun().write("q", "b", 1, 71).write("q", "b", 1, 73);
    let expected = [
        led("a", 0, 10, 70, End::Expired),
        led("b", 1, 71, None, End::Alive),
    ];
    assert_eq!(builder.terms(), expected);
}

#[test]
fn process_may_claim_again() {
    let builder = begun().write("p", "a", 1, 55).write("p", "a", 1, 57);
    let expected = [
        led("a", 0, 10, 55, End::ClaimedAgain),
        led("a", 1, 55, None, End::Alive),
    ];
    assert_eq!(builder.terms(), expected);
    assert_eq!(gaps(&builder), []);
}

#[test]
fn foreign_write_ends_unexpired_term() {
    let cleared = || foreign(&Builder::fields("", 0, 42));
    let legacy = foreign(&Builder::fields("legacy", 1, 42));
    let deposed = [led("a", 0, 10, 42, End::Deposed)];
    assert_eq!(begun().put(cleared(), 42).terms(), deposed);
    assert_eq!(begun().put(Text::Missing, 42).terms(), deposed);
    let overwritten = begun().put(legacy, 42);
    let expected = [
        led("a", 0, 10, 42, End::Overwritten),
        led("legacy", 1, 42, None, End::Alive),
    ];
    assert_eq!(overwritten.terms(), expected);
    assert!(!overwritten.report().terms().nth(1).unwrap().elected);
    let over = [led("a", 0, 10, 70, End::Expired)];
    assert_eq!(begun().put(cleared(), 71).terms(), over);
}

#[test]
fn newer_protocol_ends_term() {
    let newer = Text::Whole(r#"{"holderIdentity":"","protocol":9}"#.into());
    let builder = begun().put(newer, 42);
    assert_eq!(builder.terms(), [led("a", 0, 10, 42, End::NewerProtocol)]);
}

#[test]
fn unconfirmed_claim_never_led() {
    let builder = begun().write("q", "b", 1, 75).write("r", "c", 2, 110);
    let report = builder.report();
    let confirmed: Vec<bool> = report.terms().map(|term| term.confirmed).collect();
    assert_eq!(confirmed, [true, false, false]);
}

#[test]
fn history_without_records_has_no_terms() {
    let builder = Builder::new();
    assert_eq!(builder.terms(), []);
    let builder = builder
        .put(Text::Missing, 5)
        .put(Text::Whole("{}".into()), 6);
    assert_eq!(builder.terms(), []);
    assert_eq!(builder.report().unsettled().count(), 0);
}

/// Returns the history if the service does not show one revision.
fn without(builder: &Builder, hidden: usize) -> TermHistory {
    let mut scan = HistoryScan::new(None, REQUESTS);
    while let Some(request) = scan.poll_request() {
        let request = match request {
            Request::Revision(revision) if revision == name(hidden) => Request::Revision(name(999)),
            request => request,
        };
        scan.handle_answer(builder.gist.answer(&request, 1000))
            .unwrap();
    }
    scan.history()
}

#[test]
fn unknown_span_has_no_gap() {
    let builder = begun().write("p", "", 0, 45).write("q", "b", 1, 47);
    let builder = builder.write("q", "", 1, 50).write("r", "c", 2, 52);
    let known = led("b", 1, 47, 50, End::Released);
    assert_eq!(builder.terms()[1], known);
    let report = without(&builder, 6);
    let open: Vec<_> = report.unsettled().collect();
    assert_eq!(open.len(), 1, "{report:?}");
    let between = |gap: &Gap| gap.from < EPOCH + 47 && gap.to > Some(EPOCH + 47);
    assert!(!report.gaps().any(|gap| between(&gap)), "{report:?}");
}

#[test]
fn hidden_revision_leaves_span_open() {
    let builder = begun().write("q", "b", 1, 71).write("q", "b", 1, 73);
    let report = without(&builder, 4);
    let terms: Vec<_> = report.terms().map(|term| term.end).collect();
    assert_eq!(terms, [End::NotSettled, End::Alive]);
    let open: Vec<usize> = report.unsettled().map(|span| span.revisions).collect();
    assert_eq!(open, [1], "{report:?}");
}
