//! A way to the gist service on which one write stops: before it gets there, or after it was done and
//! before it is answered.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::wire::Wire;

/// Which write, counted from 1, and whether it is done first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) write: usize,
    pub(crate) done: bool,
}

pub(crate) struct Gate {
    address: SocketAddr,
    stopped: Receiver<()>,
    open: Arc<AtomicBool>,
}

impl Gate {
    /// In front of the service at this address.
    pub(crate) fn new(service: &str, stop: Stop) -> Gate {
        let service: SocketAddr = service.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (events, stopped) = channel();
        let writes = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(AtomicBool::new(false));
        let opened = Arc::clone(&open);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let way = Way {
                    stop,
                    writes: Arc::clone(&writes),
                    events: events.clone(),
                    open: Arc::clone(&opened),
                };
                let stream = stream.unwrap();
                thread::spawn(move || way.carry(stream, service));
            }
        });
        Gate {
            address,
            stopped,
            open,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the write go on.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// Waits until the write has stopped.
    pub(crate) fn await_stop(&self) {
        self.stopped.recv_timeout(PATIENCE).unwrap();
    }
}

struct Way {
    stop: Stop,
    writes: Arc<AtomicUsize>,
    events: Sender<()>,
    open: Arc<AtomicBool>,
}

impl Way {
    fn carry(&self, mut client: TcpStream, service: SocketAddr) {
        let mut onward = Wire::connect(service);
        while let Some(request) = read_request(&mut client) {
            let write = !request.starts_with(b"GET ");
            let number = match write {
                true => self.writes.fetch_add(1, Ordering::SeqCst) + 1,
                false => 0,
            };
            let stops = number == self.stop.write;
            if stops && !self.stop.done && !self.halt(&client) {
                return;
            }
            onward.send(&request);
            let Some(answer) = onward.answer() else {
                return;
            };
            if stops && self.stop.done && !self.halt(&client) {
                return;
            }
            let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
            for (name, value) in &answer.headers {
                head += &format!("{name}: {value}\r\n");
            }
            head += "\r\n";
            let whole = [head.as_bytes(), &answer.body].concat();
            if client.write_all(&whole).is_err() {
                return;
            }
        }
    }

    /// Says so, and keeps the connection as it is until the client is gone, or it may go on.
    fn halt(&self, client: &TcpStream) -> bool {
        let _ = self.events.send(());
        client.set_nonblocking(true).unwrap();
        while !self.open.load(Ordering::SeqCst) {
            let gone = |error: &std::io::Error| error.kind() != ErrorKind::WouldBlock;
            match client.peek(&mut [0]) {
                Ok(0) => return false,
                Err(error) if gone(&error) => return false,
                _ => thread::sleep(Duration::from_millis(5)),
            }
        }
        client.set_nonblocking(false).unwrap();
        true
    }
}

/// A whole request; `None` at the end of the connection.
fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body).ok()?;
    request.append(&mut body);
    Some(request)
}
