//! The HTTP server: the bytes of one connection.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use elector::http::{Limits, ListenAddr, Reply, Request, Response, Server};
use serde_json::{Value, json};

use super::exchange::{Answer, answers, exchange};
use super::{assert_no_server_panicked, watch_server_threads};

/// Small limits, so that small inputs reach them.
pub const HEAD_BYTES: usize = 1024;
pub const HEADERS: usize = 12;
pub const BODY_BYTES: usize = 1000;

/// Longest input. It must fit into the system's socket buffers.
const MOST_BYTES: usize = 16 * 1024;

/// Most pieces in which an input is sent.
const MOST_PIECES: usize = 64;

/// Statuses that the server itself answers with. A 500 would mean that a handler panicked.
const STATUSES: [u16; 8] = [200, 400, 408, 411, 413, 417, 431, 505];

pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(MOST_BYTES)];
    let in_one_piece = heard(std::iter::once(data));
    let size = data.len().div_ceil(MOST_PIECES).max(1);
    let in_pieces = heard(data.chunks(size));
    assert_eq!(
        in_one_piece, in_pieces,
        "it depends on how the bytes arrive"
    );
    if is_ambiguous(data) {
        assert_eq!(
            in_one_piece.requests,
            [] as [Value; 0],
            "it took one of two meanings"
        );
    }
    assert_no_server_panicked();
}

/// Returns whether another server might see the end of the first request elsewhere.
fn is_ambiguous(data: &[u8]) -> bool {
    let lines = data.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let head = lines
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty());
    let (mut lengths, mut coded) = (BTreeSet::new(), false);
    for line in head.skip(1) {
        let line = String::from_utf8_lossy(line).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            lengths.insert(value.trim().to_owned());
        }
        coded |= line.starts_with("transfer-encoding:");
    }
    lengths.len() + usize::from(coded) > 1
}

/// Effect of a connection: the requests that reached the handler, and the server's own answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub requests: Vec<Value>,
    pub refused: Option<(u16, String)>,
}

pub fn heard<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Heard {
    watch_server_threads();
    let bytes = exchange(server(), pieces);
    let mut heard = Heard::default();
    for answer in answers(&bytes, |answer, _| answer.header("x-head").is_some()) {
        assert!(
            heard.refused.is_none(),
            "it went on after {:?}",
            heard.refused
        );
        assert!(STATUSES.contains(&answer.status), "{answer:?}");
        match answer.header("x-heard").map(serde_json::from_str) {
            Some(request) => heard.requests.push(sound(request.unwrap())),
            None => heard.refused = Some(refusal(&answer)),
        }
    }
    heard
}

fn refusal(answer: &Answer) -> (u16, String) {
    assert_ne!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    let why = String::from_utf8(answer.body.clone()).unwrap();
    (answer.status, why)
}

/// Checks that a request that reached the handler is well-formed and within the limits.
fn sound(request: Value) -> Value {
    let text = |name: &str| request[name].as_str().unwrap().to_owned();
    let method = text("method");
    assert!(!method.is_empty() && method.bytes().all(|b| b.is_ascii_graphic()));
    let path = text("path");
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#');
    assert!(path.starts_with('/') && !path.contains(odd), "{path:?}");
    assert!(text("body").chars().count() <= BODY_BYTES);
    // A tab counts as white space.
    let odd = |c: char| c.is_ascii_control() && c != '\t';
    assert!(!text("host").contains(odd) && !text("x").contains(odd));
    request
}

/// Server for all inputs. It ends with the process.
fn server() -> SocketAddr {
    static ADDR: OnceLock<SocketAddr> = OnceLock::new();
    *ADDR.get_or_init(|| {
        let limits = Limits {
            head_bytes: HEAD_BYTES,
            headers: HEADERS,
            body_bytes: BODY_BYTES,
            // No input is slow, so a deadline could only fail on a busy machine.
            request_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(600),
            ..Limits::default()
        };
        let server = Server::bind(&ListenAddr::loopback(0), limits).unwrap();
        let addr = server.local_addr();
        let serve = move || server.serve(echo).unwrap();
        let builder = thread::Builder::new().name("http".to_owned());
        builder.spawn(serve).unwrap();
        addr
    })
}

/// Answers with the parsed request in a header, which an answer to HEAD also has.
fn echo(request: &Request) -> Reply {
    let header = |name: &str| latin(request.header(name).unwrap_or_default().as_bytes());
    let heard = json!({
        "method": request.method(),
        "path": request.path(),
        "query": latin(request.query("q").unwrap_or_default().as_bytes()),
        "host": header("host"),
        "x": header("x"),
        "body": latin(request.body()),
    });
    let mut response = Response::text(200, "heard\n").header("X-Heard", ascii(&heard));
    if request.method() == "HEAD" {
        response = response.header("X-Head", "1");
    }
    response.into()
}

/// Maps each byte to one character.
pub fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Formats JSON in ASCII without control characters, so that it fits into a header.
fn ascii(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            ' '..='~' => out.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                out.push_str(&format!("\\u{unit:04x}"));
            }),
        }
    }
    out
}
