//! Requests as a handler sees them, and the few things a handler may do with their connection.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::server::Stop;

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The time has passed.
    Elapsed,
    /// The client closed its connection, or its half of it.
    PeerGone,
    /// The server is shutting down.
    ShuttingDown,
}

/// Everything of a request that came over the wire.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The connection may be used again afterwards.
    pub(super) keep_alive: bool,
}

/// One request, wholly received.
#[derive(Debug)]
pub struct Request {
    message: Message,
    peer: SocketAddr,
    stream: Arc<TcpStream>,
    stop: Arc<Stop>,
}

impl Request {
    pub(super) fn new(
        message: Message,
        peer: SocketAddr,
        stream: Arc<TcpStream>,
        stop: Arc<Stop>,
    ) -> Self {
        Self {
            message,
            peer,
            stream,
            stop,
        }
    }

    /// The method, in capitals as it is on the wire.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.message.method
    }

    /// The path without the query, not decoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.message.path
    }

    /// The first value of this query parameter, decoded; `?a` has the value "".
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = self.message.query.as_deref()?.split('&');
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| percent_decode(key) == name)
            .map(|(_, value)| percent_decode(value))
    }

    /// The first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .message
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body; empty if there is none.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.message.body
    }

    /// Who asks.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Waits until the time has passed, the client has gone or the server shuts down.
    ///
    /// A client that only closed its sending half counts as gone: nobody who still wants an answer
    /// does that in practice.
    #[must_use]
    pub fn wait_while_connected(&self, time: Duration) -> Waited {
        let end = Instant::now() + time;
        loop {
            if self.stop.is_set() {
                return Waited::ShuttingDown;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::Elapsed;
            }
            // Rounded up, so that the last fraction of a millisecond does not spin.
            let timeout =
                PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.stream.as_fd(), PEER_GONE)];
            match poll(&mut fds, timeout) {
                // Shutting down closes our reading half, which wakes this up as well.
                Ok(n) if n > 0 && !self.stop.is_set() => return Waited::PeerGone,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return Waited::PeerGone,
            }
        }
    }

    /// Waits until the time has passed (true) or the server shuts down (false), whatever the client does.
    #[must_use]
    pub fn pause(&self, time: Duration) -> bool {
        !self.stop.wait(time)
    }

    /// Closes the connection now, without an answer; the handler may go on working.
    pub fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// A way to pause that outlives the request, for what is done after the answer.
    pub fn pauser(&self) -> impl Fn(Duration) -> bool + Send + 'static {
        let stop = Arc::clone(&self.stop);
        move |time| !stop.wait(time)
    }
}

/// What to poll for to see that the client has closed, without being woken by more requests.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PEER_GONE: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
/// Elsewhere only a full close shows (POLLHUP and POLLERR are always reported).
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PEER_GONE: PollFlags = PollFlags::empty();

/// `+` and `%XX` as in a query; what is not well formed stays as it is, bad UTF-8 is replaced.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%')
            .then(|| bytes.get(i + 1..i + 3))
            .flatten()
            .and_then(hex_pair);
        match (bytes[i], escaped) {
            (_, Some(byte)) => {
                out.push(byte);
                i += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let value = digit(pair[0])? * 16 + digit(pair[1])?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::percent_decode;

    #[test]
    fn a_query_is_decoded_and_nonsense_is_left_alone() {
        for (raw, plain) in [
            ("a%20b+c", "a b c"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%+1", "% 1"),
            ("%C3%A9", "é"),
        ] {
            assert_eq!(percent_decode(raw), plain);
        }
    }
}
