//! The candidates of a demonstration: real `elector run` processes, and what they say.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Event;
use crate::election::time::Instant;
use crate::system::clock::BootClock;
use crate::workload::process::dies_with_parent;

/// A line of a candidate's log is cut here; the demonstration shows a line each.
const LONGEST_LINE: u64 = 4096;

/// What a candidate's line tells of the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It leads, with this token.
    Leads(u64),
    /// Its term is over.
    SteppedDown,
    /// It sees somebody else lead.
    Hails(String),
    /// Something else.
    Else,
}

/// A line that a candidate wrote.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) who: &'static str,
    pub(super) at: Instant,
    pub(super) text: String,
    pub(super) said: Said,
}

/// A candidate's process.
pub(super) struct Candidate {
    pub(super) name: &'static str,
    pub(super) asked_to_leave: bool,
    child: Child,
    reader: Option<JoinHandle<()>>,
}

impl Candidate {
    /// Starts a candidate with these settings only, whatever else stands in the environment.
    pub(super) fn start(
        name: &'static str,
        settings: &[(&str, &str)],
        events: Sender<Event>,
    ) -> io::Result<Candidate> {
        // Whatever becomes of the demonstration, nobody is left behind.
        let mut child = dies_with_parent(&std::env::current_exe()?)
            .arg("run")
            .env_clear()
            .envs(settings.iter().copied())
            .env("LEADER_NAME", name)
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
            asked_to_leave: false,
            child,
            reader: Some(reader),
        })
    }

    /// Kills it, and waits until it is gone and all that it said has been read.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        let status = self.child.wait()?;
        self.read_on();
        Ok(status)
    }

    /// Waits until all has been read that it said; it must be gone.
    fn read_on(&mut self) {
        if let Some(reader) = self.reader.take() {
            // If it panicked there is nothing more to come.
            let _ = reader.join();
        }
    }

    /// Asks it to stop.
    pub(super) fn terminate(&mut self) -> io::Result<()> {
        self.asked_to_leave = true;
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        Ok(kill(Pid::from_raw(pid), Signal::SIGTERM)?)
    }

    /// How it ended, if it has; all that it said has been read then.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.read_on();
        }
        Ok(status)
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        // Whatever ends the demonstration leaves nothing behind.
        let _ = self.kill();
    }
}

fn read_lines(who: &'static str, log: impl Read, events: &Sender<Event>) {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    while let Ok(1..) = log.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        let text = message(text.trim_end());
        let line_read = Line {
            who,
            at: BootClock::now(),
            said: understand(text),
            text: text.to_owned(),
        };
        if events.send(Event::Said(line_read)).is_err() {
            return;
        }
        line.clear();
    }
}

/// The line without its time and, if it is an ordinary one, without its level.
fn message(line: &str) -> &str {
    let rest = line.split_once(' ').map_or(line, |(_, rest)| rest);
    rest.strip_prefix("INFO").unwrap_or(rest).trim_start()
}

fn understand(text: &str) -> Said {
    if let Some(hailed) = text.strip_prefix("All hail ") {
        let (hailed, _) = hailed.split_once(" leader=").unwrap_or((hailed, ""));
        let (name, _) = hailed.rsplit_once(" (token ").unwrap_or((hailed, ""));
        return Said::Hails(name.to_owned());
    }
    if text.contains(" does not lead any more (token ") {
        return Said::SteppedDown;
    }
    let token = text
        .split_once("I will lead you to greatness! (token ")
        .and_then(|(_, token)| token.split_once(')')?.0.parse().ok());
    token.map_or(Said::Else, Said::Leads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_candidate_are_understood() {
        for (line, text, said) in [
            (
                "2026-11-22T10:00:00.123Z INFO  I am napoleon! I will lead you to greatness! (token 7)",
                "I am napoleon! I will lead you to greatness! (token 7)",
                Said::Leads(7),
            ),
            (
                "2026-11-22T10:00:00.123Z INFO  All hail napoleon (token 7)",
                "All hail napoleon (token 7)",
                Said::Hails("napoleon".into()),
            ),
            (
                "2026-11-22T10:00:00.123Z INFO  stalin does not lead any more (token 7): why",
                "stalin does not lead any more (token 7): why",
                Said::SteppedDown,
            ),
            (
                "2026-11-22T10:00:00.123Z WARN  stalin does not lead any more (token 7): why",
                "WARN  stalin does not lead any more (token 7): why",
                Said::SteppedDown,
            ),
            (
                "2026-11-22T10:00:00.123Z WARN  something else",
                "WARN  something else",
                Said::Else,
            ),
            ("", "", Said::Else),
        ] {
            assert_eq!(message(line), text);
            assert_eq!(understand(message(line)), said);
        }
    }
}
