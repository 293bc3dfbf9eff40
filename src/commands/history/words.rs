//! Times and names as people read them in a table.

use std::time::Duration;

use crate::fmt::{one_line, span, utc};

/// RFC 3339 text without the letters: `2026-11-22 10:00:00`.
pub(super) fn short(rfc3339: &str) -> String {
    rfc3339.trim_end_matches('Z').replace('T', " ")
}

/// A time by its whole date: `2026-11-22 10:00:00`.
pub(super) fn date(unix: Option<i64>) -> String {
    let text = unix.and_then(utc);
    text.map_or_else(|| "unknown".to_owned(), |text| short(&text))
}

/// The same without the year.
pub(super) fn day(unix: Option<i64>) -> String {
    let date = date(unix);
    match date.split_once('-') {
        Some((_, rest)) => rest.to_owned(),
        None => date,
    }
}

/// From one time to another; empty if it is not known.
pub(super) fn between(from: Option<i64>, to: Option<i64>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => {
            let seconds = to.saturating_sub(from).max(0);
            span(Duration::from_secs(seconds.unsigned_abs()))
        }
        _ => String::new(),
    }
}

/// How many columns a text takes: letters of East Asia and pictures take two each.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// By the blocks of Unicode, roughly; what combines with the letter before it is counted too.
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

/// A foreign name, on one line, in at most so many columns. Of a long one its beginning and its end
/// are kept, which say in which cluster it is and which pod.
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
    fn long_names_keep_both_ends_and_wide_ones_fit_too() {
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
