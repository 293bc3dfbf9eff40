//! One connection, from its first request to its end, on a thread of its own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::receive::{Failed, Receiver};
use super::request::{Message, Request};
use super::response::{Reply, Response};
use super::server::{Limits, Slot, Stop};

/// After an answer that ends the connection, what the client still sends is read and thrown away
/// for this long: closing at once would reset the connection and take the answer with it.
const LINGER: Duration = Duration::from_millis(500);

/// And this much of it, so that a flood ends sooner.
const LINGER_BYTES: usize = 256 * 1024;

/// A client that takes longer to take its answer makes room for others, where there is none. What is
/// no larger than the system's buffers is taken at once.
const SLOW_READER: Duration = Duration::from_millis(100);

pub(super) struct Connection {
    pub(super) stream: Arc<TcpStream>,
    pub(super) peer: SocketAddr,
    pub(super) limits: Limits,
    pub(super) stop: Arc<Stop>,
}

impl Connection {
    pub(super) fn run(&self, handler: &dyn Fn(&Request) -> Reply, slot: &Slot) {
        let mut receiver = Receiver::new(&self.stream, &self.limits);
        // The first request is due at once, the later ones after a pause.
        let mut idle = self.limits.request_timeout;
        while !self.stop.is_set() {
            let goes_on = match receiver.next(idle) {
                Ok(message) => self.answer(message, handler, slot),
                Err(Failed::Refused(status, why)) => {
                    log::debug!("http: {} answered {status}: {why}", self.peer);
                    self.send(&Response::text(status, format!("{why}\n")), false, true);
                    self.linger(slot);
                    false
                }
                Err(Failed::Idle | Failed::Broken) => false,
            };
            if !goes_on || !slot.goes_on() {
                break;
            }
            idle = self.limits.idle_timeout;
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Whether the connection goes on.
    fn answer(&self, message: Message, handler: &dyn Fn(&Request) -> Reply, slot: &Slot) -> bool {
        slot.works();
        let keep_alive = message.keep_alive;
        let head_only = message.method == "HEAD";
        let request = Request::new(
            message,
            self.peer,
            Arc::clone(&self.stream),
            Arc::clone(&self.stop),
        );
        // Only with `panic = "unwind"`; where panics abort, the process ends as it was told to.
        let reply = catch_unwind(AssertUnwindSafe(|| handler(&request))).unwrap_or_else(|_| {
            log::error!(
                "http: the handler of {} {} panicked",
                request.method(),
                request.path()
            );
            Response::text(500, "internal error\n").into()
        });
        slot.waits(SLOW_READER);
        match reply {
            Reply::Answer(response) => {
                let close = !keep_alive || self.stop.is_set();
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
                slot.works();
                if catch_unwind(AssertUnwindSafe(task)).is_err() {
                    log::error!(
                        "http: what was to follow {} {} panicked",
                        request.method(),
                        request.path()
                    );
                }
                false
            }
            Reply::Drop => false,
            Reply::Truncate(response) => {
                self.send_half(&response, head_only, slot);
                false
            }
        }
    }

    /// Whether all of it was sent.
    fn send(&self, response: &Response, head_only: bool, close: bool) -> bool {
        let deadline = Instant::now() + self.limits.write_timeout;
        let body = response.wire_body(head_only);
        let mut first = response.head(close);
        // A small answer goes out in one piece, a large one without being copied.
        let rest = if body.len() <= SMALL_BODY {
            first.extend_from_slice(body);
            &[]
        } else {
            body
        };
        self.write(&first, deadline)
            .and_then(|()| self.write(rest, deadline))
            .is_ok()
    }

    fn send_half(&self, response: &Response, head_only: bool, slot: &Slot) {
        let deadline = Instant::now() + self.limits.write_timeout;
        let mut bytes = response.head(false);
        let body = response.wire_body(head_only);
        let kept = if body.is_empty() {
            bytes.len() / 2
        } else {
            bytes.len() + body.len() / 2
        };
        bytes.extend_from_slice(body);
        if self.write(&bytes[..kept], deadline).is_ok() {
            self.linger(slot);
        }
    }

    /// One deadline for all of it: a client that takes a byte now and then cannot stretch it.
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

    /// Lets the client read our last answer before the connection is gone.
    fn linger(&self, slot: &Slot) {
        slot.waits(Duration::ZERO);
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER;
        let mut stream = &*self.stream;
        let mut scrap = [0; 4096];
        let mut read = 0;
        while read < LINGER_BYTES {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
                return;
            }
            match stream.read(&mut scrap) {
                Ok(0) | Err(_) => return,
                Ok(n) => read += n,
            }
        }
    }
}

/// Below this a body is copied behind its head and sent with it; more would cost more than a packet.
const SMALL_BODY: usize = 16 * 1024;
