//! How things are written on the page: text, times, durations, numbers.

use std::fmt::Write;
use std::time::Duration;

use time::{OffsetDateTime, UtcOffset};

use crate::fmt;

/// So much of a name is shown, in characters; the whole of it stands in the status document.
const LONGEST_NAME: usize = 120;

/// A space at which no line is broken.
pub(super) const NARROW: char = '\u{a0}';

/// Text as HTML, wherever it stands. Control characters, which HTML does not have, become pictures of
/// themselves.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\u{7f}' => html.push('\u{2421}'),
            '\0'..='\u{1f}' => html.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{80}'..='\u{9f}' => html.push('\u{fffd}'),
            c => html.push(c),
        }
    }
    html
}

/// A name as HTML: cut if it is very long, with a direction of its own, and broken after a slash
/// rather than elsewhere.
pub(super) fn name(name: &str) -> String {
    let html = escaped(&shortened(name)).replace('/', "/<wbr>");
    format!("<bdi>{html}</bdi>")
}

/// As much of a name as is shown.
pub(super) fn shortened(name: &str) -> String {
    fmt::shortened(name, LONGEST_NAME).into_owned()
}

/// A duration, in the one or two units that matter.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, of: &str, small: u64, unit: &str| match small {
        0 => format!("{large}{NARROW}{of}"),
        _ => format!("{large}{NARROW}{of} {small}{NARROW}{unit}"),
    };
    match seconds {
        0..10 => format!("{:.1}{NARROW}s", tenths(duration)),
        10..60 => format!("{seconds}{NARROW}s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

/// Cut off, not rounded: 9.96 s are no 10.0 s.
fn tenths(duration: Duration) -> f64 {
    (duration.as_millis() / 100) as f64 / 10.0
}

/// What is left of something, in whole seconds, as the page's script counts them down.
pub(super) fn left(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 120 {
        let up = seconds + u64::from(duration.subsec_nanos() > 0);
        return format!("{up}{NARROW}s");
    }
    format!("{}{NARROW}min {}{NARROW}s", seconds / 60, seconds % 60)
}

/// A time of day, with the day if that is another one. The script shows it in the reader's own zone.
pub(super) fn time(time: OffsetDateTime, now: OffsetDateTime) -> String {
    let time = time.to_offset(UtcOffset::UTC);
    let (hour, minute, second) = time.to_hms();
    let shown = if time.date() == now.to_offset(UtcOffset::UTC).date() {
        format!("{hour:02}:{minute:02}:{second:02} UTC")
    } else {
        let month = time.month().to_string();
        let month = month.get(..3).unwrap_or_default();
        let (day, year) = (time.day(), time.year());
        format!("{day} {month} {year}, {hour:02}:{minute:02} UTC")
    };
    let datetime = fmt::utc(time.unix_timestamp()).unwrap_or_default();
    format!("<time datetime=\"{datetime}\">{shown}</time>")
}

/// A number of things: `1 start`, `2 starts`.
pub(super) fn count(n: u64, thing: &str) -> String {
    let mut text = fmt::count(n);
    let plural = if n == 1 { "" } else { "s" };
    // Writing to a String cannot fail.
    let _ = write!(text, "{NARROW}{thing}{plural}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_taken_for_html() {
        assert_eq!(
            escaped("<b a='1' b=\"2\">&amp;\0\n\u{7f}\u{85}é{{now}}"),
            "&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;amp;\u{2400}\u{240a}\u{2421}\u{fffd}é{{now}}"
        );
        let everything: String = ('\0'..='\u{2fff}').collect();
        let html = escaped(&everything);
        assert!(!html.contains(['<', '>', '"', '\'', '\0', '\r', '\u{1b}']));
    }

    #[test]
    fn durations_are_told_in_the_units_that_matter() {
        for (millis, text) in [
            (0, "0.0 s"),
            (9_990, "9.9 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (252_000, "4 min 12 s"),
            (3_600_000, "1 h"),
            (3_660_000, "1 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            let shown = span(Duration::from_millis(millis)).replace(NARROW, " ");
            assert_eq!(shown, text);
        }
    }

    #[test]
    fn what_is_left_is_counted_down_to_nothing() {
        for (millis, text) in [
            (0, "0 s"),
            (1, "1 s"),
            (12_300, "13 s"),
            (119_001, "120 s"),
            (725_900, "12 min 5 s"),
        ] {
            let shown = left(Duration::from_millis(millis)).replace(NARROW, " ");
            assert_eq!(shown, text);
        }
    }

    #[test]
    fn a_time_of_another_day_has_its_day() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let now = at(1_795_341_751);
        assert_eq!(
            time(now, now),
            "<time datetime=\"2026-11-22T10:02:31Z\">10:02:31 UTC</time>"
        );
        assert_eq!(
            time(at(1_795_341_751 - 86_400 * 20), now),
            "<time datetime=\"2026-11-02T10:02:31Z\">2 Nov 2026, 10:02 UTC</time>"
        );
    }

    #[test]
    fn count_adds_the_plural() {
        assert_eq!(count(1, "start").replace(NARROW, " "), "1 start");
        assert_eq!(count(0, "start").replace(NARROW, " "), "0 starts");
    }
}
