//! The terms drawn over time: a line for each leader, in blocks.

use std::fmt::Write;

use super::words::{columns, date, name};
use crate::lock::gist::terms::{End, Report};

/// How wide it is, in columns: an old terminal.
const WIDTH: usize = 80;

/// The widest that names may be.
const LONGEST_NAME: usize = 24;

/// How many leaders have a line of their own.
const MOST_LINES: usize = 12;

const LED: char = '█';
const NOBODY: char = '░';
const NOT_SETTLED: char = '?';
const NOTHING: char = '·';

/// A line: whose it is, with which sign, and from when to when.
struct Line {
    name: String,
    sign: char,
    spans: Vec<(i64, i64)>,
}

/// The drawing; empty if there is nothing to draw.
pub(super) fn text(report: &Report) -> String {
    let lines = lines(report);
    let all = || lines.iter().flat_map(|line| &line.spans);
    let begin = all().map(|(from, _)| *from).min();
    let end = all().map(|(_, to)| *to).max();
    let (Some(begin), Some(end)) = (begin, end) else {
        return String::new();
    };
    if report.terms().next().is_none() || end <= begin {
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

/// One for each leader in order of appearance, one for when nobody led, one for what is not settled.
fn lines(report: &Report) -> Vec<Line> {
    let now = report.now.or(report.newest);
    let mut lines: Vec<Line> = Vec::new();
    for term in report.terms() {
        let Some(from) = term.from else { continue };
        let to = term.to.or(match term.end {
            End::Alive => now,
            _ => term.renewed,
        });
        let span = (from, to.unwrap_or(from).max(from));
        let mut who = name(&term.holder, LONGEST_NAME);
        let known = lines.iter().any(|line| line.name == who);
        if !known && lines.len() >= MOST_LINES {
            who = "(others)".to_owned();
        }
        match lines.iter_mut().find(|line| line.name == who) {
            Some(line) => line.spans.push(span),
            None => lines.push(line(&who, LED, vec![span])),
        }
    }
    let gaps = report.gaps();
    let gaps = gaps.filter_map(|gap| Some((gap.from, gap.to.or(now)?.max(gap.from))));
    let open = report.unsettled();
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

/// Every span is at least one block, however short.
fn drawn(line: &Line, begin: i64, end: i64, cells: usize) -> String {
    let mut drawn = vec![NOTHING; cells];
    let whole = i128::from(end) - i128::from(begin);
    // In parts of a cell, so that nothing is lost before it is rounded.
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
    use super::super::table::tests::{found, term, terms};
    use super::*;
    use crate::lock::gist::terms::Entry;

    #[test]
    fn leaders_stand_below_each_other_over_one_axis() {
        let text = text(&found().report);
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
    fn many_leaders_and_long_names_fit() {
        let mut many = found().report;
        for number in 0_i64..40 {
            let holder = format!("cluster-{number}/a-rather-long-namespace/elector-{number}");
            let from = 7_000 + number * 10;
            let token = number.unsigned_abs();
            let one = term(&holder, token, from, Some(from + 5), End::RanOut);
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
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(text(&Report::default()), "");
        let mut undated = found().report;
        undated.entries.remove(1);
        for term in terms(&mut undated) {
            (term.from, term.to, term.renewed) = (None, None, None);
        }
        assert_eq!(text(&undated), "");
    }
}
