//! Receiving one request: head, framing and body, before one deadline and inside the limits.
//!
//! A request that two servers could read differently (two framings, differing lengths) is rejected.
//! `ureq_proto::server` accepts such requests and knows no limits, so this parses with `httparse`.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::limits::Limits;
use super::request::RequestContent;

/// Size of one read from the socket, in bytes; a usual request fits.
const READ_BYTES: usize = 4096;

/// Maximum length of a chunk-size line or a trailer line, in bytes.
const CHUNK_LINE_BYTES: usize = 256;

/// Maximum number of trailer lines, which are read and ignored.
const TRAILER_LINES: usize = 16;

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

fn bad(reason: &'static str) -> RequestError {
    RequestError::Rejected(400, reason)
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
        let RequestHead {
            mut content,
            framing,
            expects_continue,
        } = self.head(deadline)?;
        if expects_continue && framing != Framing::None && self.buffer.is_empty() {
            self.send_continue()?;
        }
        content.body = match framing {
            Framing::None => Vec::new(),
            Framing::Length(length) => self.take(length, deadline)?,
            Framing::Chunked => self.chunked(deadline)?,
        };
        Ok(content)
    }

    fn send_continue(&self) -> Result<()> {
        let mut stream = self.stream;
        // A client that does not read must not block this thread.
        stream
            .set_write_timeout(Some(self.limits.write_timeout))
            .map_err(|_| RequestError::Broken)?;
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .map_err(|_| RequestError::Broken)
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

    fn head(&mut self, deadline: Instant) -> Result<RequestHead> {
        let mut searched = 0;
        loop {
            if let Some(end) = end_of_head(&self.buffer, searched) {
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

    fn chunked(&mut self, deadline: Instant) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = chunk_size(&self.line(deadline)?)?;
            if size == 0 {
                break;
            }
            if size > self.limits.body_bytes - body.len() {
                return Err(BODY_TOO_LARGE);
            }
            body.extend_from_slice(&self.take(size, deadline)?);
            if self.take(2, deadline)? != b"\r\n" {
                return Err(bad("a chunk is longer than its size"));
            }
        }
        for _ in 0..TRAILER_LINES {
            if self.line(deadline)?.is_empty() {
                return Ok(body);
            }
        }
        Err(bad("too many trailer lines"))
    }

    /// Takes a line, without its end.
    fn line(&mut self, deadline: Instant) -> Result<Vec<u8>> {
        loop {
            let end = self.buffer.windows(2).position(|pair| pair == b"\r\n");
            // The check counts to the line's end, because the number of bytes received so far is chance.
            if end.unwrap_or(self.buffer.len().saturating_sub(1)) >= CHUNK_LINE_BYTES {
                return Err(bad("a chunk's size line is too long"));
            }
            if let Some(end) = end {
                let rest = self.buffer.split_off(end + 2);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.truncate(end);
                return Ok(line);
            }
            self.fill(deadline)?;
        }
    }
}

/// Returns the length of the head with its empty line; accepts bare line feeds, as `httparse` does.
fn end_of_head(buffer: &[u8], from: usize) -> Option<usize> {
    (from..buffer.len())
        .filter(|&i| buffer[i] == b'\n')
        .find_map(|i| match buffer.get(i + 1..) {
            Some([b'\r', b'\n', ..]) => Some(i + 3),
            Some([b'\n', ..]) => Some(i + 2),
            _ => None,
        })
}

struct RequestHead {
    content: RequestContent,
    framing: Framing,
    expects_continue: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
}

fn parse_head(bytes: &[u8], limits: &Limits) -> Result<RequestHead> {
    let mut slots = vec![httparse::EMPTY_HEADER; limits.headers];
    let mut parsed = httparse::Request::new(&mut slots);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
        // Both searches must find the same end of the head.
        Ok(httparse::Status::Complete(_)) => return Err(bad("the request's head is malformed")),
        Ok(httparse::Status::Partial) => return Err(bad("the request's head is not complete")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(RequestError::Rejected(
                431,
                "the request has too many headers",
            ));
        }
        Err(httparse::Error::Version) => {
            return Err(RequestError::Rejected(
                505,
                "only HTTP/1.0 and HTTP/1.1 are supported",
            ));
        }
        Err(_) => return Err(bad("the request's head is malformed")),
    }
    let http_1_1 = parsed.version == Some(1);
    let headers = owned_headers(parsed.headers)?;
    let framing = framing(&headers, http_1_1, limits)?;
    check_host(&headers, http_1_1)?;
    let expects_continue = expectation(&headers, http_1_1)?;
    let (path, query) = target(parsed.path.unwrap_or_default())?;
    let keep_alive = keep_alive(&headers, http_1_1);
    let method = parsed.method.unwrap_or_default().to_owned();
    let content = RequestContent {
        method,
        path,
        query,
        headers,
        body: Vec::new(),
        keep_alive,
    };
    Ok(RequestHead {
        content,
        framing,
        expects_continue,
    })
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

fn framing(headers: &[(String, String)], http_1_1: bool, limits: &Limits) -> Result<Framing> {
    let lengths: Vec<&str> = values(headers, "content-length").collect();
    let codings: Vec<&str> = values(headers, "transfer-encoding").collect();
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(Framing::None),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") && http_1_1 => {
            Ok(Framing::Chunked)
        }
        ([], [_]) if http_1_1 => Err(RequestError::Rejected(
            501,
            "only the transfer coding chunked is supported",
        )),
        ([first, rest @ ..], []) if rest.iter().all(|other| other == first) => {
            if first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad("the content length is not a number"));
            }
            // A number beyond usize exceeds every limit.
            let length = first.parse::<usize>().unwrap_or(usize::MAX);
            if length > limits.body_bytes {
                return Err(BODY_TOO_LARGE);
            }
            Ok(Framing::Length(length))
        }
        _ => Err(bad("the request's length is ambiguous")),
    }
}

fn check_host(headers: &[(String, String)], http_1_1: bool) -> Result<()> {
    match values(headers, "host").count() {
        1 => Ok(()),
        0 if !http_1_1 => Ok(()),
        0 => Err(bad("the request has no Host header")),
        _ => Err(bad("the request has more than one Host header")),
    }
}

fn expectation(headers: &[(String, String)], http_1_1: bool) -> Result<bool> {
    match values(headers, "expect").next() {
        Some(value) if value.eq_ignore_ascii_case("100-continue") => Ok(http_1_1),
        Some(_) if http_1_1 => Err(RequestError::Rejected(
            417,
            "only the expectation 100-continue is supported",
        )),
        _ => Ok(false),
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

/// Splits `/path?query` or `http://host/path?query` into path and query.
fn target(target: &str) -> Result<(String, Option<String>)> {
    let local = match target.split_once("://") {
        Some((scheme, rest)) if !target.starts_with('/') && scheme.eq_ignore_ascii_case("http") => {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    };
    if !local.starts_with('/') {
        return Err(bad("the request's target is not a path"));
    }
    let local = local.split('#').next().unwrap_or(local);
    Ok(match local.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (local.to_owned(), None),
    })
}

/// Parses a chunk-size line: hexadecimal digits, then extensions, which are ignored.
fn chunk_size(line: &[u8]) -> Result<usize> {
    let text = std::str::from_utf8(line).map_err(|_| bad("a chunk's size is malformed"))?;
    let digits = text.split(';').next().unwrap_or_default().trim_end();
    // Fifteen digits fit a usize of 64 bits; `from_str_radix` alone would also accept a sign.
    if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(bad("a chunk's size is malformed"));
    }
    usize::from_str_radix(digits, 16).map_err(|_| bad("a chunk's size is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing_of(headers: &str) -> std::result::Result<Framing, u16> {
        let head = format!("POST /a?b=c HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        match parse_head(head.as_bytes(), &Limits::default()) {
            Ok(head) => Ok(head.framing),
            Err(RequestError::Rejected(status, _)) => Err(status),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn ambiguous_length_is_rejected() {
        assert_eq!(
            framing_of("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
            Err(400)
        );
        assert_eq!(
            framing_of("Content-Length: 3\r\nContent-Length: 4\r\n"),
            Err(400)
        );
        assert_eq!(framing_of("Content-Length: 3, 3\r\n"), Err(400));
        assert_eq!(framing_of("Content-Length: +3\r\n"), Err(400));
        assert_eq!(framing_of("Content-Length : 3\r\n"), Err(400));
        assert_eq!(
            framing_of("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            Err(400)
        );
        assert_eq!(framing_of("Transfer-Encoding: gzip, chunked\r\n"), Err(501));
        assert_eq!(framing_of("X: a\r\n Content-Length: 3\r\n"), Err(400));
    }

    #[test]
    fn equal_lengths_are_accepted() {
        assert_eq!(framing_of(""), Ok(Framing::None));
        assert_eq!(
            framing_of("Content-Length: 3\r\nContent-Length: 3\r\n"),
            Ok(Framing::Length(3))
        );
        assert_eq!(
            framing_of("Transfer-Encoding: Chunked\r\n"),
            Ok(Framing::Chunked)
        );
        assert_eq!(
            framing_of("Content-Length: 99999999999999999999999\r\n"),
            Err(413)
        );
    }

    #[test]
    fn target_is_path_or_absolute_url() {
        let path = |text: &str| {
            target(text)
                .map(|(path, query)| (path, query.unwrap_or_default()))
                .ok()
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(path("/a/b?c=d"), pair("/a/b", "c=d"));
        assert_eq!(path("http://host:1/a?b"), pair("/a", "b"));
        assert_eq!(path("http://host"), pair("/", ""));
        assert_eq!(path("/a?u=http://x/y"), pair("/a", "u=http://x/y"));
        assert_eq!(path("*"), None);
        assert_eq!(path("host:1"), None);
    }

    #[test]
    fn chunk_size_is_plain_hexadecimal() {
        assert_eq!(chunk_size(b"1a;name=value").unwrap(), 26);
        for malformed in [&b""[..], b"-1", b"+1", b" 1", b"0x10", b"fffffffffffffffff"] {
            assert!(chunk_size(malformed).is_err(), "{malformed:?}");
        }
    }
}
