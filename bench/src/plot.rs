//! Plots as SVG: curves over two axes ([`curves`]), and distributions per row ([`rows`]).
//!
//! Pure. The plots are readable on light and dark backgrounds: colours follow the reader's
//! `prefers-color-scheme`, even inside an `<img>`.

mod axis;

use std::fmt::Write as _;

pub use axis::Axis;
use axis::{Range, number};

use crate::table;

/// One curve.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points in drawing order.
    pub points: Vec<(f64, f64)>,
}

/// A limit, drawn as a dashed horizontal line.
#[derive(Clone, Debug)]
pub struct Mark {
    pub at: f64,
    pub label: String,
}

/// One row of a plot of distributions: a dot per value, and a bar for the median.
#[derive(Clone, Debug)]
pub struct Row {
    /// Heading shared by neighbouring rows.
    pub group: String,
    /// Name of the contender, which also selects the colour.
    pub name: String,
    pub values: Vec<f64>,
    /// Limit for the values, and its label.
    pub aim: Option<f64>,
}

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
const TITLE: f64 = 44.0;
const LEGEND: f64 = 20.0;

/// Number of colours; additional series start again at the first.
const COLOURS: usize = 6;

const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#24292f}\
.title{font-size:16px;font-weight:600}.small{font-size:11px;fill:#57606a}.end{text-anchor:end}\
.mid{text-anchor:middle}.grid{stroke:#8c959f;stroke-opacity:.3}.aim{stroke:#cf222e;stroke-width:1.5;\
stroke-dasharray:4 3;fill:none}.aimtext{fill:#cf222e}.line{fill:none;stroke-width:2}\
.c0{stroke:#0969da;fill:#0969da}.c1{stroke:#bc4c00;fill:#bc4c00}.c2{stroke:#1a7f37;fill:#1a7f37}\
.c3{stroke:#8250df;fill:#8250df}.c4{stroke:#9a6700;fill:#9a6700}.c5{stroke:#bf3989;fill:#bf3989}\
.line{fill:none}.dot{fill-opacity:.35;stroke:none}.median{stroke-width:3;stroke:#24292f}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.aim{stroke:#ff7b72}\
.aimtext{fill:#ff7b72}.c0{stroke:#58a6ff;fill:#58a6ff}.c1{stroke:#f0883e;fill:#f0883e}\
.c2{stroke:#3fb950;fill:#3fb950}.c3{stroke:#bc8cff;fill:#bc8cff}.c4{stroke:#d29922;fill:#d29922}\
.c5{stroke:#f778ba;fill:#f778ba}.line{fill:none}.dot{stroke:none}.median{stroke:#e6edf3}}";

/// Draws curves with points, a legend and limits.
#[must_use]
pub fn curves(title: &str, x: &Axis, y: &Axis, series: &[Series], marks: &[Mark]) -> String {
    const HEIGHT: f64 = 420.0;
    let (left, right) = (64.0, WIDTH - MARGIN);
    let (top, bottom) = (TITLE + LEGEND + 22.0, HEIGHT - 44.0);
    let points = || series.iter().flat_map(|one| one.points.iter());
    let across = Range::of(x, points().map(|point| point.0), left, right);
    let limits = marks.iter().map(|mark| mark.at);
    let up = Range::of(y, points().map(|point| point.1).chain(limits), bottom, top);
    let mut svg = Svg::new(title, HEIGHT);
    svg.legend(series.iter().map(|one| one.name.as_str()));
    for value in up.ticks() {
        let at = up.place(value);
        svg.line("grid", (left, at), (right, at));
        svg.text("small end", (left - 6.0, at + 4.0), &number(value));
    }
    for value in across.ticks() {
        let at = across.place(value);
        svg.line("grid", (at, top), (at, bottom));
        svg.text("small mid", (at, bottom + 16.0), &number(value));
    }
    svg.text("small mid", ((left + right) / 2.0, HEIGHT - 10.0), &x.label);
    svg.text("small", (MARGIN, top - 10.0), &y.label);
    for mark in marks {
        let at = up.place(mark.at);
        svg.line("aim", (left, at), (right, at));
        svg.text("small end aimtext", (right, at - 4.0), &mark.label);
    }
    for (n, one) in series.iter().enumerate() {
        let placed = one
            .points
            .iter()
            .map(|(x, y)| (across.place(*x), up.place(*y)));
        svg.curve(n, &placed.collect::<Vec<_>>());
    }
    svg.end()
}

/// Draws distributions, one per row, on one axis.
#[must_use]
pub fn rows(title: &str, x: &Axis, rows: &[Row]) -> String {
    const ROW: f64 = 26.0;
    const GROUP: f64 = 34.0;
    let names = names(rows);
    let widest = rows.iter().map(|row| row.name.chars().count()).max();
    let left = MARGIN * 2.0 + widest.unwrap_or_default() as f64 * 7.0;
    let right = WIDTH - 56.0;
    let top = TITLE + 4.0;
    let groups = rows
        .chunk_by(|one, other| one.group == other.group)
        .collect::<Vec<_>>();
    let bottom = top + groups.len() as f64 * GROUP + rows.len() as f64 * ROW + 6.0;
    let values = rows.iter().flat_map(|row| row.values.iter().copied());
    let aims = rows.iter().filter_map(|row| row.aim);
    let across = Range::of(x, values.chain(aims), left, right);
    let mut svg = Svg::new(title, bottom + 56.0);
    for value in across.ticks() {
        let at = across.place(value);
        svg.line("grid", (at, top), (at, bottom));
        svg.text("small mid", (at, bottom + 16.0), &number(value));
    }
    let mut at = top;
    for group in groups {
        at += GROUP;
        svg.text("", (MARGIN, at - 10.0), &group[0].group);
        for row in group {
            let colour = names.iter().position(|name| *name == row.name);
            svg.row(row, colour.unwrap_or_default(), &across, (at, at + ROW));
            at += ROW;
        }
    }
    svg.text("small mid", ((left + right) / 2.0, bottom + 32.0), &x.label);
    svg.text(
        "small mid",
        ((left + right) / 2.0, bottom + 48.0),
        "each dot one measurement; the bar and the number at the right are the median; dashed: the aim",
    );
    svg.end()
}

/// Returns the names in the order of their first rows.
fn names(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    names
}

/// A growing picture.
struct Svg(String);

impl Svg {
    fn new(title: &str, height: f64) -> Svg {
        let mut svg = Svg(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
            escaped(title)
        ));
        svg.text("title", (MARGIN, 28.0), title);
        svg
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.0,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
        );
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = writeln!(
            self.0,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let _ = writeln!(
            self.0,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>"
        );
    }

    fn legend<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let mut at = MARGIN;
        for (n, name) in names.enumerate() {
            let colour = format!("c{}", n % COLOURS);
            self.dot(&colour, (at + 5.0, TITLE + 8.0), 4.0);
            self.text("", (at + 14.0, TITLE + 12.0), name);
            at += 32.0 + name.chars().count() as f64 * 7.0;
        }
    }

    fn curve(&mut self, n: usize, points: &[(f64, f64)]) {
        let colour = format!("c{}", n % COLOURS);
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let path = path.join(" ");
        let _ = writeln!(
            self.0,
            "<polyline class=\"{colour} line\" points=\"{path}\"/>"
        );
        for point in points {
            self.dot(&colour, *point, 3.0);
        }
    }

    fn row(&mut self, row: &Row, colour: usize, across: &Range<'_>, (top, bottom): (f64, f64)) {
        let middle = f64::midpoint(top, bottom);
        let colour = format!("c{}", colour % COLOURS);
        self.text("small", (MARGIN * 1.5, middle + 4.0), &row.name);
        for (n, value) in row.values.iter().enumerate() {
            // Dots are spread vertically, identically in every drawing.
            let off = (n * 5 % 11) as f64 - 5.0;
            self.dot(
                &format!("{colour} dot"),
                (across.place(*value), middle + off * 1.5),
                3.0,
            );
        }
        if let Some(aim) = row.aim {
            let at = across.place(aim);
            self.line("aim", (at, top + 1.0), (at, bottom - 1.0));
        }
        let mut sorted = row.values.clone();
        sorted.sort_by(f64::total_cmp);
        if let Some(median) = sorted.get(sorted.len() / 2) {
            let at = across.place(*median);
            self.line(
                &format!("{colour} median"),
                (at, top + 3.0),
                (at, bottom - 3.0),
            );
            let shown = table::number(*median);
            self.text("small", (WIDTH - 48.0, middle + 4.0), &shown);
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        Series {
            name: name.to_owned(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn curves_show_points_and_limits() {
        let both = [
            series("one & all", &[(3.0, 1.0), (10.0, 2.0), (100.0, 4.0)]),
            series("two", &[(3.0, 5.0)]),
        ];
        let marks = [Mark {
            at: 3.0,
            label: "at most 3".to_owned(),
        }];
        let svg = curves("T", &Axis::log("n"), &Axis::linear("y"), &both, &marks);
        assert_eq!(svg.matches("<polyline").count(), 2);
        // Each series also has a dot in the legend.
        assert_eq!(svg.matches("<circle").count(), 4 + 2);
        assert!(svg.contains("one &amp; all") && svg.contains("at most 3"));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn rows_keep_colours_and_show_medians() {
        let row = |group: &str, name: &str, values: &[f64]| Row {
            group: group.to_owned(),
            name: name.to_owned(),
            values: values.to_vec(),
            aim: Some(2.0),
        };
        let all = [
            row("takeover", "elector", &[1.0, 3.0, 2.5]),
            row("takeover", "client-go", &[9.0]),
            row("handover", "client-go", &[0.0, 4.0, 4.5]),
        ];
        let svg = rows("T", &Axis::log("seconds"), &all);
        assert_eq!(svg.matches("c0 dot").count(), 3);
        assert_eq!(svg.matches("c1 dot").count(), 4);
        assert!(svg.contains(">2.50</text>"), "{svg}");
        assert_eq!(svg.matches("class=\"aim\"").count(), 3);
        assert_eq!(svg.matches(">takeover<").count(), 1);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn empty_plot_is_drawn() {
        let svg = curves("T", &Axis::linear("x"), &Axis::linear("y"), &[], &[]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let svg = rows("T", &Axis::log("x"), &[]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
