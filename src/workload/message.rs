//! Messages between the elector and the guard: lines of text through two pipes.
//!
//! This file owns their format. What they cause is decided by [`guard_state`](super::guard_state) in
//! the guard, and by [`supervisor`](super::supervisor) in the elector.
//!
//! ```text
//!   elector ─► guard                      guard ─► elector
//!   valid-until NANOS                     started PID
//!   signal N                              exited CODE
//!   stop N KILL_AT_NANOS                  terminated CODE
//!   terminate KILL_AT_NANOS               workload-stopped CODE
//!   kill                                  workload-stopped none
//!                                         suspended N
//!                                         continued
//!                                         left-behind PID NAME COUNT
//! ```

use std::fmt;
use std::time::Duration;

use super::process::procfs::ProcessName;
use crate::election::time::Instant;
use crate::fmt::shortened;

/// Most bytes of a line, including its newline. The longest message has 33. A write of this size to a
/// pipe is atomic, because POSIX guarantees that for at least 512 bytes.
pub const LONGEST_LINE: usize = 512;

/// Highest signal that is passed on: higher numbers are real-time signals.
const HIGHEST_SIGNAL: i32 = 31;

/// Characters of an unknown line that its error repeats.
const LONGEST_SHOWN: usize = 60;

/// A message from the elector to the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToGuard {
    /// New leadership deadline. The first one starts the wrapped program, unless it has passed; each
    /// later one replaces the previous one.
    ValidUntil(Instant),
    /// Send this signal to the program.
    Signal(i32),
    /// Shut the workload down gracefully: the program first, then what it leaves behind.
    Stop {
        /// Signal for the program.
        signal: i32,
        /// Time of KILL, unless the leadership deadline comes first. A later message can only make it
        /// earlier.
        kill_at: Instant,
    },
    /// Send TERM to the whole workload now, because the lease is lost.
    Terminate {
        /// As for `Stop`.
        kill_at: Instant,
    },
    /// Kill the whole workload now.
    Kill,
}

/// A message from the guard to the elector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FromGuard {
    /// The program runs, with this number as its process and process group.
    Started(i32),
    /// The program exited with this code (128+n if signal n killed it), and nothing had told it to.
    /// Processes that it left behind may still run.
    Exited(i32),
    /// Like `Exited`, after the elector or the guard had told the program to end.
    Terminated(i32),
    /// No process of the workload is left. The code is that of the program, or `None` if it was never
    /// started.
    WorkloadStopped(Option<i32>),
    /// The program was suspended by this signal.
    Suspended(i32),
    /// The suspended program continues.
    Continued,
    /// The program exited by itself, and this process of it still runs.
    LeftBehind {
        /// Process id.
        pid: i32,
        /// Name of the process.
        name: ProcessName,
        /// Number of all processes left behind. Not all of them are reported.
        count: u32,
    },
}

/// Reason why a line is not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageError(String);

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = &self.0;
        write!(
            f,
            "pipe between elector and guard: {problem}; report this bug of elector"
        )
    }
}

impl std::error::Error for MessageError {}

impl ToGuard {
    /// Returns the message as a line, including its newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        match self {
            ToGuard::ValidUntil(at) => format!("valid-until {}\n", nanos(*at)),
            ToGuard::Signal(signal) => format!("signal {signal}\n"),
            ToGuard::Stop { signal, kill_at } => format!("stop {signal} {}\n", nanos(*kill_at)),
            ToGuard::Terminate { kill_at } => format!("terminate {}\n", nanos(*kill_at)),
            ToGuard::Kill => "kill\n".to_owned(),
        }
    }

    /// Parses a line without its newline.
    ///
    /// # Errors
    /// Returns an error for a line that [`to_line`](Self::to_line) does not write.
    pub fn parse(line: &str) -> Result<Self, MessageError> {
        let words: Vec<&str> = line.split(' ').collect();
        let message = match words[..] {
            ["valid-until", at] => instant(at).map(ToGuard::ValidUntil),
            ["signal", number] => signal(number).map(ToGuard::Signal),
            ["stop", number, at] => signal(number)
                .zip(instant(at))
                .map(|(signal, kill_at)| ToGuard::Stop { signal, kill_at }),
            ["terminate", at] => instant(at).map(|kill_at| ToGuard::Terminate { kill_at }),
            ["kill"] => Some(ToGuard::Kill),
            _ => None,
        };
        message.ok_or_else(|| unknown(line))
    }
}

impl FromGuard {
    /// Returns the message as a line, including its newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        match self {
            FromGuard::Started(pid) => format!("started {pid}\n"),
            FromGuard::Exited(code) => format!("exited {code}\n"),
            FromGuard::Terminated(code) => format!("terminated {code}\n"),
            FromGuard::WorkloadStopped(Some(code)) => format!("workload-stopped {code}\n"),
            FromGuard::WorkloadStopped(None) => "workload-stopped none\n".to_owned(),
            FromGuard::Suspended(signal) => format!("suspended {signal}\n"),
            FromGuard::Continued => "continued\n".to_owned(),
            FromGuard::LeftBehind { pid, name, count } => {
                format!("left-behind {pid} {name} {count}\n")
            }
        }
    }

    /// Parses a line without its newline.
    ///
    /// # Errors
    /// Returns an error for a line that [`to_line`](Self::to_line) does not write.
    pub fn parse(line: &str) -> Result<Self, MessageError> {
        let words: Vec<&str> = line.split(' ').collect();
        let message = match words[..] {
            ["started", pid] => number(pid).map(FromGuard::Started),
            ["exited", code] => number(code).map(FromGuard::Exited),
            ["terminated", code] => number(code).map(FromGuard::Terminated),
            ["workload-stopped", "none"] => Some(FromGuard::WorkloadStopped(None)),
            ["workload-stopped", code] => {
                number(code).map(|code| FromGuard::WorkloadStopped(Some(code)))
            }
            ["suspended", number] => signal(number).map(FromGuard::Suspended),
            ["continued"] => Some(FromGuard::Continued),
            ["left-behind", pid, name, count] => left_behind(pid, name, count),
            _ => None,
        };
        message.ok_or_else(|| unknown(line))
    }
}

fn left_behind(pid: &str, name: &str, count: &str) -> Option<FromGuard> {
    Some(FromGuard::LeftBehind {
        pid: number(pid)?,
        name: ProcessName::parse(name)?,
        count: number(count)?.cast_unsigned(),
    })
}

/// Returns nanoseconds since boot, at most `u64::MAX` (584 years).
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

/// Returns `text` if it has only digits, because std's `parse` also accepts a sign.
fn digits(text: &str) -> Option<&str> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(text)
}

fn unknown(line: &str) -> MessageError {
    let shown = shortened(line, LONGEST_SHOWN);
    MessageError(format!("unknown message `{}`", shown.escape_debug()))
}

/// Cuts the bytes read from a pipe into lines. Holds at most one line and the bytes pushed last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LineBuffer {
    bytes: Vec<u8>,
}

impl LineBuffer {
    /// Appends bytes. Take all lines out before pushing more, and stop at the first error.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next complete line, without its newline.
    ///
    /// # Errors
    /// Returns an error for a line that is too long, even if it is incomplete, or that is not ASCII. The
    /// lines after it are not usable.
    pub fn next_line(&mut self) -> Option<Result<String, MessageError>> {
        let end = self.bytes.iter().position(|&byte| byte == b'\n');
        if end.unwrap_or(self.bytes.len()) >= LONGEST_LINE {
            let problem = format!("a line has more than {LONGEST_LINE} bytes");
            return Some(Err(MessageError(problem)));
        }
        let line: Vec<u8> = self.bytes.drain(..=end?).collect();
        let line = String::from_utf8_lossy(&line[..line.len() - 1]);
        Some(if line.is_ascii() {
            Ok(line.into_owned())
        } else {
            Err(unknown(&line))
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
    fn messages_round_trip() {
        for (message, line) in [
            (ToGuard::ValidUntil(at(0)), "valid-until 0\n"),
            (
                ToGuard::ValidUntil(LAST),
                "valid-until 18446744073709551615\n",
            ),
            (ToGuard::Signal(1), "signal 1\n"),
            (
                ToGuard::Stop {
                    signal: 31,
                    kill_at: at(7_000_000_001),
                },
                "stop 31 7000000001\n",
            ),
            (ToGuard::Terminate { kill_at: at(6) }, "terminate 6\n"),
            (ToGuard::Kill, "kill\n"),
        ] {
            assert_eq!(message.to_line(), line);
            assert_eq!(ToGuard::parse(line.trim_end()), Ok(message));
            assert!(line.len() < LONGEST_LINE);
        }
        for (message, line) in [
            (FromGuard::Started(4_194_304), "started 4194304\n"),
            (FromGuard::Exited(0), "exited 0\n"),
            (FromGuard::Terminated(143), "terminated 143\n"),
            (
                FromGuard::WorkloadStopped(Some(255)),
                "workload-stopped 255\n",
            ),
            (FromGuard::WorkloadStopped(None), "workload-stopped none\n"),
            (FromGuard::Suspended(21), "suspended 21\n"),
            (FromGuard::Continued, "continued\n"),
            (
                FromGuard::LeftBehind {
                    pid: 4_194_304,
                    name: ProcessName::parse("nginx:(1)").unwrap(),
                    count: 7,
                },
                "left-behind 4194304 nginx:(1) 7\n",
            ),
        ] {
            assert_eq!(message.to_line(), line);
            assert_eq!(FromGuard::parse(line.trim_end()), Ok(message));
        }
    }

    #[test]
    fn far_instant_is_capped() {
        let never = ToGuard::ValidUntil(Instant::from_boot(Duration::MAX)).to_line();
        assert_eq!(
            ToGuard::parse(never.trim_end()),
            Ok(ToGuard::ValidUntil(LAST))
        );
    }

    #[test]
    fn malformed_messages_are_refused() {
        for line in [
            "",
            " ",
            "valid-until",
            "valid-until ",
            "valid-until  5",
            "valid-until 5 ",
            " valid-until 5",
            "valid-until -5",
            "valid-until +5",
            "valid-until 5x",
            "valid-until 18446744073709551616",
            "valid-until 5 5",
            "VALID-UNTIL 5",
            "signal 0",
            "signal 32",
            "signal -1",
            "stop 15",
            "stop 0 5",
            "terminate",
            "terminate 15 5",
            "kill 9",
            "kill\r",
            "started 5",
        ] {
            assert!(ToGuard::parse(line).is_err(), "{line}");
        }
        for line in [
            "",
            "workload-stopped",
            "workload-stopped -1",
            "workload-stopped None",
            "exited",
            "valid-until 5",
            "suspended 32",
            "suspended",
            "continued 1",
            "left-behind 5 sh",
            "left-behind 5  1",
            "left-behind 5 more-than-15-bytes 1",
            "left-behind 5 a b 1",
        ] {
            assert!(FromGuard::parse(line).is_err(), "{line}");
        }
        let error = ToGuard::parse(&"\u{1b}".repeat(1_000))
            .unwrap_err()
            .to_string();
        assert!(error.len() < 500 && !error.contains('\u{1b}'), "{error}");
    }

    fn lines_of(chunks: &[&[u8]]) -> Vec<Result<String, MessageError>> {
        let mut lines = LineBuffer::default();
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
    fn lines_may_arrive_in_pieces() {
        let text = b"valid-until 5\n\nkill\nsignal 1\n";
        let whole = lines_of(&[text]);
        let expected = ["valid-until 5", "", "kill", "signal 1"].map(|line| Ok(line.to_owned()));
        assert_eq!(whole, expected);
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines_of(&single), expected);
        assert_eq!(
            lines_of(&[b"kil", b"l\nsto", b"p"]),
            [Ok("kill".to_owned())]
        );
    }

    #[test]
    fn overlong_line_is_refused() {
        let longest = [b"x".repeat(LONGEST_LINE - 1), b"\n".to_vec()].concat();
        assert!(lines_of(&[&longest])[0].is_ok());
        let long = [b"x".repeat(LONGEST_LINE), b"\n".to_vec()].concat();
        let endless = b"x".repeat(LONGEST_LINE);
        for bytes in [long, endless] {
            let lines = lines_of(&[&bytes]);
            let [Err(error)] = &lines[..] else {
                panic!("{lines:?}");
            };
            assert!(error.to_string().contains("more than 512 bytes"), "{error}");
        }
    }

    #[test]
    fn non_ascii_line_is_refused() {
        for bytes in [&b"kill\xff\n"[..], "kill\u{e9}\n".as_bytes()] {
            let lines = lines_of(&[bytes]);
            let [Err(error)] = &lines[..] else {
                panic!("{lines:?}");
            };
            assert!(error.to_string().contains("unknown message"), "{error}");
        }
    }
}
