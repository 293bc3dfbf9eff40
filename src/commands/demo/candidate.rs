//! Candidates of a demonstration: `elector run` processes, and the lines of their logs.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

use crate::election::time::Instant;
use crate::system::clock::BootClock;
use crate::workload::process::dies_with_parent;

/// Longest line of a log that is read, in bytes. The elector writes no longer ones.
const LONGEST_LINE: u64 = 4096;

/// Event of a demonstration.
pub(super) enum Event {
    /// A candidate logged a line.
    Line(Line),
    /// A person pressed Ctrl-C.
    Interrupted,
}

/// Line of a candidate's log.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Name of the candidate.
    pub(super) candidate: &'static str,
    /// Time at which the line was read.
    pub(super) at: Instant,
    pub(super) log: LogEntry,
}

/// Fields of a log line in JSON that matter here; empty where absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct LogEntry {
    pub(super) level: String,
    pub(super) event: String,
    pub(super) fencing_token: Option<u64>,
    /// Leader that the candidate observed.
    pub(super) leader: String,
    pub(super) message: String,
    pub(super) reason: String,
    pub(super) error: String,
}

impl Line {
    /// Returns the text to show.
    pub(super) fn text(&self) -> String {
        let LogEntry {
            level,
            leader,
            message,
            reason,
            error,
            ..
        } = &self.log;
        let mut text = match self.log.event.as_str() {
            "started_leading" => {
                let name = self.candidate;
                format!("I am {name}! I will lead you to greatness!")
            }
            "new_leader" if !leader.is_empty() => format!("All hail {leader}!"),
            _ if level.is_empty() || level == "info" => message.clone(),
            _ => format!("{level}: {message}"),
        };
        for detail in [reason, error].into_iter().filter(|text| !text.is_empty()) {
            text.push_str(": ");
            text.push_str(detail);
        }
        if let Some(token) = self.log.fencing_token {
            text.push_str(&format!(" (fencing token {token})"));
        }
        text
    }
}

/// Process of a candidate. It is killed when this is dropped.
pub(super) struct Candidate {
    pub(super) name: &'static str,
    /// Whether it was told to stop.
    pub(super) stopped: bool,
    child: Child,
    reader: Option<JoinHandle<()>>,
}

impl Candidate {
    /// Starts a candidate that has only these settings. Its lines are sent to `events`.
    pub(super) fn start(
        name: &'static str,
        settings: &[(&str, &str)],
        events: Sender<Event>,
    ) -> io::Result<Candidate> {
        // Ends with this process, even if that is killed.
        let mut child = dies_with_parent(&std::env::current_exe()?)
            .arg("run")
            .env_clear()
            .envs(settings.iter().copied())
            .env("LEADER_NAME", name)
            .env("LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take();
        let reader = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                if let Some(log) = log {
                    read_lines(name, log, &events);
                }
            })?;
        Ok(Candidate {
            name,
            stopped: false,
            child,
            reader: Some(reader),
        })
    }

    /// Kills the process, and waits until it has ended and its log has been read.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.finish_reading();
        Ok(())
    }

    /// Waits until the log of an ended process has been read.
    fn finish_reading(&mut self) {
        if let Some(reader) = self.reader.take() {
            // If the thread panicked, there are no more lines.
            let _ = reader.join();
        }
    }

    /// Tells the candidate to stop.
    pub(super) fn terminate(&mut self) -> io::Result<()> {
        self.stopped = true;
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        Ok(kill(Pid::from_raw(pid), Signal::SIGTERM)?)
    }

    /// Returns the exit status if the process has ended; then its log has been read.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.finish_reading();
        }
        Ok(status)
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn read_lines(candidate: &'static str, log: impl Read, events: &Sender<Event>) {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    while let Ok(1..) = log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
        let line_read = Line {
            candidate,
            at: BootClock::now(),
            log: parse(&line),
        };
        if events.send(Event::Line(line_read)).is_err() {
            return;
        }
        line.clear();
    }
}

/// Parses a line. One that is not JSON, such as an error before the log starts, is shown as it is.
fn parse(line: &[u8]) -> LogEntry {
    serde_json::from_slice(line).unwrap_or_else(|_| LogEntry {
        message: String::from_utf8_lossy(line).trim_end().to_owned(),
        ..LogEntry::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> String {
        let line = Line {
            candidate: "napoleon",
            at: Instant::BOOT,
            log: parse(line.as_bytes()),
        };
        line.text()
    }

    #[test]
    fn log_lines_become_text() {
        for (line, expected) in [
            (
                r#"{"level":"info","event":"started_leading","fencing_token":7,"message":"x"}"#,
                "I am napoleon! I will lead you to greatness! (fencing token 7)",
            ),
            (
                r#"{"level":"info","event":"new_leader","leader":"hannibal","message":"x"}"#,
                "All hail hannibal!",
            ),
            (
                r#"{"level":"info","event":"new_leader","leader":"","message":"no leader"}"#,
                "no leader",
            ),
            (
                r#"{"level":"warn","lock":"g","message":"m","reason":"r","fencing_token":7}"#,
                "warn: m: r (fencing token 7)",
            ),
            ("elector: not JSON\n", "elector: not JSON"),
            ("", ""),
        ] {
            assert_eq!(text(line), expected, "{line}");
        }
    }
}
