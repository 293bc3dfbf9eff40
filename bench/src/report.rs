//! Output of a run: `bench.json` with every value, `bench.md` to read, plots, and the tables in
//! docs/performance.md.
//!
//! Each file is written under another name and then renamed, so that no reader sees half of it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::machine::{Busy, Machine};
use crate::plot::{self, Axis, Row};
use crate::table;

/// Paths from the root of the repository.
pub const FOLDER: &str = "bench/results";

const PAGE: &str = "docs/performance.md";
const END: &str = "<!-- end -->";

/// Name of the place of the comparison in docs/performance.md.
const COMPARISON: &str = "comparison";

/// Tables of figures that a section shows, because a row for each would be too many.
const IN_SECTIONS: [&str; 4] = ["requests", "takeovers", "stagger", "plan"];

/// All results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Start of the run in UTC.
    pub date: String,
    pub took_s: f64,
    pub machine: Machine,
    /// Load during the run, from 0 to 1.
    pub busy: Busy,
    /// Contenders and their versions.
    pub versions: Vec<(String, String)>,
    /// Settings of all contenders.
    pub settings: Vec<(String, String)>,
    /// Parts that were not measured, with the reason.
    pub left_out: Vec<String>,
    /// Failures.
    pub failures: Vec<String>,
    pub figures: Vec<Figure>,
    /// Sections beyond the figures' tables.
    pub sections: Vec<Section>,
}

/// A part of the report with separate text or tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    pub title: String,
    /// Name of its place in docs/performance.md.
    pub place: String,
    /// Text in Markdown.
    pub text: String,
}

/// An additional plot: file name and SVG.
pub type Plot = (String, String);

/// Writes all files.
///
/// # Errors
/// Returns an error if a file cannot be written.
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

/// Formats the results as JSON with one figure per line, because a line per value would be
/// unreadable.
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

/// Reads the results of the last run.
///
/// # Errors
/// Returns an error if there are none, or they have an old format.
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

/// Puts the comparison, and every section that has a place there, into docs/performance.md:
///
/// ```text
/// <!-- table: plan -->
/// ...                      all between is replaced
/// <!-- end -->
/// ```
///
/// # Errors
/// Returns an error if the page has no place for the comparison, or cannot be read or written.
pub fn put_into_docs(results: &Results) -> Result<(), String> {
    let text = fs::read_to_string(PAGE).map_err(|e| format!("{PAGE}: {e}"))?;
    put(Path::new(PAGE), &with_tables(&text, results)?)
}

/// Returns the page's text with the tables of these results.
fn with_tables(text: &str, results: &Results) -> Result<String, String> {
    let begin = begin(COMPARISON);
    let mut text = between_marks(text, &begin, &comparison(results))
        .ok_or_else(|| format!("{PAGE} has no lines {begin} and {END} to put the table between"))?;
    for section in &results.sections {
        let begin = self::begin(&section.place);
        text = between_marks(&text, &begin, &section.text).unwrap_or(text);
    }
    Ok(text)
}

/// Returns the line that begins the place with this name.
fn begin(place: &str) -> String {
    format!("<!-- table: {place} -->")
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    fs::write(&new, text).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

fn between_marks(text: &str, begin: &str, inner: &str) -> Option<String> {
    let begin = text.find(begin)? + begin.len();
    let end = begin + text[begin..].find(END)?;
    Some(format!("{}\n{inner}{}", &text[..begin], &text[end..]))
}

/// Returns the report in Markdown.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut out = String::from("# Measured\n\n");
    let _ = writeln!(
        out,
        "{}, in {:.0} minutes, on {}. The processors were {:.0} % busy ({:.0} % by what was \
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
        "\nEach election has a separate gist, at a gist service on the same machine, and three \
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

/// Returns the comparison that docs/performance.md shows.
#[must_use]
pub fn comparison(results: &Results) -> String {
    let day = results.date.split(' ').next().unwrap_or_default();
    let versions = results
        .versions
        .iter()
        .map(|(who, version)| match version.starts_with(who) {
            true => version.clone(),
            false => format!("{who}: {version}"),
        });
    format!(
        "{}\nMedians, with the worst in parentheses. Reads take 150 ms and writes 500 ms (assumed of GitHub).\n\
         Measured {day} on {}:\n{}.\n",
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

/// Plots takeover, handover and cold start of all contenders; `None` if none was measured.
fn takeover_plot(results: &Results) -> Option<String> {
    const SUBJECTS: [&str; 3] = ["takeover", "handover", "cold start"];
    let mut rows: Vec<Row> = Vec::new();
    let shown = results.figures.iter().filter(|figure| {
        // A fresh gist has no lease to wait for, so there is nothing to compare.
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
    fn results_survive_json_round_trip() {
        let json = json(&results()).unwrap();
        assert!(json.lines().count() < 60, "{json}");
        assert_eq!(serde_json::from_str::<Results>(&json).unwrap(), results());
    }

    #[test]
    fn report_lists_omissions_and_failures() {
        let text = markdown(&results());
        assert!(
            text.contains("- **left out:** client-go: no Go\n"),
            "{text}"
        );
        assert!(text.contains("- **failed:** it broke\n"), "{text}");
        assert!(text.contains("2026-11-23 10:00:00 UTC, in 10 minutes, on P (2 cores), 23.5 GB"));
        assert!(text.contains("10 % busy (5 % by") && text.contains("25 % in the busiest"));
        assert!(text.contains("(takeover.svg)") && text.contains("## Takeover"));
        assert!(text.ends_with("\n## More\n\nof it\n"), "{text}");
    }

    #[test]
    fn plot_has_row_per_contender() {
        let svg = takeover_plot(&results()).unwrap();
        assert!(svg.contains(">elector<") && svg.contains(">client-go<"));
        let mut none = results();
        none.figures.clear();
        assert_eq!(takeover_plot(&none), None);
    }

    #[test]
    fn only_text_between_marks_changes() {
        let page = |comparison: &str, some: &str| {
            format!(
                "before\n<!-- table: comparison -->\n{comparison}<!-- end -->\nbetween\n\
                 <!-- table: some -->\n{some}<!-- end -->\nafter\n"
            )
        };
        let results = results();
        let new = with_tables(&page("old\n", "old\n"), &results).unwrap();
        assert_eq!(new, page(&comparison(&results), "of it\n"));
        assert_eq!(with_tables(&new, &results).unwrap(), new);
        assert!(with_tables("none", &results).is_err());
        assert!(with_tables("<!-- end --><!-- table: comparison -->", &results).is_err());
    }
}
