//! A small bounded HTTP/1.1 server over `std::net`, for the status endpoints and the emulator.
//!
//! It owns sockets, framing, limits and shutdown. It knows no routes and no JSON.
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
//! A misbehaving client loses only its own connection: each connection has its own thread with a
//! small stack, a deadline for every step, and a slot in a bounded table.

mod addr;
mod connection;
mod limits;
mod receive;
mod request;
mod response;
mod server;
mod shutdown;
mod slots;

pub use addr::{AddrError, ListenAddr};
pub use limits::Limits;
pub use request::{Request, Waited};
pub use response::{Reply, Response};
pub use server::{Server, ShutdownHandle};
