//! Server with a script of steps, one per request, that records the requests.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

/// Reaction to a request.
#[derive(Clone)]
pub(crate) enum Step {
    /// Sends an answer.
    Answer(String),
    /// Sends an answer and closes the connection.
    Last(Vec<u8>),
    /// Sends an answer with a body in gzip.
    Gzip(Vec<u8>),
    /// Closes the connection without an answer.
    Close,
    /// Sends nothing until the client gives up.
    Hang,
    /// Sends this, and then single bytes for as long as the client listens.
    Trickle(String),
}

/// State that all connections share.
struct Shared {
    steps: Mutex<VecDeque<Step>>,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// Number of ended TLS connections that resumed a session.
    resumed: AtomicUsize,
    tls: Mutex<Option<Arc<ServerConfig>>>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Server {
        Server::start(steps, None)
    }

    pub(crate) fn with_tls(
        steps: impl IntoIterator<Item = Step>,
        tls: Arc<ServerConfig>,
    ) -> Server {
        Server::start(steps, Some(tls))
    }

    fn start(steps: impl IntoIterator<Item = Step>, tls: Option<Arc<ServerConfig>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            steps: Mutex::new(steps.into_iter().collect()),
            requests: Mutex::new(Vec::new()),
            connections: AtomicUsize::new(0),
            resumed: AtomicUsize::new(0),
            tls: Mutex::new(tls),
        });
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                state.connections.fetch_add(1, Ordering::SeqCst);
                let tls = state.tls.lock().unwrap().clone();
                let state = Arc::clone(&state);
                thread::spawn(move || match tls {
                    None => serve(stream, &state),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        let mut stream = StreamOwned::new(connection, stream);
                        serve(&mut stream, &state);
                        if stream.conn.handshake_kind() == Some(HandshakeKind::Resumed) {
                            state.resumed.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        Server { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests so far, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Number of ended TLS connections that resumed a session.
    pub(crate) fn resumed(&self) -> usize {
        self.shared.resumed.load(Ordering::SeqCst)
    }

    /// Uses other certificates for connections from now on.
    pub(crate) fn use_tls(&self, tls: &Arc<ServerConfig>) {
        *self.shared.tls.lock().unwrap() = Some(Arc::clone(tls));
    }

    /// Adds a step to the script.
    pub(crate) fn then(&self, step: Step) {
        self.shared.steps.lock().unwrap().push_back(step);
    }
}

fn serve(mut stream: impl Read + Write, shared: &Shared) {
    while let Ok(request) = read_request(&mut stream) {
        shared.requests.lock().unwrap().push(request);
        let step = shared.steps.lock().unwrap().pop_front();
        match step.unwrap_or(Step::Close) {
            Step::Answer(text) => {
                if stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
            Step::Gzip(body) => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                if stream
                    .write_all(&[head.as_bytes(), &body].concat())
                    .is_err()
                {
                    return;
                }
            }
            Step::Last(bytes) => {
                let _ = stream.write_all(&bytes);
                let _ = stream.flush();
                return;
            }
            Step::Close => return,
            Step::Hang => {
                let _ = stream.read(&mut [0; 64]);
                return;
            }
            Step::Trickle(text) => {
                let _ = stream.write_all(text.as_bytes());
                while stream.write_all(b" ").and_then(|()| stream.flush()).is_ok() {
                    thread::sleep(Duration::from_millis(10));
                }
                return;
            }
        }
        let _ = stream.flush();
    }
}

/// Reads one request, head and body.
fn read_request(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    let mut length = 0;
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    for line in head.lines() {
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    bytes.extend(body);
    Ok(String::from_utf8(bytes).unwrap())
}

/// Returns a whole answer.
pub(crate) fn http(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{text}\r\n{body}")
}

/// Returns the name of a revision.
pub(crate) fn sha(number: usize) -> String {
    format!("{number:040x}")
}

/// Returns the JSON of a gist with one file and so many revisions.
pub(crate) fn gist(content: &str, revisions: usize) -> String {
    let history: Vec<String> = (0..revisions)
        .rev()
        .map(|number| {
            let version = sha(number);
            format!(r#"{{"version":"{version}","committed_at":"2026-11-22T10:00:00Z"}}"#)
        })
        .collect();
    format!(
        r#"{{"files":{{"lease.json":{{"truncated":false,"content":"{content}"}}}},"history":[{}]}}"#,
        history.join(",")
    )
}

/// Starts a proxy that tunnels every request to `target`. Returns its address and the heads that it received.
pub(crate) fn proxy(
    target: SocketAddr,
    answer: &'static str,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut client = stream.unwrap();
            let Ok(head) = read_request(&mut client) else {
                continue;
            };
            seen.lock().unwrap().push(head);
            let _ = client.write_all(answer.as_bytes());
            let Ok(server) = TcpStream::connect(target) else {
                continue;
            };
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client),
            ] {
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (address, heads)
}

/// Compresses `pieces`, one after another.
pub(crate) fn gzip<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for piece in pieces {
        encoder.write_all(piece).unwrap();
    }
    encoder.finish().unwrap()
}
