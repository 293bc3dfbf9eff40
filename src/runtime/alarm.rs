//! A timer that calls a closure when it fires, on a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::election::time::Instant;
use crate::system::timer::Timer;

/// Rings at the instant it is set to. Dropping it ends its thread.
pub(super) struct AlarmClock {
    timer: Arc<Timer>,
    /// The alarm clock was dropped.
    over: Arc<AtomicBool>,
}

impl AlarmClock {
    /// An alarm clock that is not set. `ring` is called at each firing, until it returns false.
    pub(super) fn start(ring: impl Fn() -> bool + Send + 'static) -> io::Result<Self> {
        let timer = Arc::new(Timer::new()?);
        let over = Arc::new(AtomicBool::new(false));
        let (waiting, done) = (Arc::clone(&timer), Arc::clone(&over));
        thread::Builder::new().name("timer".into()).spawn(move || {
            while waiting.wait().is_ok() && !done.load(Ordering::Acquire) {
                if !ring() {
                    return;
                }
            }
        })?;
        Ok(AlarmClock { timer, over })
    }

    /// Sets it, in place of what it was set to; `None`: it does not ring.
    pub(super) fn set(&self, at: Option<Instant>) -> io::Result<()> {
        self.timer.set(at)
    }
}

impl Drop for AlarmClock {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = self.timer.set(Some(Instant::BOOT));
    }
}
