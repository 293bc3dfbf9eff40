//! A raw connection to one of the project's servers.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Time limit that suffices on a busy machine. Reaching it fails the check.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most bytes of the answers to one input.
const MOST_ANSWERS: u64 = 64 * 1024 * 1024;

/// Sends the pieces, closes that direction, and reads until the server closes.
pub fn exchange<'a>(addr: SocketAddr, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    for piece in pieces {
        // The server may have closed already. Its answer shows that.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut bytes = Vec::new();
    match (&stream).take(MOST_ANSWERS).read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        Err(e) => panic!("no answer: {e}"),
    }
    assert!(
        (bytes.len() as u64) < MOST_ANSWERS,
        "it answers without end"
    );
    bytes
}

/// Raw answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter();
        let mut found = found.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Splits what a server sent into answers. `head_only` returns whether an answer belongs to a HEAD request,
/// given the answer and the bytes after it.
pub fn answers(mut bytes: &[u8], head_only: impl Fn(&Answer, &[u8]) -> bool) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.expect("an answer's head has an end");
        let head = std::str::from_utf8(&bytes[..end]).expect("an answer's head is text");
        bytes = &bytes[end + 4..];
        let mut answer = parse_head(head);
        if answer.status == 100 {
            continue;
        }
        let length = answer.header("content-length").map(|n| n.parse().unwrap());
        let bodiless = matches!(answer.status, 204 | 304);
        assert_eq!(length.is_none(), bodiless, "{answer:?}");
        if !head_only(&answer, bytes) {
            let length: usize = length.unwrap_or(0);
            assert!(length <= bytes.len(), "an answer breaks off");
            answer.body = bytes[..length].to_vec();
            bytes = &bytes[length..];
        }
        answers.push(answer);
    }
    answers
}

fn parse_head(head: &str) -> Answer {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|line| line.split(' ').next()?.parse().ok());
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").expect("a header");
        assert!(!value.contains(char::is_control), "{line:?}");
        (name.to_owned(), value.to_owned())
    });
    Answer {
        status: status.expect("a status line"),
        headers: headers.collect(),
        body: Vec::new(),
    }
}
