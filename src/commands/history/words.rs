//! Times and names for the table and the timeline.

use std::time::Duration;

use crate::fmt::{one_line, span, utc};

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

/// Returns the number of columns of a text. East Asian letters and pictures take two each.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Approximates by Unicode blocks; combining characters count as one.
fn width(letter: char) -> usize {
    let wide = matches!(
        letter,
        '\u{1100}'..='\u{115f}'
            | '\u{2e80}'..='\u{a4cf}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}'
            | '\u{ff00}'..='\u{ff60}'
            | '\u{ffe0}'..='\u{ffe6}'
            | '\u{1f300}'..='\u{1faff}'
            | '\u{20000}'..='\u{3fffd}'
    );
    1 + usize::from(wide)
}

/// Shortens a foreign name to one line of at most `most` columns. It keeps the beginning and the end,
/// which name the cluster and the pod.
pub(super) fn name(text: &str, most: usize) -> String {
    let text = one_line(text);
    if columns(&text) <= most {
        return text;
    }
    let room = most.saturating_sub(1);
    let (mut front, mut back) = (String::new(), String::new());
    for letter in text.chars() {
        if columns(&front) + width(letter) > room / 2 {
            break;
        }
        front.push(letter);
    }
    for letter in text.chars().rev() {
        if columns(&front) + columns(&back) + width(letter) > room {
            break;
        }
        back.insert(0, letter);
    }
    format!("{front}…{back}")
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

    #[test]
    fn long_name_keeps_both_ends() {
        assert_eq!(name("napoleon", 8), "napoleon");
        assert_eq!(name("napoleon/default/elector-7d4f", 13), "napole…r-7d4f");
        assert_eq!(name("a\u{1b}[31m\n", 20), "a[31m");
        for most in 1..30 {
            assert!(
                columns(&name("皇帝/拿破仑/波拿巴-七四", most)) <= most,
                "{most}"
            );
        }
    }
}
