//! What the elector and the guard tell each other: lines of text through two pipes.
//!
//! This file owns how they are written and read. What they bring about is decided by the guard's
//! [`watch`](super::watch), and on the elector's side by its supervisor.
//!
//! ```text
//!   elector ─► guard                      guard ─► elector
//!   until NANOS                           started PID
//!   signal N                              exited CODE
//!   stop N KILL_AT_NANOS                  stopped CODE
//!   kill                                  gone CODE
//!                                         gone none
//! ```

use std::fmt;
use std::time::Duration;

use crate::election::time::Instant;

/// The longest line, its newline included. The longest message has 29 bytes; what is longer is none,
/// and a write of so much to a pipe is whole or not at all (POSIX asks for 512 at the least).
pub const LONGEST_LINE: usize = 512;

/// Signals have numbers from 1 on; those above 31 are the real-time ones, which nothing here passes on.
const HIGHEST_SIGNAL: i32 = 31;

/// How much of a line that is none is repeated, in characters.
const LONGEST_SHOWN: usize = 60;

/// What the elector tells the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToGuard {
    /// The workload may run until then. The first one starts it, unless that has passed; each one
    /// takes the place of the one before.
    Until(Instant),
    /// Pass this signal on to the workload's process group.
    Signal(i32),
    /// Ask the workload to end.
    Stop {
        /// With this signal, to its process group.
        signal: i32,
        /// When everything is killed, unless the time is up earlier. A later message may only move
        /// it forward.
        kill_at: Instant,
    },
    /// Kill everything now.
    Kill,
}

/// What the guard tells the elector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FromGuard {
    /// The workload runs, as this process and process group.
    Started(i32),
    /// The workload itself has ended, with this exit code (128 + n when signal n killed it), and nobody
    /// had told it to. What it left behind may run on for a moment.
    Exited(i32),
    /// The same, after it was told to end: by the elector, or by its guard because its time was over.
    Stopped(i32),
    /// Nothing of it is left; the exit code is the workload's, none when it was never started.
    Gone(Option<i32>),
}

/// Why a line is no message.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// It is none that is known; this is how it begins.
    Unknown(String),
    /// It is longer than [`LONGEST_LINE`].
    TooLong,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::Unknown(line) => write!(
                f,
                "elector and guard do not understand each other: `{line}` is no message (this is a \
                 bug in elector)"
            ),
            MessageError::TooLong => write!(
                f,
                "elector and guard do not understand each other: a line has more than \
                 {LONGEST_LINE} bytes (this is a bug in elector)"
            ),
        }
    }
}

impl std::error::Error for MessageError {}

impl ToGuard {
    /// The line, with its newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        match self {
            ToGuard::Until(until) => format!("until {}\n", nanos(*until)),
            ToGuard::Signal(signal) => format!("signal {signal}\n"),
            ToGuard::Stop { signal, kill_at } => format!("stop {signal} {}\n", nanos(*kill_at)),
            ToGuard::Kill => "kill\n".to_owned(),
        }
    }

    /// Reads a line, without its newline.
    ///
    /// # Errors
    /// [`MessageError::Unknown`] for all but what [`to_line`](Self::to_line) writes.
    pub fn parse(line: &str) -> Result<Self, MessageError> {
        let words: Vec<&str> = line.split(' ').collect();
        let message = match words[..] {
            ["until", until] => instant(until).map(ToGuard::Until),
            ["signal", number] => signal(number).map(ToGuard::Signal),
            ["stop", number, at] => signal(number)
                .zip(instant(at))
                .map(|(signal, kill_at)| ToGuard::Stop { signal, kill_at }),
            ["kill"] => Some(ToGuard::Kill),
            _ => None,
        };
        message.ok_or_else(|| unknown(line))
    }
}

impl FromGuard {
    /// The line, with its newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        match self {
            FromGuard::Started(pid) => format!("started {pid}\n"),
            FromGuard::Exited(code) => format!("exited {code}\n"),
            FromGuard::Stopped(code) => format!("stopped {code}\n"),
            FromGuard::Gone(Some(code)) => format!("gone {code}\n"),
            FromGuard::Gone(None) => "gone none\n".to_owned(),
        }
    }

    /// Reads a line, without its newline.
    ///
    /// # Errors
    /// [`MessageError::Unknown`] for all but what [`to_line`](Self::to_line) writes.
    pub fn parse(line: &str) -> Result<Self, MessageError> {
        let words: Vec<&str> = line.split(' ').collect();
        let message = match words[..] {
            ["started", pid] => number(pid).map(FromGuard::Started),
            ["exited", code] => number(code).map(FromGuard::Exited),
            ["stopped", code] => number(code).map(FromGuard::Stopped),
            ["gone", "none"] => Some(FromGuard::Gone(None)),
            ["gone", code] => number(code).map(|code| FromGuard::Gone(Some(code))),
            _ => None,
        };
        message.ok_or_else(|| unknown(line))
    }
}

/// Nanoseconds since boot; an instant after 584 years counts as those.
fn nanos(instant: Instant) -> u64 {
    u64::try_from(instant.since_boot().as_nanos()).unwrap_or(u64::MAX)
}

fn instant(text: &str) -> Option<Instant> {
    let nanos = digits(text)?.parse().ok()?;
    Some(Instant::from_boot(Duration::from_nanos(nanos)))
}

fn signal(text: &str) -> Option<i32> {
    number(text).filter(|signal| (1..=HIGHEST_SIGNAL).contains(signal))
}

fn number(text: &str) -> Option<i32> {
    digits(text)?.parse().ok()
}

/// std would also read a sign.
fn digits(text: &str) -> Option<&str> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(text)
}

fn unknown(line: &str) -> MessageError {
    let shown = line.chars().take(LONGEST_SHOWN);
    MessageError::Unknown(shown.flat_map(char::escape_debug).collect())
}

/// Bytes as they come out of a pipe, cut into lines. It holds no more than what was pushed last and
/// one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// With nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Lines::default()
    }

    /// Takes what was read. Take all lines out before more is pushed, and stop at an error.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, without its newline.
    ///
    /// # Errors
    /// [`MessageError`] for a line that is too long, also before its end was seen, or is no ASCII. What follows it
    /// is of no use either.
    pub fn next_line(&mut self) -> Option<Result<String, MessageError>> {
        let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') else {
            return (self.bytes.len() >= LONGEST_LINE).then_some(Err(MessageError::TooLong));
        };
        if end >= LONGEST_LINE {
            return Some(Err(MessageError::TooLong));
        }
        let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
        line.pop();
        Some(match String::from_utf8(line) {
            Ok(line) if line.is_ascii() => Ok(line),
            Ok(line) => Err(unknown(&line)),
            Err(error) => Err(unknown(&String::from_utf8_lossy(error.as_bytes()))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_boot(Duration::from_nanos(nanos))
    }

    const LAST: Instant = Instant::from_boot(Duration::from_nanos(u64::MAX));

    #[test]
    fn every_message_is_read_as_it_was_written() {
        for (message, line) in [
            (ToGuard::Until(at(0)), "until 0\n"),
            (ToGuard::Until(LAST), "until 18446744073709551615\n"),
            (ToGuard::Signal(1), "signal 1\n"),
            (
                ToGuard::Stop {
                    signal: 31,
                    kill_at: at(7_000_000_001),
                },
                "stop 31 7000000001\n",
            ),
            (ToGuard::Kill, "kill\n"),
        ] {
            assert_eq!(message.to_line(), line);
            assert_eq!(ToGuard::parse(line.trim_end()), Ok(message));
            assert!(line.len() < LONGEST_LINE);
        }
        for (message, line) in [
            (FromGuard::Started(4_194_304), "started 4194304\n"),
            (FromGuard::Exited(0), "exited 0\n"),
            (FromGuard::Stopped(143), "stopped 143\n"),
            (FromGuard::Gone(Some(255)), "gone 255\n"),
            (FromGuard::Gone(None), "gone none\n"),
        ] {
            assert_eq!(message.to_line(), line);
            assert_eq!(FromGuard::parse(line.trim_end()), Ok(message));
        }
    }

    #[test]
    fn a_time_past_all_times_is_cut_off() {
        let never = ToGuard::Until(Instant::from_boot(Duration::MAX)).to_line();
        assert_eq!(ToGuard::parse(never.trim_end()), Ok(ToGuard::Until(LAST)));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for line in [
            "",
            " ",
            "until",
            "until ",
            "until  5",
            "until 5 ",
            " until 5",
            "until -5",
            "until +5",
            "until 5x",
            "until 18446744073709551616",
            "until 5 5",
            "UNTIL 5",
            "signal 0",
            "signal 32",
            "signal -1",
            "stop 15",
            "stop 0 5",
            "kill 9",
            "kill\r",
            "started 5",
        ] {
            assert!(ToGuard::parse(line).is_err(), "{line}");
        }
        for line in ["", "gone", "gone -1", "gone None", "exited", "until 5"] {
            assert!(FromGuard::parse(line).is_err(), "{line}");
        }
        let error = ToGuard::parse(&"\u{1b}".repeat(1_000))
            .unwrap_err()
            .to_string();
        assert!(error.len() < 500 && !error.contains('\u{1b}'), "{error}");
    }

    fn lines_of(chunks: &[&[u8]]) -> Vec<Result<String, MessageError>> {
        let mut lines = Lines::new();
        let mut all = Vec::new();
        for chunk in chunks {
            lines.push(chunk);
            while let Some(line) = lines.next_line() {
                let broken = line.is_err();
                all.push(line);
                if broken {
                    return all;
                }
            }
        }
        all
    }

    #[test]
    fn lines_may_come_in_any_pieces() {
        let text = b"until 5\n\nkill\nsignal 1\n";
        let whole = lines_of(&[text]);
        let expected = ["until 5", "", "kill", "signal 1"].map(|line| Ok(line.to_owned()));
        assert_eq!(whole, expected);
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines_of(&single), expected);
        assert_eq!(
            lines_of(&[b"kil", b"l\nsto", b"p"]),
            [Ok("kill".to_owned())]
        );
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let longest = [b"x".repeat(LONGEST_LINE - 1), b"\n".to_vec()].concat();
        assert!(lines_of(&[&longest])[0].is_ok());
        let long = [b"x".repeat(LONGEST_LINE), b"\n".to_vec()].concat();
        assert_eq!(lines_of(&[&long]), [Err(MessageError::TooLong)]);
        let endless = b"x".repeat(LONGEST_LINE);
        assert_eq!(lines_of(&[&endless]), [Err(MessageError::TooLong)]);
    }

    #[test]
    fn a_line_that_is_no_text_is_refused() {
        for bytes in [&b"kill\xff\n"[..], "kill\u{e9}\n".as_bytes()] {
            let lines = lines_of(&[bytes]);
            assert!(
                matches!(lines[..], [Err(MessageError::Unknown(_))]),
                "{lines:?}"
            );
        }
    }
}
