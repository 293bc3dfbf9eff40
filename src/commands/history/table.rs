//! The terms as a table, and what is to be said about them.

use std::fmt::Write;

use super::Found;
use super::words::{between, date, day, name};
use crate::fmt::count;
use crate::lock::gist::terms::{End, Entry, Report, Term};

/// A history longer than this, in seconds, has its years in every line.
const SHORT_HISTORY: i64 = 300 * 86_400;

/// How much of a leader's name is shown, in columns.
const LONGEST_NAME: usize = 60;

/// Everything that stands above the timeline.
pub(super) fn text(found: &Found) -> String {
    let report = &found.report;
    let mut text = heading(found);
    if report.terms().next().is_none() && report.unsettled().next().is_none() {
        text.push_str("\nNobody ever led by this file.\n");
    } else {
        table(&mut text, report);
    }
    notes(&mut text, found);
    text
}

fn heading(found: &Found) -> String {
    let report = &found.report;
    let file = found.file.as_deref().unwrap_or_default();
    let file = name(file, LONGEST_NAME);
    format!(
        "file {file:?} of gist {}: {}\nfrom {} to {} (UTC)\n",
        found.gist,
        revisions(report.revisions),
        date(report.oldest),
        date(report.newest),
    )
}

fn table(text: &mut String, report: &Report) {
    let years = match (report.oldest, report.newest) {
        (Some(oldest), Some(newest)) => newest.saturating_sub(oldest) > SHORT_HISTORY,
        _ => true,
    };
    let when = |unix: Option<i64>| if years { date(unix) } else { day(unix) };
    let width = if years { 20 } else { 15 };
    let mut line = |cells: [&str; 6]| {
        let [token, from, to, lasted, end, leader] = cells;
        let line =
            format!("{token:>6}  {from:<width$} {to:<width$} {lasted:>7}  {end:<15}  {leader}");
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line([""; 6]);
    line(["token", "from", "to", "lasted", "end", "leader"]);
    for entry in &report.entries {
        match entry {
            Entry::Term(term) => {
                let (from, to) = (begin(term, when), end(term, report, when));
                line([
                    &term.token.to_string(),
                    &from,
                    &to,
                    &between(term.from, term.to.or(report.now).or(term.renewed)),
                    how(term),
                    &leader(term),
                ]);
            }
            Entry::Gap(gap) => {
                let to = gap.to.or(report.now);
                let until = if gap.to.is_some() {
                    when(to)
                } else {
                    "now".to_owned()
                };
                let lasted = between(Some(gap.from), to);
                line(["-", &when(Some(gap.from)), &until, &lasted, "", "(nobody)"]);
            }
            Entry::Unsettled(span) => line([
                "?",
                &when(span.from),
                &when(span.to),
                &between(span.from, span.to),
                "not settled",
                &format!("({})", revisions(span.revisions)),
            ]),
        }
    }
}

fn revisions(number: usize) -> String {
    match number {
        1 => "1 revision".to_owned(),
        number => format!("{} revisions", count(number as u64)),
    }
}

fn begin(term: &Term, when: impl Fn(Option<i64>) -> String) -> String {
    let from = when(term.from);
    if term.begins {
        from
    } else {
        format!("≤{from}")
    }
}

fn end(term: &Term, report: &Report, when: impl Fn(Option<i64>) -> String) -> String {
    match term.end {
        End::Alive if report.now.is_some() => "now".to_owned(),
        End::NotSettled | End::Alive => format!("≥{}", when(term.renewed)),
        _ => when(term.to),
    }
}

fn how(term: &Term) -> &'static str {
    match term.end {
        _ if !term.confirmed && term.elected && term.end != End::Alive => "never confirmed",
        end => end.as_str(),
    }
}

fn leader(term: &Term) -> String {
    let mark = match (term.elected, term.assumed) {
        (true, _) => "",
        (false, false) => " *",
        (false, true) => " **",
    };
    name(&term.holder, LONGEST_NAME) + mark
}

/// What the marks in the table mean, and where the reading ended.
fn notes(text: &mut String, found: &Found) {
    let report = &found.report;
    let mut note = |line: &str| {
        let _ = write!(text, "\n{line}\n");
    };
    if report.terms().any(|term| !term.elected) {
        note("*  This record came past the elections: from client-go, or from a person.");
    }
    if report.terms().any(|term| term.assumed) {
        note(
            "** Equal records stand at both ends of this span, and what lies between was not\n   \
             read: another may have led for a while.",
        );
    }
    let borders = |term: &Term| !term.begins || term.end == End::NotSettled;
    if report.terms().any(borders) {
        note("≤ it began before that; ≥ it lasted at least until then");
    }
    if let Some(place) = &report.moved_to {
        note(&format!(
            "The lock was moved to GIST_ID={} GIST_FILE={}.",
            place.gist,
            name(&place.file, LONGEST_NAME)
        ));
    }
    if found.is_open() {
        note(&where_it_stopped(found));
    }
}

/// What is not known, and how to know more.
fn where_it_stopped(found: &Found) -> String {
    let report = &found.report;
    let mut text = format!("Stopped after {} requests", found.requests);
    if !report.complete {
        let _ = write!(
            text,
            ": what is older than {} is not listed",
            date(report.oldest)
        );
    }
    let open: usize = report.unsettled().map(|span| span.revisions).sum();
    if open > 0 {
        let sign = if report.complete { ":" } else { "," };
        let are = if open == 1 { "is" } else { "are" };
        let _ = write!(text, "{sign} {} {are} not settled", revisions(open));
    }
    text.push('.');
    if found.spent {
        let _ = write!(
            text,
            "\nTo go on: elector history --requests {}",
            found.requests.saturating_mul(3).min(super::MOST_REQUESTS)
        );
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lock::gist::revision::Revision;
    use crate::lock::gist::terms::{Gap, Unsettled};

    const EPOCH: i64 = 1_800_000_000;

    pub(in crate::commands::history) fn term(
        holder: &str,
        token: u64,
        from: i64,
        to: Option<i64>,
        end: End,
    ) -> Term {
        let revision = Revision::from_bytes([7; 20]);
        Term {
            holder: holder.to_owned(),
            token,
            elected: true,
            from: Some(EPOCH + from),
            begins: true,
            renewed: Some(EPOCH + to.unwrap_or(from + 10)),
            to: to.map(|to| EPOCH + to),
            end,
            confirmed: true,
            assumed: false,
            lease: Duration::from_secs(30),
            revisions: (revision, revision),
        }
    }

    pub(in crate::commands::history) fn found() -> Found {
        let gap = Gap {
            from: EPOCH + 3_600,
            to: Some(EPOCH + 3_602),
        };
        let terms = [
            term("napoleon", 0, 3, Some(3_600), End::Released),
            term("cleopatra", 1, 3_602, None, End::Alive),
        ];
        let [first, second] = terms.map(|term| Entry::Term(Box::new(term)));
        Found {
            gist: "aa5a".into(),
            file: Some("leader.json".into()),
            report: Report {
                revisions: 1_234,
                complete: true,
                oldest: Some(EPOCH),
                newest: Some(EPOCH + 7_000),
                now: Some(EPOCH + 7_003),
                entries: vec![first, Entry::Gap(gap), second],
                ..Report::default()
            },
            requests: 12,
            spent: false,
            stopped: None,
        }
    }

    /// The terms, to be changed.
    pub(in crate::commands::history) fn terms(report: &mut Report) -> Vec<&mut Term> {
        let entries = report.entries.iter_mut();
        entries
            .filter_map(|entry| match entry {
                Entry::Term(term) => Some(&mut **term),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn terms_and_gaps_stand_in_a_table() {
        let expected = "\
file \"leader.json\" of gist aa5a: 1,234 revisions
from 2027-01-15 08:00:00 to 2027-01-15 09:56:40 (UTC)

 token  from            to               lasted  end              leader
     0  01-15 08:00:03  01-15 09:00:00   59m 57s  released         napoleon
     -  01-15 09:00:00  01-15 09:00:02       2s                   (nobody)
     1  01-15 09:00:02  now              56m 41s  still alive      cleopatra
";
        let squeeze = |text: &str| {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines().map(words).collect::<Vec<_>>()
        };
        let text = text(&found());
        assert_eq!(squeeze(&text), squeeze(expected), "\n{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_settled_is_said_with_what_to_do() {
        let mut open = found();
        open.report.complete = false;
        open.spent = true;
        open.requests = 100;
        open.report.entries[1] = Entry::Unsettled(Unsettled {
            from: Some(EPOCH + 3_500),
            to: Some(EPOCH + 3_600),
            revisions: 1_000,
        });
        terms(&mut open.report)[0].end = End::NotSettled;
        terms(&mut open.report)[1].begins = false;
        let text = text(&open);
        for part in [
            "not settled      (1,000 revisions)",
            "≥01-15 09:00:00",
            "≤01-15 09:00:02",
            "Stopped after 100 requests: what is older than 2027-01-15 08:00:00 is not listed, 1,000 \
             revisions are not settled.",
            "elector history --requests 300",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn what_came_past_the_elections_and_what_was_not_read_is_marked() {
        let mut plain = found();
        for term in terms(&mut plain.report) {
            term.elected = false;
        }
        terms(&mut plain.report)[1].assumed = true;
        let text = text(&plain);
        for part in ["napoleon *\n", "cleopatra **\n", "client-go", "both ends"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn a_file_without_terms_says_so() {
        let mut none = found();
        none.report.entries.clear();
        let text = text(&none);
        assert!(text.contains("Nobody ever led by this file."), "{text}");
    }
}
