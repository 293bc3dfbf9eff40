//! An HTTP server that records requests, and answers as the test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Reaction to a request.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    Answer(u16),
    /// Redirects to this URL.
    Redirect(String),
    /// Sends nothing until the client closes the connection.
    Hang,
    /// Closes the connection.
    Close,
    /// Accepts, with a body of a gigabyte.
    Huge,
    /// Sends an endless head, byte by byte.
    Trickle,
    /// Sends something other than HTTP.
    Nonsense,
}

#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Request line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) line: String,
    pub(crate) body: String,
}

struct Shared {
    manner: Mutex<Manner>,
    received: Mutex<Vec<Received>>,
    /// Number of body bytes sent.
    sent_bytes: AtomicU64,
}

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(crate) fn start(manner: Manner) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            received: Mutex::default(),
            sent_bytes: AtomicU64::new(0),
        });
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&state);
                thread::spawn(move || drop(serve(&stream.unwrap(), &state)));
            }
        });
        Receiver { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn set(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.received().len()
    }

    /// Returns the received bodies, parsed.
    pub(crate) fn messages(&self) -> Vec<serde_json::Value> {
        let received = self.received();
        let bodies = received.iter().map(|received| &received.body);
        bodies
            .map(|body| serde_json::from_str(body).unwrap())
            .collect()
    }

    pub(crate) fn sent_bytes(&self) -> u64 {
        self.shared.sent_bytes.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let received = read_request(stream)?;
    let manner = shared.manner.lock().unwrap().clone();
    shared.received.lock().unwrap().push(received);
    match manner {
        Manner::Answer(status) => {
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok")
        }
        Manner::Redirect(to) => write!(
            stream,
            "HTTP/1.1 307 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
        ),
        Manner::Hang => {
            // Returns when the client has closed its end.
            let _ = stream.read(&mut [0; 1]);
            Ok(())
        }
        Manner::Close => Ok(()),
        Manner::Nonsense => write!(stream, "SSH-2.0-me\r\n\r\n"),
        Manner::Huge => {
            write!(
                stream,
                "HTTP/1.1 200 X\r\ncontent-length: 1000000000\r\n\r\n"
            )?;
            let piece = vec![b'x'; 100_000];
            for _ in 0..10_000 {
                stream.write_all(&piece)?;
                shared
                    .sent_bytes
                    .fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
            Ok(())
        }
        Manner::Trickle => {
            write!(stream, "HTTP/1.1 200 X\r\nx: ")?;
            loop {
                stream.write_all(b"x")?;
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn read_request(stream: &TcpStream) -> std::io::Result<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut head = String::new();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        head.push_str(&header.to_lowercase());
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Received {
        head,
        line: line.trim().to_owned(),
        body: String::from_utf8(body).unwrap(),
    })
}
