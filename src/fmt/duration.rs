//! Parses durations in Go's syntax: `1m30s`, `500ms`, `1.5h`.
//!
//! The `Debug` format of [`Duration`] is within this syntax, so [`parse`] reads it back.

use std::fmt;
use std::time::Duration;

use crate::fmt::quoted;

/// Go's longest duration, in nanoseconds (292 years). A text that Go refuses is refused here too, so
/// that it means the same in both.
const LONGEST_NANOS: u128 = i64::MAX as u128;

/// Digits of a fraction that count: the 13th of an hour is below a nanosecond.
const FRACTION_DIGITS: usize = 18;

/// Reason why a text is not a usable duration. Each variant holds the text.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// The text does not follow the syntax.
    Unknown(String),
    /// The duration is below zero.
    Negative(String),
    /// The duration is longer than 292 years.
    TooLong(String),
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DurationError::Unknown(text) => write!(
                f,
                "unknown duration {}; write it like 30s, 1m30s or 500ms",
                quoted(text)
            ),
            DurationError::Negative(text) => write!(
                f,
                "negative duration {}; remove the minus sign",
                quoted(text)
            ),
            DurationError::TooLong(text) => write!(
                f,
                "duration {} is too long; give less than 292 years",
                quoted(text)
            ),
        }
    }
}

impl std::error::Error for DurationError {}

/// Parses a duration in Go's syntax: numbers that each have a unit, as in `1m30s`.
///
/// The units are `ns`, `us` (or `µs`), `ms`, `s`, `m` and `h`. A number may have a fraction, which is
/// cut off below a nanosecond. Zero needs no unit. White space is not allowed.
///
/// # Errors
/// Returns [`DurationError`] if the text does not follow the syntax, or if the duration is below zero
/// or longer than Go's longest.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let nanos = nanos(unsigned).ok_or_else(|| DurationError::Unknown(text.to_owned()))?;
    match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 && text.starts_with('-') && u128::from(nanos) <= LONGEST_NANOS => {
            Err(DurationError::Negative(text.to_owned()))
        }
        Ok(nanos) if u128::from(nanos) <= LONGEST_NANOS => Ok(Duration::from_nanos(nanos)),
        _ => Err(DurationError::TooLong(text.to_owned())),
    }
}

/// Adds up the parts of a duration. Saturates; returns `None` if a part is malformed.
fn nanos(text: &str) -> Option<u128> {
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut total) = (text, 0_u128);
    loop {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let unit = unit_nanos(unit)?;
        let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
        let fraction = number(fraction) * unit / 10_u128.pow(fraction.len() as u32);
        total = total
            .saturating_add(number(whole).saturating_mul(unit))
            .saturating_add(fraction);
        rest = after;
        if rest.is_empty() {
            return Some(total);
        }
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

fn number(digits: &str) -> u128 {
    digits.bytes().fold(0, |number: u128, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u128::from(digit - b'0'))
    })
}

fn unit_nanos(name: &str) -> Option<u128> {
    Some(match name {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_as_in_go() {
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
    fn malformed_text_is_unknown() {
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
    fn negative_and_long_durations_have_own_errors() {
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
    fn error_repeats_text_and_names_syntax() {
        assert_eq!(
            parse("10").unwrap_err().to_string(),
            "unknown duration `10`; write it like 30s, 1m30s or 500ms"
        );
        let long = parse(&"\n".repeat(10_000)).unwrap_err().to_string();
        assert!(long.len() < 250 && !long.contains('\n'), "{long}");
    }

    #[test]
    fn debug_format_parses_back() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let nanos = random.u64(..=i64::MAX as u64) >> random.u32(0..63);
            let duration = Duration::from_nanos(nanos);
            let text = format!("{duration:?}");
            assert_eq!(parse(&text), Ok(duration), "{text}");
        }
    }

    #[test]
    fn arbitrary_text_never_panics() {
        let mut random = fastrand::Rng::with_seed(2);
        let alphabet: Vec<char> = "0123456789.+-nuµμmsh é\u{0}".chars().collect();
        for _ in 0..50_000 {
            let length = random.usize(0..30);
            let text: String = (0..length)
                .filter_map(|_| random.choice(&alphabet))
                .collect();
            if let Ok(duration) = parse(&text) {
                assert_eq!(parse(&format!("{duration:?}")), Ok(duration), "{text}");
            }
        }
    }
}
