//! The service as a whole: options, start, use from tests, stop.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http::{Limits, ListenAddr, Server, ShutdownHandle};

use super::caller::AccessToken;
use super::change::NewGist;
use super::counters::Counters;
use super::error::{StartError, WriteError};
use super::faults::Faults;
use super::files::Files;
use super::revision::{Revision, Timestamp, is_gist_id};
use super::service::{Inner, Service, clock};
use super::state_file::StateFile;
use super::store::Store;

/// Most connections: some for each of a hundred candidates. A connection costs a thread with a small
/// stack.
const CONNECTIONS: usize = 512;

/// Longest body of a request: more than the megabyte that GitHub shows, so that tests can exceed it.
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// Longest time in which a request must arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Gist that is created at the start unless it exists, written as `ID[:FILE[=CONTENT]]`.
///
/// By default the file is `leader.json` and holds `{}`, because GitHub refuses gists without files and
/// blank files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialGist {
    /// Id of letters, digits, `-` and `_`.
    pub id: String,
    /// Name of the only file.
    pub file: String,
    /// Content of the file.
    pub content: String,
}

impl FromStr for InitialGist {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (id, rest) = text.split_once(':').unwrap_or((text, "leader.json"));
        let (file, content) = rest.split_once('=').unwrap_or((rest, "{}"));
        if !is_gist_id(id) || file.is_empty() || content.trim().is_empty() {
            return Err(
                "write a gist as ID, ID:FILE or ID:FILE=CONTENT; an id has letters, digits, `-` and `_`",
            );
        }
        Ok(Self {
            id: id.to_owned(),
            file: file.to_owned(),
            content: content.to_owned(),
        })
    }
}

/// Options of a service.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address; a free port of the loopback interface by default.
    pub listen: ListenAddr,
    /// State file; by default the gists end with the service.
    pub state: Option<PathBuf>,
    /// Accepted access tokens; if empty, every access token with the scope gist.
    pub tokens: Vec<AccessToken>,
    /// Gists that are created at the start.
    pub gists: Vec<InitialGist>,
    /// Faults from the start.
    pub faults: Faults,
    /// Seed of revisions, ids and faults.
    pub seed: u64,
    /// Whether requests are not logged.
    pub quiet: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: ListenAddr::loopback(0),
            state: None,
            tokens: Vec::new(),
            gists: Vec::new(),
            faults: Faults::default(),
            seed: 1,
            quiet: true,
        }
    }
}

/// Revision in [`GistService::history`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GistRevision {
    /// Name of the revision.
    pub revision: Revision,
    /// Date in seconds since the Unix epoch, by the service's clock.
    pub committed_at: i64,
    /// Time at which the head moved to the revision, by this machine's clock.
    pub landed: Timestamp,
    /// Complete contents by file name.
    pub files: BTreeMap<String, String>,
}

/// Running service. Dropping it stops it.
#[derive(Debug)]
pub struct GistService {
    service: Arc<Service>,
    addr: SocketAddr,
    shutdown: ShutdownHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl GistService {
    /// Starts a service on its own threads.
    ///
    /// # Errors
    /// Returns an error if the service cannot listen, use its state file or create an initial gist.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let limits = Limits {
            connections: CONNECTIONS,
            body_bytes: BODY_BYTES,
            request_timeout: REQUEST_TIMEOUT,
            ..Limits::default()
        };
        let server = Server::bind(&options.listen, limits)?;
        let addr = reachable(server.local_addr());
        let inner = prepare(&options)?;
        let service = Arc::new(Service::new(inner, options.tokens, options.quiet));
        let shutdown = server.handle();
        let handler = Arc::clone(&service);
        let serve = move || server.serve(move |request| handler.handle(request));
        let thread = thread::Builder::new().name("gist-server".to_owned());
        Ok(Self {
            service,
            addr,
            shutdown,
            thread: Some(thread.spawn(serve)?),
        })
    }

    /// Returns the URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns a handle that stops the service from another thread.
    #[must_use]
    pub fn handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Replaces the faults for all later requests.
    pub fn set_faults(&self, faults: Faults) {
        self.service.lock().set_faults(faults);
    }

    /// Returns the present faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.service.lock().faults.clone()
    }

    /// Creates a gist and returns its id.
    ///
    /// # Errors
    /// Returns an error if there are no files or a blank one.
    pub fn create_gist(&self, files: &[(&str, &str)]) -> Result<String, WriteError> {
        let new = NewGist {
            files: files.iter().copied().collect(),
            ..NewGist::default()
        };
        let mut inner = self.service.lock();
        inner.write(|store| store.create(None, new, clock()))
    }

    /// Edits a gist on top of its head without the API, as a person does on the web.
    ///
    /// # Errors
    /// Returns an error if no such gist exists or no file is left.
    pub fn edit(
        &self,
        id: &str,
        edit: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<Revision, WriteError> {
        self.service.lock().write(|store| {
            let view = store.read(id).ok_or(WriteError::NotFound)?;
            let mut files = contents(view.head().files());
            edit(&mut files);
            store.replace_files(id, files.into_iter().collect(), clock())
        })
    }

    /// Removes the newest revisions from a history, as a forced push does. The first stays.
    ///
    /// # Errors
    /// Returns an error if no such gist exists.
    pub fn remove_newest(&self, id: &str, count: usize) -> Result<Revision, WriteError> {
        let mut inner = self.service.lock();
        inner.write(|store| store.remove_newest(id, count, clock()))
    }

    /// Returns the revisions of a gist, newest first; none if no such gist exists.
    #[must_use]
    pub fn history(&self, id: &str) -> Vec<GistRevision> {
        let inner = self.service.lock();
        let history = inner.store.read(id).into_iter();
        let history = history.flat_map(|view| view.history());
        let revisions = history.map(|commit| GistRevision {
            revision: commit.revision(),
            committed_at: commit.committed_at(),
            landed: commit.landed,
            files: contents(commit.files()),
        });
        revisions.collect()
    }

    /// Returns the counters of requests since the start or the last reset.
    #[must_use]
    pub fn requests(&self) -> Counters {
        self.service.lock().counters.clone()
    }

    /// Sets the counters of requests to zero.
    pub fn reset_requests(&self) {
        self.service.lock().counters = Counters::default();
    }

    /// Waits until the service has ended.
    ///
    /// # Errors
    /// Returns an error if it failed.
    pub fn wait(mut self) -> io::Result<()> {
        self.join()
    }

    /// Stops the service and waits until it has ended.
    pub fn stop(self) {
        drop(self);
    }

    fn join(&mut self) -> io::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the server's thread panicked")),
        }
    }
}

impl Drop for GistService {
    fn drop(&mut self) {
        self.shutdown.shut_down();
        if let Err(error) = self.join() {
            log::warn!(error:%; "gist service failed");
        }
    }
}

fn prepare(options: &Options) -> Result<Inner, StartError> {
    let mut store = Store::new(options.seed);
    let mut state_file = None;
    if let Some(path) = &options.state {
        state_file = Some(StateFile::open(path, &mut store)?);
        store.record_changes();
    }
    let mut inner = Inner::new(store, state_file, options.seed);
    inner.set_faults(options.faults.clone());
    for gist in &options.gists {
        if inner.store.read(&gist.id).is_some() {
            continue;
        }
        let new = NewGist {
            files: [(&*gist.file, &*gist.content)].into_iter().collect(),
            ..NewGist::default()
        };
        let created = inner.write(|store| store.create(Some(&gist.id), new, clock()));
        created.map_err(|error| StartError::Gist(gist.id.clone(), error))?;
    }
    Ok(inner)
}

fn contents(files: &Files) -> BTreeMap<String, String> {
    let files = files.iter();
    files
        .map(|(name, content)| (name.to_owned(), content.to_string()))
        .collect()
}

/// Replaces the unspecified address, which clients cannot use, by loopback.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        ip if !ip.is_unspecified() => ip,
        // Wherever IPv4 exists, a dual-stack socket also accepts it.
        IpAddr::V6(_) if UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).is_err() => {
            Ipv6Addr::LOCALHOST.into()
        }
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_gist_parses_id_file_content() {
        let parts = |text: &str| {
            text.parse::<InitialGist>()
                .map(|g| (g.id, g.file, g.content))
        };
        let own = |a: &str, b: &str, c: &str| Ok((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(parts("demo"), own("demo", "leader.json", "{}"));
        assert_eq!(parts("demo:x.json"), own("demo", "x.json", "{}"));
        assert_eq!(
            parts("demo:x={\"a\":\"b=c\"}"),
            own("demo", "x", "{\"a\":\"b=c\"}")
        );
        for wrong in ["", ":x", "a/b", "demo:", "demo:x=", "a b"] {
            assert!(parts(wrong).is_err(), "{wrong:?}");
        }
    }
}
