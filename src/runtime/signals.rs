//! Signals from outside, handed to a closure on a thread of their own.
//!
//! This file owns catching them. What a signal means is the business of whoever watches. Children's
//! signals (`SIGCHLD`) belong to the workload's guard. `SIGPIPE` needs no care: Rust's start-up
//! ignores it.

use std::io;
use std::thread::{Builder, JoinHandle};

use nix::sys::signal::Signal;
use signal_hook::iterator::{Handle, Signals};

/// The signals that ask a program to end.
pub const STOP_SIGNALS: &[Signal] = &[Signal::SIGTERM, Signal::SIGINT];

/// Signals being watched. Dropping it ends the watch, as [`close`](Self::close) does.
#[derive(Debug)]
pub struct SignalWatch {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Watches `signals` from now on: each that arrives is handed to `on_signal`, on a thread of its
/// own. Several of one kind that come before it is done with the first may be handed over as one.
///
/// They do not end the process any more; also not after the watch has ended.
///
/// # Errors
/// When the system refuses the handler or the thread, or a signal cannot be caught (`SIGKILL`,
/// `SIGSTOP` and those of a crash).
pub fn watch(
    signals: &[Signal],
    mut on_signal: impl FnMut(Signal) + Send + 'static,
) -> io::Result<SignalWatch> {
    let forbidden = |signal: &&Signal| signal_hook::consts::FORBIDDEN.contains(&(**signal as i32));
    if let Some(signal) = signals.iter().find(forbidden) {
        // signal-hook would panic.
        let why = format!("{signal} cannot be caught: watch another signal");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut caught = Signals::new(signals.iter().map(|signal| *signal as i32))?;
    let handle = caught.handle();
    let thread = Builder::new().name("signals".to_owned()).spawn(move || {
        for number in &mut caught {
            if let Ok(signal) = Signal::try_from(number) {
                on_signal(signal);
            }
        }
    })?;
    Ok(SignalWatch {
        handle,
        thread: Some(thread),
    })
}

impl SignalWatch {
    /// Ends the watch. What is being handed over is finished; call it from anywhere but `on_signal`.
    pub fn close(mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the closure has been reported by then.
            let _ = thread.join();
        }
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        // Without waiting: the closure itself may hold what is being dropped.
        self.handle.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use nix::sys::signal::raise;

    use super::*;

    // SIGWINCH and SIGURG are ignored unless caught, so that no order of tests can end the process.

    #[test]
    fn a_signal_reaches_the_closure_until_the_watch_is_closed() {
        let (sender, signals) = channel();
        let watch = watch(&[Signal::SIGWINCH, Signal::SIGURG], move |signal| {
            sender.send(signal).unwrap();
        })
        .unwrap();
        for signal in [Signal::SIGWINCH, Signal::SIGURG] {
            raise(signal).unwrap();
            let arrived = signals.recv_timeout(Duration::from_secs(20));
            assert_eq!(arrived, Ok(signal));
        }
        watch.close();
        // The closure, and the sender in it, are gone.
        assert!(signals.recv().is_err());
    }

    #[test]
    fn a_signal_that_cannot_be_caught_is_refused() {
        let error = watch(&[Signal::SIGKILL], |_| ()).unwrap_err();
        assert!(error.to_string().contains("SIGKILL cannot be caught"));
    }
}
