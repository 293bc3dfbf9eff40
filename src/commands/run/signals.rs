//! Effect of signals on `elector run`.
//!
//! | signal | without a program | with a program |
//! |---|---|---|
//! | TERM, INT | stops and releases the lease | the program gets it, and time to stop; then the lease is released |
//! | a second one | exits immediately | kills the workload, then exits |
//! | HUP, QUIT | like TERM | the program gets it |
//! | CHLD | reaps, if PID 1 | reaps |
//! | real-time signals | nothing | nothing |
//! | every other one but KILL and STOP | nothing | the program gets it |
//!
//! HUP, INT and QUIT that were ignored at start do nothing. A signal for the program does nothing while no
//! program runs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getpid;

use crate::election::time::Instant;
use crate::runtime::election::Handle;
use crate::runtime::logging::LogGuard;
use crate::runtime::sidecar::Sidecar;
use crate::runtime::signals;
use crate::runtime::workload::{Workload, reap_children};
use crate::system::clock::BootClock;

/// Exit code after a second stop signal.
pub(super) const KILLED: u8 = 1;

/// Time after the first stop signal within which another one is ignored. Why: `timeout` and some
/// supervisors send each signal to the process and to its group.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(50);

/// Longest wait of an immediate exit for its last log line to be read.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(50);

/// Handles all signals, which must be blocked. Sets `killed` at the second stop signal, because the election
/// may end by itself before the process does.
pub(super) fn handle_all(
    log: &LogGuard,
    election: &Handle,
    workload: Option<&Workload>,
    sidecar: &Sidecar,
    killed: &Arc<AtomicBool>,
) -> io::Result<()> {
    if workload.is_some() || getpid().as_raw() == 1 {
        reap_children(workload.cloned())?;
    }
    let mut stop = Stop {
        first: None,
        log: log.clone(),
        election: election.clone(),
        workload: workload.cloned(),
        sidecar: sidecar.clone(),
        killed: Arc::clone(killed),
    };
    let mut all = SigSet::all();
    all.remove(Signal::SIGCHLD);
    signals::handle(&all, move |signal| match (signal, &stop.workload) {
        (Signal::SIGTERM | Signal::SIGINT, _) | (Signal::SIGHUP | Signal::SIGQUIT, None) => {
            stop.handle(signal);
        }
        (_, Some(workload)) => workload.signal(signal),
        (_, None) => {}
    })
}

/// Stops the election at the first stop signal, and exits immediately at a second one.
struct Stop {
    /// Time of the first stop signal.
    first: Option<Instant>,
    log: LogGuard,
    election: Handle,
    workload: Option<Workload>,
    sidecar: Sidecar,
    killed: Arc<AtomicBool>,
}

impl Stop {
    fn handle(&mut self, signal: Signal) {
        let now = BootClock::now();
        let Some(first) = self.first else {
            self.first = Some(now);
            log::info!(event = "stopping", signal:%; "stopping; a second signal exits immediately");
            if let Some(workload) = &self.workload {
                workload.set_stop_signal(signal);
            }
            return self.election.stop();
        };
        if now.since(first) < DUPLICATE_WINDOW {
            return;
        }
        log::warn!(
            event = "exiting", signal:%;
            "exiting on a second signal, perhaps without releasing the lease"
        );
        self.killed.store(true, Ordering::Relaxed);
        if let Some(workload) = &self.workload {
            workload.kill();
        }
        self.sidecar.abandon();
        let _ = self.log.flush(FLUSH_TIMEOUT);
        signal_hook::low_level::exit(KILLED.into());
    }
}
