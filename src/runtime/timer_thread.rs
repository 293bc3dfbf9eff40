//! A timer that calls a function each time it fires, on a separate thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::election::time::Instant;
use crate::system::timer::Timer;

/// A timer and the thread that waits for it. Dropping it ends the thread.
pub(super) struct TimerThread {
    timer: Arc<Timer>,
    dropped: Arc<AtomicBool>,
}

impl TimerThread {
    /// Starts the thread with a timer that is not set. `on_fire` is called each time the timer fires,
    /// until it returns false.
    ///
    /// # Errors
    /// Returns an error if the system has no thread or timer left.
    pub(super) fn start(on_fire: impl Fn() -> bool + Send + 'static) -> io::Result<Self> {
        let timer = Arc::new(Timer::new()?);
        let dropped = Arc::new(AtomicBool::new(false));
        let (waiting, ended) = (Arc::clone(&timer), Arc::clone(&dropped));
        thread::Builder::new().name("timer".into()).spawn(move || {
            while waiting.wait().is_ok() && !ended.load(Ordering::Acquire) {
                if !on_fire() {
                    return;
                }
            }
        })?;
        Ok(TimerThread { timer, dropped })
    }

    /// Sets the time at which the timer fires, replacing the previous one. `None` disarms it.
    pub(super) fn set(&self, at: Option<Instant>) -> io::Result<()> {
        self.timer.set(at)
    }
}

impl Drop for TimerThread {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Release);
        let _ = self.timer.set(Some(Instant::BOOT));
    }
}
