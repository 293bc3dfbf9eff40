//! A small API server on a real socket, with or without TLS. Each request may meet a fault.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::leases::Leases;

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
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
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Head in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

#[derive(Debug)]
struct State {
    leases: Leases,
    /// Faults of the next requests of a method.
    faults: VecDeque<(&'static str, Fault)>,
    /// Faults of all other requests of a method.
    always: Vec<(&'static str, Fault)>,
    /// Permitted access tokens, in lower case; none for any.
    tokens: Vec<String>,
    received: Vec<Received>,
}

/// A small API server.
#[derive(Debug)]
pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl ApiServer {
    pub(crate) fn start(tls: Option<Arc<ServerConfig>>) -> ApiServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            leases: Leases::default(),
            faults: VecDeque::new(),
            always: Vec::new(),
            tokens: Vec::new(),
            received: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, state) = (tls.clone(), Arc::clone(&shared));
                thread::spawn(move || serve_stream(stream, tls, &state));
            }
        });
        ApiServer { address, state }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Gives the Leases to other clients.
    pub(crate) fn with<T>(&self, use_them: impl FnOnce(&mut Leases) -> T) -> T {
        use_them(&mut self.lock().leases)
    }

    /// Lets the next requests of this method meet these faults, one each.
    pub(crate) fn next(&self, method: &'static str, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().map(|fault| (method, fault));
        self.lock().faults.extend(faults);
    }

    /// Lets every request of this method meet a fault.
    pub(crate) fn always(&self, method: &'static str, fault: Fault) {
        self.lock().always.push((method, fault));
    }

    pub(crate) fn without_faults(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.always.clear();
    }

    /// Permits only these access tokens.
    pub(crate) fn permit(&self, tokens: &[&str]) {
        let tokens = tokens.iter().map(|token| token.to_ascii_lowercase());
        self.lock().tokens = tokens.collect();
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }
}

fn serve_stream(stream: TcpStream, tls: Option<Arc<ServerConfig>>, state: &Arc<Mutex<State>>) {
    match tls {
        None => serve(stream, state),
        Some(tls) => {
            let connection = ServerConnection::new(tls).unwrap();
            serve(StreamOwned::new(connection, stream), state);
        }
    }
}

fn serve(mut stream: impl Read + Write, state: &Arc<Mutex<State>>) {
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
fn react(request: &Received, state: &Arc<Mutex<State>>) -> Option<Vec<u8>> {
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
        None => Some(locked.carry_out(request)),
        Some(Fault::Answer(answer)) => Some(answer),
        Some(Fault::Instead(answer)) => {
            locked.carry_out(request);
            Some(answer)
        }
        Some(Fault::Lost) => None,
        Some(Fault::AnswerLost) => {
            locked.carry_out(request);
            None
        }
        Some(Fault::Doubled) => {
            locked.carry_out(request);
            Some(locked.carry_out(request))
        }
        Some(Fault::Late(time)) => {
            let (state, request) = (Arc::clone(state), request.clone());
            thread::spawn(move || {
                thread::sleep(time);
                state.lock().unwrap().carry_out(&request);
            });
            None
        }
    }
}

impl State {
    fn carry_out(&mut self, request: &Received) -> Vec<u8> {
        let permitted = |token: &String| {
            let line = format!("authorization: bearer {token}\r\n");
            request.head.contains(&line)
        };
        if !self.tokens.is_empty() && !self.tokens.iter().any(permitted) {
            let (code, body) = crate::leases::status(401, "Unauthorized", "Unauthorized", "leases");
            return http(code, &[], body.to_string().as_bytes());
        }
        let (code, body) = self
            .leases
            .respond(&request.method, &request.path, &request.body);
        http(code, &[], body.to_string().as_bytes())
    }
}

/// Returns a whole answer.
pub(crate) fn http(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let date = OffsetDateTime::now_utc().format(&Rfc2822).unwrap();
    let date = date.replace("+0000", "GMT");
    let mut text = format!(
        "HTTP/1.1 {status} X\r\ndate: {date}\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    [text.as_bytes(), b"\r\n", body].concat()
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
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
