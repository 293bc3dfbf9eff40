//! A timer that keeps counting while the machine is suspended.
//!
//! std's timed waits do not count that time. This timer uses `CLOCK_BOOTTIME`: if it became due during
//! a suspension, it fires immediately on resume.
//!
//! ```text
//!   owner thread                 timer thread
//!   set(Some(instant)) ───────►  wait() ... returns at that instant
//!   set(None) ────────────────►  wait() ... keeps waiting
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::election::time::Instant;

/// Earliest expiration. The kernel takes zero for "never"; this one has passed too, and fires.
const SOONEST: Duration = Duration::from_nanos(1);

/// Latest expiration: the kernel counts in signed 64-bit nanoseconds (292 years).
const LATEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// A one-shot timer on `CLOCK_BOOTTIME`, which threads share by reference.
#[derive(Debug)]
pub struct Timer(TimerFd);

impl Timer {
    /// Creates a timer that is not set.
    ///
    /// # Errors
    /// Returns an error if the system has no such timer, or no file descriptor is left.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC)?;
        Ok(Timer(timer))
    }

    /// Sets the instant at which the timer fires once, replacing the previous one. `None` disarms the
    /// timer. If the instant has passed, the timer fires immediately. This also affects a thread that is in
    /// [`wait`](Self::wait). A firing that no thread has waited for is discarded.
    ///
    /// # Errors
    /// Returns an error if the system call fails; no case is known.
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

    /// Blocks until the timer has fired. Each firing ends one wait.
    ///
    /// # Errors
    /// Returns an error if the system call fails; no case is known. Signals do not interrupt the wait.
    pub fn wait(&self) -> io::Result<()> {
        Ok(self.0.wait()?)
    }
}

/// For `poll`: readable from a firing until the timer is waited for or set again.
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

    /// Longest wait for a firing, on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn timer_fires_at_instant_not_before() {
        let timer = Timer::new().unwrap();
        let due = BootClock::now() + Duration::from_millis(30);
        timer.set(Some(due)).unwrap();
        timer.wait().unwrap();
        assert!(BootClock::now() >= due);
    }

    #[test]
    fn past_instant_fires_immediately() {
        let timer = Timer::new().unwrap();
        for instant in [Instant::BOOT, BootClock::now(), Instant::from_boot(SOONEST)] {
            timer.set(Some(instant)).unwrap();
            timer.wait().unwrap();
        }
    }

    #[test]
    fn set_affects_waiting_thread() {
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
            // It fires again only after it is set again.
            let nothing = firings.recv_timeout(Duration::from_millis(20));
            assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
            timer.set(Some(Instant::BOOT)).unwrap();
            firings.recv_timeout(PATIENCE).unwrap();
        });
    }
}
