//! The listening side: binding, accepting into a bounded table of connections, shutting down.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};

use super::addr::ListenAddr;
use super::connection::Connection;
use super::request::Request;
use super::response::{Reply, Response};
use crate::system::monitor::Monitor;

/// After an `accept` that failed for want of descriptors or memory: long enough not to spin, short
/// enough that nobody notices once there are some again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long shutting down waits for handlers that are still at work.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// A newcomer that waits looks so often whether another connection may be closed by now.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// How many connections wait in the system's queue: one that finds it full is tried again by its client
/// after a second, which is all the time that many a probe has.
const BACKLOG: i32 = 1024;

/// How many connections one round accepts from one listener before it looks at the others.
const ACCEPTS_PER_ROUND: usize = 64;

/// How long a newcomer waits for a place: for threads that have only to be run to end, and for answers
/// that are under way.
const YIELDING: Duration = Duration::from_millis(250);

/// What one server, one connection and one request may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in use at a time, and a quarter more on their way out. For a further one, one that
    /// keeps us waiting is closed: of the address with the most connections, the one that does so the
    /// longest. Where none does, one that has just been answered is; else the further one is answered
    /// 503 and closed.
    pub connections: usize,
    /// Bytes of a request's head, request line and headers together.
    pub head_bytes: usize,
    /// Headers of one request.
    pub headers: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// For receiving one request as a whole, from its first byte.
    pub request_timeout: Duration,
    /// For sending one answer as a whole.
    pub write_timeout: Duration,
    /// Between two requests on one connection.
    pub idle_timeout: Duration,
    /// Stack of a connection's thread.
    pub stack_bytes: usize,
}

impl Default for Limits {
    /// Enough for status endpoints: small requests, a few dozen clients.
    fn default() -> Self {
        Self {
            connections: 64,
            // As most servers: a browser with cookies stays below it.
            head_bytes: 16 * 1024,
            headers: 64,
            body_bytes: 64 * 1024,
            request_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            // What handlers need in a debug build, with room to spare.
            stack_bytes: 256 * 1024,
        }
    }
}

/// Set once, when the server shuts down; whoever pauses is woken by it.
#[derive(Debug, Default)]
pub(super) struct Stop(Monitor<bool>);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        *self.0.lock()
    }

    fn set(&self) {
        self.0.change(|set| *set = true);
    }

    /// Waits this long at most; whether it was set.
    pub(super) fn wait(&self, time: Duration) -> bool {
        *self.0.wait_while_for(time, |set| !*set)
    }
}

/// The connections there are, so that they can be counted and closed.
#[derive(Debug, Default)]
struct Table {
    open: Mutex<Open>,
    closed: Condvar,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    places: HashMap<u64, Place>,
    /// A newcomer waits for a place.
    wanted: bool,
}

#[derive(Debug)]
struct Place {
    stream: Arc<TcpStream>,
    peer: IpAddr,
    /// From when on it has to make room for a newcomer; `None` while a handler is at work for it.
    yields_from: Option<Instant>,
    /// It was closed to make room, and its thread is about to end.
    leaves: bool,
}

impl Table {
    /// A place for a newcomer. Where all are taken, one that keeps us waiting is closed: who holds
    /// connections without using them cannot lock out a probe. `None` if all are in use.
    fn enter(self: &Arc<Self>, stream: &Arc<TcpStream>, peer: IpAddr, most: usize) -> Option<Slot> {
        let mut open = self.room(lock(&self.open), most)?;
        let crowded = |open: &Open| open.places.len() >= most + leaving(most);
        open = self.await_closed(open, YIELDING, crowded);
        if crowded(&open) {
            return None;
        }
        open.next += 1;
        let key = open.next;
        let place = Place {
            stream: Arc::clone(stream),
            peer,
            yields_from: Some(Instant::now()),
            leaves: false,
        };
        open.places.insert(key, place);
        Some(Slot {
            table: Arc::clone(self),
            key,
        })
    }

    /// Makes room for a newcomer, where there is none; `None` if that does not succeed in [`YIELDING`].
    fn room<'a>(
        &self,
        mut open: MutexGuard<'a, Open>,
        most: usize,
    ) -> Option<MutexGuard<'a, Open>> {
        let deadline = Instant::now() + YIELDING;
        while open.in_use() >= most && !open.make_room() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                open.wanted = false;
                return None;
            }
            open.wanted = true;
            // Nobody says when a slow reader's grace is over.
            let waited = self.closed.wait_timeout(open, left.min(LOOK_AGAIN));
            open = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        open.wanted = false;
        Some(open)
    }

    fn await_closed<'a>(
        &self,
        open: MutexGuard<'a, Open>,
        time: Duration,
        is_so: impl Fn(&Open) -> bool,
    ) -> MutexGuard<'a, Open> {
        let waited = self
            .closed
            .wait_timeout_while(open, time, |open| is_so(open));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Ends all connections: idle ones now, working ones when they have answered or the grace is over.
    fn close_all(&self) {
        let open = lock(&self.open);
        for place in open.places.values() {
            let _ = place.stream.shutdown(Shutdown::Read);
        }
        let open = self.await_closed(open, SHUTDOWN_GRACE, |open| !open.places.is_empty());
        for place in open.places.values() {
            let _ = place.stream.shutdown(Shutdown::Both);
        }
    }
}

impl Open {
    fn in_use(&self) -> usize {
        self.places.values().filter(|place| !place.leaves).count()
    }

    /// Closes a connection that keeps us waiting. Whether there was one.
    fn make_room(&mut self) -> bool {
        let now = Instant::now();
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for place in self.places.values() {
            *held.entry(place.peer).or_default() += 1;
        }
        let places = self.places.values_mut().filter(|place| place.yields(now));
        let mut waiting: Vec<&mut Place> = places.collect();
        waiting.sort_by_key(|place| (Reverse(held[&place.peer]), place.yields_from));
        // One with something to be read does not keep us waiting: its thread is late.
        let mut waiting = waiting.into_iter();
        let Some(place) = waiting.find(|place| !has_input(&place.stream)) else {
            return false;
        };
        // Wakes its thread, whether that reads or writes.
        let _ = place.stream.shutdown(Shutdown::Both);
        place.leaves = true;
        true
    }
}

impl Place {
    fn yields(&self, now: Instant) -> bool {
        !self.leaves && self.yields_from.is_some_and(|from| from <= now)
    }
}

/// How many connections may be on their way out at a time, beside those that are in use.
fn leaving(connections: usize) -> usize {
    (connections / 4).max(1)
}

/// Whether there is something to be read, the end included.
fn has_input(stream: &TcpStream) -> bool {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// A place in the table, given back when the connection's thread ends, however it ends.
pub(super) struct Slot {
    table: Arc<Table>,
    key: u64,
}

impl Slot {
    /// The connection keeps us waiting from now on: it is to make room for a newcomer where there is
    /// none, at the earliest in `grace`.
    pub(super) fn waits(&self, grace: Duration) {
        self.set(Some(Instant::now() + grace));
    }

    /// The same, between two requests. Whether the connection goes on: if a newcomer waits already, it
    /// was served enough.
    pub(super) fn goes_on(&self) -> bool {
        let mut open = lock(&self.table.open);
        let wanted = std::mem::take(&mut open.wanted);
        if let Some(place) = open.places.get_mut(&self.key) {
            place.yields_from = Some(Instant::now());
            place.leaves |= wanted;
        }
        drop(open);
        if wanted {
            self.table.closed.notify_all();
        }
        !wanted
    }

    /// A handler is at work for it.
    pub(super) fn works(&self) {
        self.set(None);
    }

    fn set(&self, yields_from: Option<Instant>) {
        if let Some(place) = lock(&self.table.open).places.get_mut(&self.key) {
            place.yields_from = yields_from;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.table.open).places.remove(&self.key);
        self.table.closed.notify_all();
    }
}

/// No code of ours panics while it holds one of these locks, and what they guard is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a server from another thread.
#[derive(Debug, Clone)]
pub struct ShutdownHandle {
    stop: Arc<Stop>,
    wake: Arc<UnixStream>,
}

impl ShutdownHandle {
    /// Makes `serve` return: it accepts no more, lets handlers at work finish for two seconds, wakes
    /// those that pause.
    pub fn shut_down(&self) {
        self.stop.set();
        // If its buffer is full, the accept thread has been woken already.
        let _ = (&*self.wake).write(&[1]);
    }

    /// Whether the server was told to end.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.stop.is_set()
    }
}

/// A bound server that does not serve yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    limits: Limits,
    stop: Arc<Stop>,
    wake: Arc<UnixStream>,
    woken: UnixStream,
    local: SocketAddr,
    /// Accepting failed last time.
    failing: AtomicBool,
}

impl Server {
    /// Takes the address; connections wait in the system's queue until `serve`.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub fn bind(addr: &ListenAddr, limits: Limits) -> io::Result<Self> {
        let listeners = addr.bind()?;
        for listener in &listeners {
            // A client may be gone between poll and accept, and accept must not wait for the next.
            listener.set_nonblocking(true)?;
            // std asks for 128. Where that fails, 128 do.
            let _ = Backlog::new(BACKLOG).and_then(|backlog| listen(listener, backlog));
        }
        let local = listeners[0].local_addr()?;
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        Ok(Self {
            listeners,
            limits,
            stop: Arc::default(),
            wake: Arc::new(wake),
            woken,
            local,
            failing: AtomicBool::new(false),
        })
    }

    /// The (first) address it listens on, with the port the system chose for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What ends it.
    #[must_use]
    pub fn handle(&self) -> ShutdownHandle {
        ShutdownHandle {
            stop: Arc::clone(&self.stop),
            wake: Arc::clone(&self.wake),
        }
    }

    /// Serves until it is shut down. The handler is called on many threads at once.
    ///
    /// # Errors
    /// If the listening sockets can no longer be waited on; single connections never end it.
    pub fn serve(
        self,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<()> {
        let handler: Arc<dyn Fn(&Request) -> Reply + Send + Sync> = Arc::new(handler);
        let table = Arc::new(Table::default());
        let result = self.accept_all(&table, &handler);
        self.stop.set();
        // Refuse newcomers before those who are here are seen off.
        drop(self.listeners);
        table.close_all();
        result
    }

    fn accept_all(&self, table: &Arc<Table>, handler: &Handler) -> io::Result<()> {
        while !self.stop.is_set() {
            let ready = self.wait_for_clients()?;
            for (listener, _) in self.listeners.iter().zip(ready).filter(|(_, ready)| *ready) {
                self.accept_some(listener, table, handler);
            }
        }
        Ok(())
    }

    fn wait_for_clients(&self) -> io::Result<Vec<bool>> {
        let mut fds: Vec<PollFd<'_>> = self
            .listeners
            .iter()
            .map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN))
            .collect();
        fds.push(PollFd::new(self.woken.as_fd(), PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        Ok(fds[..self.listeners.len()]
            .iter()
            .map(|fd| fd.any().unwrap_or(false))
            .collect())
    }

    fn accept_some(&self, listener: &TcpListener, table: &Arc<Table>, handler: &Handler) {
        for _ in 0..ACCEPTS_PER_ROUND {
            match listener.accept() {
                Ok((stream, peer)) => {
                    self.failing.store(false, Ordering::Relaxed);
                    self.start(stream, peer, table, handler);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => {
                    // Said once, not ten times a second while it lasts.
                    if !self.failing.swap(true, Ordering::Relaxed) {
                        log::warn!("http: cannot accept connections at present: {e}");
                    }
                    let _ = self.stop.wait(ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr, table: &Arc<Table>, handler: &Handler) {
        // Accepted sockets inherit the mode on some systems.
        if stream.set_nonblocking(false).is_err() {
            return;
        }
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let Some(slot) = table.enter(&stream, peer.ip(), self.limits.connections) else {
            return turn_away(&stream);
        };
        let connection = Connection {
            stream,
            peer,
            limits: self.limits.clone(),
            stop: Arc::clone(&self.stop),
        };
        let handler = Arc::clone(handler);
        let builder = thread::Builder::new()
            .name("http".to_owned())
            .stack_size(self.limits.stack_bytes);
        let spawned = builder.spawn(move || {
            // Given back last: whoever waits for all slots may rely on the handler being let go.
            let slot = slot;
            let (connection, handler) = (connection, handler);
            connection.run(&*handler, &slot);
        });
        if let Err(e) = spawned {
            // The closure was dropped, and with it the slot and the connection.
            log::warn!("http: cannot start a thread for a connection: {e}");
            let _ = self.stop.wait(ACCEPT_PAUSE);
        }
    }
}

type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A fresh socket's buffer takes this whole, so that the accept thread is not held up.
fn turn_away(mut stream: &TcpStream) {
    let response = Response::text(503, "too many connections\n");
    let mut bytes = response.head(true);
    bytes.extend_from_slice(response.body());
    if stream.set_nonblocking(true).is_ok() {
        let _ = stream.write(&bytes);
    }
    let _ = stream.shutdown(Shutdown::Write);
}
