//! Responses: what a handler returns, and their bytes on the connection.

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

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns whether the status excludes a body and a length (RFC 9110, 8.6).
    fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }

    /// Returns the status line and headers, including the empty line.
    pub(super) fn head(&self, close: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        if !self.is_bodiless() {
            head.push_str(&format!("Content-Length: {}\r\n", self.body().len()));
        }
        if close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Returns the body to send: none for HEAD and for statuses without a body.
    pub(super) fn wire_body(&self, head_only: bool) -> &[u8] {
        if head_only || self.is_bodiless() {
            &[]
        } else {
            self.body()
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_value_cannot_forge_header() {
        let response = Response::new(200).header("X-Name", "a\r\nSet-Cookie: b".to_owned());
        let head = String::from_utf8(response.head(false)).unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nX-Name: a  Set-Cookie: b\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn status_304_has_no_body_or_length() {
        let response = Response::json(304, "ignored");
        assert!(
            !String::from_utf8(response.head(true))
                .unwrap()
                .contains("Content-Length")
        );
        assert!(response.wire_body(false).is_empty());
    }
}
