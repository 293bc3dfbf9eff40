//! Effect of signals on `elector run`.
//!
//! | signal | without a workload | with a workload |
//! |---|---|---|
//! | TERM, INT | stops and releases the lease | the workload gets it, and time to stop; then the lease is released |
//! | a second one | exits immediately | kills the workload, then exits |
//! | HUP, QUIT, USR1, USR2, WINCH | the system's default | the workload gets it |
//! | CHLD | reaps, if PID 1 | reaps |

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::getpid;

use crate::election::time::Instant;
use crate::runtime::election::Handle;
use crate::runtime::logging::LogGuard;
use crate::runtime::sidecar::Sidecar;
use crate::runtime::signals::{STOP_SIGNALS, SignalThread};
use crate::runtime::workload::{Workload, reap_children};
use crate::system::clock::BootClock;

/// Signals for the workload alone.
const PASSED_ON: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// Exit code after a second stop signal.
pub(super) const KILLED: u8 = 1;

/// Time after the first stop signal within which another one is ignored. Why: `timeout` and some
/// supervisors send each signal to the process and to its group.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(50);

/// Longest wait of an immediate exit for its last log line to be read.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(50);

/// Handles all signals until the result is dropped. Sets `killed` at the second stop signal, because the
/// election may end by itself before the process does.
pub(super) fn handle_all(
    log: &LogGuard,
    election: &Handle,
    workload: Option<&Workload>,
    sidecar: &Sidecar,
    killed: &Arc<AtomicBool>,
) -> io::Result<Vec<SignalThread>> {
    let mut threads = Vec::new();
    if let Some(workload) = workload.cloned() {
        let pass_on = move |signal| workload.signal(signal);
        threads.push(SignalThread::start(PASSED_ON, pass_on)?);
    }
    if workload.is_some() || getpid().as_raw() == 1 {
        threads.push(reap_children(workload.cloned())?);
    }
    threads.push(stop_on_signals(
        log.clone(),
        election.clone(),
        workload.cloned(),
        sidecar.clone(),
        Arc::clone(killed),
    )?);
    Ok(threads)
}

/// Stops the election at the first stop signal, and exits immediately at a second one.
fn stop_on_signals(
    log: LogGuard,
    election: Handle,
    workload: Option<Workload>,
    sidecar: Sidecar,
    killed: Arc<AtomicBool>,
) -> io::Result<SignalThread> {
    let mut first: Option<Instant> = None;
    SignalThread::start(STOP_SIGNALS, move |signal: Signal| {
        let now = BootClock::now();
        let Some(first) = first else {
            first = Some(now);
            log::info!(event = "stopping", signal:%; "stopping on {signal}, a second signal exits immediately");
            if let Some(workload) = &workload {
                workload.set_stop_signal(signal);
            }
            return election.stop();
        };
        if now.since(first) < DUPLICATE_WINDOW {
            return;
        }
        log::warn!(
            event = "exiting", signal:%;
            "exiting on a second {signal}, perhaps without releasing the lease"
        );
        killed.store(true, Ordering::Relaxed);
        if let Some(workload) = &workload {
            workload.kill();
        }
        sidecar.abandon();
        let _ = log.flush(FLUSH_TIMEOUT);
        signal_hook::low_level::exit(KILLED.into());
    })
}
