//! When the guard reports that the wrapped program was suspended by a signal, and that it continues.
//!
//! A suspension is reported only if it lasts. Why: programs such as `cpulimit` suspend a process many times a
//! second.

use std::time::Duration;

use super::message::FromGuard;
use crate::election::time::Instant;

/// Length of a suspension that is reported.
const REPORTED_AFTER: Duration = Duration::from_millis(500);

/// State of the wrapped program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suspension {
    /// Not suspended.
    #[default]
    None,
    /// Suspended by this signal, which is reported at this time.
    Unreported(i32, Instant),
    /// Suspended, and reported to the elector.
    Reported,
}

impl Suspension {
    /// Handles that a signal has suspended the program. If another one did before, the program has
    /// continued in between, which the kernel need not tell.
    pub fn handle_suspended(&mut self, now: Instant, signal: i32) {
        if *self != Suspension::Reported {
            *self = Suspension::Unreported(signal, now + REPORTED_AFTER);
        }
    }

    /// Handles that the program continues. Returns a report if the elector knows of the suspension.
    pub fn handle_continued(&mut self) -> Option<FromGuard> {
        let known = *self == Suspension::Reported;
        *self = Suspension::None;
        known.then_some(FromGuard::Continued)
    }

    /// Handles the passing of time. Returns a report that is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<FromGuard> {
        match *self {
            Suspension::Unreported(signal, due) if due <= now => {
                *self = Suspension::Reported;
                Some(FromGuard::Suspended(signal))
            }
            _ => None,
        }
    }

    /// Returns the time by which [`handle_timeout`](Self::handle_timeout) must be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match *self {
            Suspension::Unreported(_, due) => Some(due),
            Suspension::None | Suspension::Reported => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: i32 = 19;

    fn at(millis: u64) -> Instant {
        Instant::from_boot(Duration::from_millis(1_000 + millis))
    }

    #[test]
    fn lasting_suspension_is_reported_once() {
        let mut suspension = Suspension::default();
        assert_eq!(suspension.poll_timeout(), None);
        suspension.handle_suspended(at(0), STOP);
        assert_eq!(suspension.poll_timeout(), Some(at(500)));
        assert_eq!(suspension.handle_timeout(at(499)), None);
        let report = suspension.handle_timeout(at(500));
        assert_eq!(report, Some(FromGuard::Suspended(STOP)));
        suspension.handle_suspended(at(600), STOP);
        assert_eq!(suspension.poll_timeout(), None);
        assert_eq!(suspension.handle_timeout(at(9_000)), None);
        assert_eq!(suspension.handle_continued(), Some(FromGuard::Continued));
        assert_eq!(suspension.handle_continued(), None);
    }

    #[test]
    fn untold_continuation_begins_anew() {
        const TSTP: i32 = 20;
        let mut suspension = Suspension::default();
        suspension.handle_suspended(at(0), STOP);
        suspension.handle_suspended(at(100), TSTP);
        assert_eq!(suspension.handle_timeout(at(599)), None);
        let report = suspension.handle_timeout(at(600));
        assert_eq!(report, Some(FromGuard::Suspended(TSTP)));
    }

    #[test]
    fn short_suspensions_are_not_reported() {
        let mut suspension = Suspension::default();
        for start in (0..10_000).step_by(100) {
            suspension.handle_suspended(at(start), STOP);
            assert_eq!(suspension.handle_timeout(at(start + 50)), None);
            assert_eq!(suspension.handle_continued(), None);
            assert_eq!(suspension.handle_timeout(at(start + 99)), None);
        }
    }
}
