//! Figures as Markdown tables: [`tables`] shows all of them, [`short`] the most important. Pure.

use std::fmt::Write as _;

use crate::figure::{About, Aim, Figure};

/// Returns all figures, one table per subject, followed by notes on the limits.
#[must_use]
pub fn tables(figures: &[Figure]) -> String {
    let mut subjects: Vec<&str> = Vec::new();
    for figure in figures {
        if !subjects.contains(&figure.table) {
            subjects.push(figure.table);
        }
    }
    let mut out = String::new();
    for subject in subjects {
        let matching: Vec<&Figure> = figures
            .iter()
            .filter(|figure| figure.table == subject)
            .collect();
        let _ = write!(out, "\n## {}\n\n{}", capital(subject), table(&matching));
    }
    out
}

/// Returns one table. Figures of the same quantity under the same conditions share a row, with one
/// aim each.
#[must_use]
pub fn table(figures: &[&Figure]) -> String {
    let mut out = String::from(
        "| what | conditions | contender | median | p10–p90 | worst | n | aim | met |\n\
         |---|---|---|---:|---:|---:|---:|---|---|\n",
    );
    let (mut last_what, mut last_conditions) = ("", "");
    for row in rows(figures) {
        let figure = row[0];
        let what = match figure.what == last_what {
            true => String::new(),
            // The name of a counted quantity already contains its unit.
            false
                if figure.unit.is_empty()
                    || figure.unit.len() > 3 && figure.what.contains(figure.unit) =>
            {
                figure.what.clone()
            }
            false => format!("{}, {}", figure.what, figure.unit),
        };
        let conditions = match figure.conditions == last_conditions && what.is_empty() {
            true => "",
            false => &figure.conditions,
        };
        (last_what, last_conditions) = (&figure.what, &figure.conditions);
        let spread = &figure.spread;
        let _ = writeln!(
            out,
            "| {what} | {conditions} | {} | {} | {} | {} | {} | {} | {} |",
            figure.contender,
            number(spread.median),
            span(spread.count, spread.p10, spread.p90),
            number(spread.most),
            spread.count,
            aims(&row),
            met(&row),
        );
    }
    let notes = notes(figures);
    if !notes.is_empty() {
        let _ = write!(out, "\nAims: {}.\n", notes.join("; "));
    }
    out
}

fn rows<'a>(figures: &[&'a Figure]) -> Vec<Vec<&'a Figure>> {
    let mut rows: Vec<Vec<&Figure>> = Vec::new();
    for figure in figures {
        let same = |row: &&mut Vec<&Figure>| {
            let first = row[0];
            first.what == figure.what
                && first.contender == figure.contender
                && first.conditions == figure.conditions
                && first.unit == figure.unit
        };
        match rows.iter_mut().find(same) {
            Some(row) => row.push(figure),
            None => rows.push(vec![figure]),
        }
    }
    rows
}

fn aims(row: &[&Figure]) -> String {
    let all = row.iter().filter_map(|figure| {
        let aim = figure.aim.as_ref()?;
        Some(match figure.spread.count {
            count if count == 1 || is_none(aim) => limit(aim),
            _ => format!("{} {}", about(aim), limit(aim)),
        })
    });
    all.collect::<Vec<_>>().join(", ")
}

fn about(aim: &Aim) -> &'static str {
    match aim.about {
        About::Median => "median",
        About::Worst => "worst",
    }
}

/// Returns whether a limit means "none".
fn is_none(aim: &Aim) -> bool {
    aim.below < 1e-3
}

fn limit(aim: &Aim) -> String {
    match is_none(aim) {
        true => "none".to_owned(),
        false => format!("< {}", number(aim.below)),
    }
}

fn met(row: &[&Figure]) -> &'static str {
    let met = |figure: &&Figure| Some(figure.aim.as_ref()?.is_met(&figure.spread));
    let all: Vec<bool> = row.iter().filter_map(met).collect();
    match all.as_slice() {
        [] => "",
        all if all.iter().all(|met| *met) => "yes",
        _ => "**no**",
    }
}

/// Returns the derivations of the limits, each once.
fn notes(figures: &[&Figure]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let aims = figures.iter().filter_map(|figure| {
        let aim = figure.aim.as_ref()?;
        (!is_none(aim) && !aim.why.is_empty())
            .then(|| format!("{} {} = {}", number(aim.below), figure.unit, aim.why))
    });
    for note in aims {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

fn span(count: usize, from: f64, to: f64) -> String {
    match count {
        1 => String::new(),
        _ => format!("{}–{}", number(from), number(to)),
    }
}

/// A row of the comparison in docs/performance.md.
struct Pick {
    table: &'static str,
    /// Beginning of the quantity's name.
    what: &'static str,
    /// Part of the conditions.
    conditions: &'static str,
    /// Name in that table.
    label: &'static str,
}

impl Pick {
    const fn of(
        table: &'static str,
        what: &'static str,
        conditions: &'static str,
        label: &'static str,
    ) -> Pick {
        Pick {
            table,
            what,
            conditions,
            label,
        }
    }

    /// Returns the first matching figure of each contender.
    fn from<'a>(&self, figures: &'a [Figure]) -> Vec<&'a Figure> {
        let mut found: Vec<&Figure> = Vec::new();
        for figure in figures {
            let fits = figure.table == self.table
                && figure.what.starts_with(self.what)
                && figure.conditions.contains(self.conditions);
            if fits && found.iter().all(|it| it.contender != figure.contender) {
                found.push(figure);
            }
        }
        found
    }
}

/// Users meet the latency of GitHub.
const PICKS: [Pick; 11] = [
    Pick::of(
        "takeover",
        "takeover after SIGKILL",
        "reads",
        "takeover after SIGKILL, over the end of the lease",
    ),
    Pick::of(
        "handover",
        "handover after SIGTERM",
        "reads",
        "handover after SIGTERM",
    ),
    Pick::of(
        "cold start",
        "cold start of three, expired",
        "reads",
        "cold start with an expired record",
    ),
    Pick::of(
        "overlap",
        "two leaders, longest",
        "reads",
        "two leaders, longest time",
    ),
    Pick::of(
        "overlap",
        "two leaders, longest",
        "0 to 8 s",
        "the same, answers delayed by 0 to 8 s, leaders killed",
    ),
    Pick::of(
        "overlap",
        "time with a leader",
        "0 to 8 s",
        "part of that time with a leader",
    ),
    Pick::of(
        "footprint",
        "resident memory, leader",
        "TLS",
        "resident memory of a leader",
    ),
    Pick::of(
        "footprint",
        "CPU time, leader",
        "TLS",
        "CPU time of a leader",
    ),
    Pick::of(
        "footprint",
        "CPU time, candidate",
        "TLS",
        "CPU time of a candidate",
    ),
    Pick::of(
        "footprint",
        "start",
        "",
        "from the start to the first request",
    ),
    Pick::of("footprint", "program", "", "size of the program"),
];

/// Returns the most important figures, contenders side by side: medians, and the worst in parentheses.
#[must_use]
pub fn short(figures: &[Figure]) -> String {
    let mut contenders: Vec<&str> = Vec::new();
    let picked: Vec<(&Pick, Vec<&Figure>)> = PICKS
        .iter()
        .map(|pick| (pick, pick.from(figures)))
        .filter(|(_, found)| !found.is_empty())
        .collect();
    for figure in picked.iter().flat_map(|(_, found)| found) {
        if !contenders.contains(&figure.contender.as_str()) {
            contenders.push(&figure.contender);
        }
    }
    let mut out = format!("| | {} |\n", contenders.join(" | "));
    out += &format!("|---|{}\n", "---:|".repeat(contenders.len()));
    for (pick, found) in picked {
        let cells = contenders.iter().map(|contender| {
            let matching = found.iter().find(|figure| figure.contender == *contender);
            matching.map_or(String::new(), |figure| cell(figure))
        });
        let cells = cells.collect::<Vec<_>>().join(" | ");
        let _ = writeln!(out, "| {} | {cells} |", pick.label);
    }
    out
}

/// Formats the median, and the worst if there are several values.
fn cell(figure: &Figure) -> String {
    let (spread, unit) = (&figure.spread, figure.unit);
    match spread.count {
        1 => format!("{} {unit}", number(spread.median)),
        _ => format!("{} {unit} ({})", number(spread.median), number(spread.most)),
    }
}

/// Formats three significant digits, with thousands separators.
#[must_use]
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        whole if whole.fract() == 0.0 => 0,
        small if small < 0.0995 => 3,
        small if small < 9.995 => 2,
        small if small < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match rest {
        "" => grouped,
        rest => format!("{grouped}.{rest}"),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Spread;

    fn figure(what: &str, contender: &str, values: &[f64], aim: Option<Aim>) -> Figure {
        Figure {
            table: "takeover",
            what: what.to_owned(),
            contender: contender.to_owned(),
            conditions: "no latency".to_owned(),
            unit: "s",
            spread: Spread::of(values.to_vec()).unwrap(),
            aim,
        }
    }

    #[test]
    fn figures_of_same_quantity_share_row() {
        let values = [1.0, 2.0, 3.9];
        let all = [
            figure("t", "elector", &values, Aim::median_below(2.3, "0.3 s + D")),
            figure("t", "elector", &values, Aim::worst_below(3.5, "P + D")),
            figure("t", "client-go", &[11.25, 16.0], None),
        ];
        let text = tables(&all);
        assert!(text.contains("## Takeover"), "{text}");
        let row = "| t, s | no latency | elector | 2 | 1–3.90 | 3.90 | 3 | median < 2.30, worst < 3.50 | **no** |";
        assert!(text.contains(row), "{text}");
        let row = "|  |  | client-go | 16 | 11.2–16 | 16 | 2 |  |  |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("Aims: 2.30 s = 0.3 s + D; 3.50 s = P + D."));
    }

    #[test]
    fn short_table_has_column_per_contender() {
        let mut all = [
            figure(
                "takeover after SIGKILL, x",
                "elector",
                &[3.0, 4.0, 5.0],
                Aim::median_below(3.6, ""),
            ),
            figure("takeover after SIGKILL, x", "client-go", &[9.0], None),
            figure("takeover after SIGKILL, x", "other", &[9.0], None),
        ];
        for shown in &mut all[..2] {
            shown.conditions = "reads 150 ms".to_owned();
        }
        let text = short(&all);
        assert!(text.starts_with("| | elector | client-go |\n|---|---:|---:|\n"));
        let row = "over the end of the lease | 4 s (5) | 9 s |\n";
        assert!(text.ends_with(row), "{text}");
    }

    #[test]
    fn zero_aim_is_written_none() {
        let one = figure("o", "elector", &[0.0], Aim::worst_below(1e-6, "none"));
        let text = tables(&[one]);
        assert!(text.contains("| 0 |  | 0 | 1 | none | yes |"), "{text}");
        assert!(!text.contains("Aims"), "{text}");
    }

    #[test]
    fn numbers_show_three_significant_digits() {
        let all = [
            0.0,
            0.012_34,
            0.1234,
            2.345,
            16.04,
            450.4,
            1_234_567.8,
            -3.0,
        ];
        let shown = [
            "0",
            "0.012",
            "0.12",
            "2.35",
            "16.0",
            "450",
            "1,234,568",
            "-3",
        ];
        assert_eq!(all.map(number), shown);
    }
}
