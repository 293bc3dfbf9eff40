//! A small bounded HTTP/1.1 server over `std::net`, for the status endpoints and the gist service.
//!
//! It owns sockets, framing, limits and shutting down. It knows no routes, no JSON and no clock but
//! the one it needs for its own deadlines; it imports from no other room.
//!
//! ```text
//!   accept thread (poll over all listeners + a wake-up socket)
//!        |  one slot per connection, Limits::connections in all
//!        v
//!   connection thread:  receive (one deadline per request) -> handler -> send (one deadline)
//!        ^                                                                   |
//!        +------------------------- keep-alive -----------------------------+
//! ```
//!
//! Whoever misbehaves loses only its own connection: each one has its own thread with a small
//! stack, deadlines for everything, and a place in a bounded table.

mod addr;
mod connection;
mod receive;
mod request;
mod response;
mod server;
mod url;

pub use addr::{AddrError, ListenAddr};
pub use request::{Request, Waited};
pub use response::{Body, Reply, Response};
pub use server::{Limits, Server, ShutdownHandle};
pub use url::{Url, UrlError};
