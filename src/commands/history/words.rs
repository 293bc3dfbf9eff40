//! Times for the table.

use std::time::Duration;

use crate::fmt::{span, utc};

/// Shortens RFC 3339 text: `2026-11-22 10:00:00`.
pub(super) fn short(rfc3339: &str) -> String {
    rfc3339.trim_end_matches('Z').replace('T', " ")
}

/// Formats a time with its date: `2026-11-22 10:00:00`.
pub(super) fn date(unix: Option<i64>) -> String {
    let text = unix.and_then(utc);
    text.map_or_else(|| "unknown".to_owned(), |text| short(&text))
}

/// Formats a time without its year: `11-22 10:00:00`.
pub(super) fn day(unix: Option<i64>) -> String {
    let date = date(unix);
    match date.split_once('-') {
        Some((_, rest)) => rest.to_owned(),
        None => date,
    }
}

/// Formats the span between two times; empty if one is unknown.
pub(super) fn between(from: Option<i64>, to: Option<i64>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => {
            let seconds = to.saturating_sub(from).max(0);
            span(Duration::from_secs(seconds.unsigned_abs()))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(date(Some(1_588_008_246)), "2020-04-27 17:24:06");
        assert_eq!(day(Some(1_588_008_246)), "04-27 17:24:06");
        assert_eq!(date(None), "unknown");
        assert_eq!(date(Some(i64::MAX)), "unknown");
        assert_eq!(between(Some(5), Some(257)), "4m 12s");
        assert_eq!(between(Some(5), Some(4)), "0s");
        assert_eq!(between(None, Some(4)), "");
    }
}
