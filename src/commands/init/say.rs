//! What people are told while it works: on standard error, where it does not disturb what a script
//! reads from standard output.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::election::time::Instant;
use crate::fmt::one_line;
use crate::lock::gist::stored::Place;
use crate::system::clock::BootClock;
use crate::system::timer::Timer;

/// How often a countdown shows what is left.
const TICK: Duration = Duration::from_secs(1);

/// Tells people what is done, or nothing if they want none.
pub(super) struct Say {
    quiet: bool,
    /// A line may be written anew.
    terminal: bool,
}

impl Say {
    pub(super) fn new(quiet: bool) -> Say {
        Say {
            quiet,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// A line.
    pub(super) fn line(&self, text: impl fmt::Display) {
        self.write(format_args!("{text}\n"));
    }

    fn write(&self, text: fmt::Arguments<'_>) {
        if !self.quiet {
            // If nobody can be told, the work is done all the same.
            let mut out = io::stderr();
            let _ = out.write_fmt(text).and_then(|()| out.flush());
        }
    }

    /// Waits so long, suspended time included, and shows what is left.
    pub(super) fn count_down(&self, time: Duration, what: &str) -> io::Result<()> {
        let end = BootClock::now() + time;
        if !self.terminal {
            self.line(format_args!("waiting {}s, {what}", seconds(time)));
            return wait_until(end);
        }
        loop {
            let left = end.since(BootClock::now());
            self.write(format_args!("\r\x1b[Kwaiting {}s, {what}", seconds(left)));
            if left.is_zero() {
                self.write(format_args!("\r\x1b[K"));
                return Ok(());
            }
            wait_until(BootClock::now() + left.min(TICK))?;
        }
    }

    /// What to set, where it is set in a manifest.
    pub(super) fn in_kubernetes(&self, place: &Place) {
        self.line(format_args!(
            "set for every candidate, besides the token; in Kubernetes:\n  \
             env:\n    \
             - {{name: GIST_ID, value: \"{}\"}}\n    \
             - {{name: GIST_FILE, value: {}}}",
            place.gist,
            // JSON is YAML too.
            serde_json::Value::from(&*place.file)
        ));
    }
}

/// Up, so that nobody is told less than it takes.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Waits, suspended time included.
pub(super) fn wait_until(end: Instant) -> io::Result<()> {
    let timer = Timer::new()?;
    timer.set(Some(end))?;
    timer.wait()
}

/// A place, for people.
pub(super) fn named(place: &Place) -> String {
    format!("file {:?} of gist {}", one_line(&place.file), place.gist)
}
