//! Requests as a handler receives them, and what a handler can do with their connection.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::shutdown::ShutdownFlag;

/// Reason why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The time passed.
    Elapsed,
    /// The client closed its connection, or its sending half.
    PeerGone,
    /// The server is shutting down.
    ShuttingDown,
}

/// Content of a request.
#[derive(Debug, Clone)]
pub(super) struct RequestContent {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The client keeps the connection open for another request.
    pub(super) keep_alive: bool,
}

/// A completely received request.
#[derive(Debug)]
pub struct Request {
    pub(super) content: RequestContent,
    pub(super) peer: SocketAddr,
    pub(super) stream: Arc<TcpStream>,
    pub(super) shutdown: Arc<ShutdownFlag>,
}

impl Request {
    /// Returns the method, in the client's case.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.content.method
    }

    /// Returns the path without the query, not decoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.content.path
    }

    /// Returns the first value of a query parameter, not decoded; in `?a` it is empty.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let pairs = self.content.query.as_deref()?.split('&');
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Returns the first value of a header; the case of `name` does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .content
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the body; empty if there is none.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.content.body
    }

    /// Returns the client's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Waits until `time` has passed, the client has closed its connection or the server shuts down.
    ///
    /// A closed sending half counts as a closed connection, because no client in practice closes it
    /// and still waits for a response.
    #[must_use]
    pub fn wait_while_connected(&self, time: Duration) -> Waited {
        let end = Instant::now() + time;
        loop {
            if self.shutdown.is_set() {
                return Waited::ShuttingDown;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::Elapsed;
            }
            // Rounded up, so that the last fraction of a millisecond causes no busy loop.
            let timeout =
                PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.stream.as_fd(), PEER_GONE)];
            match poll(&mut fds, timeout) {
                // Shutdown closes this side's reading half, which also ends the poll.
                Ok(n) if n > 0 && !self.shutdown.is_set() => return Waited::PeerGone,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return Waited::PeerGone,
            }
        }
    }

    /// Waits until `time` has passed (true) or the server shuts down (false), regardless of the client.
    #[must_use]
    pub fn pause(&self, time: Duration) -> bool {
        !self.shutdown.wait(time)
    }

    /// Closes the connection without a response; the handler may continue.
    pub fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Returns a [`pause`](Self::pause) that outlives the request, for a task after the response.
    pub fn pauser(&self) -> impl Fn(Duration) -> bool + Send + 'static {
        let shutdown = Arc::clone(&self.shutdown);
        move |time| !shutdown.wait(time)
    }
}

/// Poll events of a client's close, without those of its next requests.
const PEER_GONE: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
