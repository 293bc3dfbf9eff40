//! Signals to this process, passed to a function on a separate thread.
//!
//! This file only catches them; the caller decides what they mean. SIGPIPE needs no handling, because
//! Rust ignores it at start-up.

use std::io;
use std::thread;

use nix::sys::signal::Signal;
use signal_hook::iterator::{Handle, Signals};

/// Signals that ask a program to end.
pub const STOP_SIGNALS: &[Signal] = &[Signal::SIGTERM, Signal::SIGINT];

/// A thread that handles signals. Dropping it ends the thread, without waiting for a running call.
#[derive(Debug)]
pub struct SignalThread {
    handle: Handle,
}

impl SignalThread {
    /// Starts a thread that calls `on_signal` for each of `signals` that arrives. Signals of one kind that
    /// arrive during a call may be merged into one.
    ///
    /// These signals no longer end the process, even after the thread has ended.
    ///
    /// # Errors
    /// Returns an error if the system refuses the handler or the thread.
    ///
    /// # Panics
    /// Panics if a signal cannot be caught (SIGKILL, SIGSTOP and those of a crash).
    pub fn start(
        signals: &[Signal],
        mut on_signal: impl FnMut(Signal) + Send + 'static,
    ) -> io::Result<Self> {
        let mut caught = Signals::new(signals.iter().map(|signal| *signal as i32))?;
        let handle = caught.handle();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for number in &mut caught {
                    if let Ok(signal) = Signal::try_from(number) {
                        on_signal(signal);
                    }
                }
            })?;
        Ok(SignalThread { handle })
    }
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        // Not joined, because `on_signal` may hold the value that is being dropped.
        self.handle.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use nix::sys::signal::raise;

    use super::*;

    // The test uses signals that are ignored unless caught, so that none can end the process.

    #[test]
    fn signals_arrive_until_drop() {
        let (sender, signals) = channel();
        let thread = SignalThread::start(&[Signal::SIGWINCH, Signal::SIGURG], move |signal| {
            sender.send(signal).unwrap();
        })
        .unwrap();
        for signal in [Signal::SIGWINCH, Signal::SIGURG] {
            raise(signal).unwrap();
            let arrived = signals.recv_timeout(Duration::from_secs(20));
            assert_eq!(arrived, Ok(signal));
        }
        drop(thread);
        // The function and its sender were dropped.
        assert!(signals.recv().is_err());
    }
}
