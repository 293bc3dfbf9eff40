//! History as a table of terms, with notes below it.

use std::fmt::Write;

use super::words::{between, date, day};
use super::{MOST_REQUESTS, Scanned};
use crate::fmt::{count, one_line, shortened};
use crate::lock::term_history::{Entry, PastTerm, TermEnd, TermHistory};

/// Length of a history, in seconds, above which every line shows the year.
const SHORT_HISTORY: i64 = 300 * 86_400;

/// Longest reason of a release, in characters; those of electors are shorter.
const LONGEST_REASON: usize = 20;

/// Longest description of the lock, in characters, so that its line fits an old terminal.
const LONGEST_LOCK: usize = 79;

/// Returns the history for display.
pub(super) fn text(scanned: &Scanned) -> String {
    let history = &scanned.history;
    let mut text = heading(scanned);
    match history.entries.is_empty() {
        false => table(&mut text, history),
        true if history.complete => text.push_str("\nNobody ever led by this lock.\n"),
        true => text.push_str("\nNo term is known.\n"),
    }
    notes(&mut text, scanned);
    text
}

fn heading(scanned: &Scanned) -> String {
    let history = &scanned.history;
    format!(
        "{}\n{} from {} to {} (UTC)\n",
        shortened(&one_line(&scanned.lock), LONGEST_LOCK),
        revisions(history.revisions),
        date(history.oldest),
        date(history.newest),
    )
}

fn table(text: &mut String, history: &TermHistory) {
    let years = match (history.oldest, history.newest) {
        (Some(oldest), Some(newest)) => newest.saturating_sub(oldest) > SHORT_HISTORY,
        _ => true,
    };
    let when = |unix: Option<i64>| if years { date(unix) } else { day(unix) };
    let width = if years { 20 } else { 15 };
    let ends = history.terms().map(|term| reason(term).chars().count());
    let end_width = ends.max().unwrap_or_default().max(15);
    let mut line = |cells: [&str; 6]| {
        let [token, from, to, lasted, end, leader] = cells;
        let line = format!(
            "{token:>7}  {from:<width$} {to:<width$} {lasted:>7}  {end:<end_width$}  {leader}"
        );
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line([""; 6]);
    line(["fencing", "from", "to", "lasted", "end", "leader"]);
    for entry in &history.entries {
        match entry {
            Entry::Term(term) => line([
                &term.fencing_token.to_string(),
                &begin(term, when),
                &end(term, history, when),
                &between(term.from, term.to.or(history.now).or(term.renewed)),
                &reason(term),
                &leader(term),
            ]),
            Entry::Gap(gap) => {
                let end = gap.to.or(history.now);
                let to = match gap.to {
                    Some(_) => when(end),
                    None => "now".to_owned(),
                };
                let lasted = between(Some(gap.from), end);
                line(["-", &when(Some(gap.from)), &to, &lasted, "", "(nobody)"]);
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

fn begin(term: &PastTerm, when: impl Fn(Option<i64>) -> String) -> String {
    let from = when(term.from);
    match term.begins {
        true => from,
        false => format!("≤{from}"),
    }
}

fn end(term: &PastTerm, history: &TermHistory, when: impl Fn(Option<i64>) -> String) -> String {
    match term.end {
        TermEnd::Alive if history.now.is_some() => "now".to_owned(),
        TermEnd::NotSettled | TermEnd::Alive => format!("≥{}", when(term.renewed)),
        _ => when(term.to),
    }
}

fn reason(term: &PastTerm) -> String {
    match (term.end, &term.stop_reason) {
        (end, _) if !term.confirmed && term.elected && end != TermEnd::Alive => {
            "never confirmed".to_owned()
        }
        (end, Some(reason)) => {
            let reason = one_line(reason);
            format!("{} ({})", end.as_str(), shortened(&reason, LONGEST_REASON))
        }
        (end, None) => end.as_str().to_owned(),
    }
}

fn leader(term: &PastTerm) -> String {
    let mark = match (term.elected, term.assumed) {
        (true, _) => "",
        (false, false) => " *",
        (false, true) => " **",
    };
    one_line(&term.holder) + mark
}

/// Explains the marks in the table, and where the scan ended.
fn notes(text: &mut String, scanned: &Scanned) {
    let history = &scanned.history;
    let mut note = |line: &str| {
        let _ = write!(text, "\n{line}\n");
    };
    if history.terms().any(|term| !term.elected) {
        note("*  This record is a foreign write: from client-go, or by hand.");
    }
    if history.terms().any(|term| term.assumed) {
        note(
            "** Equal records are at both ends of this span, and what lies between was not\n   \
             read: another candidate may have led for a while.",
        );
    }
    let open = |term: &PastTerm| !term.begins || term.end == TermEnd::NotSettled;
    if history.terms().any(open) {
        note("≤ it began before that; ≥ it lasted at least until then");
    }
    if let Some(since) = history.since.filter(|_| !history.complete) {
        let since = date(Some(since));
        note(&format!(
            "Terms and gaps that ended before {since} are not shown."
        ));
    }
    if history.is_open() {
        note(&where_it_stopped(scanned));
    }
}

/// Tells what is unknown, and how to know more.
fn where_it_stopped(scanned: &Scanned) -> String {
    let history = &scanned.history;
    let mut text = format!("Stopped after {} requests", history.requests);
    if !history.is_listed() {
        let oldest = date(history.oldest);
        let _ = write!(text, ": revisions before {oldest} are not listed");
    }
    let open: usize = history.unsettled().map(|span| span.revisions).sum();
    if open > 0 {
        let sign = if history.is_listed() { ":" } else { "," };
        let are = if open == 1 { "is" } else { "are" };
        let _ = write!(text, "{sign} {} {are} not settled", revisions(open));
    }
    text.push('.');
    if history.exhausted {
        let more = history.requests.saturating_mul(3).min(MOST_REQUESTS);
        let _ = write!(text, "\nTo continue: elector history --requests {more}");
        if let Some(since) = scanned.since {
            let _ = write!(text, " --since {since:?}");
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lock::term_history::{Gap, Unsettled};

    const EPOCH: i64 = 1_800_000_000;

    pub(in crate::commands::history) fn term(
        holder: &str,
        token: u64,
        from: i64,
        to: Option<i64>,
        end: TermEnd,
    ) -> PastTerm {
        PastTerm {
            holder: holder.to_owned(),
            fencing_token: token,
            elected: true,
            from: Some(EPOCH + from),
            begins: true,
            renewed: Some(EPOCH + to.unwrap_or(from + 10)),
            to: to.map(|to| EPOCH + to),
            end,
            stop_reason: (end == TermEnd::Released).then(|| "stopped".to_owned()),
            confirmed: true,
            assumed: false,
            lease: Duration::from_secs(30),
            versions: ("7".into(), "7".into()),
        }
    }

    pub(in crate::commands::history) fn scanned() -> Scanned {
        let gap = Gap {
            from: EPOCH + 3_600,
            to: Some(EPOCH + 3_602),
        };
        let terms = [
            term("napoleon", 0, 3, Some(3_600), TermEnd::Released),
            term("cleopatra", 1, 3_602, None, TermEnd::Alive),
        ];
        let [first, second] = terms.map(|term| Entry::Term(Box::new(term)));
        Scanned {
            lock: "gist aa5a".into(),
            history: TermHistory {
                revisions: 1_234,
                complete: true,
                oldest: Some(EPOCH),
                newest: Some(EPOCH + 7_000),
                now: Some(EPOCH + 7_003),
                entries: vec![first, Entry::Gap(gap), second],
                requests: 12,
                ..TermHistory::default()
            },
            stopped: None,
            since: None,
        }
    }

    /// Returns the terms, for changes.
    pub(in crate::commands::history) fn terms(history: &mut TermHistory) -> Vec<&mut PastTerm> {
        let entries = history.entries.iter_mut();
        entries
            .filter_map(|entry| match entry {
                Entry::Term(term) => Some(&mut **term),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn table_lists_terms_and_gaps() {
        let expected = "\
gist aa5a
1,234 revisions from 2027-01-15 08:00:00 to 2027-01-15 09:56:40 (UTC)

fencing  from            to               lasted  end                 leader
     0  01-15 08:00:03  01-15 09:00:00   59m 57s  released (stopped)  napoleon
     -  01-15 09:00:00  01-15 09:00:02       2s                   (nobody)
     1  01-15 09:00:02  now              56m 41s  still alive      cleopatra
";
        let squeeze = |text: &str| {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines().map(words).collect::<Vec<_>>()
        };
        let text = text(&scanned());
        assert_eq!(squeeze(&text), squeeze(expected), "\n{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }

    #[test]
    fn open_history_names_next_command() {
        let mut open = scanned();
        open.history.complete = false;
        open.history.exhausted = true;
        open.history.requests = 100;
        open.history.entries[1] = Entry::Unsettled(Unsettled {
            from: Some(EPOCH + 3_500),
            to: Some(EPOCH + 3_600),
            revisions: 1_000,
        });
        terms(&mut open.history)[0].end = TermEnd::NotSettled;
        terms(&mut open.history)[0].stop_reason = None;
        terms(&mut open.history)[1].begins = false;
        let text = text(&open);
        for part in [
            "not settled      (1,000 revisions)",
            "≥01-15 09:00:00",
            "≤01-15 09:00:02",
            "Stopped after 100 requests: revisions before 2027-01-15 08:00:00 are not listed, 1,000 \
             revisions are not settled.",
            "elector history --requests 300",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn foreign_and_assumed_terms_are_marked() {
        let mut plain = scanned();
        for term in terms(&mut plain.history) {
            term.elected = false;
        }
        terms(&mut plain.history)[1].assumed = true;
        let text = text(&plain);
        for part in ["napoleon *\n", "cleopatra **\n", "client-go", "both ends"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn hostile_stop_reason_is_shortened() {
        let mut hostile = scanned();
        terms(&mut hostile.history)[0].stop_reason = Some(format!("a\nb{}", "!".repeat(99)));
        let text = text(&hostile);
        let shown = format!("released (a b{}…)", "!".repeat(17));
        assert!(text.contains(&shown), "{text}");
    }

    #[test]
    fn cut_history_says_so() {
        let mut cut = scanned();
        cut.history.cut(Duration::from_secs(3_402));
        assert_eq!(cut.history.since, Some(EPOCH + 3_601));
        assert_eq!(
            (cut.history.entries.len(), cut.history.complete),
            (2, false)
        );
        let text = text(&cut);
        let note = "ended before 2027-01-15 09:00:01 are not shown.";
        assert!(text.contains(note), "{text}");
        assert!(!text.contains("napoleon"), "{text}");
        assert!(!text.contains("Stopped"), "{text}");
    }

    #[test]
    fn unlisted_cut_history_names_next_command() {
        let mut open = scanned();
        open.since = Some(Duration::from_secs(86_400));
        open.history.cut(Duration::from_secs(86_400));
        open.history.complete = false;
        open.history.exhausted = true;
        let text = text(&open);
        let next = "elector history --requests 36 --since 86400s";
        assert!(text.contains(next), "{text}");
    }

    #[test]
    fn history_without_terms_says_so() {
        let mut none = scanned();
        none.history.entries.clear();
        let text = text(&none);
        assert!(text.contains("Nobody ever led by this lock."), "{text}");
    }
}
