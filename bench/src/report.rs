//! What a run gave, written down: `bench.json` with every value, `bench.md` for people, plots, and the
//! tables in the README and in docs/performance.md.
//!
//! Each file is written beside its place and then moved there, so that nobody finds half of one.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::machine::{Busy, Machine};
use crate::plot::{self, Axis, Row};
use crate::table;

/// From the root of the repository.
pub const FOLDER: &str = "bench/results";

const README: &str = "README.md";
const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// Figures that are shown in a section's table: there are too many of them for a row each.
const IN_SECTIONS: [&str; 4] = ["requests", "takeovers", "stagger", "plan"];

/// Everything about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// When it began, in UTC.
    pub date: String,
    pub took_s: f64,
    pub machine: Machine,
    /// How busy it was meanwhile, from 0 to 1.
    pub busy: Busy,
    /// Who was measured, and what exactly.
    pub versions: Vec<(String, String)>,
    /// What all contenders were set to.
    pub settings: Vec<(String, String)>,
    /// What was not measured, and why.
    pub left_out: Vec<String>,
    /// What went wrong.
    pub failures: Vec<String>,
    pub figures: Vec<Figure>,
    /// What is said beyond the figures' tables.
    pub sections: Vec<Section>,
}

/// A part of the report that is more than figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    pub title: String,
    /// The name of its place in docs/performance.md.
    pub place: String,
    /// Markdown.
    pub text: String,
}

/// A further plot: the name of its file, and the SVG.
pub type Plot = (String, String);

/// Writes them all.
///
/// # Errors
/// If a file cannot be written.
pub fn write(results: &Results, plots: &[Plot]) -> Result<(), String> {
    let folder = Path::new(FOLDER);
    fs::create_dir_all(folder).map_err(|e| format!("{FOLDER}: {e}"))?;
    put(&folder.join("bench.json"), &json(results)?)?;
    put(&folder.join("bench.md"), &markdown(results))?;
    if let Some(svg) = takeover_plot(results) {
        put(&folder.join("takeover.svg"), &svg)?;
    }
    for (name, svg) in plots {
        put(&folder.join(name), svg)?;
    }
    Ok(())
}

/// All of it, each figure on one line: thousands of values, each on its own, nobody could read.
fn json(results: &Results) -> Result<String, String> {
    let failed = |e: serde_json::Error| e.to_string();
    let figures: Result<Vec<String>, _> = results
        .figures
        .iter()
        .map(|figure| serde_json::to_string(figure).map_err(failed))
        .collect();
    let figures = figures?.join(",\n    ");
    let head = Results {
        figures: Vec::new(),
        ..results.clone()
    };
    let head = serde_json::to_string_pretty(&head).map_err(failed)?;
    let all = head.replacen(
        "\"figures\": []",
        &format!("\"figures\": [\n    {figures}\n  ]"),
        1,
    );
    Ok(all + "\n")
}

/// What the last run gave.
///
/// # Errors
/// If there is none, or it is of another time.
pub fn read() -> Result<Results, String> {
    let path = Path::new(FOLDER).join("bench.json");
    let json = fs::read_to_string(&path);
    let json = json.map_err(|e| format!("{}: {e}: run bench all first", path.display()))?;
    serde_json::from_str(&json).map_err(|e| {
        format!(
            "{}: {e}: it is of another version of this program: run bench all",
            path.display()
        )
    })
}

/// Puts the short table into the README, between its two marks, and every section that has a place in
/// docs/performance.md there:
///
/// ```text
/// <!-- table: hours -->
/// ...                      all between is replaced
/// <!-- end -->
/// ```
///
/// # Errors
/// If the README has no such marks, or one of them cannot be written.
pub fn put_into_docs(results: &Results) -> Result<(), String> {
    let text = fs::read_to_string(README).map_err(|e| format!("{README}: {e}"))?;
    let new = between_marks(&text, BEGIN, END, &short(results)).ok_or_else(|| {
        format!("{README} has no lines {BEGIN} and {END} to put the table between")
    })?;
    put(Path::new(README), &new)?;
    let mut text = fs::read_to_string(PAGE).map_err(|e| format!("{PAGE}: {e}"))?;
    for section in &results.sections {
        let begin = format!("<!-- table: {} -->", section.place);
        text = between_marks(&text, &begin, "<!-- end -->", &section.text).unwrap_or(text);
    }
    put(Path::new(PAGE), &text)
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::write(&new, text).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

fn between_marks(text: &str, from: &str, to: &str, inner: &str) -> Option<String> {
    let begin = text.find(from)? + from.len();
    let end = begin + text[begin..].find(to)?;
    Some(format!("{}\n{inner}{}", &text[..begin], &text[end..]))
}

/// The report for people.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut out = String::from("# Measured\n\n");
    let _ = writeln!(
        out,
        "{}, in {:.0} minutes, on {}. The processors were {:.0} % busy meanwhile ({:.0} % by what was \
         run here), {:.0} % in the busiest five seconds.\n",
        results.date,
        results.took_s / 60.0,
        machine(&results.machine),
        results.busy.mean * 100.0,
        results.busy.own * 100.0,
        results.busy.most * 100.0,
    );
    for (who, version) in &results.versions {
        let _ = writeln!(out, "- {who}: {version}");
    }
    let settings = results
        .settings
        .iter()
        .map(|(name, value)| format!("`{name}={value}`"));
    let _ = writeln!(
        out,
        "- settings: {}",
        settings.collect::<Vec<_>>().join(" ")
    );
    for what in &results.left_out {
        let _ = writeln!(out, "- **left out:** {what}");
    }
    for what in &results.failures {
        let _ = writeln!(out, "- **failed:** {what}");
    }
    out.push_str(
        "\nEach election has a gist of its own, at a gist service on the same machine, and three \
         candidates. All elections of all contenders run at the same time. Every single value is in \
         `bench.json`.\n",
    );
    if takeover_plot(results).is_some() {
        out.push_str("\n![takeover, handover and cold start](takeover.svg)\n");
    }
    let shown = results.figures.iter();
    let shown = shown.filter(|figure| !IN_SECTIONS.contains(&figure.table));
    out += &table::tables(&shown.cloned().collect::<Vec<_>>());
    for Section { title, text, .. } in &results.sections {
        let _ = write!(out, "\n## {title}\n\n{}\n", text.trim_end());
    }
    out
}

/// What the README shows.
#[must_use]
pub fn short(results: &Results) -> String {
    let day = results.date.split(' ').next().unwrap_or_default();
    let versions = results
        .versions
        .iter()
        .map(|(who, version)| match version.starts_with(who) {
            true => version.clone(),
            false => format!("{who}: {version}"),
        });
    format!(
        "\n{}\nMedians, in brackets the worst. Measured {day} on {}; {}. The gist service answers reads after \
         150 ms and writes after 500 ms, which is assumed of GitHub. All of it, with spread and more \
         conditions, is in [bench/results](bench/results/bench.md).\n\n",
        table::short(&results.figures),
        machine(&results.machine),
        versions.collect::<Vec<_>>().join("; "),
    )
}

fn machine(machine: &Machine) -> String {
    format!(
        "{} ({} cores), {} GB, {}",
        machine.processor, machine.cores, machine.memory_gb, machine.kernel
    )
}

/// Takeover, handover and cold start of all contenders; `None` if none of them was measured.
fn takeover_plot(results: &Results) -> Option<String> {
    const SUBJECTS: [&str; 3] = ["takeover", "handover", "cold start"];
    let mut rows: Vec<Row> = Vec::new();
    let shown = results.figures.iter().filter(|figure| {
        // On a fresh gist there is no lease to wait for, and nothing to compare.
        SUBJECTS.contains(&figure.table) && figure.unit == "s" && !figure.what.contains("fresh")
    });
    for figure in shown {
        let group = format!("{}: {}", figure.what, figure.conditions);
        let again = rows
            .iter()
            .any(|row| row.group == group && row.name == figure.contender);
        if !again {
            rows.push(Row {
                group,
                name: figure.contender.clone(),
                values: figure.spread.values.clone(),
                aim: figure.aim.as_ref().map(|aim| aim.below),
            });
        }
    }
    let title = "How soon another leads";
    (!rows.is_empty()).then(|| plot::rows(title, &Axis::log("seconds"), &rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Aim, Spread};

    fn results() -> Results {
        let figure = |contender: &str, values: &[f64]| Figure {
            table: "takeover",
            what: "takeover after SIGKILL".to_owned(),
            contender: contender.to_owned(),
            conditions: "no latency".to_owned(),
            unit: "s",
            spread: Spread::of(values.to_vec()).unwrap(),
            aim: Aim::median_below(2.3, "why"),
        };
        Results {
            date: "2026-11-23 10:00:00 UTC".to_owned(),
            took_s: 600.0,
            machine: Machine {
                processor: "P".to_owned(),
                cores: 2,
                memory_gb: 23.5,
                kernel: "Linux 6.1".to_owned(),
            },
            busy: Busy {
                mean: 0.1,
                most: 0.25,
                own: 0.05,
            },
            versions: vec![("elector".to_owned(), "elector 0.1.0".to_owned())],
            settings: vec![("LEASE_DURATION".to_owned(), "30s".to_owned())],
            left_out: vec!["client-go: no Go".to_owned()],
            failures: vec!["it broke".to_owned()],
            figures: vec![figure("elector", &[2.0, 2.5]), figure("client-go", &[9.0])],
            sections: vec![Section {
                place: "some".to_owned(),
                title: "More".to_owned(),
                text: "of it\n".to_owned(),
            }],
        }
    }

    #[test]
    fn results_are_read_back_as_they_were_written() {
        let json = json(&results()).unwrap();
        assert!(json.lines().count() < 60, "{json}");
        assert_eq!(serde_json::from_str::<Results>(&json).unwrap(), results());
    }

    #[test]
    fn the_report_says_what_was_left_out_and_what_failed() {
        let text = markdown(&results());
        assert!(
            text.contains("- **left out:** client-go: no Go\n"),
            "{text}"
        );
        assert!(text.contains("- **failed:** it broke\n"), "{text}");
        assert!(text.contains("2026-11-23 10:00:00 UTC, in 10 minutes, on P (2 cores), 23.5 GB"));
        assert!(
            text.contains("10 % busy meanwhile (5 % by") && text.contains("25 % in the busiest")
        );
        assert!(text.contains("(takeover.svg)") && text.contains("## Takeover"));
        assert!(text.ends_with("\n## More\n\nof it\n"), "{text}");
    }

    #[test]
    fn the_plot_has_a_row_for_each_contender_and_none_without_values() {
        let svg = takeover_plot(&results()).unwrap();
        assert!(svg.contains(">elector<") && svg.contains(">client-go<"));
        let mut none = results();
        none.figures.clear();
        assert_eq!(takeover_plot(&none), None);
    }

    #[test]
    fn the_table_stands_between_the_marks_and_nothing_else_changes() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let put = |text: &str, inner| between_marks(text, BEGIN, END, inner);
        let new = put(&text, "new\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(put(&new, "new\n").unwrap(), new);
        assert_eq!(put("none", "new"), None);
        assert_eq!(put(&format!("{END}{BEGIN}"), "new"), None);
    }
}
