//! A timer that keeps counting while the machine is suspended.
//!
//! Every timed wait of std stands still then. This one waits on `CLOCK_BOOTTIME` and fires at once
//! on resume, if its time came meanwhile. What is to be done then is the caller's business.
//!
//! ```text
//!   owner thread                 timer thread
//!   set(Some(instant)) ───────►  wait() ... returns once the instant is there
//!   set(None) ────────────────►  wait() ... goes on waiting
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::election::time::Instant;

/// The kernel takes an expiration of zero for "never"; this one is as long past, and fires.
const SOONEST: Duration = Duration::from_nanos(1);

/// The kernel counts in signed 64-bit nanoseconds: 292 years, which no machine is up for.
const LATEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// A one-shot timer on `CLOCK_BOOTTIME`. Threads share it by reference.
#[derive(Debug)]
pub struct Timer(TimerFd);

impl Timer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// When the system has no such timer, or the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC)?;
        Ok(Timer(timer))
    }

    /// Sets the instant at which the timer fires, once, in place of the one set before; `None`: it
    /// does not fire. An instant that has passed fires at once. A thread in [`wait`](Self::wait)
    /// follows; an expiry that nobody waited for yet is forgotten.
    ///
    /// # Errors
    /// None that is known of: the values are made to fit.
    pub fn set(&self, instant: Option<Instant>) -> io::Result<()> {
        let Some(instant) = instant else {
            return Ok(self.0.unset()?);
        };
        let since_boot = instant.since_boot().clamp(SOONEST, LATEST);
        let expiration = Expiration::OneShot(TimeSpec::from(since_boot));
        Ok(self
            .0
            .set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Waits until the timer has fired; for ever, while it is not set. Each firing ends one wait.
    ///
    /// # Errors
    /// None that is known of: a wait that a signal broke is taken up again.
    pub fn wait(&self) -> io::Result<()> {
        Ok(self.0.wait()?)
    }
}

/// For a poll: readable once it has fired, until it is waited for or set anew.
impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;

    use super::*;
    use crate::system::clock::BootClock;

    /// Long enough for the slowest machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn it_fires_at_its_instant_and_not_before() {
        let timer = Timer::new().unwrap();
        let due = BootClock::now() + Duration::from_millis(30);
        timer.set(Some(due)).unwrap();
        timer.wait().unwrap();
        assert!(BootClock::now() >= due);
    }

    #[test]
    fn an_instant_that_has_passed_fires_at_once() {
        let timer = Timer::new().unwrap();
        for instant in [Instant::BOOT, BootClock::now(), Instant::from_boot(SOONEST)] {
            timer.set(Some(instant)).unwrap();
            timer.wait().unwrap();
        }
    }

    #[test]
    fn a_waiting_thread_follows_what_the_owner_sets() {
        let timer = Timer::new().unwrap();
        let (fired, firings) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    timer.wait().unwrap();
                    fired.send(BootClock::now()).unwrap();
                }
            });
            // Neither an unset timer nor a far one fires.
            let far = [None, Some(Instant::from_boot(Duration::MAX))];
            for instant in far {
                timer.set(instant).unwrap();
                let nothing = firings.recv_timeout(Duration::from_millis(20));
                assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
            }
            let due = BootClock::now() + Duration::from_millis(10);
            timer.set(Some(due)).unwrap();
            assert!(firings.recv_timeout(PATIENCE).unwrap() >= due);
            // It fired once, and does so again only when it is set again.
            let nothing = firings.recv_timeout(Duration::from_millis(20));
            assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
            timer.set(Some(Instant::BOOT)).unwrap();
            firings.recv_timeout(PATIENCE).unwrap();
        });
    }
}
