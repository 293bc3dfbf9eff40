//! How a line of the log looks, and which filters are understood.
//!
//! `2026-11-22T10:00:00.123Z INFO  message`, with the target before the message when it is not one
//! of ours. One event is one line, whatever it holds.

use std::fmt::{self, Write};

use env_logger::Logger;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::fmt::shortened;
use crate::system::clock;

/// The longest line, in bytes with its newline. A pipe takes as much as this in one piece
/// (`PIPE_BUF`), so that lines of several processes on one standard error do not mix.
pub(super) const LONGEST: usize = 4096;

/// Longest part of a filter that a warning repeats, in characters.
const LONGEST_SHOWN: usize = 60;

/// What stands at the end of a line that was cut.
const CUT: &str = "…\n";

/// The targets of our own modules begin with this.
const OWN: &str = env!("CARGO_CRATE_NAME");

/// The line for an event.
pub(super) fn format(record: &Record<'_>) -> String {
    let mut line = Line::default();
    // An error means that the line is full, or that a value refused to be printed: what there is of
    // it is better than nothing.
    let _ = write(&mut line, record);
    line.finish()
}

fn write(line: &mut Line, record: &Record<'_>) -> fmt::Result {
    write!(
        line,
        "{} {:<5} ",
        clock::utc_timestamp_millis(),
        record.level()
    )?;
    let target = record.target();
    if target != OWN
        && !target
            .strip_prefix(OWN)
            .is_some_and(|t| t.starts_with("::"))
    {
        write!(line, "{target}: ")?;
    }
    line.write_fmt(*record.args())
}

/// The line for a warning of the log's own.
pub(super) fn warning(text: &str) -> String {
    format(
        &Record::builder()
            .level(Level::Warn)
            .target(OWN)
            .args(format_args!("{text}"))
            .build(),
    )
}

/// The line that stands for `count` dropped ones.
pub(super) fn dropped(count: u64) -> String {
    let lines = if count == 1 { "line was" } else { "lines were" };
    warning(&format!(
        "{count} log {lines} dropped here: standard error was not read fast enough"
    ))
}

/// A line that takes what fits, escaped.
#[derive(Default)]
struct Line {
    text: String,
    cut: bool,
}

impl Line {
    fn finish(mut self) -> String {
        self.text.push_str(if self.cut { CUT } else { "\n" });
        self.text
    }

    fn push(&mut self, piece: impl Iterator<Item = char> + Clone) -> fmt::Result {
        let length: usize = piece.clone().map(char::len_utf8).sum();
        if self.cut || self.text.len() + length + CUT.len() > LONGEST {
            self.cut = true;
            // Whatever is being printed need not go on.
            return Err(fmt::Error);
        }
        self.text.extend(piece);
        Ok(())
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if must_be_escaped(character) {
                self.push(character.escape_default())?;
            } else {
                self.push(std::iter::once(character))?;
            }
        }
        Ok(())
    }
}

/// Whether a character would break a line, or make a terminal do more than show it: control
/// characters, line and paragraph separators, and those that turn the direction of writing.
fn must_be_escaped(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// What to tell the user about a filter, which `logger` was made with.
pub(super) fn doubt_about_filter(filter: &str, logger: &Logger) -> Option<String> {
    if let Some(flaw) = flaw_in_filter(filter) {
        return Some(format!("RUST_LOG {flaw}; info counts instead"));
    }
    // A word that is no level is taken for a module, and everything else is silent.
    let own_error = Metadata::builder().level(Level::Error).target(OWN).build();
    if logger.enabled(&own_error) || filter.to_ascii_lowercase().contains("off") {
        return None;
    }
    Some(format!(
        "RUST_LOG is `{}`, which lets nothing of elector itself through: add a level, as in \
         info,ureq=debug",
        shortened(filter, LONGEST_SHOWN)
    ))
}

/// What is wrong with a filter, as the rest of a sentence; `None` if env_logger understands it.
///
/// env_logger itself prints what it does not understand, past the queue, and goes on with the rest.
pub(super) fn flaw_in_filter(filter: &str) -> Option<String> {
    let (directives, pattern) = filter.split_once('/').unwrap_or((filter, ""));
    if pattern.contains('/') {
        return Some("has more than one `/`: write it like warn,ureq=debug".to_owned());
    }
    let flawed = |directive: &&str| match directive.split_once('=') {
        None => false,
        Some((_, level)) => {
            !level.trim().is_empty() && level.trim().parse::<LevelFilter>().is_err()
        }
    };
    let directive = directives.split(',').map(str::trim).find(flawed)?;
    Some(format!(
        "has `{}`, which names no level: write it like warn,ureq=debug",
        shortened(directive, LONGEST_SHOWN)
    ))
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    fn line(level: Level, target: &str, text: &str) -> String {
        format(
            &Record::builder()
                .level(level)
                .target(target)
                .args(format_args!("{text}"))
                .build(),
        )
    }

    fn message(text: &str) -> String {
        let line = line(Level::Info, OWN, text);
        let message = line.split_once(" INFO  ").unwrap().1;
        message.strip_suffix('\n').unwrap().to_owned()
    }

    #[test]
    fn a_line_has_time_level_and_message() {
        let line = line(Level::Warn, &format!("{OWN}::a::b"), "hello");
        let (time, rest) = line.split_at("2026-11-22T10:00:00.123Z".len());
        assert!(time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
        assert_eq!(rest, " WARN  hello\n");
    }

    #[test]
    fn other_peoples_modules_are_named() {
        let line = |target| line(Level::Error, target, "hello");
        assert!(line("ureq::run").ends_with(" ERROR ureq::run: hello\n"));
        let similar = format!("{OWN}_of_somebody_else");
        assert!(line(&similar).ends_with(&format!("{similar}: hello\n")));
    }

    #[test]
    fn one_event_is_one_line_and_moves_no_cursor() {
        let text = "a\nb\r\t\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{202e}é\u{0}\"'\\";
        assert_eq!(
            message(text),
            r#"a\nb\r\t\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{202e}é\u{0}"'\"#
        );
    }

    #[test]
    fn a_line_is_cut_where_a_pipe_would_split_it() {
        for text in ["x", "é", "\u{1b}"] {
            let line = line(Level::Info, OWN, &text.repeat(100_000));
            assert!(line.len() <= LONGEST && line.len() > LONGEST - 10);
            assert!(line.ends_with("…\n"));
        }
    }

    #[test]
    fn a_value_that_cannot_be_printed_does_not_lose_the_line() {
        struct Sulking;
        impl fmt::Display for Sulking {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let sulking = Sulking;
        let line = format(
            &Record::builder()
                .level(Level::Info)
                .target(OWN)
                .args(format_args!("before {sulking} after"))
                .build(),
        );
        assert!(line.ends_with("INFO  before \n"), "{line}");
    }

    #[test]
    fn filters_are_understood_as_env_logger_does() {
        for good in [
            "",
            "info",
            "off",
            "INFO",
            "a",
            "a=",
            "a=debug,b::c=trace",
            ",",
            "warn/x",
            " a = info ",
        ] {
            assert_eq!(flaw_in_filter(good), None, "{good}");
        }
        for bad in ["a=loud", "info,a=b=c", "a/b/c", "a=info=", "=7x"] {
            assert!(flaw_in_filter(bad).is_some(), "{bad}");
        }
    }
}
