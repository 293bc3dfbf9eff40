//! Limits of a server, of its connections and of their requests.

use std::time::Duration;

/// Limits of one server, one connection and one request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Maximum number of connections in use; up to a quarter more may be closing.
    ///
    /// If all are in use, a new connection replaces one that keeps the server waiting: of the client
    /// address with the most connections, the one that has waited longest. If none waits, the next
    /// connection to finish an answer is closed. If none does, the new one gets 503.
    pub connections: usize,
    /// Maximum size of the request line and headers together, in bytes.
    pub head_bytes: usize,
    /// Maximum number of headers of one request.
    pub headers: usize,
    /// Maximum size of a request's body, in bytes.
    pub body_bytes: usize,
    /// Maximum time to receive one request, from its first byte.
    pub request_timeout: Duration,
    /// Maximum time to send one response.
    pub write_timeout: Duration,
    /// Maximum time between two requests on one connection.
    pub idle_timeout: Duration,
    /// Stack size of a connection's thread, in bytes.
    pub stack_bytes: usize,
}

impl Default for Limits {
    /// Returns limits for status endpoints: small requests, a few dozen clients.
    fn default() -> Self {
        Self {
            connections: 64,
            // The usual limit of servers; a browser with cookies stays below it.
            head_bytes: 16 * 1024,
            headers: 64,
            body_bytes: 64 * 1024,
            request_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            // Enough for the handlers in a debug build, with a margin.
            stack_bytes: 256 * 1024,
        }
    }
}
