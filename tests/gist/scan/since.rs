//! Scans for the terms since a time.

use std::time::Duration;

use elector::lock::term_history::{Entry, Gap, TermHistory};
use fastrand::Rng;

use super::ends::{Builder, begun};
use super::history::{EPOCH, RandomHistory, calm};
use super::{REQUESTS, check, scan_at_rest, scan_since};

/// Returns the report of a scan since `seconds` before the newest read, and its number of requests.
fn since(builder: &Builder, seconds: u64) -> TermHistory {
    let since = Duration::from_secs(seconds);
    let found = scan_since(&builder.gist, REQUESTS, 1000, Some(since));
    check(&builder.gist, &found);
    let mut report = found.report;
    report.cut(since);
    report
}

fn holders(report: &TermHistory) -> Vec<&str> {
    report.terms().map(|term| term.holder.as_str()).collect()
}

/// Returns a history of three terms that is read at 1,001 s.
fn three_terms() -> Builder {
    let builder = begun().write("p", "", 0, 45).annotate(50);
    let builder = builder.write("q", "b", 1, 500).write("q", "b", 1, 510);
    let builder = builder.write("q", "b", 1, 520).write("q", "", 1, 530);
    builder.write("r", "c", 2, 990).write("r", "c", 2, 1000)
}

#[test]
fn earlier_terms_are_left_out() {
    let report = since(&three_terms(), 486);
    assert_eq!(holders(&report), ["b", "c"]);
    assert!(!report.complete && !report.is_open());
    // The scan ended within the term.
    let first = report.terms().next().unwrap();
    assert_eq!((first.begins, first.from), (false, Some(EPOCH + 510)));
    let report = since(&three_terms(), 2_000);
    assert_eq!(holders(&report), ["a", "b", "c"]);
    assert!(report.complete && report.terms().all(|term| term.begins));
}

#[test]
fn gap_keeps_its_beginning() {
    for (seconds, gap) in [(100, (530, Some(990))), (550, (45, Some(500)))] {
        let report = since(&three_terms(), seconds);
        let gap = Gap {
            from: EPOCH + gap.0,
            to: gap.1.map(|to| EPOCH + to),
        };
        assert_eq!(report.gaps().next(), Some(gap), "{report:?}");
        assert!(matches!(report.entries[0], Entry::Gap(_)), "{report:?}");
    }
}

#[test]
fn idle_lock_shows_only_gap() {
    let report = since(&begun().annotate(5_000), 60);
    let gap = Gap {
        from: EPOCH + 70,
        to: None,
    };
    assert_eq!(report.entries, [Entry::Gap(gap)]);
}

#[test]
fn older_revisions_are_not_read() {
    for seed in 0..10 {
        let mut rng = Rng::with_seed(seed);
        let gist = calm(&mut rng, 10_000, 8);
        let hour = Duration::from_secs(3_600);
        let found = scan_since(&gist, REQUESTS, 30, Some(hour));
        check(&gist, &found);
        let mut report = found.report;
        // An hour has about 450 revisions.
        assert!(report.requests < 25, "{} requests", report.requests);
        report.cut(hour);
        assert!(!report.is_open(), "{report:?}");
        let mut whole = scan_at_rest(&gist, 1_000, 30).report;
        whole.cut(hour);
        let shown = |report: &TermHistory| {
            let terms = report.terms();
            let shown: Vec<_> = terms.map(|term| (term.fencing_token, term.to)).collect();
            (shown, report.gaps().collect::<Vec<_>>())
        };
        assert_eq!(shown(&report), shown(&whole));
    }
}

#[test]
fn cut_scan_shows_only_truth() {
    let mut open = 0;
    for seed in 0..2_000 {
        let mut rng = Rng::with_seed(seed);
        let mut wild = RandomHistory::new(&mut rng);
        for _ in 0..rng.usize(0..200) {
            wild.step(&mut rng);
        }
        let since = Duration::from_secs(rng.u64(0..1_200));
        let shows = [1000, 30, 3][rng.usize(..3)];
        let found = scan_since(&wild.gist, rng.u32(2..60), shows, Some(since));
        check(&wild.gist, &found);
        let mut report = found.report;
        report.cut(since);
        open += usize::from(report.is_open());
    }
    assert!((100..1_900).contains(&open), "{open}");
}
