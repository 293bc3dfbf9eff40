//! The band of the observed terms over time, its axis and legend, and the colours of names.

use std::fmt::Write;
use std::time::Duration;

use time::OffsetDateTime;

use super::format::{escaped, shortened};
use super::gaps::{began_at, terms_and_gaps};
use crate::observe::observed_terms::ObservedTerm;
use crate::observe::snapshot::Snapshot;

/// Classes of the colours for names. The colours of the style are those that no status has.
pub(super) const HUES: [&str; 8] = ["h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"];

/// Class of the colour without a leader.
pub(super) const NO_HUE: &str = "none";

/// Maximum and minimum time that the band shows.
const MAX_SHOWN: Duration = Duration::from_secs(24 * 3600);
const MIN_SHOWN: Duration = Duration::from_secs(60);

/// Minimum width of a term, in percent of the band.
const MIN_WIDTH: f64 = 0.6;

/// Width of a digit of a fencing token, and of the space around the token, in percent of the band on a
/// phone of 320 pixels.
const DIGIT_WIDTH: f64 = 3.2;
const TOKEN_MARGIN: f64 = 3.0;

/// Intervals between two ticks, in seconds; each divides a day.
const STEPS: [i64; 12] = [
    15, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 10_800, 21_600,
];

/// Patterns of the gaps. They have the colours of the classes `paper` and `ink`.
const PATTERNS: &str = "<defs><pattern id=\"hatch\" width=\"7\" height=\"7\" \
    patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect class=\"paper\" width=\"7\" \
    height=\"7\"/><rect class=\"ink\" width=\"3\" height=\"7\"/></pattern><pattern id=\"dots\" width=\"6\" \
    height=\"6\" patternUnits=\"userSpaceOnUse\"><rect class=\"paper\" width=\"6\" height=\"6\"/><circle \
    class=\"ink\" cx=\"3\" cy=\"3\" r=\"1.2\"/></pattern></defs>";

/// Returns the band with its axis and legend.
pub(super) fn html(snapshot: &Snapshot) -> String {
    let shown = snapshot.ago(snapshot.journal.started);
    let shown = shown.clamp(MIN_SHOWN, MAX_SHOWN);
    let start = snapshot.now - shown;
    let percent =
        |ago: Duration| 100.0 * (1.0 - ago.min(shown).as_secs_f64() / shown.as_secs_f64());
    let mut html = format!(
        "<svg class=\"band\" role=\"img\" aria-label=\"Timeline of the terms listed below\">{PATTERNS}"
    );
    let mut kinds = [false; 2];
    for (term, gaps) in terms_and_gaps(snapshot) {
        let from = began_at(snapshot, term);
        let to = snapshot.end_of(term).map_or(snapshot.now, |end| end.at);
        if to >= start {
            let (x, width) = place(percent(snapshot.ago(from)), percent(snapshot.ago(to)));
            let hue = hue_of(snapshot, &term.holder);
            draw_term(&mut html, term, hue, x, width);
        }
        for gap in gaps.iter().filter(|gap| gap.to >= start) {
            let (x, width) = place(
                percent(snapshot.ago(gap.from)),
                percent(snapshot.ago(gap.to)),
            );
            let (class, what) = (gap.class(), gap.describe());
            kinds[usize::from(gap.unknown)] = true;
            // Writing to a String cannot fail.
            let _ = write!(
                html,
                "<rect class=\"{class}\" x=\"{x:.1}%\" width=\"{width:.1}%\" height=\"100%\">\
                 <title>{what}</title></rect>"
            );
        }
    }
    html.push_str("</svg>");
    html.push_str(&axis(snapshot.wall, shown));
    html.push_str(&legend(kinds));
    html
}

/// Returns where a part of the band begins, and its width.
fn place(from: f64, to: f64) -> (f64, f64) {
    let x = from.min(100.0 - MIN_WIDTH);
    (x, (to - x).max(MIN_WIDTH))
}

fn draw_term(html: &mut String, term: &ObservedTerm, hue: &str, x: f64, width: f64) {
    let (token, holder) = (term.fencing_token, escaped(&shortened(&term.holder)));
    let _ = write!(
        html,
        "<rect class=\"{hue}\" x=\"{x:.1}%\" width=\"{width:.1}%\" height=\"100%\"><title>{holder}, \
         fencing token {token}</title></rect>"
    );
    let digits = token.to_string().len() as f64;
    if width >= digits * DIGIT_WIDTH + TOKEN_MARGIN {
        let middle = x + width / 2.0;
        let _ = write!(html, "<text x=\"{middle:.1}%\" y=\"18\">{token}</text>");
    }
}

/// A mark on the time axis.
#[derive(Debug, PartialEq)]
struct Tick {
    /// Place, in percent of the band.
    x: f64,
    /// Time of day; `None` where it would overlap with the axis' ends.
    label: Option<String>,
}

/// Returns the ticks of an axis that shows the time up to `now`.
fn ticks(now: OffsetDateTime, shown: Duration) -> Vec<Tick> {
    let seconds = shown.as_secs_f64();
    // Labels with seconds are wider.
    let fits = |step: &&i64| match **step {
        step if step < 60 => step as f64 >= seconds / 4.0,
        step => step as f64 >= seconds / 5.0,
    };
    let step = STEPS.iter().find(fits).copied().unwrap_or(21_600);
    let labelled = match step < 60 {
        true => 12.5..74.0,
        false => 8.0..81.0,
    };
    let end = now.unix_timestamp_nanos() as f64 / 1e9;
    let first = (end - seconds) as i64 / step + 1;
    (first..=end as i64 / step)
        .map(|n| {
            let at = n * step;
            let x = 100.0 * (1.0 - (end - at as f64) / seconds);
            let label = labelled.contains(&x).then(|| {
                let (hour, minute, second) = (at / 3600 % 24, at / 60 % 60, at % 60);
                match step < 60 {
                    true => format!("{hour:02}:{minute:02}:{second:02}"),
                    false => format!("{hour:02}:{minute:02}"),
                }
            });
            Tick { x, label }
        })
        .collect()
}

fn axis(now: OffsetDateTime, shown: Duration) -> String {
    let mut html = "<svg class=\"axis\" aria-hidden=\"true\">".to_owned();
    for Tick { x, label } in ticks(now, shown) {
        let _ = write!(
            html,
            "<line x1=\"{x:.1}%\" x2=\"{x:.1}%\" y1=\"2\" y2=\"7\"/>"
        );
        if let Some(label) = label {
            let _ = write!(html, "<text x=\"{x:.1}%\" y=\"20\">{label}</text>");
        }
    }
    html.push_str("<text class=\"end\" x=\"100%\" y=\"20\">now</text></svg>");
    html
}

/// Returns the legend; `kinds` says whether there are gaps without a leader, and gaps of which nothing is
/// known.
fn legend(kinds: [bool; 2]) -> String {
    let swatch = |class: &str, what: &str| {
        format!(
            "<span><svg class=\"swatch\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"100%\" \
             height=\"100%\"/></svg>{what}</span>"
        )
    };
    let mut html = "<p class=\"legend soft small\">".to_owned();
    if kinds[0] {
        html.push_str(&swatch("nobody", "nobody led"));
    }
    if kinds[1] {
        html.push_str(&swatch("unknown", "leader unknown"));
    }
    html.push_str("<span>times in UTC</span><span>numbers are fencing tokens</span></p>");
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
    fn gaps_are_hatched_or_dotted() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(10_000), &record("a", 1));
        let mut early = snapshot.clone();
        early.now = at(11_000);
        assert!(!html(&early).contains("class=\"swatch\""));
        read(&mut snapshot, at(20_000), &record("", 1));
        read(&mut snapshot, at(26_000), &record("b", 2));
        let band = html(&snapshot);
        let gap = "<rect class=\"nobody\" x=\"33.3%\" width=\"10.0%\"";
        assert!(band.contains(gap), "{band}");
        assert!(band.contains("</svg>nobody led</span>"), "{band}");
        // The last term ends with its lease, and the store has not answered since.
        let gap = "<rect class=\"unknown\" x=\"93.3%\" width=\"6.7%\"";
        assert!(band.contains(gap), "{band}");
        assert!(band.contains("</svg>leader unknown</span>"), "{band}");
    }

    #[test]
    fn wide_terms_show_fencing_tokens() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(10_000), &record("a", 41));
        read(&mut snapshot, at(50_000), &record("a", 41));
        read(&mut snapshot, at(58_000), &record("b", 42));
        let band = html(&snapshot);
        assert!(band.contains(">41</text>"), "{band}");
        assert!(!band.contains(">42</text>"), "{band}");
    }

    #[test]
    fn ticks_stand_at_round_times() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_341_751).unwrap();
        let labels = |seconds| -> Vec<String> {
            let ticks = ticks(now, Duration::from_secs(seconds));
            ticks.into_iter().filter_map(|tick| tick.label).collect()
        };
        assert_eq!(labels(60), ["10:01:45", "10:02:00", "10:02:15"]);
        assert_eq!(labels(600), ["09:54", "09:56", "09:58", "10:00"]);
        assert_eq!(labels(86_400), ["12:00", "18:00", "00:00"]);
    }

    #[test]
    fn every_axis_has_spaced_ticks() {
        for end in [1_795_341_751, 1_795_341_600, 1_795_305_601] {
            let now = OffsetDateTime::from_unix_timestamp(end).unwrap();
            for seconds in (60..7_300).chain((7_300..=86_400).step_by(97)) {
                let ticks = ticks(now, Duration::from_secs(seconds));
                let labelled = ticks.iter().filter(|tick| tick.label.is_some());
                assert!(labelled.count() > 0, "{seconds}: {ticks:?}");
                for pair in ticks.windows(2) {
                    assert!(pair[1].x - pair[0].x >= 19.9, "{seconds}: {ticks:?}");
                }
            }
        }
    }

    #[test]
    fn first_eight_names_differ_in_colour() {
        let mut snapshot = snapshot();
        let names: Vec<String> = (0..12).map(|n| format!("name {n}")).collect();
        for (n, name) in (1..).zip(&names) {
            read(&mut snapshot, at(n * 1000), &record(name, n));
        }
        let first = names[..HUES.len()].iter();
        let mut hues: Vec<_> = first.map(|name| hue_of(&snapshot, name)).collect();
        hues.sort_unstable();
        hues.dedup();
        assert_eq!(hues.len(), HUES.len());
        assert!(names.iter().all(|name| hue_of(&snapshot, name) != NO_HUE));
    }
}
