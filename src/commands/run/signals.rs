//! What signals mean to `elector run`.
//!
//! | signal | without a workload | with one |
//! |---|---|---|
//! | TERM, INT | stops politely | the workload gets it, and time to end; then the lease is given back |
//! | a second one | ends at once | kills the workload, then ends |
//! | HUP, QUIT, USR1, USR2, WINCH | as ever | the workload gets it |
//! | CHLD | reaps, as PID 1 | reaps |

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
use crate::runtime::signals::{STOP_SIGNALS, SignalWatch, watch};
use crate::runtime::workload::{Workload, reap_children};
use crate::system::clock::BootClock;

/// What is the workload's business alone.
const PASSED_ON: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// The exit code when a second signal asks for it.
pub(super) const AT_ONCE: u8 = 1;

/// `timeout` and some supervisors send a signal to the process and to its group: what comes so soon
/// after the first is the same wish, said twice.
const DOUBLED: Duration = Duration::from_millis(50);

/// How long an end at once waits for its last line to be read.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Watches every signal that means something, for as long as what is returned is kept. `at_once` becomes
/// true with the second one that asks for an end: the election may come to its own meanwhile.
pub(super) fn watch_all(
    log: &LogGuard,
    election: &Handle,
    workload: Option<&Workload>,
    sidecar: Sidecar,
    at_once: &Arc<AtomicBool>,
) -> io::Result<Vec<SignalWatch>> {
    let mut watches = Vec::new();
    if let Some(workload) = workload.cloned() {
        watches.push(watch(PASSED_ON, move |signal| workload.signal(signal))?);
    }
    if workload.is_some() || getpid().as_raw() == 1 {
        watches.push(reap_children(workload.cloned())?);
    }
    watches.push(stop_on_signals(
        log.clone(),
        election.clone(),
        workload.cloned(),
        sidecar,
        Arc::clone(at_once),
    )?);
    Ok(watches)
}

/// The first signal stops the election, a second one ends the process at once.
fn stop_on_signals(
    log: LogGuard,
    election: Handle,
    workload: Option<Workload>,
    sidecar: Sidecar,
    at_once: Arc<AtomicBool>,
) -> io::Result<SignalWatch> {
    let mut first: Option<Instant> = None;
    watch(STOP_SIGNALS, move |signal: Signal| {
        let now = BootClock::now();
        let Some(first) = first else {
            first = Some(now);
            log::info!("{signal}: stopping; a second one ends this at once");
            if let Some(workload) = &workload {
                workload.stop_with(signal);
            }
            return election.stop();
        };
        if now.since(first) < DOUBLED {
            return;
        }
        log::warn!("{signal} again: ending at once, the lease may not be given back");
        at_once.store(true, Ordering::Relaxed);
        if let Some(workload) = &workload {
            workload.kill();
        }
        sidecar.abandon();
        let _ = log.flush(LAST_WORDS);
        signal_hook::low_level::exit(AT_ONCE.into());
    })
}
