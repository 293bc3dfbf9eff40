//! HTTP client shared by locks, webhook, health check and step-down.
//!
//! ```text
//!   web, clients of the locks ──▶ agent ──▶ ureq ──▶ connect ──▶ proxy tunnel, TCP, TLS
//!                                                       │
//!                                                    resolver
//! ```
//!
//! It knows HTTP, TLS, proxies, DNS and access tokens, and nothing about locks.

mod access_token;
mod agent;
mod connect;
mod proxy;
mod resolver;
mod tls;
mod url;
mod watched_file;
mod web;

pub use self::access_token::{AccessToken, AccessTokenReader, AccessTokenSource};
pub(crate) use self::agent::{Agent, Deadline, Effect, PlainBody};
pub use self::agent::{CallError, SetupError};
pub use self::proxy::ProxySettings;
pub(crate) use self::url::Destination;
pub use self::url::{Url, UrlError, is_loopback};
pub use self::web::WebClient;
