//! The leader file: one line of JSON that is there while this candidate leads.
//!
//! ```text
//!   {"identity":"napoleon","token":7,"until":12345.67,"bootId":"898abfae-…"}
//!
//!   tell(transition) ──▶ what is wanted, the latest only ──▶ "leader-file" thread ──▶ the disk
//! ```
//!
//! This file owns when it is written and removed; how, and what stands in it, is the business of
//! [`place`]. A disk that is slow or full holds up the thread and nobody else.

mod place;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use self::place::{Line, Place};
use super::election::Transition;
use crate::election::time::Instant;
use crate::system::clock::BootClock;
use crate::system::monitor::Monitor;

/// What could not be written or removed is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// A term, as the file tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leading {
    token: u64,
    until: Instant,
}

/// What the thread is told.
#[derive(Debug, Default)]
struct State {
    /// What the file is to tell; `None`: it is not to be there.
    wanted: Option<Leading>,
    /// Nothing further is to come.
    closing: bool,
    /// The thread has done what it could.
    done: bool,
}

/// The leader file, and the thread that writes it.
#[derive(Debug)]
pub(super) struct LeaderFile(Arc<Monitor<State>>);

impl LeaderFile {
    /// Removes what an earlier process left at `path`, and starts the thread that writes there.
    ///
    /// # Errors
    /// When the file could not be written, or something else stands there; the text says what to do.
    pub(super) fn start(path: &Path, identity: &str) -> Result<Self, String> {
        let place = Place::prepare(path, identity)?;
        let line = Line::of(identity);
        Self::start_on(place, line)
            .map_err(|error| format!("the system gives no further thread: {error}"))
    }

    fn start_on(disk: impl Disk, line: Line) -> io::Result<Self> {
        let shared = Arc::new(Monitor::default());
        let mut writer = Writer {
            disk,
            line,
            shared: Arc::clone(&shared),
            settled: None,
            standing: None,
            failed: None,
        };
        thread::Builder::new()
            .name("leader-file".into())
            .spawn(move || writer.run())?;
        Ok(LeaderFile(shared))
    }

    /// Takes note of a transition. Never blocks.
    pub(super) fn tell(&self, transition: &Transition) {
        let wanted = match *transition {
            Transition::StartedLeading { token, until } | Transition::Renewed { token, until } => {
                Some(Leading { token, until })
            }
            Transition::TermOver { .. } => None,
            Transition::StoppedLeading { .. } | Transition::NewLeader { .. } => return,
        };
        self.0.change(|state| {
            if !state.closing {
                state.wanted = wanted;
            }
        });
    }

    /// Removes the file, for good, and waits until that is done, for `patience` at the most.
    pub(super) fn finish(&self, patience: Duration) {
        self.0.change(|state| {
            state.wanted = None;
            state.closing = true;
        });
        drop(self.0.wait_while_for(patience, |state| !state.done));
    }
}

impl Drop for LeaderFile {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

/// Where the line is kept.
trait Disk: Send + 'static {
    /// Puts the line in place of the one before, unless it is not wanted any more when everything but
    /// that is done. Returns whether it did.
    fn write(&self, line: &str, is_wanted: &dyn Fn() -> bool) -> io::Result<bool>;

    /// Removes the line; none is as good.
    fn remove(&self) -> io::Result<()>;

    /// Its name, for people.
    fn describe(&self) -> String;
}

/// The thread that writes.
struct Writer<D> {
    disk: D,
    line: Line,
    shared: Arc<Monitor<State>>,
    /// What was brought about last.
    settled: Option<Leading>,
    /// Until when we lead by the line that is there.
    standing: Option<Instant>,
    /// What could not be brought about, and when it is tried again.
    failed: Option<(Option<Leading>, Instant)>,
}

impl<D: Disk> Writer<D> {
    fn run(&mut self) {
        loop {
            let (wanted, closing) = self.await_work();
            let done = self.bring_about(wanted);
            if closing {
                if let Err(error) = done {
                    log::warn!("{} cannot be removed: {error}", self.disk.describe());
                }
                return self.shared.change(|state| state.done = true);
            }
            match done {
                Ok(()) => self.recover(),
                Err(error) => self.complain(wanted, &error),
            }
        }
    }

    /// Waits until there is something to do. Std's waits stand still while the machine is suspended; the
    /// election's own timer does not, and tells of the end of the term on resume.
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

    /// When there is something to do.
    fn due(&self, wanted: Option<Leading>, now: Instant) -> Option<Instant> {
        match self.failed {
            Some((failed, retry_at)) if failed == wanted => Some(retry_at),
            _ if self.settled != wanted => Some(now),
            // A line whose time is over goes, whatever became of the election.
            _ => self.standing,
        }
    }

    fn bring_about(&mut self, wanted: Option<Leading>) -> io::Result<()> {
        let now = BootClock::now();
        match wanted.filter(|leading| leading.until > now) {
            Some(leading) => self.write(leading, now)?,
            None => {
                self.remove()?;
                self.settled = wanted;
            }
        }
        Ok(())
    }

    fn write(&mut self, leading: Leading, now: Instant) -> io::Result<()> {
        let line = self.line.tell(leading.token, leading.until);
        let shared = &self.shared;
        let is_wanted = || {
            let state = shared.lock();
            state.wanted == Some(leading) && !state.closing
        };
        match self.disk.write(&line, &is_wanted) {
            // What came meanwhile is next.
            Ok(false) => Ok(()),
            Ok(true) => {
                self.settled = Some(leading);
                self.standing = Some(leading.until);
                Ok(())
            }
            Err(error) => {
                // The line before stays true for as long as it says.
                if self.standing.is_some_and(|until| until <= now) {
                    let _ = self.remove();
                }
                Err(error)
            }
        }
    }

    /// Removes the line that is there, if there is one of ours.
    fn remove(&mut self) -> io::Result<()> {
        if self.standing.is_some() {
            self.disk.remove()?;
            self.standing = None;
        }
        Ok(())
    }

    fn complain(&mut self, wanted: Option<Leading>, error: &io::Error) {
        if self.failed.is_none() {
            let what = if wanted.is_some() {
                "written"
            } else {
                "removed"
            };
            log::warn!(
                "{} cannot be {what}: {error}; tried again each second, and what it says counts no \
                 longer than its `until`",
                self.disk.describe()
            );
        }
        self.failed = Some((wanted, BootClock::now() + RETRY));
    }

    fn recover(&mut self) {
        if self.failed.take().is_some() {
            log::info!("{} works again", self.disk.describe());
        }
    }
}

#[cfg(test)]
mod tests;
