//! Formats spans, counts, times and foreign text for logs, errors and displays.
//!
//! Every function is pure. The escapes of HTML and JSON are beside the code that writes them.

pub mod duration;

use std::borrow::Cow;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// Width of help and displays, in characters.
pub(crate) const COLUMNS: usize = 80;

/// Longest line that [`one_line`] returns, in characters: an error message of a service fits.
const LONGEST_LINE: usize = 200;

/// Longest value that [`quoted`] repeats, in characters: enough to recognise it by.
const LONGEST_QUOTE: usize = 80;

/// Formats a time span in its two largest units, for displays: `45s`, `4m 12s`, `3h 5m`, `12d 4h`.
///
/// Fractions of a second are cut off.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let (large, small) = match seconds {
        0..60 => return format!("{seconds}s"),
        60..3_600 => (format!("{minutes}m"), (seconds % 60, "s")),
        3_600..86_400 => (format!("{hours}h"), (minutes % 60, "m")),
        _ => (format!("{days}d"), (hours % 24, "h")),
    };
    match small {
        (0, _) => large,
        (rest, unit) => format!("{large} {rest}{unit}"),
    }
}

/// Formats a time span in seconds or milliseconds, for log lines: `90s`, `1.5s`, `250ms`.
///
/// The result is cut off to tenths of a second, and from 10 s on to whole seconds.
pub(crate) fn brief(time: Duration) -> String {
    let millis = time.as_millis();
    match (millis, millis % 1000 / 100) {
        (0..1000, _) => format!("{millis}ms"),
        (1000..10_000, tenths @ 1..) => format!("{}.{tenths}s", millis / 1000),
        _ => format!("{}s", millis / 1000),
    }
}

/// Rounds a time span up to whole seconds, so that nobody waits longer than was said.
pub(crate) fn round_up(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// Formats a number with commas between thousands: `4,893`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats seconds since the Unix epoch as RFC 3339 text in UTC: `2026-11-22T10:00:00Z`.
///
/// Returns `None` for years that RFC 3339 cannot express.
pub(crate) fn utc(unix: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(unix).ok()?;
    time.format(&Rfc3339).ok()
}

/// Parses an HTTP date or RFC 3339 text as seconds since the Unix epoch. Fractions of a second are cut off.
pub(crate) fn unix_time(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339);
    let time = time
        .or_else(|_| OffsetDateTime::parse(text, &Rfc2822))
        .ok()?;
    Some(time.unix_timestamp())
}

/// Returns the first `longest` characters of a text, with `…` if it has more.
pub(crate) fn shortened(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Makes foreign text safe to display: one line of at most 200 characters, without control characters
/// and those that change the direction of writing.
pub(crate) fn one_line(text: &str) -> String {
    let hidden = |c: &char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let line: String = text
        .chars()
        .take(4 * LONGEST_LINE)
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !hidden(c))
        .collect();
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    shortened(&words.join(" "), LONGEST_LINE).into_owned()
}

/// Repeats a value that a user gave: in backticks, escaped, and at most 80 characters of it.
pub(crate) fn quoted(value: &str) -> String {
    let short = shortened(value, LONGEST_QUOTE);
    format!("`{}`", short.escape_debug())
}

/// Breaks a text between words into lines of at most [`COLUMNS`] characters, without a final newline.
///
/// The first line begins with `label`, the following ones with as many spaces. A word that is longer than
/// the line, such as a URL, exceeds it.
pub(crate) fn wrapped(label: &str, text: &str) -> String {
    let indent = label.chars().count();
    let (mut wrapped, mut column) = (label.to_owned(), indent);
    for word in text.split_ascii_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > COLUMNS {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if column > indent {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_shows_two_largest_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (252, "4m 12s"),
            (3_600, "1h"),
            (11_100, "3h 5m"),
            (86_400, "1d"),
            (1_051_200, "12d 4h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn brief_shows_seconds_or_milliseconds() {
        for (millis, shown) in [
            (0, "0ms"),
            (250, "250ms"),
            (999, "999ms"),
            (1000, "1s"),
            (1_550, "1.5s"),
            (8_000, "8s"),
            (9_999, "9.9s"),
            (61_700, "61s"),
        ] {
            assert_eq!(brief(Duration::from_millis(millis)), shown);
        }
    }

    #[test]
    fn round_up_never_shortens() {
        for (millis, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
            let rounded = round_up(Duration::from_millis(millis));
            assert_eq!(rounded, Duration::from_secs(seconds));
        }
    }

    #[test]
    fn count_separates_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (4_893, "4,893"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn utc_formats_calendar_years_only() {
        assert_eq!(utc(1_588_008_246).unwrap(), "2020-04-27T17:24:06Z");
        assert_eq!(utc(i64::MAX), None);
    }

    #[test]
    fn shortened_cuts_between_characters() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("üüü", 2), "üü…");
    }

    #[test]
    fn one_line_removes_control_characters() {
        assert_eq!(one_line(" a\u{1b}[31m\r\n b\t\u{202e}c\0 "), "a[31m b c");
        let long = one_line(&"é ".repeat(100_000));
        assert!(long.chars().count() <= LONGEST_LINE + 1, "{long}");
        let long = one_line(&"x".repeat(300));
        assert_eq!(long.chars().count(), LONGEST_LINE + 1);
    }

    #[test]
    fn wrapped_text_has_hanging_indent() {
        let (long, url) = ("x".repeat(70), "y".repeat(90));
        for (text, expected) in [
            ("", "ok  ".to_owned()),
            (
                &*format!("{long} 12345 a b"),
                format!("ok  {long} 12345\n    a b"),
            ),
            (
                &*format!("see {url} now"),
                format!("ok  see\n    {url}\n    now"),
            ),
            (&*url, format!("ok  {url}")),
            (&*"ü".repeat(76), format!("ok  {}", "ü".repeat(76))),
        ] {
            assert_eq!(wrapped("ok  ", text), expected);
        }
    }

    #[test]
    fn quoted_escapes_and_shortens() {
        assert_eq!(quoted("stray\n"), "`stray\\n`");
        let long = quoted(&"\n".repeat(10_000));
        assert!(long.len() < 250 && long.ends_with("…`"), "{long}");
    }
}
