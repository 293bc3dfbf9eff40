//! Signals to this process, passed to functions on separate threads.
//!
//! [`block`] keeps the kernel from acting on signals: it would end, stop or ignore this process. They stay
//! pending until a thread that [`handle`] started reads them. The callers decide what they mean.

use std::fs;
use std::io;
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals that stay ignored if they were ignored at start, as by `nohup` and for background jobs of a
/// script.
const MAY_BE_IGNORED: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT];

/// Line of `/proc/self/status` with a bit for each ignored signal.
const IGNORED: &str = "SigIgn:";

/// Blocks all signals that can be caught, for this thread and those it starts later. Call it before the
/// first thread starts, because the kernel gives a signal to any thread that does not block it.
///
/// SIGHUP, SIGINT and SIGQUIT that were ignored at start stay ignored, if `/proc` can be read.
///
/// # Errors
/// Returns an error if the system call fails; no case is known.
pub fn block() -> io::Result<()> {
    let mut blocked = SigSet::all();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for signal in MAY_BE_IGNORED {
        // A blocked signal would stay pending although it is ignored.
        if is_ignored(&status, signal) {
            blocked.remove(signal);
        }
    }
    Ok(blocked.thread_block()?)
}

/// Starts a thread that calls `on_signal` for each of `signals` that arrives. Signals of one kind that
/// arrive during a call may be merged into one. Real-time signals are discarded.
///
/// All threads must [`block`] these signals. Each of them must be handled by one thread only.
///
/// # Errors
/// Returns an error if no file descriptor or thread is left.
pub fn handle(
    signals: &SigSet,
    mut on_signal: impl FnMut(Signal) + Send + 'static,
) -> io::Result<()> {
    let pending = SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC)?;
    let run = move || {
        loop {
            let number = match pending.read_signal() {
                Ok(signal) => signal.map(|signal| signal.ssi_signo.cast_signed()),
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    return log::error!(event = "signals_failed", error:%; "cannot read signals");
                }
            };
            if let Some(Ok(signal)) = number.map(Signal::try_from) {
                on_signal(signal);
            }
        }
    };
    let thread = thread::Builder::new().name("signals".into());
    thread.spawn(run).map(drop)
}

/// Returns whether `status`, the content of `/proc/PID/status`, shows a signal as ignored.
fn is_ignored(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix(IGNORED));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Blocked signals are tested with processes, because the threads of a test harness block none.

    #[test]
    fn ignored_signals_are_read_from_status() {
        let status = "Name:\tSigIgn: 7\nSigBlk:\t0000000000000007\nSigIgn:\t0000000000001001\n";
        let ignored = |status: &str| -> Vec<Signal> {
            Signal::iterator()
                .filter(|signal| is_ignored(status, *signal))
                .collect()
        };
        assert_eq!(ignored(status), [Signal::SIGHUP, Signal::SIGPIPE]);
        for none in ["", "SigIgn:\t0000000000000000\n", "SigIgn:\tx\n"] {
            assert_eq!(ignored(none), [], "{none}");
        }
    }
}
