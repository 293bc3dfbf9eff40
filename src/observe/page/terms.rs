//! The page's section on the observed terms: a timeline, a list, and the colours of names.

use std::fmt::Write;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::format::{escaped, name, shortened, span, time};
use crate::election::time::Instant;
use crate::observe::knowledge::Leader;
use crate::observe::observed_terms::{EndReason, ObservedTerm};
use crate::observe::snapshot::Snapshot;

/// Classes of the colours for names.
const HUES: [&str; 8] = ["h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"];

/// Class of the colour without a leader.
pub(super) const NO_HUE: &str = "none";

/// Maximum and minimum time that the timeline shows.
const MAX_TIMELINE: Duration = Duration::from_secs(24 * 3600);
const MIN_TIMELINE: Duration = Duration::from_secs(60);

/// Width of the timeline, and minimum width of a term on it, in SVG units.
const TIMELINE_WIDTH: f64 = 1000.0;
const MIN_TERM_WIDTH: f64 = 2.0;

/// Shortest gap between two terms that is shown; every change of leader takes a moment.
const MIN_GAP: Duration = Duration::from_secs(1);

/// Returns the start of a term: as observed, else as the record says.
pub(super) fn start_of(snapshot: &Snapshot, term: &ObservedTerm) -> Option<OffsetDateTime> {
    let acquired = term.acquire_time.as_deref();
    let acquired = acquired.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    // The holder's clock can be ahead of this machine's.
    acquired
        .filter(|acquired| *acquired <= snapshot.wall)
        .or_else(|| snapshot.wall_at(term.from))
}

/// Time in which nobody led, or in which the leader is unknown.
struct Gap {
    from: Instant,
    to: Instant,
    unknown: bool,
}

impl Gap {
    fn describe(&self) -> &'static str {
        match self.unknown {
            true => "leader unknown",
            false => "without a leader",
        }
    }
}

/// Returns the gaps between a term and the next one, or now, in order of time.
fn gaps(snapshot: &Snapshot, term: &ObservedTerm, next: Option<&ObservedTerm>) -> Vec<Gap> {
    let Some(end) = snapshot.end_of(term) else {
        return Vec::new();
    };
    let (until, known_from) = match (next, snapshot.leader()) {
        // With another term in between, nothing is known about the gap.
        (Some(next), _) if next.fencing_token > term.fencing_token.saturating_add(1) => {
            (began_at(snapshot, next), Instant::from_boot(Duration::MAX))
        }
        (Some(next), _) => (began_at(snapshot, next), end.latest),
        (None, _) => (snapshot.now, end.latest),
    };
    let known_from = known_from.min(until).max(end.at);
    let known_to = match (next, snapshot.leader()) {
        (None, Leader::Unknown { since }) => since.max(known_from),
        _ => until,
    };
    let gaps = [
        (end.at, known_from, true),
        (known_from, known_to, false),
        (known_to, until, true),
    ];
    let gaps = gaps.map(|(from, to, unknown)| Gap { from, to, unknown });
    let shown = gaps
        .into_iter()
        .filter(|gap| gap.to.since(gap.from) >= MIN_GAP);
    shown.collect()
}

/// Returns the start of a term as an instant.
fn began_at(snapshot: &Snapshot, term: &ObservedTerm) -> Instant {
    let ago = start_of(snapshot, term).map(|start| snapshot.wall - start);
    let ago = ago.and_then(|ago| Duration::try_from(ago).ok());
    ago.map_or(term.from, |ago| snapshot.now - ago)
}

pub(super) fn section(snapshot: &Snapshot) -> String {
    let mut html = "<h2>Terms observed by this candidate</h2>".to_owned();
    if snapshot.journal.terms.last().is_none() {
        html.push_str("<p class=\"soft\">None yet.</p>");
        return html;
    }
    html.push_str(&timeline(snapshot));
    html.push_str("<ol>");
    let mut next: Option<&ObservedTerm> = None;
    for term in snapshot.journal.terms.newest_first() {
        for gap in gaps(snapshot, term, next).iter().rev() {
            let (lasted, what) = (span(gap.to.since(gap.from)), gap.describe());
            let _ = write!(html, "<li class=\"gap\">{lasted} {what}</li>");
        }
        html.push_str(&list_item(snapshot, term));
        next = Some(term);
    }
    html.push_str("</ol>");
    html
}

fn list_item(snapshot: &Snapshot, term: &ObservedTerm) -> String {
    let shown =
        |at: Option<OffsetDateTime>| at.map_or("…".to_owned(), |at| time(at, snapshot.wall));
    let from = start_of(snapshot, term);
    let (class, to, shown_to, reason) = match snapshot.end_of(term) {
        None => ("term now", Some(snapshot.wall), "now".to_owned(), None),
        Some(end) => {
            let to = snapshot.wall_at(end.at);
            ("term", to, shown(to), Some(describe(end.reason)))
        }
    };
    let reason = reason.map(|reason| format!(" · {reason}"));
    let reason = reason.unwrap_or_default();
    let lasted = from.zip(to).map(|(from, to)| to - from);
    let lasted = lasted.and_then(|lasted| Duration::try_from(lasted).ok());
    let chip = if term.mine {
        " <span class=\"chip\">this candidate</span>"
    } else {
        ""
    };
    format!(
        "<li class=\"{class} {}\"><span class=\"dot\"></span><span><span class=\"holder\">{}</span>{chip}\
         <br><span class=\"soft\">fencing token {}{reason}</span></span><span class=\"right\"><span>{}</span>\
         <span class=\"soft\">{} – {shown_to}</span></span></li>",
        hue_of(snapshot, &term.holder),
        name(&term.holder),
        term.fencing_token,
        span(lasted.unwrap_or_default()),
        shown(from),
    )
}

fn describe(reason: EndReason) -> String {
    match reason {
        EndReason::Released => "released the lease".to_owned(),
        EndReason::Expired => "its lease expired".to_owned(),
        EndReason::Unknown => "not known whether it has renewed its lease".to_owned(),
        EndReason::Replaced => "another leader followed".to_owned(),
        EndReason::Overwritten => "overwritten by a foreign write".to_owned(),
        EndReason::Stopped(reason) => reason.to_string(),
    }
}

fn timeline(snapshot: &Snapshot) -> String {
    let shown = snapshot.ago(snapshot.journal.started);
    let shown = shown.clamp(MIN_TIMELINE, MAX_TIMELINE);
    let start = snapshot.now - shown;
    let position = |at: Instant| {
        let ago = snapshot.ago(at).min(shown).as_secs_f64();
        TIMELINE_WIDTH * (1.0 - ago / shown.as_secs_f64())
    };
    let mut html = "<svg class=\"timeline\" viewBox=\"0 0 1000 26\" preserveAspectRatio=\"none\" \
                    role=\"img\" aria-label=\"Timeline of the terms listed below\">"
        .to_owned();
    let mut draw = |class: &str, from: Instant, to: Instant, title: &str| {
        if to >= start {
            let x = position(from).min(TIMELINE_WIDTH - MIN_TERM_WIDTH);
            let width = (position(to) - x).max(MIN_TERM_WIDTH);
            let _ = write!(
                html,
                "<rect class=\"{class}\" x=\"{x:.1}\" width=\"{width:.1}\" height=\"26\">\
                 <title>{title}</title></rect>"
            );
        }
    };
    let mut next: Option<&ObservedTerm> = None;
    for term in snapshot.journal.terms.newest_first() {
        let to = snapshot.end_of(term).map_or(snapshot.now, |end| end.at);
        let holder = escaped(&shortened(&term.holder));
        let title = format!("{holder}, fencing token {}", term.fencing_token);
        let from = began_at(snapshot, term);
        draw(hue_of(snapshot, &term.holder), from, to, &title);
        for gap in gaps(snapshot, term, next) {
            let class = if gap.unknown { "unknown" } else { "nobody" };
            draw(class, gap.from, gap.to, gap.describe());
        }
        next = Some(term);
    }
    let start = snapshot.wall_at(start).map(|at| time(at, snapshot.wall));
    let start = start.unwrap_or_default();
    let _ = write!(
        html,
        "</svg><p class=\"ends soft small\"><span>{start}</span><span>now</span></p>"
    );
    html
}

/// Returns the colour of a name: the one of its hash, or the next one that no older name on the page has.
pub(super) fn hue_of(snapshot: &Snapshot, holder: &str) -> &'static str {
    let mut taken: [Option<&str>; HUES.len()] = [None; HUES.len()];
    let terms: Vec<&ObservedTerm> = snapshot.journal.terms.newest_first().collect();
    let names = terms.iter().rev().map(|term| term.holder.as_str());
    for name in names.chain([holder]) {
        let first = hash(name) % HUES.len();
        let mut hues = (0..HUES.len()).map(|step| (first + step) % HUES.len());
        let free = hues.find(|hue| taken[*hue].is_none_or(|other| other == name));
        let hue = free.unwrap_or(first);
        taken[hue].get_or_insert(name);
        if name == holder {
            return HUES[hue];
        }
    }
    NO_HUE
}

/// Returns the FNV-1a hash, which is the same in every process.
fn hash(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::tests::{at, read, record, snapshot};

    #[test]
    fn unobserved_start_comes_from_record() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(50_000), &record("other", 3));
        let html = section(&snapshot);
        // 62.5 minutes before now; the timeline starts with this candidate.
        assert!(html.contains("2026-11-22T09:00:00Z"), "{html}");
        assert!(html.contains("1h\u{a0}2m"), "{html}");
        assert!(html.contains("x=\"0.0\" width=\"1000.0\""), "{html}");
        // A holder's clock that is ahead does not move the start into the future.
        snapshot.wall -= Duration::from_secs(7200);
        assert!(!section(&snapshot).contains("T09:00:00Z"));
    }

    #[test]
    fn gap_without_leader_is_shown() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(10_000), &record("a", 1));
        read(&mut snapshot, at(20_000), &record("", 1));
        read(&mut snapshot, at(27_500), &record("b", 2));
        read(&mut snapshot, at(40_000), &record("", 2));
        read(&mut snapshot, at(40_200), &record("c", 3));
        let html = section(&snapshot);
        assert_eq!(gap_rows(&html), ["7.5s without a leader"]);
        assert_eq!(html.matches("<rect class=\"nobody\"").count(), 1, "{html}");
        // The gap before the next term is shown too.
        read(&mut snapshot, at(57_000), &record("", 3));
        let rows = ["3s without a leader", "7.5s without a leader"];
        assert_eq!(gap_rows(&section(&snapshot)), rows);
    }

    /// Returns the rows of the list that show gaps, newest first.
    fn gap_rows(html: &str) -> Vec<String> {
        let rows = html.split("<li class=\"gap\">").skip(1);
        let row = |row: &str| {
            row.split("</li>")
                .next()
                .unwrap_or_default()
                .replace('\u{a0}', " ")
        };
        rows.map(row).collect()
    }

    #[test]
    fn term_ends_at_expiry_during_outage() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(10_000), &record("a", 1));
        let html = section(&snapshot);
        assert!(html.contains("10:02:11 UTC</time></span>"), "{html}");
        assert!(html.contains("not known whether it has renewed"), "{html}");
        assert_eq!(gap_rows(&html), ["20s leader unknown"]);
        assert!(
            html.contains("<rect class=\"unknown\" x=\"666.7\" width=\"333.3\""),
            "{html}"
        );
        // Two minutes later the same term is observed: it has lasted all the time.
        let mut same = snapshot.clone();
        read(&mut same, at(60_000), &record("a", 1));
        assert_eq!(gap_rows(&section(&same)), [] as [&str; 0]);
        assert!(section(&same).contains("– now"));
        // Another one started, by the record an hour ago; none was in between.
        let mut next = snapshot.clone();
        read(&mut next, at(55_000), &record("b", 2));
        assert_eq!(gap_rows(&section(&next)), [] as [&str; 0]);
        // A released lease: its holder may have led until the read.
        read(&mut snapshot, at(55_000), &record("", 1));
        let rows = ["5s without a leader", "15s leader unknown"];
        assert_eq!(gap_rows(&section(&snapshot)), rows);
    }

    #[test]
    fn gap_after_missed_terms_is_unknown() {
        let mut snapshot = snapshot();
        snapshot.now = at(50_000);
        read(&mut snapshot, at(10_000), &record("a", 1));
        read(&mut snapshot, at(12_000), &record("", 1));
        read(&mut snapshot, at(26_000), &record("b", 3));
        assert_eq!(gap_rows(&section(&snapshot)), ["14s leader unknown"]);
        // Nobody is known to lead until the store stops answering.
        read(&mut snapshot, at(40_000), &record("", 3));
        snapshot.status.failures = 1;
        let rows = ["10s leader unknown", "14s leader unknown"];
        assert_eq!(gap_rows(&section(&snapshot)), rows);
    }

    #[test]
    fn first_eight_names_differ_in_colour() {
        let mut snapshot = snapshot();
        let names: Vec<String> = (0..12).map(|n| format!("name {n}")).collect();
        for (n, name) in (1..).zip(&names) {
            read(&mut snapshot, at(n * 1000), &record(name, n));
        }
        let mut hues: Vec<_> = names[..HUES.len()]
            .iter()
            .map(|name| hue_of(&snapshot, name))
            .collect();
        assert_eq!(
            hues,
            names[..HUES.len()]
                .iter()
                .map(|name| hue_of(&snapshot, name))
                .collect::<Vec<_>>()
        );
        hues.sort_unstable();
        hues.dedup();
        assert_eq!(hues.len(), HUES.len());
        assert!(names.iter().all(|name| hue_of(&snapshot, name) != NO_HUE));
    }
}
