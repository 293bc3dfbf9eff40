//! Terms drawn over time: a line of blocks for each leader.

use std::fmt::Write;

use super::words::{columns, date, name};
use crate::lock::term_history::{TermEnd, TermHistory};

/// Width in columns: that of an old terminal.
const WIDTH: usize = 80;

/// Widest name, in columns.
const LONGEST_NAME: usize = 24;

/// Number of leaders that have their own line.
const MOST_LINES: usize = 12;

const LED: char = '█';
const NOBODY: char = '░';
const NOT_SETTLED: char = '?';
const UNKNOWN: char = '·';

/// Line of the drawing: its name, its sign, and the spans that carry the sign.
struct Line {
    name: String,
    sign: char,
    spans: Vec<(i64, i64)>,
}

/// Returns the drawing; empty if there is nothing to draw.
pub(super) fn text(history: &TermHistory) -> String {
    let lines = lines(history);
    let all = || lines.iter().flat_map(|line| &line.spans);
    let begin = all().map(|(from, _)| *from).min();
    let end = all().map(|(_, to)| *to).max();
    let (Some(begin), Some(end)) = (begin, end) else {
        return String::new();
    };
    if history.terms().next().is_none() || end <= begin {
        return String::new();
    }
    let widest = lines.iter().map(|line| columns(&line.name)).max();
    let indent = widest.unwrap_or_default() + 2;
    let cells = WIDTH - indent;
    let mut text = String::from("\n");
    for line in &lines {
        let blanks = " ".repeat(indent - columns(&line.name));
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "{}{blanks}{}",
            line.name,
            drawn(line, begin, end, cells)
        );
    }
    let (from, to) = (date(Some(begin)), date(Some(end)));
    let _ = writeln!(
        text,
        "{:indent$}{from:<half$}{to:>half$}",
        "",
        half = cells / 2
    );
    text
}

/// Returns a line for each leader in order of appearance, one for when nobody led, and one for what is
/// not settled.
fn lines(history: &TermHistory) -> Vec<Line> {
    let now = history.now.or(history.newest);
    let mut lines: Vec<Line> = Vec::new();
    for term in history.terms() {
        let Some(from) = term.from else { continue };
        let to = term.to.or(match term.end {
            TermEnd::Alive => now,
            _ => term.renewed,
        });
        let span = (from, to.unwrap_or(from).max(from));
        let mut leader = name(&term.holder, LONGEST_NAME);
        let known = lines.iter().any(|line| line.name == leader);
        if !known && lines.len() >= MOST_LINES {
            leader = "(others)".to_owned();
        }
        match lines.iter_mut().find(|line| line.name == leader) {
            Some(line) => line.spans.push(span),
            None => lines.push(line(&leader, LED, vec![span])),
        }
    }
    let gaps = history.gaps();
    let gaps = gaps.filter_map(|gap| Some((gap.from, gap.to.or(now)?.max(gap.from))));
    let open = history.unsettled();
    let open = open.filter_map(|span| Some((span.from?, span.to?.max(span.from?))));
    lines.push(line("(nobody)", NOBODY, gaps.collect()));
    lines.push(line("(not settled)", NOT_SETTLED, open.collect()));
    lines.retain(|line| !line.spans.is_empty());
    lines
}

fn line(name: &str, sign: char, spans: Vec<(i64, i64)>) -> Line {
    Line {
        name: name.to_owned(),
        sign,
        spans,
    }
}

/// Draws a line. Every span has at least one block.
fn drawn(line: &Line, begin: i64, end: i64, cells: usize) -> String {
    let mut drawn = vec![UNKNOWN; cells];
    let whole = i128::from(end) - i128::from(begin);
    // In parts of a cell, so that rounding comes last.
    let parts = |at: i64| (i128::from(at) - i128::from(begin)) * cells as i128;
    for (from, to) in &line.spans {
        let first = usize::try_from(parts(*from) / whole).unwrap_or(0);
        let first = first.min(cells - 1);
        let after = usize::try_from((parts(*to) + whole - 1) / whole).unwrap_or(0);
        for block in &mut drawn[first..after.clamp(first + 1, cells)] {
            *block = line.sign;
        }
    }
    drawn.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::history::table::tests::{scanned, term, terms};
    use crate::lock::term_history::Entry;

    #[test]
    fn leaders_share_one_axis() {
        let text = text(&scanned().history);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[1].starts_with("napoleon   ████"), "{text}");
        assert!(lines[1].ends_with('·'), "{text}");
        assert!(lines[2].starts_with("cleopatra  ····"), "{text}");
        assert!(lines[2].ends_with('█'), "{text}");
        assert_eq!(lines[3].matches(NOBODY).count(), 1, "{text}");
        assert!(lines[4].ends_with("2027-01-15 09:56:43"), "{text}");
        assert!(lines.iter().all(|line| columns(line) <= WIDTH), "{text}");
    }

    #[test]
    fn many_long_names_fit() {
        let mut many = scanned().history;
        for number in 0_i64..40 {
            let holder = format!("cluster-{number}/a-rather-long-namespace/elector-{number}");
            let from = 7_000 + number * 10;
            let token = number.unsigned_abs();
            let one = term(&holder, token, from, Some(from + 5), TermEnd::Expired);
            many.entries.push(Entry::Term(Box::new(one)));
        }
        let text = text(&many);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() <= MOST_LINES + 5, "{text}");
        assert!(text.contains("\n(others)"), "{text}");
        let wide = |line: &&&str| line.chars().count() > WIDTH;
        assert!(!lines.iter().any(|line| wide(&line)), "{text}");
    }

    #[test]
    fn empty_history_draws_nothing() {
        assert_eq!(text(&TermHistory::default()), "");
        let mut undated = scanned().history;
        undated.entries.remove(1);
        for term in terms(&mut undated) {
            (term.from, term.to, term.renewed) = (None, None, None);
        }
        assert_eq!(text(&undated), "");
    }
}
