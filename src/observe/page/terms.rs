//! The page's section on the observed terms: a band over time and a list.

use std::fmt::Write;
use std::time::Duration;

use time::OffsetDateTime;

use super::format::{count, name, span, time};
use super::gaps::{start_of, terms_and_gaps};
use super::timeline::{self, hue_of};
use crate::observe::observed_terms::{EndReason, ObservedTerm};
use crate::observe::snapshot::Snapshot;

/// Maximum number of terms in the list; the band and the status document show more.
const MAX_LISTED: usize = 10;

pub(super) fn section(snapshot: &Snapshot) -> String {
    let mut html = "<h2>Terms observed by this candidate</h2>".to_owned();
    if snapshot.journal.terms.last().is_none() {
        html.push_str("<p class=\"soft\">None yet.</p>");
        return html;
    }
    html.push_str(&timeline::html(snapshot));
    html.push_str("<ol>");
    for (term, gaps) in terms_and_gaps(snapshot).take(MAX_LISTED) {
        for gap in gaps.iter().rev() {
            let (lasted, what) = (span(gap.to.since(gap.from)), gap.describe());
            let class = gap.class();
            let _ = write!(
                html,
                "<li class=\"gap\"><svg class=\"dot\" aria-hidden=\"true\"><rect class=\"{class}\" \
                 width=\"100%\" height=\"100%\"/></svg><span>{lasted} {what}</span></li>"
            );
        }
        html.push_str(&list_item(snapshot, term));
    }
    html.push_str("</ol>");
    let more = snapshot
        .journal
        .terms
        .newest_first()
        .count()
        .saturating_sub(MAX_LISTED);
    if more > 0 {
        let more = count(more as u64, "older term");
        let _ = write!(
            html,
            "<p class=\"soft small\">{more}: see the status as JSON.</p>"
        );
    }
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

/// Describes why a term ended.
pub(super) fn describe(reason: EndReason) -> String {
    match reason {
        EndReason::Released(None) => "released the lease".to_owned(),
        EndReason::Released(Some(reason)) => format!("released the lease: {reason}"),
        EndReason::Expired => "its lease expired".to_owned(),
        EndReason::Unknown => "not known whether it has renewed its lease".to_owned(),
        EndReason::Replaced => "another leader followed".to_owned(),
        EndReason::Overwritten => "overwritten by a foreign write".to_owned(),
        EndReason::Stopped(reason) => reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::lock::Content;
    use crate::observe::snapshot::tests::{at, read, record, snapshot};

    #[test]
    fn unobserved_start_comes_from_record() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(50_000), &record("other", 3));
        let html = section(&snapshot);
        // 62.5 minutes before now; the timeline starts with this candidate.
        assert!(html.contains("2026-11-22T09:00:00Z"), "{html}");
        assert!(html.contains("1h\u{a0}2m"), "{html}");
        assert!(html.contains("x=\"0.0%\" width=\"100.0%\""), "{html}");
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
        // The gap before the next term is shown too.
        read(&mut snapshot, at(57_000), &record("", 3));
        let rows = ["3s without a leader", "7.5s without a leader"];
        assert_eq!(gap_rows(&section(&snapshot)), rows);
    }

    /// Returns the rows of the list that show gaps, newest first.
    fn gap_rows(html: &str) -> Vec<String> {
        let rows = html.split("<li class=\"gap\">").skip(1);
        let row = |row: &str| {
            let (_, row) = row.split_once("<span>").unwrap();
            let (row, _) = row.split_once("</span>").unwrap();
            row.replace('\u{a0}', " ")
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
    fn list_shows_ten_newest_terms() {
        let mut snapshot = snapshot();
        for token in 1..=12 {
            read(&mut snapshot, at(token * 1_000), &record("a", token));
        }
        let html = section(&snapshot).replace('\u{a0}', " ");
        assert_eq!(html.matches("<li class=\"term").count(), 10);
        assert!(
            html.contains("2 older terms: see the status as JSON."),
            "{html}"
        );
    }

    #[test]
    fn row_says_why_leader_released() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(10_000), &record("a", 1));
        let mut release = record("", 1).record().unwrap().clone();
        release.other.insert("releasedBy".into(), "a".into());
        release
            .other
            .insert("stopReason".into(), "unhealthy".into());
        read(&mut snapshot, at(20_000), &Content::Record(release.into()));
        let row = "fencing token 1 · released the lease: the workload is unhealthy<";
        assert!(section(&snapshot).contains(row));
    }
}
