//! The fenced resource: a store over TCP that accepts a write only if it has seen no higher fencing token.
//!
//! Each line is one write, `NAME TOKEN`. The answer is `taken` or `refused`. The store keeps every attempt
//! with its answer, so that the checker can check the store too.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Time limit of an exchange with the store, which runs in this process.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Attempted write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) who: String,
    pub(crate) token: u64,
    pub(crate) taken: bool,
}

#[derive(Debug, Default)]
struct Store {
    highest: Option<u64>,
    attempts: Vec<Attempt>,
}

impl Store {
    fn write(&mut self, who: &str, token: u64) -> bool {
        let taken = self.highest.is_none_or(|highest| token >= highest);
        if taken {
            self.highest = Some(token);
        }
        self.attempts.push(Attempt {
            who: who.to_owned(),
            token,
            taken,
        });
        taken
    }
}

/// Running store.
#[derive(Debug)]
pub(crate) struct Fence {
    addr: SocketAddr,
    store: Arc<Mutex<Store>>,
}

impl Fence {
    /// Opens the store. A thread per connection ends with it; the listening thread runs until the process
    /// ends.
    pub(crate) fn open() -> Fence {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let store = Arc::new(Mutex::new(Store::default()));
        let shared = Arc::clone(&store);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let store = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &store));
            }
        });
        Fence { addr, store }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns all attempts, in the order in which the store decided.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.store.lock().unwrap().attempts.clone()
    }
}

fn serve(stream: &TcpStream, store: &Mutex<Store>) {
    let mut answers = stream;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let Some((who, token)) = line.rsplit_once(' ') else {
            return;
        };
        let Ok(token) = token.parse() else { return };
        let taken = store.lock().unwrap().write(who, token);
        let answer: &[u8] = if taken { b"taken\n" } else { b"refused\n" };
        if answers.write_all(answer).is_err() {
            return;
        }
    }
}

/// Client of the store.
#[derive(Debug)]
pub(crate) struct Writer {
    addr: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Writer {
    pub(crate) fn new(addr: SocketAddr) -> Writer {
        Writer {
            addr,
            connection: None,
        }
    }

    /// Returns whether the store accepted the write, or `None` if that is unknown.
    pub(crate) fn write(&mut self, who: &str, token: u64) -> Option<bool> {
        let answer = self.exchange(&format!("{who} {token}\n"));
        if answer.is_none() {
            self.connection = None;
        }
        Some(answer?.trim_end() == "taken")
    }

    fn exchange(&mut self, line: &str) -> Option<String> {
        if self.connection.is_none() {
            let stream = TcpStream::connect_timeout(&self.addr, TIMEOUT).ok()?;
            stream.set_read_timeout(Some(TIMEOUT)).ok()?;
            self.connection = Some(BufReader::new(stream));
        }
        let connection = self.connection.as_mut()?;
        connection.get_mut().write_all(line.as_bytes()).ok()?;
        let mut answer = String::new();
        connection.read_line(&mut answer).ok()?;
        (!answer.is_empty()).then_some(answer)
    }
}

#[test]
fn stale_fencing_token_is_refused() {
    let fence = Fence::open();
    let mut writer = Writer::new(fence.addr());
    let writes = [(0, true), (3, true), (3, true), (2, false), (4, true)];
    for (token, taken) in writes {
        assert_eq!(writer.write("a leader", token), Some(taken), "{token}");
    }
    let attempts = fence.attempts();
    let seen: Vec<_> = attempts.iter().map(|one| (one.token, one.taken)).collect();
    assert_eq!(seen, writes);
}
