//! The leader file: one line of JSON that exists while this candidate leads.
//!
//! ```text
//!   {"identity":"napoleon","fencingToken":7,"validUntil":12345.67,"bootId":"898abfae-…"}
//!
//!   transition ──▶ wanted line, the latest only ──▶ "leader-file" thread ──▶ disk
//! ```
//!
//! This file owns when the line is written and removed, `disk` how, and `reader` what it means to a
//! program. A disk that is slow or full delays only the thread.

mod disk;
mod reader;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use self::disk::{Disk, Line, LinePath};
pub use self::reader::check_leading;
use super::transitions::Transition;
use crate::election::time::Instant;
use crate::fmt::brief;
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

/// Work that the election leaves to the thread.
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
            shown: None,
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
    /// Term in the line on the disk; `None` if there is no line.
    shown: Option<Leading>,
    /// Wanted term that could not be shown, and the time of the next try.
    failed: Option<(Option<Leading>, Instant)>,
}

impl<D: Disk> Writer<D> {
    fn run(&mut self) {
        loop {
            let (wanted, closing) = self.await_work();
            if let Err(error) = self.show(wanted) {
                // Further failures are not logged.
                if self.failed.is_none() {
                    log::warn!(
                        event = "leader_file_failed", error:%, retry_in = brief(RETRY_AFTER);
                        "cannot replace or remove leader file, which is valid only until its validUntil"
                    );
                }
                self.failed = Some((wanted, BootClock::now() + RETRY_AFTER));
            } else if self.failed.take().is_some() {
                log::info!(event = "leader_file_recovered"; "updated leader file again");
            }
            if closing {
                return self.shared.change(|state| state.done = true);
            }
        }
    }

    /// Waits until there is something to do, and returns the term to show. The waits do not advance while
    /// the machine is suspended; the election's own timer does, and ends the term on resume.
    fn await_work(&self) -> (Option<Leading>, bool) {
        let mut state = self.shared.lock();
        loop {
            let now = BootClock::now();
            // An expired line is removed, whatever the election does.
            let wanted = state.wanted.filter(|leading| leading.valid_until > now);
            let due = match self.failed {
                Some((failed, retry_at)) if failed == wanted => Some(retry_at),
                _ if self.shown != wanted => Some(now),
                _ => self.shown.map(|shown| shown.valid_until),
            };
            if state.closing || due.is_some_and(|due| due <= now) {
                return (wanted, state.closing);
            }
            state = self.shared.wait(state, due.map(|due| due.since(now)));
        }
    }

    /// Writes the line of a term, or removes the line if there is no term.
    fn show(&mut self, wanted: Option<Leading>) -> io::Result<()> {
        let Some(leading) = wanted else {
            return self.remove();
        };
        let line = self.line.text(leading.fencing_token, leading.valid_until);
        let shared = &self.shared;
        let is_wanted = || {
            let state = shared.lock();
            state.wanted == wanted && !state.closing
        };
        match self.disk.write(&line, &is_wanted) {
            Ok(true) => self.shown = wanted,
            // The next pass shows the newer state.
            Ok(false) => {}
            Err(error) => {
                let now = BootClock::now();
                // The line before stays true until its deadline.
                if self.shown.is_some_and(|shown| shown.valid_until <= now) {
                    let _ = self.remove();
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Removes this process's line, if there is one.
    fn remove(&mut self) -> io::Result<()> {
        if self.shown.is_some() {
            self.disk.remove()?;
            self.shown = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
