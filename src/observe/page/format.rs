//! Formatting for the page: text as HTML, times and durations.

use std::time::Duration;

use time::{OffsetDateTime, UtcOffset};

use crate::election::time::Instant;
use crate::fmt;
use crate::observe::snapshot::Snapshot;

/// Maximum number of characters shown of a name; the status document has all of it.
const MAX_NAME: usize = 120;

/// Durations below this are shown with tenths of a second.
const TENTHS_BELOW: Duration = Duration::from_secs(10);

/// Escapes text for HTML content and attributes. Control characters, which HTML cannot contain, become
/// visible symbols.
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

/// Formats a name as HTML: shortened, isolated from the surrounding text's direction, with line breaks
/// allowed after slashes.
pub(super) fn name(name: &str) -> String {
    let html = escaped(&shortened(name)).replace('/', "/<wbr>");
    format!("<bdi>{html}</bdi>")
}

/// Shortens a name for display.
pub(super) fn shortened(name: &str) -> String {
    fmt::shortened(name, MAX_NAME).into_owned()
}

/// Replaces spaces by no-break spaces.
pub(super) fn unbroken(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

/// Formats a past duration.
pub(super) fn span(duration: Duration) -> String {
    if duration < TENTHS_BELOW {
        return fmt::brief(duration);
    }
    unbroken(&fmt::span(duration))
}

/// Formats a remaining duration, rounded up to seconds; the page's script does the same.
pub(super) fn left(duration: Duration) -> String {
    unbroken(&fmt::span(fmt::round_up(duration)))
}

/// Formats a time of day, with the date if it is not that of `now`. The script converts it to the
/// reader's time zone.
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

/// Formats a remaining duration that the script counts down.
pub(super) fn countdown(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    format!("<b data-left=\"{seconds:.3}\">{}</b>", left(duration))
}

/// Formats an instant as [`time`] does.
pub(super) fn moment(snapshot: &Snapshot, at: Instant) -> String {
    let at = snapshot.wall_at(at);
    at.map_or("…".to_owned(), |at| time(at, snapshot.wall))
}

/// Formats a number of things: `1 start`, `2 starts`.
pub(super) fn count(n: u64, thing: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{}\u{a0}{thing}{plural}", fmt::count(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_has_no_markup() {
        assert_eq!(
            escaped("<b a='1' b=\"2\">&amp;\0\n\u{7f}\u{85}é{{now}}"),
            "&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;amp;\u{2400}\u{240a}\u{2421}\u{fffd}é{{now}}"
        );
        let characters: String = ('\0'..='\u{2fff}').collect();
        let html = escaped(&characters);
        assert!(!html.contains(['<', '>', '"', '\'', '\0', '\r', '\u{1b}']));
    }

    #[test]
    fn span_has_tenths_or_two_units() {
        for (millis, text) in [
            (0, "0ms"),
            (9_990, "9.9s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (252_000, "4m 12s"),
            (3_600_000, "1h"),
            (3_660_000, "1h 1m"),
            (90_000_000, "1d 1h"),
        ] {
            let shown = span(Duration::from_millis(millis)).replace('\u{a0}', " ");
            assert_eq!(shown, text);
        }
    }

    #[test]
    fn left_rounds_up() {
        for (millis, text) in [
            (0, "0s"),
            (1, "1s"),
            (12_300, "13s"),
            (119_001, "2m"),
            (725_900, "12m 6s"),
        ] {
            let shown = left(Duration::from_millis(millis)).replace('\u{a0}', " ");
            assert_eq!(shown, text);
        }
    }

    #[test]
    fn time_of_other_day_has_date() {
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
        assert_eq!(count(1, "start").replace('\u{a0}', " "), "1 start");
        assert_eq!(count(0, "start").replace('\u{a0}', " "), "0 starts");
    }
}
