//! The status endpoints of a running election: a server, and where what it shows comes from.
//!
//! ```text
//!   HTTP clients ──▶ http threads, at most CONNECTIONS ──▶ observe::routes
//!                                                              │ copies
//!   the owner of the election ── status, journal ──────────────┤
//!   the lock's thread ── requests, rate limit ─────────────────┤
//!   the workload's supervisor ── counts ───────────────────────┘
//! ```
//!
//! Nobody who asks can hold up the election: what is shown is copied under a lock that is held for no
//! longer than that, and all connections together take a bounded part of what a process may have.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use time::OffsetDateTime;

use super::election::Handle;
use super::gist::GistOptions;
use crate::election::config::LeaderElectionConfig;
use crate::election::status::{Status, Unhealthy};
use crate::election::time::Instant;
use crate::http::{Limits, ListenAddr, Server, ShutdownHandle};
use crate::lock::stats::StatsHandle;
use crate::observe::routes::{self, Source};
use crate::observe::{About, ReadyWhen, View, WorkloadCounts};
use crate::system::clock::BootClock;

/// How long after its limit a leader that was not stopped counts as unhealthy: as Kubernetes'
/// controllers set it for client-go.
const TOLERANCE: Duration = Duration::from_secs(20);

/// Connections at a time: a few probes, scrapers and browsers.
const CONNECTIONS: usize = 64;

/// So many file descriptors are left to the election and to the system's libraries, whatever the
/// process may have: the standard streams, timers, the connection to GitHub and a new one beside it,
/// the name resolution's.
const OWN_DESCRIPTORS: u64 = 32;

/// Requests are small: nobody sends a body.
const BODY_BYTES: usize = 1024;

/// A request comes in one piece.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer is the status document: some 100 kB with the longest names.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the endpoints of an election show.
pub struct Sources<'a> {
    /// The election.
    pub handle: Handle,
    /// Its name and times.
    pub config: LeaderElectionConfig,
    /// Where the record is.
    pub gist: &'a GistOptions,
    /// What is sent to GitHub and heard from it.
    pub requests: StatsHandle,
    /// When `/readyz` says ready.
    pub ready_when: ReadyWhen,
    /// The workload's counters, where there is one.
    pub workload: Option<Arc<WorkloadCounts>>,
}

/// The endpoints, which are there until this is dropped.
#[derive(Debug)]
pub struct Observer(ShutdownHandle);

impl Drop for Observer {
    fn drop(&mut self) {
        // Without waiting: nobody who reads slowly is to delay the end.
        self.0.shut_down();
    }
}

/// Opens the endpoints at `addr`, on threads of their own; without an address, none, and no thread.
///
/// # Errors
/// If the address cannot be had, or no thread; the message says what to do.
pub fn serve(addr: Option<&ListenAddr>, sources: Sources<'_>) -> io::Result<Option<Observer>> {
    let Some(addr) = addr else { return Ok(None) };
    let limits = Limits {
        connections: connections(),
        body_bytes: BODY_BYTES,
        request_timeout: REQUEST_TIMEOUT,
        write_timeout: WRITE_TIMEOUT,
        ..Limits::default()
    };
    let server = Server::bind(addr, limits).map_err(|error| {
        let help = "set HTTP_ADDR to another address, or to off";
        io::Error::new(error.kind(), format!("{error}; {help}"))
    })?;
    let observer = Observer(server.handle());
    let local = server.local_addr();
    let source = Live::new(sources);
    thread::Builder::new().name("http".into()).spawn(move || {
        let served = server.serve(move |request| routes::answer(request, &source).into());
        if let Err(error) = served {
            log::error!("the status endpoints are gone: {error}");
        }
    })?;
    log::info!("status endpoints at http://{local}");
    Ok(Some(observer))
}

/// As many connections as leave enough descriptors to the election.
fn connections() -> usize {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    // A quarter more of them may be on their way out.
    let spare = descriptors.saturating_sub(OWN_DESCRIPTORS) / 5 * 4;
    usize::try_from(spare).map_or(CONNECTIONS, |spare| spare.clamp(1, CONNECTIONS))
}

/// What is known of the election at the time of asking.
struct Live {
    handle: Handle,
    about: Arc<About>,
    requests: StatsHandle,
}

impl Live {
    fn new(sources: Sources<'_>) -> Self {
        let gist = sources.gist;
        let file = gist.file.as_deref();
        let lease = match file {
            Some(file) => format!("{}/{file}", gist.gist_id.as_str()),
            None => gist.gist_id.as_str().to_owned(),
        };
        Live {
            about: Arc::new(About {
                lease,
                lock: sources.handle.describe().to_owned(),
                config: sources.config,
                confirm_delay: Some(gist.confirm_delay),
                ready_when: sources.ready_when,
                workload: sources.workload,
            }),
            handle: sources.handle,
            requests: sources.requests,
        }
    }
}

impl Source for Live {
    fn now(&self) -> Instant {
        BootClock::now()
    }

    fn about(&self) -> &About {
        &self.about
    }

    fn status(&self) -> Status {
        self.handle.status()
    }

    fn view(&self) -> View {
        let (status, journal) = self.handle.look();
        View {
            now: BootClock::now(),
            wall: OffsetDateTime::now_utc(),
            about: Arc::clone(&self.about),
            status,
            journal,
            requests: self.requests.snapshot(),
        }
    }

    fn health(&self) -> Result<(), Unhealthy> {
        self.handle.check(TOLERANCE)
    }

    fn step_down(&self) -> bool {
        self.handle.step_down()
    }
}
