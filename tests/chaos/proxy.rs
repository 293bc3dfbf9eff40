//! The network path of one candidate to the gist service: a TCP proxy whose state can be changed at any time.
//!
//! ```text
//!   candidate ──▶ listener ─┬─ pump: requests ─▶┐
//!                           └◀─ pump: answers ──┴─ service
//! ```
//!
//! The proxy knows no HTTP: it may cut between any two bytes. Held bytes are delivered when the network is
//! healthy again, even if their sender has ended. They are late requests then.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Interval at which the listening thread checks the state, in milliseconds.
const POLL_MS: u8 = 10;

/// Time limit of connecting to the service, and of a write to either side.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit for binding a released port again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pieces per second in which a throttled path delivers.
const PIECES_A_SECOND: u32 = 50;

/// State of a network path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Healthy,
    /// Connections are closed, and new ones are refused.
    Refusing,
    /// A connection is reset when the candidate sends on it.
    Resetting,
    /// Connections are accepted, and nothing is delivered until the state changes.
    BlackHole,
    /// Every byte is delayed by this time.
    Slow(Duration),
    /// Bytes per second.
    Throttled(usize),
    /// The service observes the end of every request immediately, and its bytes are dropped.
    RequestsDropped,
    /// Requests arrive, and the candidate observes the end of the answers before they begin.
    AnswersClosed,
    /// Answers end halfway.
    AnswersTruncated,
    /// Requests arrive, and the connection is closed before the answer.
    AnswersLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

#[derive(Debug)]
struct Connection {
    candidate: TcpStream,
    service: TcpStream,
}

impl Connection {
    fn close(&self) {
        let _ = self.candidate.shutdown(Shutdown::Both);
        let _ = self.service.shutdown(Shutdown::Both);
    }

    /// Applies the state to a connection, when either is new.
    fn meet(&self, network: Network) {
        match network {
            Network::Refusing => self.close(),
            Network::RequestsDropped => drop(self.service.shutdown(Shutdown::Write)),
            Network::AnswersClosed => drop(self.candidate.shutdown(Shutdown::Write)),
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Shared {
    network: Mutex<Network>,
    changed: Condvar,
    service: Mutex<SocketAddr>,
    connections: Mutex<Vec<Weak<Connection>>>,
    listening: AtomicBool,
    over: AtomicBool,
}

impl Shared {
    fn network(&self) -> Network {
        *self.network.lock().unwrap()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Waits until the path delivers again, and returns its state.
    fn wait_while_blocked(&self) -> Network {
        let held = |network: &mut Network| *network == Network::BlackHole && !self.is_over();
        let network = self.network.lock().unwrap();
        *self.changed.wait_while(network, held).unwrap()
    }

    /// Waits for this time, or until the state changes.
    fn wait(&self, time: Duration) {
        let before = self.network.lock().unwrap();
        let was = *before;
        let same = |network: &mut Network| *network == was && !self.is_over();
        let waited = self.changed.wait_timeout_while(before, time, same);
        drop(waited.unwrap());
    }
}

/// Network path of one candidate.
#[derive(Debug)]
pub(crate) struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    pub(crate) fn to(service: SocketAddr) -> Proxy {
        let listener = bind(SocketAddr::from((own_address(), 0)));
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            network: Mutex::new(Network::Healthy),
            changed: Condvar::new(),
            service: Mutex::new(service),
            connections: Mutex::default(),
            listening: AtomicBool::new(true),
            over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept_all(listener, &accepting));
        Proxy { addr, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Sends new connections to this address.
    pub(crate) fn forward_to(&self, service: SocketAddr) {
        *self.shared.service.lock().unwrap() = service;
    }

    pub(crate) fn set(&self, network: Network) {
        *self.shared.network.lock().unwrap() = network;
        self.shared.changed.notify_all();
        let connections = self.shared.connections.lock().unwrap();
        for connection in connections.iter().filter_map(Weak::upgrade) {
            connection.meet(network);
        }
    }

    #[cfg(test)]
    fn is_listening(&self) -> bool {
        self.shared.listening.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.set(Network::Refusing);
    }
}

/// Returns a loopback address that no other proxy of this process uses. Unlike a port of 127.0.0.1, its port
/// stays free while the proxy refuses connections.
fn own_address() -> Ipv4Addr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let given = GIVEN.fetch_add(1, Ordering::Relaxed);
    let [.., process_high, process_low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 10 + (given % 200) as u8, process_high, process_low | 1)
}

fn bind(addr: SocketAddr) -> TcpListener {
    let deadline = Instant::now() + PATIENCE;
    let listener = loop {
        match TcpListener::bind(addr) {
            Ok(listener) => break listener,
            Err(error) => assert!(Instant::now() < deadline, "{addr}: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    listener.set_nonblocking(true).unwrap();
    listener
}

fn accept_all(listener: TcpListener, shared: &Arc<Shared>) {
    let addr = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    while !shared.is_over() {
        if shared.network() == Network::Refusing {
            listener = None;
            shared.listening.store(false, Ordering::Release);
            shared.wait(PATIENCE);
            continue;
        }
        let here = listener.get_or_insert_with(|| bind(addr));
        shared.listening.store(true, Ordering::Release);
        let mut ready = [PollFd::new(here.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ready, PollTimeout::from(POLL_MS));
        if let Ok((candidate, _)) = here.accept() {
            let shared = Arc::clone(shared);
            // On another thread, because a service that does not accept must not block the other candidates.
            thread::spawn(move || drop(connect(candidate, &shared)));
        }
    }
}

fn connect(candidate: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let service = *shared.service.lock().unwrap();
    let service = TcpStream::connect_timeout(&service, TIMEOUT)?;
    candidate.set_nonblocking(false)?;
    for stream in [&candidate, &service] {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
    }
    let connection = Arc::new(Connection { candidate, service });
    {
        let mut connections = shared.connections.lock().unwrap();
        connections.retain(|known| known.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
    }
    connection.meet(shared.network());
    let (other, network) = (Arc::clone(&connection), Arc::clone(shared));
    thread::spawn(move || pump(&other, Direction::Answers, &network));
    pump(&connection, Direction::Requests, shared);
    Ok(())
}

/// Carries bytes in one direction until either side has ended.
fn pump(connection: &Connection, direction: Direction, shared: &Shared) {
    let (from, to) = match direction {
        Direction::Requests => (&connection.candidate, &connection.service),
        Direction::Answers => (&connection.service, &connection.candidate),
    };
    match carry(from, to, direction, shared) {
        // The sender has closed its side. A candidate must not see that before a reset.
        Ok(true) if shared.network() == Network::Resetting => {}
        Ok(true) => drop(to.shutdown(Shutdown::Write)),
        // Unread bytes remain, so closing the connection resets it. This also ends the other pump.
        Ok(false) => drop(connection.service.shutdown(Shutdown::Both)),
        Err(_) => connection.close(),
    }
}

/// Carries bytes until an error, and returns whether the sender closed its side.
fn carry(
    mut from: &TcpStream,
    mut to: &TcpStream,
    direction: Direction,
    shared: &Shared,
) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    loop {
        // Peeks first, because the kernel resets a connection only if unread bytes remain.
        if wait_for_bytes(from, &mut buffer[..1])? == 0 {
            return Ok(true);
        }
        if direction == Direction::Requests && shared.network() == Network::Resetting {
            return Ok(false);
        }
        let length = from.read(&mut buffer)?;
        let bytes = &buffer[..length];
        match (shared.wait_while_blocked(), direction) {
            (Network::RequestsDropped, Direction::Requests)
            | (Network::AnswersClosed, Direction::Answers) => {}
            (Network::AnswersLost, Direction::Answers) => return Err(ended()),
            (Network::AnswersTruncated, Direction::Answers) => {
                to.write_all(&bytes[..length / 2])?;
                return Err(ended());
            }
            (Network::Slow(by), _) => {
                shared.wait(by);
                to.write_all(bytes)?;
            }
            (Network::Throttled(rate), _) => trickle(bytes, to, rate, shared)?,
            _ => to.write_all(bytes)?,
        }
    }
}

fn wait_for_bytes(from: &TcpStream, one: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.peek(one) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            seen => return seen,
        }
    }
}

fn trickle(bytes: &[u8], mut to: &TcpStream, rate: usize, shared: &Shared) -> io::Result<()> {
    let piece = (rate / PIECES_A_SECOND as usize).max(1);
    for part in bytes.chunks(piece) {
        // When the state changes, the rest is delivered immediately.
        if matches!(shared.network(), Network::Throttled(_)) {
            shared.wait(Duration::from_secs(1) / PIECES_A_SECOND);
        }
        to.write_all(part)?;
    }
    Ok(())
}

fn ended() -> io::Error {
    ErrorKind::ConnectionAborted.into()
}

#[cfg(test)]
mod tests;
