//! Serves the status endpoints of a running election.
//!
//! ```text
//!   HTTP clients ──▶ http threads, at most CONNECTIONS ──▶ observe::routes
//!                                                              │ copies
//!   election's thread ── status, journal ──────────────────────┤
//!   lock's thread ── statistics of the store ──────────────────┤
//!   workload's supervisor ── counters ─────────────────────────┘
//! ```
//!
//! No client can delay the election: the state is copied under a lock that is held only for the copy,
//! and all connections together use a bounded part of the process's resources.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use time::OffsetDateTime;

use super::election::Handle;
use super::restart::Restart;
use crate::http::{Limits, ListenAddr, Server, ShutdownHandle};
use crate::lock::stats::StatsHandle;
use crate::observe::routes::{self, StatusSource};
use crate::observe::{CandidateInfo, Snapshot, SteppedDown};
use crate::system::clock::{BootClock, unix_millis};

/// Maximum number of connections: enough for probes, scrapers and a few browsers.
const CONNECTIONS: usize = 64;

/// Number of file descriptors reserved for the election and the system's libraries: standard streams,
/// timers, two connections to the store, name resolution.
const RESERVED_DESCRIPTORS: u64 = 32;

/// Maximum size of a request's body, in bytes; clients need none.
const BODY_BYTES: usize = 1024;

/// Maximum time to receive a request, which usually arrives in one packet.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum time to send a response; a status document with the longest names has about 100 kB.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The running endpoints; dropping this closes them.
#[derive(Debug)]
pub struct Endpoints(ShutdownHandle);

impl Drop for Endpoints {
    fn drop(&mut self) {
        // Does not wait, because a slow client must not delay the end of the process.
        self.0.shut_down();
    }
}

/// The election that endpoints and notifications show.
pub struct LiveSource {
    handle: Handle,
    store: StatsHandle,
    candidate: Arc<CandidateInfo>,
    restart: Option<Restart>,
}

impl LiveSource {
    /// Returns the source for an election of this candidate, with the statistics of its store.
    #[must_use]
    pub fn new(
        handle: Handle,
        store: StatsHandle,
        candidate: CandidateInfo,
        restart: Option<Restart>,
    ) -> Self {
        LiveSource {
            handle,
            store,
            candidate: Arc::new(candidate),
            restart,
        }
    }
}

impl StatusSource for LiveSource {
    fn snapshot(&self) -> Snapshot {
        let (status, journal) = self.handle.snapshot();
        Snapshot {
            // Read after the status, because an earlier time would overstate the time left.
            now: BootClock::now(),
            wall: OffsetDateTime::now_utc(),
            candidate: Arc::clone(&self.candidate),
            status,
            journal,
            store: self.store.snapshot(),
        }
    }

    fn note_followed(&self) {
        if let Some(restart) = &self.restart {
            restart.note_followed();
        }
    }

    fn step_down(&self, period: Option<Duration>) -> Option<SteppedDown> {
        let period = period.unwrap_or(self.candidate.config.lease_duration);
        let millis = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
        let until = match period.is_zero() {
            true => 0,
            false => unix_millis().saturating_add(millis),
        };
        let led = self.handle.status().leading.is_some();
        let ask = || self.handle.step_down(Some(period));
        let kept = match &self.restart {
            Some(restart) => restart.step_down(until, ask)?,
            // The next process may acquire, which is what zero asks for.
            None => ask().then_some(until == 0)?,
        };
        Some(SteppedDown {
            led,
            until: (until > 0).then_some(until / 1000),
            kept,
        })
    }
}

/// Serves the endpoints of an election at `addr`, on separate threads.
///
/// # Errors
/// If the address cannot be bound or the system starts no thread; the message says what to do.
pub fn serve(addr: &ListenAddr, source: Arc<dyn StatusSource>) -> io::Result<Endpoints> {
    let limits = Limits {
        connections: connections(),
        body_bytes: BODY_BYTES,
        request_timeout: REQUEST_TIMEOUT,
        write_timeout: WRITE_TIMEOUT,
        ..Limits::default()
    };
    let server = Server::bind(addr, limits).map_err(|error| {
        let fix = "set HTTP_ADDR to another address, or to off";
        io::Error::new(error.kind(), format!("{error}; {fix}"))
    })?;
    let endpoints = Endpoints(server.handle());
    let local = server.local_addr();
    thread::Builder::new().name("http".into()).spawn(move || {
        let served = server.serve(move |request| routes::respond(request, &*source).into());
        if let Err(error) = served {
            log::error!(
                event = "endpoints_failed", error:%;
                "status endpoints stopped; restart the process to serve them again"
            );
        }
    })?;
    log::info!(event = "listening", url = format!("http://{local}"); "serving status endpoints");
    Ok(endpoints)
}

/// Returns the number of connections that leaves enough descriptors for the election.
fn connections() -> usize {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    // Closing connections may use a quarter more.
    let spare = descriptors.saturating_sub(RESERVED_DESCRIPTORS) / 5 * 4;
    usize::try_from(spare).map_or(CONNECTIONS, |spare| spare.clamp(1, CONNECTIONS))
}
