//! Receiving one request: head, framing, body, all before one deadline and inside the limits.
//!
//! Whatever could be read in two ways by two servers (both framings at once, differing lengths) is
//! refused rather than interpreted.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::request::Message;
use super::server::Limits;

/// How much is read from the socket at once: a usual request fits.
const READ_BYTES: usize = 4096;

/// A chunk-size line or a trailer line; longer ones carry extensions that nobody sends.
const CHUNK_LINE_BYTES: usize = 256;

/// Trailer lines after the last chunk that are read and ignored.
const TRAILER_LINES: usize = 16;

/// Why no request was received.
#[derive(Debug)]
pub(super) enum Failed {
    /// The client closed between two requests, or stayed idle: nothing to say.
    Idle,
    /// The connection broke in the middle of a request: nobody to say it to.
    Broken,
    /// The client did something that is answered with this status and a close.
    Refused(u16, &'static str),
}

fn bad(why: &'static str) -> Failed {
    Failed::Refused(400, why)
}

/// The reading side of a connection, with what was read beyond the last request (pipelining).
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

    /// The next request. The deadline for all of it starts with its first byte.
    pub(super) fn next(&mut self, idle: Duration) -> Result<Message, Failed> {
        self.await_first_byte(idle)?;
        let deadline = Instant::now() + self.limits.request_timeout;
        let (head, framing) = self.head(deadline)?;
        let expects = head.expects_continue;
        let mut message = head.message;
        if expects && framing != Framing::None && self.buffer.is_empty() {
            self.send_continue()?;
        }
        message.body = match framing {
            Framing::None => Vec::new(),
            Framing::Length(length) => self.take(length, deadline)?,
            Framing::Chunked => self.chunked(deadline)?,
        };
        Ok(message)
    }

    fn send_continue(&self) -> Result<(), Failed> {
        let mut stream = self.stream;
        // A client that takes no answers must not hold this one either.
        stream
            .set_write_timeout(Some(self.limits.write_timeout))
            .map_err(|_| Failed::Broken)?;
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .map_err(|_| Failed::Broken)
    }

    fn await_first_byte(&mut self, idle: Duration) -> Result<(), Failed> {
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
            match self.fill(deadline) {
                Ok(()) => {}
                Err(_) => return Err(Failed::Idle),
            }
        }
    }

    /// Reads at least one byte more, or fails.
    fn fill(&mut self, deadline: Instant) -> Result<(), Failed> {
        let left = deadline.saturating_duration_since(Instant::now());
        // A zero timeout would mean none at all.
        if left.is_zero() {
            return Err(Failed::Refused(408, "the request took too long to arrive"));
        }
        self.stream
            .set_read_timeout(Some(left))
            .map_err(|_| Failed::Broken)?;
        let mut chunk = [0; READ_BYTES];
        let mut stream = self.stream;
        match stream.read(&mut chunk) {
            Ok(0) => Err(Failed::Broken),
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
                Err(Failed::Refused(408, "the request took too long to arrive"))
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(Failed::Broken),
        }
    }

    fn head(&mut self, deadline: Instant) -> Result<(Head, Framing), Failed> {
        let mut searched = 0;
        loop {
            if let Some(end) = end_of_head(&self.buffer, searched) {
                if end > self.limits.head_bytes {
                    return Err(Failed::Refused(431, "the request's head is too large"));
                }
                let parsed = parse_head(&self.buffer[..end], self.limits)?;
                self.buffer.drain(..end);
                return Ok(parsed);
            }
            if self.buffer.len() > self.limits.head_bytes {
                return Err(Failed::Refused(431, "the request's head is too large"));
            }
            searched = self.buffer.len().saturating_sub(3);
            self.fill(deadline)?;
        }
    }

    /// Exactly this many bytes; memory is taken as they come, not as they are announced.
    fn take(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>, Failed> {
        while self.buffer.len() < length {
            self.fill(deadline)?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    fn chunked(&mut self, deadline: Instant) -> Result<Vec<u8>, Failed> {
        let mut body = Vec::new();
        loop {
            let size = chunk_size(&self.line(deadline)?)?;
            if size == 0 {
                break;
            }
            if size > self.limits.body_bytes - body.len() {
                return Err(Failed::Refused(413, "the request's body is too large"));
            }
            body.extend_from_slice(&self.take(size, deadline)?);
            if self.take(2, deadline)? != b"\r\n" {
                return Err(bad("a chunk does not end where it says"));
            }
        }
        for _ in 0..TRAILER_LINES {
            if self.line(deadline)?.is_empty() {
                return Ok(body);
            }
        }
        Err(bad("too many trailer lines"))
    }

    /// A line without its end.
    fn line(&mut self, deadline: Instant) -> Result<Vec<u8>, Failed> {
        loop {
            let end = self.buffer.windows(2).position(|pair| pair == b"\r\n");
            // Judged by where it ends, not by how much has come so far: that is a matter of chance.
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

/// Where the head ends, with its empty line; bare line feeds are taken as `httparse` takes them.
fn end_of_head(buffer: &[u8], from: usize) -> Option<usize> {
    (from..buffer.len())
        .filter(|&i| buffer[i] == b'\n')
        .find_map(|i| match buffer.get(i + 1..) {
            Some([b'\r', b'\n', ..]) => Some(i + 3),
            Some([b'\n', ..]) => Some(i + 2),
            _ => None,
        })
}

struct Head {
    message: Message,
    expects_continue: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
}

fn parse_head(bytes: &[u8], limits: &Limits) -> Result<(Head, Framing), Failed> {
    let mut slots = vec![httparse::EMPTY_HEADER; limits.headers];
    let mut parsed = httparse::Request::new(&mut slots);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
        // Where the head ends must not be a matter of opinion.
        Ok(httparse::Status::Complete(_)) => return Err(bad("the request's head is malformed")),
        Ok(httparse::Status::Partial) => return Err(bad("the request's head is not complete")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Failed::Refused(431, "the request has too many headers"));
        }
        Err(httparse::Error::Version) => {
            return Err(Failed::Refused(
                505,
                "only HTTP/1.0 and HTTP/1.1 are spoken here",
            ));
        }
        Err(_) => return Err(bad("the request's head is malformed")),
    }
    let http_1_1 = parsed.version == Some(1);
    let headers = own_headers(parsed.headers)?;
    let framing = framing(&headers, http_1_1, limits)?;
    check_host(&headers, http_1_1)?;
    let expects_continue = expectation(&headers, http_1_1)?;
    let (path, query) = target(parsed.path.unwrap_or_default())?;
    let keep_alive = keep_alive(&headers, http_1_1);
    let method = parsed.method.unwrap_or_default().to_owned();
    let message = Message {
        method,
        path,
        query,
        headers,
        body: Vec::new(),
        keep_alive,
    };
    Ok((
        Head {
            message,
            expects_continue,
        },
        framing,
    ))
}

fn own_headers(headers: &[httparse::Header<'_>]) -> Result<Vec<(String, String)>, Failed> {
    let own = |header: &httparse::Header<'_>| {
        let value = std::str::from_utf8(header.value).map_err(|_| bad("a header is not UTF-8"))?;
        Ok((header.name.to_owned(), value.trim().to_owned()))
    };
    headers.iter().map(own).collect()
}

fn values<'h>(headers: &'h [(String, String)], name: &'h str) -> impl Iterator<Item = &'h str> {
    headers
        .iter()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

fn framing(
    headers: &[(String, String)],
    http_1_1: bool,
    limits: &Limits,
) -> Result<Framing, Failed> {
    let lengths: Vec<&str> = values(headers, "content-length").collect();
    let codings: Vec<&str> = values(headers, "transfer-encoding").collect();
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(Framing::None),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") && http_1_1 => {
            Ok(Framing::Chunked)
        }
        ([], [_]) if http_1_1 => Err(Failed::Refused(
            501,
            "only the chunked transfer coding is understood",
        )),
        ([first, rest @ ..], []) if rest.iter().all(|other| other == first) => {
            if first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad("the content length is not a number"));
            }
            // A number too long for usize is too large in any case.
            let length = first.parse::<usize>().unwrap_or(usize::MAX);
            if length > limits.body_bytes {
                return Err(Failed::Refused(413, "the request's body is too large"));
            }
            Ok(Framing::Length(length))
        }
        _ => Err(bad("the request's length is ambiguous")),
    }
}

fn check_host(headers: &[(String, String)], http_1_1: bool) -> Result<(), Failed> {
    match values(headers, "host").count() {
        1 => Ok(()),
        0 if !http_1_1 => Ok(()),
        0 => Err(bad("the request names no host")),
        _ => Err(bad("the request names more than one host")),
    }
}

fn expectation(headers: &[(String, String)], http_1_1: bool) -> Result<bool, Failed> {
    match values(headers, "expect").next() {
        Some(value) if value.eq_ignore_ascii_case("100-continue") => Ok(http_1_1),
        Some(_) if http_1_1 => Err(Failed::Refused(417, "only 100-continue can be expected")),
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

/// Path and query of `/path?query` or `http://host/path?query`.
fn target(target: &str) -> Result<(String, Option<String>), Failed> {
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

/// Hexadecimal digits, then perhaps extensions that are ignored.
fn chunk_size(line: &[u8]) -> Result<usize, Failed> {
    let text = std::str::from_utf8(line).map_err(|_| bad("a chunk's size is malformed"))?;
    let digits = text.split(';').next().unwrap_or_default().trim_end();
    // Fifteen digits fit any usize of 64 bits; `from_str_radix` alone would also take a sign.
    if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(bad("a chunk's size is malformed"));
    }
    usize::from_str_radix(digits, 16).map_err(|_| bad("a chunk's size is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing_of(headers: &str) -> Result<Framing, u16> {
        let head = format!("POST /a?b=c HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        match parse_head(head.as_bytes(), &Limits::default()) {
            Ok((_, framing)) => Ok(framing),
            Err(Failed::Refused(status, _)) => Err(status),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_length_that_can_be_read_in_two_ways_is_refused() {
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
    fn lengths_that_agree_are_taken() {
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
    fn a_target_is_a_path_or_a_whole_address() {
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
    fn a_chunk_size_is_plain_hexadecimal() {
        assert_eq!(chunk_size(b"1a;name=value").unwrap(), 26);
        for nonsense in [&b""[..], b"-1", b"+1", b" 1", b"0x10", b"fffffffffffffffff"] {
            assert!(chunk_size(nonsense).is_err(), "{nonsense:?}");
        }
    }
}
