//! Responses: what a handler returns, and their bytes on the connection.

use ureq::http::StatusCode;

/// A handler's instruction for the connection.
#[non_exhaustive]
pub enum Reply {
    /// Send this response; the connection stays open if the client keeps it open.
    Answer(Response),
    /// Send this response, close the connection, then run this task on the connection's thread.
    Afterwards(Response, Box<dyn FnOnce() + Send>),
    /// Close the connection without a response.
    Drop,
    /// Send about half of this response, then close the connection.
    Truncate(Response),
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Answer(response)
    }
}

/// An HTTP response. The server adds `Content-Length` and `Connection`.
#[derive(Debug, Clone)]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Response {
    /// Creates a response without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Creates a response with a body of the given type.
    #[must_use]
    pub fn with_body(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::new(status)
        }
        .header("Content-Type", content_type)
    }

    /// Creates a response with plain text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::with_body(status, "text/plain; charset=utf-8", body)
    }

    /// Creates a response with a JSON document.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::with_body(status, "application/json; charset=utf-8", body)
    }

    /// Adds a header; a name may occur more than once. Control characters of `value` become spaces.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        // A line end in a value could forge headers or a second response.
        let value = value.into().replace(|c: char| c.is_ascii_control(), " ");
        self.headers.push((name, value));
        self
    }

    /// Returns the status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns whether the status excludes a body and a length (RFC 9110, 8.6).
    fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }

    /// Returns the bytes to send. A response to HEAD, or with a status without a body, has only a head.
    pub(super) fn to_bytes(&self, head_only: bool, close: bool) -> Vec<u8> {
        let mut head = self.head(close).into_bytes();
        if !head_only && !self.is_bodiless() {
            head.extend_from_slice(&self.body);
        }
        head
    }

    /// Returns the status line and headers, including the empty line.
    fn head(&self, close: bool) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.is_bodiless() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        if close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head
    }
}

fn reason(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    let reason = status.and_then(|status| status.canonical_reason());
    reason.unwrap_or("Status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_value_cannot_forge_header() {
        let response = Response::new(200).header("X-Name", "a\r\nSet-Cookie: b".to_owned());
        assert_eq!(
            response.head(false),
            "HTTP/1.1 200 OK\r\nX-Name: a  Set-Cookie: b\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn not_modified_has_no_body() {
        let response = Response::json(304, "ignored");
        let bytes = String::from_utf8(response.to_bytes(false, true)).unwrap();
        assert!(!bytes.contains("Content-Length"), "{bytes}");
        assert!(bytes.ends_with("\r\n\r\n"), "{bytes}");
    }
}
