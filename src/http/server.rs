//! Listening, accepting connections into a bounded table, and shutdown.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};

use super::addr::ListenAddr;
use super::connection::Connection;
use super::limits::Limits;
use super::request::Request;
use super::response::{Reply, Response};
use super::shutdown::ShutdownFlag;
use super::slots::Slots;

/// Pause after an `accept` that failed for lack of descriptors or memory: long enough to avoid a busy
/// loop, too short for clients to notice once the resources are back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Maximum wait for running handlers at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Length of the kernel's queue of new connections.
///
/// Why: a client that finds it full retries after a second, which is the whole timeout of many probes.
const BACKLOG: i32 = 1024;

/// Maximum number of connections accepted from one listener before the others get their turn.
const ACCEPTS_PER_ROUND: usize = 64;

type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// Shuts a server down from another thread.
#[derive(Debug, Clone)]
pub struct ShutdownHandle {
    shutdown: Arc<ShutdownFlag>,
    wake: Arc<UnixStream>,
}

impl ShutdownHandle {
    /// Makes `serve` return: it stops accepting, wakes waiting handlers, and gives running ones two
    /// seconds to finish.
    pub fn shut_down(&self) {
        self.shutdown.set();
        // A full buffer means that the accept thread is already woken.
        let _ = (&*self.wake).write(&[1]);
    }
}

/// A server that listens but does not serve yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    limits: Limits,
    shutdown: Arc<ShutdownFlag>,
    wake: Arc<UnixStream>,
    woken: UnixStream,
    local: SocketAddr,
    /// The last `accept` failed.
    failing: AtomicBool,
}

impl Server {
    /// Listens on `addr`; connections wait in the kernel's queue until `serve`.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn bind(addr: &ListenAddr, limits: Limits) -> io::Result<Self> {
        let listeners = addr.bind()?;
        for listener in &listeners {
            // A client can close between poll and accept, and accept must not block then.
            listener.set_nonblocking(true)?;
            // std sets 128, which remains if this fails.
            let _ = Backlog::new(BACKLOG).and_then(|backlog| listen(listener, backlog));
        }
        let local = listeners[0].local_addr()?;
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        Ok(Self {
            listeners,
            limits,
            shutdown: Arc::default(),
            wake: Arc::new(wake),
            woken,
            local,
            failing: AtomicBool::new(false),
        })
    }

    /// Returns the first address it listens on; for port 0, with the port that the kernel chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Returns a handle that shuts the server down.
    #[must_use]
    pub fn handle(&self) -> ShutdownHandle {
        ShutdownHandle {
            shutdown: Arc::clone(&self.shutdown),
            wake: Arc::clone(&self.wake),
        }
    }

    /// Serves until shutdown. Many threads call the handler simultaneously.
    ///
    /// # Errors
    /// If polling the listening sockets fails; a single connection never ends the server.
    pub fn serve(
        self,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<()> {
        let handler: Handler = Arc::new(handler);
        let slots = Arc::new(Slots::default());
        let result = self.accept_all(&slots, &handler);
        self.shutdown.set();
        // New connections are refused before the open ones are closed.
        drop(self.listeners);
        slots.close_all(SHUTDOWN_GRACE);
        result
    }

    fn accept_all(&self, slots: &Arc<Slots>, handler: &Handler) -> io::Result<()> {
        while !self.shutdown.is_set() {
            self.poll_listeners()?;
            for listener in &self.listeners {
                self.accept_some(listener, slots, handler);
            }
        }
        Ok(())
    }

    /// Waits for connections or shutdown.
    fn poll_listeners(&self) -> io::Result<()> {
        let mut fds: Vec<PollFd<'_>> = self
            .listeners
            .iter()
            .map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN))
            .collect();
        fds.push(PollFd::new(self.woken.as_fd(), PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn accept_some(&self, listener: &TcpListener, slots: &Arc<Slots>, handler: &Handler) {
        for _ in 0..ACCEPTS_PER_ROUND {
            match listener.accept() {
                Ok((stream, peer)) => {
                    self.failing.store(false, Ordering::Relaxed);
                    self.start(stream, peer, slots, handler);
                }
                Err(e) => match e.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        // Logged once, not ten times a second.
                        if !self.failing.swap(true, Ordering::Relaxed) {
                            log::warn!(event = "http_accept_failed", error:% = e; "cannot accept connections, retrying");
                        }
                        let _ = self.shutdown.wait(ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr, slots: &Arc<Slots>, handler: &Handler) {
        // Some systems let accepted sockets inherit the mode.
        if stream.set_nonblocking(false).is_err() {
            return;
        }
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(stream);
        let Some(slot) = slots.acquire(&stream, peer.ip(), self.limits.connections) else {
            return reject(&stream);
        };
        let connection = Connection {
            stream,
            peer,
            limits: self.limits.clone(),
            shutdown: Arc::clone(&self.shutdown),
        };
        let handler = Arc::clone(handler);
        let builder = thread::Builder::new()
            .name("http".to_owned())
            .stack_size(self.limits.stack_bytes);
        let spawned = builder.spawn(move || {
            // Dropped last: when all slots are free, no connection holds the handler.
            let slot = slot;
            let (connection, handler) = (connection, handler);
            connection.run(&*handler, &slot);
        });
        if let Err(e) = spawned {
            // The slot and the connection were dropped with the closure.
            log::warn!(event = "http_accept_failed", error:% = e; "closed connection, because no thread can be started");
            let _ = self.shutdown.wait(ACCEPT_PAUSE);
        }
    }
}

/// Answers 503. The response fits a new socket's buffer, so it does not block the accept thread.
fn reject(mut stream: &TcpStream) {
    let response = Response::text(503, "too many connections\n");
    if stream.set_nonblocking(true).is_ok() {
        let _ = stream.write(&response.to_bytes(false, true));
    }
    let _ = stream.shutdown(Shutdown::Write);
}
