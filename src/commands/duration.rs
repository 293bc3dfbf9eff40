//! Durations as people write them: Go's syntax, `1m30s`, `500ms`, `1.5h`.
//!
//! This file owns reading and writing them. Which durations make sense for a setting is the
//! business of whoever asks.

use std::fmt;
use std::time::Duration;

/// Go keeps durations as signed 64-bit nanoseconds (292 years): what Go refuses is refused here, so
/// that one text means one thing in both.
const LONGEST_NANOS: u64 = i64::MAX as u64;

/// How much of a value an error message repeats, in characters: enough to recognise it by.
const LONGEST_SHOWN: usize = 60;

/// How many digits behind the point count; a nanosecond is the 13th of an hour's.
const FRACTION_DIGITS: usize = 18;

/// The units, each with its nanoseconds. Two-letter units come before the letters they begin with.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),  // the micro sign
    ("\u{3bc}s", 1_000), // the Greek letter
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Why a text is not a duration that can be used. Each holds the beginning of the text.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// It does not follow the syntax.
    Unknown(String),
    /// It is below zero.
    Negative(String),
    /// It is more than 292 years.
    TooLong(String),
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DurationError::Unknown(text) => write!(
                f,
                "unknown duration `{text}`: write it like 30s, 1m30s or 500ms"
            ),
            DurationError::Negative(text) => write!(
                f,
                "negative duration `{text}`: write it without the minus sign"
            ),
            DurationError::TooLong(text) => {
                write!(f, "duration `{text}` is too long: give less than 292 years")
            }
        }
    }
}

impl std::error::Error for DurationError {}

/// Reads a duration in Go's syntax: numbers with a unit each, one after the other, as in `1m30s`.
///
/// The units are `ns`, `us` (or `µs`), `ms`, `s`, `m` and `h`; a number may have a fraction, of which
/// what lies below a nanosecond is cut off. Zero may do without a unit. There is no white space.
///
/// # Errors
/// [`DurationError`] for a text that does not follow the syntax, is below zero, or is longer than
/// Go's longest duration.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanos = nanos(unsigned).map_err(|flaw| match flaw {
        Flaw::Syntax => DurationError::Unknown(shown(text)),
        Flaw::Range => DurationError::TooLong(shown(text)),
    })?;
    if negative && nanos > 0 {
        return Err(DurationError::Negative(shown(text)));
    }
    Ok(Duration::from_nanos(nanos))
}

enum Flaw {
    Syntax,
    Range,
}

fn nanos(unsigned: &str) -> Result<u64, Flaw> {
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(Flaw::Syntax);
    }
    let mut rest = unsigned;
    let mut total: u64 = 0;
    let mut too_long = false;
    while !rest.is_empty() {
        let (part, after) = part(rest)?;
        // Read on, so that a text with a later mistake is called unknown, not too long.
        match part.and_then(|part| total.checked_add(part)) {
            Some(sum) => total = sum,
            None => too_long = true,
        }
        rest = after;
    }
    if too_long || total > LONGEST_NANOS {
        return Err(Flaw::Range);
    }
    Ok(total)
}

/// Reads one number with its unit: its nanoseconds (`None` if they are too many) and what follows.
fn part(text: &str) -> Result<(Option<u64>, &str), Flaw> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(Flaw::Syntax);
    }
    let (unit, rest) = UNITS
        .iter()
        .find_map(|(name, unit)| rest.strip_prefix(name).map(|rest| (*unit, rest)))
        .ok_or(Flaw::Syntax)?;
    // The longest run of letters is the unit: `1sx` and `1msec` are mistakes, not `1s` and more.
    if rest.starts_with(|next: char| next != '.' && !next.is_ascii_digit()) {
        return Err(Flaw::Syntax);
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let value = whole
        .parse::<u64>()
        .ok()
        .and_then(|whole| whole.checked_mul(unit))
        .and_then(|nanos| nanos.checked_add(fraction_nanos(fraction, unit)));
    Ok((value, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|digit: char| !digit.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The nanoseconds in a fraction of a unit, cut off below one.
fn fraction_nanos(fraction: &str, unit: u64) -> u64 {
    let mut value: u128 = 0;
    let mut scale: u128 = 1;
    for digit in fraction.bytes().take(FRACTION_DIGITS) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    // Less than one unit, and so within 64 bits.
    u64::try_from(value * u128::from(unit) / scale).unwrap_or(0)
}

fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(LONGEST_SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// Writes a duration as Go does: `1h0m0s`, `1m30s`, `1.5s`, `500ms`, `0s`.
///
/// [`parse`] reads it back unchanged, if it is within Go's 292 years.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanos = u64::from(duration.subsec_nanos());
    if duration.as_secs() == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
            _ => format!("{}ms", decimal(nanos, 1_000_000)),
        };
    }
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    let seconds = decimal(seconds * 1_000_000_000 + nanos, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` as a decimal number without trailing zeros; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let text = format!("{whole}.{fraction:0width$}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("-0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("30s", 30_000_000_000),
            ("1478s", 1_478_000_000_000),
            ("5.0s", 5_000_000_000),
            ("5.6s", 5_600_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1.004s", 1_004_000_000),
            ("10ns", 10),
            ("11us", 11_000),
            ("12µs", 12_000),
            ("12μs", 12_000),
            ("13ms", 13_000_000),
            ("15m", 900_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1m30s", 90_000_000_000),
            ("39h9m14.425s", 140_954_425_000_000),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.9ns", 0),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_does_not_follow_the_syntax_is_unknown() {
        let texts = [
            "",
            "10",
            "3",
            "-",
            "+",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "1 s",
            " 1s",
            "1s ",
            "1m 30s",
            "1s30",
            "1..5s",
            "--1s",
            "+-1s",
            "1e3s",
            "1S",
            "1sx",
            "1msec",
            "٣s",
            "1m30",
            "0x1s",
            "99999999999999999999h1",
        ];
        for text in texts {
            assert!(
                matches!(parse(text), Err(DurationError::Unknown(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn negative_and_overlong_durations_are_told_from_unknown_ones() {
        for text in ["-1s", "-1m30s", "-0.000000001s"] {
            assert_eq!(parse(text), Err(DurationError::Negative(text.to_owned())));
        }
        for text in [
            "9223372036854775808ns",
            "2562048h",
            "99999999999999999999999h",
            "2562047h48m",
        ] {
            assert_eq!(parse(text), Err(DurationError::TooLong(text.to_owned())));
        }
    }

    #[test]
    fn an_error_says_what_was_given_and_what_to_write() {
        assert_eq!(
            parse("10").unwrap_err().to_string(),
            "unknown duration `10`: write it like 30s, 1m30s or 500ms"
        );
        let long = parse(&"\n".repeat(10_000)).unwrap_err().to_string();
        assert!(long.len() < 250 && !long.contains('\n'), "{long}");
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (120_000_000_000, "2m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (305_000_000_001, "5m5.000000001s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(format(Duration::from_nanos(nanos)), text);
        }
        assert!(format(Duration::MAX).ends_with("h0m15.999999999s"));
    }

    #[test]
    fn every_duration_reads_back_as_it_was_written() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let nanos = random.u64(..=LONGEST_NANOS) >> random.u32(0..63);
            let duration = Duration::from_nanos(nanos);
            let text = format(duration);
            assert_eq!(parse(&text), Ok(duration), "{text}");
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        let mut random = fastrand::Rng::with_seed(2);
        let alphabet: Vec<char> = "0123456789.+-nuµμmsh é\u{0}".chars().collect();
        for _ in 0..50_000 {
            let length = random.usize(0..30);
            let text: String = (0..length)
                .filter_map(|_| random.choice(&alphabet))
                .collect();
            if let Ok(duration) = parse(&text) {
                assert_eq!(parse(&format(duration)), Ok(duration), "{text}");
            }
        }
    }
}
