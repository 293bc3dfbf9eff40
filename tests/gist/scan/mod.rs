//! History scans with few requests, compared with the full rule applied to every revision.

mod annotations;
mod ends;
mod history;
mod since;

use std::time::Duration;

use elector::lock::gist::scan::{HistoryScan, Piece};
use elector::lock::gist::wire::Request;
use elector::lock::term_history::{PastTerm, TermEnd, TermHistory};
use fastrand::Rng;
use history::{Gist, RandomHistory, calm, name};

/// Requests of a scan, as the command makes them by default.
const REQUESTS: u32 = 100;

/// Result of a scan, and its cost.
struct Found {
    report: TermHistory,
    pieces: Vec<Piece>,
    pages: usize,
    texts: usize,
    /// Number of revisions at the first answer.
    length: usize,
}

/// Scans a gist to which `concurrently` may write between requests.
fn scan(
    gist: &mut Gist,
    budget: u32,
    shows: usize,
    since: Option<Duration>,
    mut concurrently: impl FnMut(&mut Gist),
) -> Found {
    let mut scan = HistoryScan::new(None, budget).since(since);
    let (mut pages, mut texts, mut length) = (0, 0, 0);
    while let Some(request) = scan.poll_request() {
        match request {
            Request::Commits { .. } => pages += 1,
            Request::Revision(_) => texts += 1,
            _ => length = gist.len(),
        }
        scan.handle_answer(gist.answer(&request, shows)).unwrap();
        concurrently(gist);
    }
    let made = scan.history().requests;
    assert!(made <= budget && made as usize <= pages + texts + 2);
    Found {
        report: scan.history(),
        pieces: scan.pieces(),
        pages,
        texts,
        length,
    }
}

fn scan_at_rest(gist: &Gist, budget: u32, shows: usize) -> Found {
    scan_since(gist, budget, shows, None)
}

fn scan_since(gist: &Gist, budget: u32, shows: usize, since: Option<Duration>) -> Found {
    scan(&mut gist.clone(), budget, shows, since, |_| {})
}

/// Checks every statement of a scan. Returns whether it left nothing open.
fn check(gist: &Gist, found: &Found) -> bool {
    let Found {
        report,
        pieces,
        length,
        ..
    } = found;
    let index = |place: usize| length - 1 - place;
    let mut whole = report.complete;
    let mut next = report.revisions;
    for piece in pieces {
        assert_eq!(piece.oldest + 1, next, "the pieces do not fit together");
        next = piece.newest;
        let Some(holding) = &piece.leadership else {
            whole = false;
            continue;
        };
        whole &= !piece.assumed;
        for place in piece.newest..=piece.oldest {
            let at_its_end = place == piece.newest || place == piece.oldest;
            if at_its_end || !piece.assumed {
                let truth = gist.holding(index(place));
                assert_eq!(*holding, truth, "at {place} of {piece:?}");
            }
        }
    }
    assert!(
        report.revisions == 0 || next == 0,
        "the newest is in no piece"
    );
    assert!(!report.complete || report.revisions == *length);
    for term in report.terms() {
        check_term(gist, *length, term, whole && !report.exhausted);
    }
    whole
}

/// Checks a term, and its last renewal if that must be `exact`.
fn check_term(gist: &Gist, length: usize, term: &PastTerm, exact: bool) {
    let index = |revision: &str| (0..length).find(|index| name(*index).to_string() == revision);
    let (first, last) = (index(&term.versions.0), index(&term.versions.1));
    let (first, last) = (first.unwrap(), last.unwrap());
    let leads = |at: usize| {
        let holding = gist.holding(at);
        let leader = holding.leader().map(|(who, token)| (who.to_owned(), token));
        leader == Some((term.holder.clone(), term.fencing_token))
    };
    assert!(leads(first) && leads(last), "{term:?}");
    assert_eq!(gist.effective_at(first), first, "{term:?}");
    assert_eq!(gist.effective_at(last), last, "{term:?}");
    if term.begins && first > 0 && !term.assumed {
        assert_ne!(gist.holding(first), gist.holding(first - 1), "{term:?}");
    }
    if !matches!(term.end, TermEnd::NotSettled) && !term.assumed {
        // No later write of the term was effective before the next term.
        let after = (last + 1..length).find(|at| gist.effective_at(*at) == *at);
        assert!(
            after.is_none_or(|at| gist.holding(at) != gist.holding(last)),
            "{term:?}"
        );
        assert_eq!(
            matches!(term.end, TermEnd::Alive),
            after.is_none() && matches!(term.end, TermEnd::Alive),
            "{term:?}"
        );
    }
    if !term.confirmed {
        assert_eq!(own_write(gist, last), own_write(gist, first), "{term:?}");
    }
    if exact {
        let (_, renewed) = gist.revisions[own_write(gist, last)];
        assert_eq!(term.renewed, renewed, "{term:?}");
    }
}

/// Returns the index of the holder's own last write as of an index, below its annotations.
fn own_write(gist: &Gist, index: usize) -> usize {
    let effective = gist.effective_at(index);
    match effective.checked_sub(1) {
        Some(below) if gist.stored(effective).is_annotation() => own_write(gist, below),
        _ => effective,
    }
}

#[test]
fn enough_requests_settle_everything() {
    let (mut whole, mut disturbed) = (0, 0);
    for seed in 0..3_000 {
        let mut rng = Rng::with_seed(seed);
        let mut wild = RandomHistory::new(&mut rng);
        for _ in 0..rng.usize(0..40) {
            wild.step(&mut rng);
        }
        let gist = wild.gist;
        let shows = [1000, 30, 3][rng.usize(..3)];
        let found = scan_at_rest(&gist, 1000, shows);
        match check(&gist, &found) {
            true => whole += 1,
            false => disturbed += 1,
        }
    }
    assert!(disturbed * 50 < whole, "{disturbed} of {whole} left open");
}

#[test]
fn few_requests_show_only_truth() {
    let (mut whole, mut open) = (0, 0);
    for seed in 0..3_000 {
        let mut rng = Rng::with_seed(seed);
        let mut wild = RandomHistory::new(&mut rng);
        for _ in 0..rng.usize(0..200) {
            wild.step(&mut rng);
        }
        let budget = rng.u32(2..60);
        let shows = [1000, 30, 3][rng.usize(..3)];
        let found = scan_at_rest(&wild.gist, budget, shows);
        match check(&wild.gist, &found) {
            true => whole += 1,
            false => open += 1,
        }
    }
    assert!(whole > 500 && open > 500, "{whole} whole, {open} not");
}

#[test]
fn concurrent_writes_do_not_disturb() {
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let mut wild = RandomHistory::new(&mut rng);
        for _ in 0..rng.usize(50..300) {
            wild.step(&mut rng);
        }
        let mut gist = wild.gist.clone();
        let found = scan(&mut gist, 80, 30, None, |gist| {
            if rng.bool() {
                wild.step(&mut rng);
                *gist = wild.gist.clone();
            }
        });
        check(&gist, &found);
    }
}

#[test]
fn any_answers_end_the_scan() {
    for seed in 0..700 {
        let mut rng = Rng::with_seed(seed);
        let mut wild = RandomHistory::new(&mut rng);
        for _ in 0..rng.usize(0..60) {
            wild.step(&mut rng);
        }
        let mut scan = HistoryScan::new(None, rng.u32(2..60));
        while scan.poll_request().is_some() {
            // An answer to another request, or of another time.
            let request = match rng.u8(..5) {
                0 => Request::History,
                1 => Request::Commits {
                    page: rng.u32(1..4),
                    per_page: rng.usize(1..40),
                },
                _ => Request::Revision(name(rng.usize(..70))),
            };
            let mut gist = wild.gist.clone();
            if rng.bool() {
                wild.step(&mut rng);
                gist = wild.gist.clone();
            }
            let _ = scan.handle_answer(gist.answer(&request, rng.usize(1..50)));
            assert!(scan.pieces().len() <= scan.history().revisions);
        }
    }
}

#[test]
fn calm_history_needs_few_requests() {
    let mut most = 0;
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        let terms = rng.usize(1..=8);
        let gist = calm(&mut rng, 10_000, terms);
        let found = scan_at_rest(&gist, REQUESTS, usize::MAX);
        assert!(
            check(&gist, &found),
            "seed {seed}: {:?}",
            found.report.entries
        );
        most = most.max(found.pages + found.texts + 1);
    }
    println!("{most} requests at most");
}

#[test]
fn paged_list_needs_few_texts() {
    for seed in 0..10 {
        let mut rng = Rng::with_seed(seed);
        let terms = rng.usize(1..=8);
        let gist = calm(&mut rng, 10_000, terms);
        let found = scan_at_rest(&gist, 400, 30);
        assert!(
            check(&gist, &found),
            "seed {seed}: {:?}",
            found.report.entries
        );
        assert!(
            found.texts <= 100 && found.pages <= 125,
            "{} {}",
            found.texts,
            found.pages
        );
        // With the usual number of requests it reports how far it came.
        let found = scan_at_rest(&gist, REQUESTS, 30);
        assert!(!check(&gist, &found));
        let report = found.report;
        assert!(
            !report.complete && report.revisions > 5_000,
            "{}",
            report.revisions
        );
        let open: usize = report.unsettled().map(|span| span.revisions).sum();
        assert!(
            open < report.revisions / 4,
            "{open} of {}",
            report.revisions
        );
    }
}

#[test]
fn borders_are_found_without_dates() {
    for seed in 0..10 {
        let mut rng = Rng::with_seed(seed);
        let mut gist = calm(&mut rng, 10_000, 5);
        for (_, at) in &mut gist.revisions {
            *at = None;
        }
        let found = scan_at_rest(&gist, REQUESTS, usize::MAX);
        assert!(
            check(&gist, &found),
            "seed {seed}: {:?}",
            found.report.entries
        );
        println!("{} texts", found.texts);
    }
}
