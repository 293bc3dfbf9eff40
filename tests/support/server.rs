//! A small HTTP server on a real socket, with or without TLS. Each request may meet a fault.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test helper, of which every test uses another part"
)]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// What carries requests out.
pub trait Service: Send + 'static {
    /// Carries a request out, and returns the whole answer.
    fn respond(&mut self, request: &Received) -> Vec<u8>;
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This is answered, and the request is not carried out.
    Answer(Vec<u8>),
    /// The request is carried out, and this is answered.
    Instead(Vec<u8>),
    /// The connection is closed, and the request is not carried out.
    Lost,
    /// The request is carried out, and the connection is closed without an answer.
    AnswerLost,
    /// The request is carried out twice, and the second answer arrives.
    Doubled,
    /// The connection is closed, and the request is carried out after this time.
    Late(Duration),
}

/// Request that the server received.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// Head in lower case.
    pub head: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    /// Returns a header. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct State<S> {
    service: S,
    /// Faults of the next requests of a method.
    faults: VecDeque<(&'static str, Fault)>,
    /// Faults of all other requests of a method.
    always: Vec<(&'static str, Fault)>,
    received: Vec<Received>,
}

/// A server.
#[derive(Debug)]
pub struct Server<S> {
    pub address: SocketAddr,
    state: Arc<Mutex<State<S>>>,
}

impl<S: Service> Server<S> {
    /// Starts a server on a free port.
    pub fn start(service: S, tls: Option<Arc<ServerConfig>>) -> Server<S> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            service,
            faults: VecDeque::new(),
            always: Vec::new(),
            received: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, state) = (tls.clone(), Arc::clone(&shared));
                thread::spawn(move || serve_stream(stream, tls, &state));
            }
        });
        Server { address, state }
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap()
    }

    /// Gives the service to other clients.
    pub fn with<T>(&self, use_it: impl FnOnce(&mut S) -> T) -> T {
        use_it(&mut self.lock().service)
    }

    /// Lets the next requests of this method meet these faults, one each.
    pub fn next(&self, method: &'static str, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().map(|fault| (method, fault));
        self.lock().faults.extend(faults);
    }

    /// Lets every request of this method meet a fault.
    pub fn always(&self, method: &'static str, fault: Fault) {
        self.lock().always.push((method, fault));
    }

    pub fn without_faults(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.always.clear();
    }

    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }
}

fn serve_stream<S: Service>(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    state: &Arc<Mutex<State<S>>>,
) {
    match tls {
        None => serve(stream, state),
        Some(tls) => {
            let connection = ServerConnection::new(tls).unwrap();
            serve(StreamOwned::new(connection, stream), state);
        }
    }
}

fn serve<S: Service>(mut stream: impl Read + Write, state: &Arc<Mutex<State<S>>>) {
    while let Ok(request) = read_request(&mut stream) {
        let Some(answer) = react(&request, state) else {
            return;
        };
        if stream.write_all(&answer).is_err() || stream.flush().is_err() {
            return;
        }
        if String::from_utf8_lossy(&answer[..answer.len().min(256)]).contains("connection: close") {
            return;
        }
    }
}

/// Carries a request out, or not. Returns the answer; `None` for none.
fn react<S: Service>(request: &Received, state: &Arc<Mutex<State<S>>>) -> Option<Vec<u8>> {
    let mut locked = state.lock().unwrap();
    locked.received.push(request.clone());
    let matches = |method: &str| method == request.method;
    let next = locked.faults.iter().position(|(method, _)| matches(method));
    let fault = match next {
        Some(at) => locked.faults.remove(at).map(|(_, fault)| fault),
        None => {
            let mut always = locked.always.iter().rev();
            let found = always.find(|(method, _)| matches(method));
            found.map(|(_, fault)| fault.clone())
        }
    };
    match fault {
        None => Some(locked.service.respond(request)),
        Some(Fault::Answer(answer)) => Some(answer),
        Some(Fault::Instead(answer)) => {
            locked.service.respond(request);
            Some(answer)
        }
        Some(Fault::Lost) => None,
        Some(Fault::AnswerLost) => {
            locked.service.respond(request);
            None
        }
        Some(Fault::Doubled) => {
            locked.service.respond(request);
            Some(locked.service.respond(request))
        }
        Some(Fault::Late(time)) => {
            let (state, request) = (Arc::clone(state), request.clone());
            thread::spawn(move || {
                thread::sleep(time);
                state.lock().unwrap().service.respond(&request);
            });
            None
        }
    }
}

/// Returns a whole answer.
pub fn http(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    http_at(OffsetDateTime::now_utc(), status, headers, body)
}

/// Returns a whole answer of a server with this clock.
pub fn http_at(now: OffsetDateTime, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\ndate: {}\r\n", http_date(now));
    if status != 304 {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

/// Returns a time as a header carries it.
pub fn http_date(time: OffsetDateTime) -> String {
    time.format(&Rfc2822).unwrap().replace("+0000", "GMT")
}

fn read_request(stream: &mut impl Read) -> io::Result<Received> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next(), words.next());
    let (method, path) = (method.map(str::to_owned), path.map(str::to_owned));
    let headers = head.lines().skip(1).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    let headers = headers.collect();
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Received {
        method: method.unwrap_or_default(),
        path: path.unwrap_or_default(),
        head,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// Returns faults of a write that leave its outcome open, although it lands once. `busy` returns an answer
/// with this status.
pub fn unanswered(busy: impl Fn(u16) -> Vec<u8>) -> Vec<(&'static str, Vec<Fault>)> {
    let garbage = http(200, &[], b"<html>");
    let cut = b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n{".to_vec();
    let big = http(200, &[], &vec![b' '; 10_000_000]);
    vec![
        ("lost", vec![Fault::Lost]),
        ("answer lost", vec![Fault::AnswerLost]),
        ("doubled", vec![Fault::Doubled]),
        ("both", vec![Fault::Lost, Fault::AnswerLost]),
        ("500 before", vec![Fault::Answer(busy(500))]),
        ("500 after", vec![Fault::Instead(busy(500))]),
        ("503 before", vec![Fault::Answer(busy(503))]),
        ("504 before", vec![Fault::Answer(busy(504))]),
        ("504 after", vec![Fault::Instead(busy(504))]),
        ("page after", vec![Fault::Instead(garbage)]),
        ("cut off after", vec![Fault::Instead(cut)]),
        ("big after", vec![Fault::Instead(big)]),
    ]
}
