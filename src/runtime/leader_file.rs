//! The leader file: one line of JSON that exists while this candidate leads.
//!
//! ```text
//!   {"identity":"napoleon","fencingToken":7,"validUntil":12345.67,"bootId":"898abfae-…"}
//!
//!   transition ──▶ wanted line, the latest only ──▶ "leader-file" thread ──▶ disk
//! ```
//!
//! This file owns when the line is written and removed, [`disk`] how. A disk that is slow or full
//! delays only the thread.

mod disk;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use self::disk::{Disk, Line, LinePath};
use super::transitions::Transition;
use crate::election::time::Instant;
use crate::system::clock::BootClock;
use crate::system::monitor::Monitor;

/// Pause before another try to write or remove the file.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A term, as the file shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leading {
    fencing_token: u64,
    valid_until: Instant,
}

/// What the election wants of the thread.
#[derive(Debug, Default)]
struct State {
    /// Term that the file must show; `None` means no file.
    wanted: Option<Leading>,
    /// Whether the file must be removed for good.
    closing: bool,
    /// Whether the thread has ended.
    done: bool,
}

/// The leader file, and the thread that writes it.
#[derive(Debug)]
pub(super) struct LeaderFile(Arc<Monitor<State>>);

impl LeaderFile {
    /// Removes the file of an earlier process at `path`, and starts the thread that writes there.
    ///
    /// # Errors
    /// If the file cannot be written, or a foreign file is in its place. The text says what to do.
    pub(super) fn start(path: &Path, identity: &str) -> Result<Self, String> {
        let path = LinePath::prepare(path, identity)?;
        Self::start_on(path, Line::new(identity))
            .map_err(|error| format!("no thread left: {error}"))
    }

    fn start_on(disk: impl Disk, line: Line) -> io::Result<Self> {
        let shared = Arc::new(Monitor::default());
        let mut writer = Writer {
            disk,
            line,
            shared: Arc::clone(&shared),
            done: None,
            shown_until: None,
            failed: None,
        };
        thread::Builder::new()
            .name("leader-file".into())
            .spawn(move || writer.run())?;
        Ok(LeaderFile(shared))
    }

    /// Takes note of a transition, without blocking.
    pub(super) fn transition(&self, transition: &Transition) {
        let wanted = match *transition {
            Transition::StartedLeading {
                fencing_token,
                valid_until,
            }
            | Transition::Renewed {
                fencing_token,
                valid_until,
            } => Some(Leading {
                fencing_token,
                valid_until,
            }),
            Transition::TermOver { .. } => None,
            Transition::StoppedLeading { .. } | Transition::NewLeader { .. } => return,
        };
        self.0.change(|state| {
            if !state.closing {
                state.wanted = wanted;
            }
        });
    }

    /// Removes the file for good, and waits for that at most `timeout`.
    pub(super) fn finish(&self, timeout: Duration) {
        self.0.change(|state| {
            state.wanted = None;
            state.closing = true;
        });
        drop(self.0.wait_while_for(timeout, |state| !state.done));
    }
}

impl Drop for LeaderFile {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

/// The thread that writes.
struct Writer<D> {
    disk: D,
    line: Line,
    shared: Arc<Monitor<State>>,
    /// Wanted state that was reached last.
    done: Option<Leading>,
    /// Leadership deadline in the line on the disk; `None` if there is no line.
    shown_until: Option<Instant>,
    /// Wanted state that could not be reached, and the time of the next try.
    failed: Option<(Option<Leading>, Instant)>,
}

impl<D: Disk> Writer<D> {
    fn run(&mut self) {
        loop {
            let (wanted, closing) = self.await_work();
            let result = self.show(wanted);
            if let Err(error) = &result {
                self.log_failure(wanted, error);
                self.failed = Some((wanted, BootClock::now() + RETRY_AFTER));
            } else if self.failed.take().is_some() {
                log::info!(
                    event = "leader_file_recovered", path = self.disk.path();
                    "leader file is written again"
                );
            }
            if closing {
                return self.shared.change(|state| state.done = true);
            }
        }
    }

    /// Waits until there is something to do. The waits do not advance while the machine is suspended;
    /// the election's own timer does, and ends the term on resume.
    fn await_work(&self) -> (Option<Leading>, bool) {
        let mut state = self.shared.lock();
        loop {
            let now = BootClock::now();
            let due = self.due(state.wanted, now);
            if state.closing || due.is_some_and(|due| due <= now) {
                return (state.wanted, state.closing);
            }
            state = self.shared.wait(state, due.map(|due| due.since(now)));
        }
    }

    /// Returns the time at which there is something to do.
    fn due(&self, wanted: Option<Leading>, now: Instant) -> Option<Instant> {
        match self.failed {
            Some((failed, retry_at)) if failed == wanted => Some(retry_at),
            _ if self.done != wanted => Some(now),
            // An expired line is removed, whatever the election does.
            _ => self.shown_until,
        }
    }

    /// Writes the line of a term, or removes the line if there is no term or it has expired.
    fn show(&mut self, wanted: Option<Leading>) -> io::Result<()> {
        let now = BootClock::now();
        let Some(leading) = wanted.filter(|leading| leading.valid_until > now) else {
            self.remove()?;
            self.done = wanted;
            return Ok(());
        };
        let line = self.line.text(leading.fencing_token, leading.valid_until);
        let shared = &self.shared;
        let is_wanted = || {
            let state = shared.lock();
            state.wanted == Some(leading) && !state.closing
        };
        match self.disk.write(&line, &is_wanted) {
            // The next pass shows the newer state.
            Ok(false) => Ok(()),
            Ok(true) => {
                self.done = Some(leading);
                self.shown_until = Some(leading.valid_until);
                Ok(())
            }
            Err(error) => {
                // The line before stays true until its deadline.
                if self.shown_until.is_some_and(|until| until <= now) {
                    let _ = self.remove();
                }
                Err(error)
            }
        }
    }

    /// Removes this process's line, if there is one.
    fn remove(&mut self) -> io::Result<()> {
        if self.shown_until.is_some() {
            self.disk.remove()?;
            self.shown_until = None;
        }
        Ok(())
    }

    /// Logs the first of several failures.
    fn log_failure(&self, wanted: Option<Leading>, error: &io::Error) {
        if self.failed.is_none() {
            let action = if wanted.is_some() {
                "written"
            } else {
                "removed"
            };
            log::warn!(
                event = "leader_file_failed", path = self.disk.path(), error:%;
                "leader file cannot be {action}, trying each second; it counts only until its validUntil"
            );
        }
    }
}

#[cfg(test)]
mod tests;
