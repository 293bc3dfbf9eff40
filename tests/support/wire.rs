//! A raw HTTP client for tests. It sends any bytes, and returns the raw answers.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test helper, of which every test uses another part"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use elector::emulator::{GistService, Options};

/// Time limit of connecting, and of each read and write. It suffices on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Raw answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Reusable connection.
pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, TIMEOUT).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have closed already. The answer, or its absence, shows that.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads the next answer. Returns `None` if the connection ends before it is complete.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answer_to(false)
    }

    pub fn answer_to(&mut self, head: bool) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let text = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let pair = |line: &str| {
            line.split_once(": ")
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        let headers: Vec<_> = lines.filter_map(pair).collect();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |n| n.parse::<usize>().unwrap());
        let length = if head { 0 } else { length };
        while self.buffer.len() < length {
            self.fill()?;
        }
        answer.body = self.buffer.drain(..length).collect();
        Some(answer)
    }

    fn fill(&mut self) -> Option<()> {
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => None,
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Some(())
            }
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                None
            }
            // A signal to this process may arrive on any thread.
            Err(e) if e.kind() == ErrorKind::Interrupted => self.fill(),
            Err(e) => panic!("no answer: {e}"),
        }
    }

    /// Returns whether the server closes the connection without another answer.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && self.fill().is_none()
    }
}

/// Makes one exchange on a new connection.
pub fn exchange(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Answer> {
    let mut wire = Wire::connect(addr);
    wire.send(bytes);
    wire.answer()
}

/// Returns a well-formed request of a client with an access token.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    let own = [
        ("Host", "gist.test"),
        ("User-Agent", "test"),
        ("Authorization", "Bearer t"),
    ];
    let given = |name: &str| {
        headers
            .iter()
            .any(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    for (name, value) in own.iter().filter(|(name, _)| !given(name)).chain(headers) {
        // An empty value removes the header.
        if !value.is_empty() {
            text += &format!("{name}: {value}\r\n");
        }
    }
    if !body.is_empty() || method != "GET" {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

/// Starts a service with one gist that holds `{}`. Returns the service, its address, and the gist's id.
pub fn start_with(options: Options) -> (GistService, SocketAddr, String) {
    let service = GistService::start(options).expect("a gist service");
    let url = service.url();
    let addr = url.strip_prefix("http://").expect("an address").parse();
    let id = service
        .create_gist(&[("leader.json", "{}")])
        .expect("a gist");
    (service, addr.expect("an address"), id)
}

pub fn start() -> (GistService, SocketAddr, String) {
    start_with(Options::default())
}

pub fn call(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    exchange(addr, request(method, path, headers, body)).expect("an answer")
}

pub fn get(addr: SocketAddr, path: &str) -> Answer {
    call(addr, "GET", path, &[], "")
}

pub fn patch(addr: SocketAddr, id: &str, body: &str) -> Answer {
    call(addr, "PATCH", &format!("/gists/{id}"), &[], body)
}

/// Writes the record's file.
pub fn put(addr: SocketAddr, id: &str, content: &str) -> Answer {
    let body = serde_json::json!({"files": {"leader.json": {"content": content}}});
    patch(addr, id, &body.to_string())
}
