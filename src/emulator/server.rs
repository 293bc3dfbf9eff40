//! The service as a whole: started with its options, used from tests as a library, stopped.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http::{Limits, ListenAddr, Server, ShutdownHandle};

use super::answer::Refusal;
use super::caller::Token;
use super::counters::Counters;
use super::faults::Faults;
use super::files::Files;
use super::revision::{Revision, Timestamp, is_gist_id};
use super::service::{Inner, Service, clock};
use super::state::{Journal, StateError};
use super::store::Store;
use super::write::{NewGist, WriteError};

/// A gist that is made at the start unless it is there: `ID[:FILE[=CONTENT]]`.
///
/// Without a content the file holds `{}`: GitHub has no gists without a file, nor blank files, and a
/// gist with one file needs no `GIST_FILE` setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartGist {
    /// Its id: letters, digits, `-` and `_`.
    pub id: String,
    /// Its only file.
    pub file: String,
    /// What is in it.
    pub content: String,
}

/// Why a gist for the start cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadStartGist;

impl fmt::Display for BadStartGist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a gist is written as ID, ID:FILE or ID:FILE=CONTENT; an id has letters, digits, `-` and `_`")
    }
}

impl std::error::Error for BadStartGist {}

impl FromStr for StartGist {
    type Err = BadStartGist;

    fn from_str(text: &str) -> Result<Self, BadStartGist> {
        let (id, rest) = text.split_once(':').unwrap_or((text, "leader.json"));
        let (file, content) = rest.split_once('=').unwrap_or((rest, "{}"));
        if !is_gist_id(id) || file.is_empty() || content.trim().is_empty() {
            return Err(BadStartGist);
        }
        Ok(Self {
            id: id.to_owned(),
            file: file.to_owned(),
            content: content.to_owned(),
        })
    }
}

/// How a service is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; a free port of the loopback interface by default.
    pub listen: ListenAddr,
    /// Where it keeps its gists; in memory only by default.
    pub state: Option<PathBuf>,
    /// The tokens it accepts; any with the scope gist by default.
    pub tokens: Vec<Token>,
    /// Gists it has from the start.
    pub gists: Vec<StartGist>,
    /// What goes wrong.
    pub faults: Faults,
    /// Decides revisions, ids and what goes wrong when.
    pub seed: u64,
    /// Nothing is logged about single requests.
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

/// Why a service did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Its address or its thread cannot be had.
    Io(io::Error),
    /// Its state file cannot be used.
    State(StateError),
    /// A gist for the start cannot be made.
    Gist(String, String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(e) => e.fmt(f),
            Self::State(e) => e.fmt(f),
            Self::Gist(id, why) => write!(f, "cannot make the gist {id}: {why}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<StartError> for io::Error {
    fn from(e: StartError) -> Self {
        match e {
            StartError::Io(e) => e,
            other => Self::other(other.to_string()),
        }
    }
}

/// One revision as `GistService::history` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRevision {
    /// Its name.
    pub revision: Revision,
    /// In seconds since 1970.
    pub committed_at: i64,
    /// When it landed, by this machine's clock, whatever the server's clock is set to.
    pub landed: Timestamp,
    /// All files with their whole contents.
    pub files: BTreeMap<String, String>,
}

/// For requests: a hundred candidates with some connections each. A connection costs a thread whose
/// stack is only touched as far as it is used.
const CONNECTIONS: usize = 512;

/// More than the one megabyte that GitHub shows again, so that cut contents can be tried.
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// A running service.
#[derive(Debug)]
pub struct GistService {
    service: Arc<Service>,
    addr: SocketAddr,
    shutdown: ShutdownHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl GistService {
    /// Starts a service on threads of its own.
    ///
    /// # Errors
    /// If the address, the state file or a gist of the options cannot be had.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let limits = Limits {
            connections: CONNECTIONS,
            body_bytes: BODY_BYTES,
            request_timeout: Duration::from_secs(15),
            ..Limits::default()
        };
        let server = Server::bind(&options.listen, limits)?;
        let addr = reachable(server.local_addr());
        let inner = prepare(&options)?;
        let origin = format!("http://{addr}");
        let service = Arc::new(Service::new(inner, options.tokens, origin, options.quiet));
        let shutdown = server.handle();
        let handler = Arc::clone(&service);
        let serve = move || server.serve(move |request| handler.handle(request));
        let thread = thread::Builder::new()
            .name("gist-server".to_owned())
            .spawn(serve)?;
        Ok(Self {
            service,
            addr,
            shutdown,
            thread: Some(thread),
        })
    }

    /// Where it is reached, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What ends it from another thread.
    #[must_use]
    pub fn handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Changes what goes wrong, from the next request on.
    pub fn set_faults(&self, faults: Faults) {
        self.service.lock().set_faults(faults);
    }

    /// What goes wrong at present.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.service.lock().faults.clone()
    }

    /// Makes a gist and gives its id.
    ///
    /// # Errors
    /// If the files make no gist: none, or a blank one.
    pub fn create_gist(&self, files: &[(&str, &str)]) -> Result<String, WriteError> {
        let new = NewGist {
            files: files.iter().copied().collect(),
            ..NewGist::default()
        };
        self.change(|store| store.create(None, new, clock()))
    }

    /// Changes a gist past the API, as a person does on the web, on top of its head.
    ///
    /// # Errors
    /// If the gist is not there or no file is left.
    pub fn edit(
        &self,
        id: &str,
        edit: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<Revision, WriteError> {
        self.change(|store| {
            let view = store.read(id).ok_or(WriteError::NotFound)?;
            let mut files = plain(view.head().files());
            edit(&mut files);
            store.replace_files(id, files.into_iter().collect::<Files>(), clock())
        })
    }

    /// Makes the newest revisions vanish, as a forced push does; the first one stays.
    ///
    /// # Errors
    /// If the gist is not there.
    pub fn remove_newest(&self, id: &str, count: usize) -> Result<Revision, WriteError> {
        self.change(|store| store.remove_newest(id, count, clock()))
    }

    /// Deletes a gist.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete_gist(&self, id: &str) -> Result<(), WriteError> {
        self.change(|store| store.delete(id))
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Store) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let mut inner = self.service.lock();
        let done = change(&mut inner.store)?;
        inner.persist().map_err(|_| WriteError::Full)?;
        Ok(done)
    }

    /// The revisions of a gist, newest first; none if it is not there.
    #[must_use]
    pub fn history(&self, id: &str) -> Vec<SeenRevision> {
        let inner = self.service.lock();
        let Some(view) = inner.store.read(id) else {
            return Vec::new();
        };
        let seen = view.history().map(|commit| SeenRevision {
            revision: commit.revision(),
            committed_at: commit.committed_at(),
            landed: commit.landed(),
            files: plain(commit.files()),
        });
        seen.collect()
    }

    /// What was asked since the start or the last reset.
    #[must_use]
    pub fn requests(&self) -> Counters {
        self.service.lock().counters.clone()
    }

    /// Starts to count anew.
    pub fn reset_requests(&self) {
        self.service.lock().counters = Counters::default();
    }

    /// Waits until the service has ended.
    ///
    /// # Errors
    /// If it ended by itself.
    pub fn wait(mut self) -> io::Result<()> {
        self.join()
    }

    /// Ends the service and waits until it has.
    pub fn stop(self) {
        // Dropping does it.
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
        if let Err(e) = self.join() {
            log::warn!("the gist service ended badly: {e}");
        }
    }
}

fn prepare(options: &Options) -> Result<Inner, StartError> {
    let mut store = Store::new(options.seed);
    let journal = match &options.state {
        Some(path) => Some(Journal::open(path, &mut store).map_err(StartError::State)?),
        None => None,
    };
    if journal.is_some() {
        store.keep_events();
    }
    let mut inner = Inner::new(store, journal, options.seed);
    inner.set_faults(options.faults.clone());
    for gist in &options.gists {
        let failed = |refusal: Refusal| StartError::Gist(gist.id.clone(), refusal.to_string());
        if inner.store.read(&gist.id).is_some() {
            continue;
        }
        let files = [(gist.file.as_str(), gist.content.as_str())]
            .into_iter()
            .collect();
        let new = NewGist {
            files,
            ..NewGist::default()
        };
        inner
            .write(|store| store.create(Some(&gist.id), new, clock()))
            .map_err(failed)?;
    }
    Ok(inner)
}

fn plain(files: &Files) -> BTreeMap<String, String> {
    files
        .iter()
        .map(|(name, content)| (name.to_owned(), content.to_string()))
        .collect()
}

/// "Every address" is none that can be called: loopback stands for it.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            // A dual-stack socket is reached over IPv4 as well, wherever there is IPv4.
            match std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
                Ok(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
                Err(_) => Ipv6Addr::LOCALHOST.into(),
            }
        }
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gist_for_the_start_is_an_id_perhaps_with_a_file_and_a_content() {
        let parts = |text: &str| text.parse::<StartGist>().map(|g| (g.id, g.file, g.content));
        let own = |a: &str, b: &str, c: &str| Ok((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(parts("demo"), own("demo", "leader.json", "{}"));
        assert_eq!(parts("demo:x.json"), own("demo", "x.json", "{}"));
        assert_eq!(
            parts("demo:x={\"a\":\"b=c\"}"),
            own("demo", "x", "{\"a\":\"b=c\"}")
        );
        for wrong in ["", ":x", "a/b", "demo:", "demo:x=", "a b"] {
            assert_eq!(parts(wrong), Err(BadStartGist), "{wrong:?}");
        }
    }
}
