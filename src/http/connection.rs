//! One connection, from its first request to its end, on its own thread.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limits::Limits;
use super::receive::{Receiver, RequestError};
use super::request::{Request, RequestContent};
use super::response::{Reply, Response};
use super::shutdown::ShutdownFlag;
use super::slots::Slot;

/// Time for which input is discarded after a response that ends the connection.
///
/// Why: closing immediately would reset the connection, and the client could lose the response.
const LINGER: Duration = Duration::from_millis(500);

/// Maximum input to discard, so that a flood ends sooner.
const LINGER_BYTES: usize = 256 * 1024;

/// Time after which a client that is still receiving its response may be replaced by a new
/// connection. A response that fits the system's buffers is sent immediately.
const SEND_GRACE: Duration = Duration::from_millis(100);

/// An accepted connection.
pub(super) struct Connection {
    pub(super) stream: Arc<TcpStream>,
    pub(super) peer: SocketAddr,
    pub(super) limits: Limits,
    pub(super) shutdown: Arc<ShutdownFlag>,
}

impl Connection {
    /// Serves requests until the connection ends.
    pub(super) fn run(&self, handler: &dyn Fn(&Request) -> Reply, slot: &Slot) {
        let mut receiver = Receiver::new(&self.stream, &self.limits);
        // The client must send its first request immediately, and may pause before later ones.
        let mut idle = self.limits.request_timeout;
        while !self.shutdown.is_set() {
            let keep_open = match receiver.next(idle) {
                Ok(content) => self.respond(content, handler, slot),
                Err(RequestError::Rejected(status, reason)) => {
                    log::debug!(peer:% = self.peer, status, reason; "rejected HTTP request");
                    self.send(&Response::text(status, format!("{reason}\n")), false, true);
                    self.linger(slot);
                    false
                }
                Err(RequestError::Idle | RequestError::Broken) => false,
            };
            if !keep_open || !slot.may_continue() {
                break;
            }
            idle = self.limits.idle_timeout;
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Handles one request; returns whether the connection stays open.
    fn respond(
        &self,
        content: RequestContent,
        handler: &dyn Fn(&Request) -> Reply,
        slot: &Slot,
    ) -> bool {
        slot.set_busy();
        let keep_alive = content.keep_alive;
        let head_only = content.method == "HEAD";
        let request = Request {
            content,
            peer: self.peer,
            stream: Arc::clone(&self.stream),
            shutdown: Arc::clone(&self.shutdown),
        };
        // Catches a panic only in builds with `panic = "unwind"`.
        let reply = catch_unwind(AssertUnwindSafe(|| handler(&request))).unwrap_or_else(|_| {
            log::error!(
                event = "http_panicked", method = request.method(), path = request.path();
                "HTTP handler panicked"
            );
            Response::text(500, "internal error\n").into()
        });
        slot.set_waiting(SEND_GRACE);
        match reply {
            Reply::Answer(response) => {
                let close = !keep_alive || self.shutdown.is_set();
                let sent = self.send(&response, head_only, close);
                if sent && close {
                    self.linger(slot);
                }
                sent && !close
            }
            Reply::Afterwards(response, task) => {
                if self.send(&response, head_only, true) {
                    self.linger(slot);
                }
                let _ = self.stream.shutdown(Shutdown::Both);
                slot.set_busy();
                if catch_unwind(AssertUnwindSafe(task)).is_err() {
                    log::error!(
                        event = "http_panicked", method = request.method(), path = request.path();
                        "task after the HTTP response panicked"
                    );
                }
                false
            }
            Reply::Drop => false,
            Reply::Truncate(response) => {
                self.send_truncated(&response, head_only, slot);
                false
            }
        }
    }

    /// Sends a response; returns whether all of it was sent.
    fn send(&self, response: &Response, head_only: bool, close: bool) -> bool {
        let deadline = Instant::now() + self.limits.write_timeout;
        let bytes = response.to_bytes(head_only, close);
        self.write(&bytes, deadline).is_ok()
    }

    /// Sends the response up to the middle of its body, or of its head if it has no body.
    fn send_truncated(&self, response: &Response, head_only: bool, slot: &Slot) {
        let deadline = Instant::now() + self.limits.write_timeout;
        let bytes = response.to_bytes(head_only, false);
        let head = response.to_bytes(true, false).len();
        let kept = match bytes.len() - head {
            0 => head / 2,
            body => head + body / 2,
        };
        if self.write(&bytes[..kept], deadline).is_ok() {
            self.linger(slot);
        }
    }

    /// Sends `bytes` before one deadline, which a client that reads slowly cannot extend.
    fn write(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let mut stream = &*self.stream;
        while !bytes.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_write_timeout(Some(left))?;
            match stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Gives the client time to read the last response before the connection closes.
    fn linger(&self, slot: &Slot) {
        slot.set_waiting(Duration::ZERO);
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER;
        let mut stream = &*self.stream;
        let mut buffer = [0; 4096];
        let mut discarded = 0;
        while discarded < LINGER_BYTES {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
                return;
            }
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(n) => discarded += n,
            }
        }
    }
}
