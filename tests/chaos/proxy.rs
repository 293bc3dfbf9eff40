//! One candidate's way to the gist service: a TCP proxy whose weather can be changed at any time.
//!
//! ```text
//!   candidate ──▶ listener ─┬─ pump: requests ─▶┐
//!                           └◀─ pump: answers ──┴─ service
//! ```
//!
//! It knows nothing of HTTP: what is cut, is cut between any two bytes. Bytes that were held back go
//! on when the weather clears, even if their sender has gone: they are late requests then.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How often the listening thread looks whether the weather has changed.
const GLANCE_MS: u8 = 10;

/// How long a connection to the service, or a write to either side, may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A port that was given up for a time must be free again by then.
const PATIENCE: Duration = Duration::from_secs(20);

/// In narrow weather there is a pause after this many pieces a second.
const PIECES_A_SECOND: u32 = 50;

/// What the way is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Clear,
    /// Connections are closed, and further ones are refused.
    Refusing,
    /// A connection is reset when something is sent on it.
    Resetting,
    /// Connections are accepted, and nothing goes through until it clears.
    BlackHole,
    /// Everything comes so much later.
    Slow(Duration),
    /// So many bytes a second.
    Narrow(usize),
    /// The service sees the end of every request at once, and what is sent is swallowed.
    DeafToRequests,
    /// Requests arrive, and the candidate sees the end of the answers before there are any.
    DeafToAnswers,
    /// Answers end half way.
    CuttingAnswers,
    /// Requests arrive, and the connection is closed instead of an answer.
    LosingAnswers,
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

    /// What the weather does to a connection when it begins, or the connection does.
    fn meet(&self, weather: Weather) {
        match weather {
            Weather::Refusing => self.close(),
            Weather::DeafToRequests => drop(self.service.shutdown(Shutdown::Write)),
            Weather::DeafToAnswers => drop(self.candidate.shutdown(Shutdown::Write)),
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Shared {
    weather: Mutex<Weather>,
    changed: Condvar,
    service: Mutex<SocketAddr>,
    connections: Mutex<Vec<Weak<Connection>>>,
    listening: AtomicBool,
    over: AtomicBool,
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Waits until something gets through again, and says under which weather.
    fn wait_in_black_hole(&self) -> Weather {
        let held = |weather: &mut Weather| *weather == Weather::BlackHole && !self.is_over();
        let weather = self.weather.lock().unwrap();
        *self.changed.wait_while(weather, held).unwrap()
    }

    /// Waits that long, or until the weather changes.
    fn wait(&self, time: Duration) {
        let before = self.weather.lock().unwrap();
        let was = *before;
        let same = |weather: &mut Weather| *weather == was && !self.is_over();
        let waited = self.changed.wait_timeout_while(before, time, same);
        drop(waited.unwrap());
    }
}

/// The way of one candidate.
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
            weather: Mutex::new(Weather::Clear),
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

    /// The service has moved: new connections go there.
    pub(crate) fn lead_to(&self, service: SocketAddr) {
        *self.shared.service.lock().unwrap() = service;
    }

    pub(crate) fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
        self.shared.changed.notify_all();
        let connections = self.shared.connections.lock().unwrap();
        for connection in connections.iter().filter_map(Weak::upgrade) {
            connection.meet(weather);
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
        self.set(Weather::Refusing);
    }
}

/// A loopback address that no other proxy of this process has: its port stays free for it while it
/// refuses connections, as a port of 127.0.0.1 would not.
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
        if shared.weather() == Weather::Refusing {
            listener = None;
            shared.listening.store(false, Ordering::Release);
            shared.wait(PATIENCE);
            continue;
        }
        let here = listener.get_or_insert_with(|| bind(addr));
        shared.listening.store(true, Ordering::Release);
        let mut ready = [PollFd::new(here.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ready, PollTimeout::from(GLANCE_MS));
        if let Ok((candidate, _)) = here.accept() {
            let shared = Arc::clone(shared);
            // Not here: a service that does not accept would hold up the others.
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
    connection.meet(shared.weather());
    let (other, weather) = (Arc::clone(&connection), Arc::clone(shared));
    thread::spawn(move || pump(&other, Direction::Answers, &weather));
    pump(&connection, Direction::Requests, shared);
    Ok(())
}

/// Carries bytes one way until one side has had enough.
fn pump(connection: &Connection, direction: Direction, shared: &Shared) {
    let (from, to) = match direction {
        Direction::Requests => (&connection.candidate, &connection.service),
        Direction::Answers => (&connection.service, &connection.candidate),
    };
    match carry(from, to, direction, shared) {
        // One side has said that it sends no more. Before a reset the candidate is told no such thing.
        Ok(true) if shared.weather() == Weather::Resetting => {}
        Ok(true) => drop(to.shutdown(Shutdown::Write)),
        // What was sent lies unread, so that the end of the connection resets it. This ends the other
        // pump as well.
        Ok(false) => drop(connection.service.shutdown(Shutdown::Both)),
        Err(_) => connection.close(),
    }
}

/// Says whether it ended because there is no more to come.
fn carry(
    mut from: &TcpStream,
    mut to: &TcpStream,
    direction: Direction,
    shared: &Shared,
) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    loop {
        // A look before the bytes are taken: a connection is only reset if some are left.
        if wait_for_bytes(from, &mut buffer[..1])? == 0 {
            return Ok(true);
        }
        if direction == Direction::Requests && shared.weather() == Weather::Resetting {
            return Ok(false);
        }
        let length = from.read(&mut buffer)?;
        let bytes = &buffer[..length];
        match (shared.wait_in_black_hole(), direction) {
            (Weather::DeafToRequests, Direction::Requests)
            | (Weather::DeafToAnswers, Direction::Answers) => {}
            (Weather::LosingAnswers, Direction::Answers) => return Err(ended()),
            (Weather::CuttingAnswers, Direction::Answers) => {
                to.write_all(&bytes[..length / 2])?;
                return Err(ended());
            }
            (Weather::Slow(by), _) => {
                shared.wait(by);
                to.write_all(bytes)?;
            }
            (Weather::Narrow(rate), _) => trickle(bytes, to, rate, shared)?,
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
        // What is left when the weather changes goes on at once.
        if matches!(shared.weather(), Weather::Narrow(_)) {
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
