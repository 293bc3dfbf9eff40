//! Receiving one request: head, framing and body, before one deadline and inside the limits.
//!
//! A body needs a `Content-Length`: transfer codings and expectations are rejected, as is a request that
//! two servers could read differently. `ureq_proto::server` accepts such requests and knows no limits, so
//! this parses with `httparse`.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::limits::Limits;
use super::request::RequestContent;

/// Size of one read from the socket, in bytes; a usual request fits.
const READ_BYTES: usize = 4096;

/// Reason why no request was received.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The client closed the connection between two requests, or sent none in time.
    Idle,
    /// The connection broke during a request.
    Broken,
    /// The request must be answered with this status and reason, and the connection closed.
    Rejected(u16, &'static str),
}

/// Result of receiving a part of a request.
type Result<T> = std::result::Result<T, RequestError>;

const TOO_SLOW: RequestError = RequestError::Rejected(408, "the request took too long to arrive");
const HEAD_TOO_LARGE: RequestError = RequestError::Rejected(431, "the request's head is too large");
const BODY_TOO_LARGE: RequestError = RequestError::Rejected(413, "the request's body is too large");

fn rejected(status: u16, reason: &'static str) -> RequestError {
    RequestError::Rejected(status, reason)
}

fn bad(reason: &'static str) -> RequestError {
    rejected(400, reason)
}

/// Reading side of a connection, with input beyond the last request (pipelining).
pub(super) struct Receiver<'a> {
    stream: &'a TcpStream,
    limits: &'a Limits,
    buffer: Vec<u8>,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(stream: &'a TcpStream, limits: &'a Limits) -> Self {
        Self {
            stream,
            limits,
            buffer: Vec::new(),
        }
    }

    /// Returns the next request, if its first byte arrives within `idle`. The deadline for the whole
    /// request starts with that byte.
    pub(super) fn next(&mut self, idle: Duration) -> Result<RequestContent> {
        self.await_first_byte(idle)?;
        let deadline = Instant::now() + self.limits.request_timeout;
        let (mut content, length) = self.head(deadline)?;
        content.body = self.take(length, deadline)?;
        Ok(content)
    }

    fn await_first_byte(&mut self, idle: Duration) -> Result<()> {
        let deadline = Instant::now() + idle;
        loop {
            // Empty lines before a request line are allowed (RFC 9112, 2.2).
            let blank = self
                .buffer
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count();
            if blank > 8 {
                return Err(bad("no request line"));
            }
            if blank < self.buffer.len() {
                self.buffer.drain(..blank);
                return Ok(());
            }
            self.fill(deadline).map_err(|_| RequestError::Idle)?;
        }
    }

    /// Reads at least one more byte.
    fn fill(&mut self, deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        // A timeout of zero would mean no timeout.
        if left.is_zero() {
            return Err(TOO_SLOW);
        }
        self.stream
            .set_read_timeout(Some(left))
            .map_err(|_| RequestError::Broken)?;
        let mut chunk = [0; READ_BYTES];
        let mut stream = self.stream;
        match stream.read(&mut chunk) {
            Ok(0) => Err(RequestError::Broken),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Err(TOO_SLOW)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(RequestError::Broken),
        }
    }

    /// Returns the request without its body, and the body's length.
    fn head(&mut self, deadline: Instant) -> Result<(RequestContent, usize)> {
        let mut searched = 0;
        loop {
            let mut windows = self.buffer[searched..].windows(4);
            if let Some(found) = windows.position(|bytes| bytes == b"\r\n\r\n") {
                let end = searched + found + 4;
                if end > self.limits.head_bytes {
                    return Err(HEAD_TOO_LARGE);
                }
                let parsed = parse_head(&self.buffer[..end], self.limits)?;
                self.buffer.drain(..end);
                return Ok(parsed);
            }
            if self.buffer.len() > self.limits.head_bytes {
                return Err(HEAD_TOO_LARGE);
            }
            searched = self.buffer.len().saturating_sub(3);
            self.fill(deadline)?;
        }
    }

    /// Takes exactly `length` bytes. Memory grows with the bytes received, not with the announced
    /// length.
    fn take(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill(deadline)?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }
}

/// Parses a head up to its empty line; returns the request without its body, and the body's length.
fn parse_head(bytes: &[u8], limits: &Limits) -> Result<(RequestContent, usize)> {
    let mut slots = vec![httparse::EMPTY_HEADER; limits.headers];
    let mut parsed = httparse::Request::new(&mut slots);
    match parsed.parse(bytes) {
        // `httparse` must find the same end of the head.
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(rejected(431, "the request has too many headers"));
        }
        Err(httparse::Error::Version) => {
            return Err(rejected(505, "only HTTP/1.0 and HTTP/1.1 are supported"));
        }
        Ok(_) | Err(_) => return Err(bad("the request's head is malformed")),
    }
    let http_1_1 = parsed.version == Some(1);
    let headers = owned_headers(parsed.headers)?;
    let length = body_length(&headers, limits)?;
    check_host(&headers, http_1_1)?;
    let target = parsed.path.unwrap_or_default();
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    if !path.starts_with('/') {
        return Err(bad("the request's target is not a path"));
    }
    let content = RequestContent {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query,
        keep_alive: keep_alive(&headers, http_1_1),
        headers,
        body: Vec::new(),
    };
    Ok((content, length))
}

fn owned_headers(headers: &[httparse::Header<'_>]) -> Result<Vec<(String, String)>> {
    let owned = |header: &httparse::Header<'_>| {
        let value = std::str::from_utf8(header.value).map_err(|_| bad("a header is not UTF-8"))?;
        Ok((header.name.to_owned(), value.trim().to_owned()))
    };
    headers.iter().map(owned).collect()
}

fn values<'h>(headers: &'h [(String, String)], name: &'h str) -> impl Iterator<Item = &'h str> {
    headers
        .iter()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Returns the length of the body; 0 if the request announces none.
fn body_length(headers: &[(String, String)], limits: &Limits) -> Result<usize> {
    if values(headers, "transfer-encoding").next().is_some() {
        return Err(rejected(411, "send a Content-Length, no transfer coding"));
    }
    if values(headers, "expect").next().is_some() {
        return Err(rejected(417, "send the request without Expect"));
    }
    let mut lengths = values(headers, "content-length");
    let Some(first) = lengths.next() else {
        return Ok(0);
    };
    if lengths.any(|other| other != first) {
        return Err(bad("the request's length is ambiguous"));
    }
    if first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad("the content length is not a number"));
    }
    // A number beyond usize exceeds every limit.
    let length = first.parse::<usize>().unwrap_or(usize::MAX);
    if length > limits.body_bytes {
        return Err(BODY_TOO_LARGE);
    }
    Ok(length)
}

fn check_host(headers: &[(String, String)], http_1_1: bool) -> Result<()> {
    match values(headers, "host").count() {
        1 => Ok(()),
        0 if !http_1_1 => Ok(()),
        0 => Err(bad("the request has no Host header")),
        _ => Err(bad("the request has more than one Host header")),
    }
}

fn keep_alive(headers: &[(String, String)], http_1_1: bool) -> bool {
    let has = |token: &str| {
        values(headers, "connection")
            .flat_map(|v| v.split(','))
            .any(|v| v.trim().eq_ignore_ascii_case(token))
    };
    !has("close") && (http_1_1 || has("keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> std::result::Result<(RequestContent, usize), u16> {
        match parse_head(head.as_bytes(), &Limits::default()) {
            Ok(parsed) => Ok(parsed),
            Err(RequestError::Rejected(status, _)) => Err(status),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn length_of(headers: &str) -> std::result::Result<usize, u16> {
        let head = format!("POST /a?b=c HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        parse(&head).map(|(_, length)| length)
    }

    #[test]
    fn ambiguous_length_is_rejected() {
        assert_eq!(
            length_of("Content-Length: 3\r\nContent-Length: 4\r\n"),
            Err(400)
        );
        assert_eq!(length_of("Content-Length: 3, 3\r\n"), Err(400));
        assert_eq!(length_of("Content-Length: +3\r\n"), Err(400));
        assert_eq!(length_of("Content-Length : 3\r\n"), Err(400));
        assert_eq!(length_of("X: a\r\n Content-Length: 3\r\n"), Err(400));
    }

    #[test]
    fn transfer_coding_is_rejected() {
        for coding in ["chunked", "Chunked", "gzip, chunked", "identity", ""] {
            let header = format!("Transfer-Encoding: {coding}\r\n");
            assert_eq!(length_of(&header), Err(411));
            assert_eq!(
                length_of(&format!("Content-Length: 3\r\n{header}")),
                Err(411)
            );
        }
    }

    #[test]
    fn equal_lengths_are_accepted() {
        assert_eq!(length_of(""), Ok(0));
        assert_eq!(
            length_of("Content-Length: 3\r\nContent-Length: 3\r\n"),
            Ok(3)
        );
        assert_eq!(
            length_of("Content-Length: 99999999999999999999999\r\n"),
            Err(413)
        );
    }

    #[test]
    fn target_is_path() {
        let path = |target: &str| {
            let (content, _) = parse(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).ok()?;
            Some((content.path, content.query.unwrap_or_default()))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(path("/a/b?c=d"), pair("/a/b", "c=d"));
        assert_eq!(path("/a?u=http://x/y"), pair("/a", "u=http://x/y"));
        assert_eq!(path("http://host:1/a?b"), None);
        assert_eq!(path("*"), None);
        assert_eq!(path("host:1"), None);
    }
}
