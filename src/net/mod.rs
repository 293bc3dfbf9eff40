//! HTTP client shared by locks, webhook, health check and step-down.
//!
//! ```text
//!   WebClient, clients of the locks ──▶ agent ──▶ ureq ──▶ connect: proxy tunnel, TCP, TLS
//!                                                              │
//!                                                           resolver
//! ```
//!
//! It knows HTTP, TLS, proxies, DNS and access tokens, and nothing about locks.

mod access_token;
pub(crate) mod agent;
mod connect;
mod proxy;
mod resolver;
mod tls;
mod url;
mod watched_file;
mod web;

use std::net::IpAddr;

pub use self::access_token::{AccessToken, AccessTokenReader, AccessTokenSource};
pub use self::agent::{CallError, SetupError};
pub use self::proxy::ProxySettings;
pub use self::url::{Url, UrlError};
pub use self::web::WebClient;

/// Returns whether `host` is this machine. An IPv6 address may be in brackets.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
