//! Listen addresses (`:PORT`, `HOST:PORT`, `[IPV6]:PORT`) and their sockets.
//!
//! `:PORT` means all addresses, IPv4 and IPv6, as available. std cannot set IPV6_V6ONLY, so the system
//! decides whether `[::]` also accepts IPv4; if it does not, a second listener does.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddr {
    /// Host without brackets; `None` for all addresses.
    host: Option<String>,
    port: u16,
}

/// The text is not a listen address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddrError;

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("give `:PORT`, `HOST:PORT` or `[IPV6]:PORT`, with a port from 0 to 65535")
    }
}

impl std::error::Error for AddrError {}

impl FromStr for ListenAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddrError)?;
        // Digits only, because `u16::from_str` also accepts `+80`.
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddrError);
        }
        let port = port.parse().map_err(|_| AddrError)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']').ok_or(AddrError)?;
                inner.parse::<Ipv6Addr>().map_err(|_| AddrError)?;
                Some(inner.to_owned())
            }
            None if host.contains([':', '[', ']', '/', ' ']) => return Err(AddrError),
            None => (!host.is_empty()).then(|| host.to_owned()),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => write!(f, ":{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

impl ListenAddr {
    /// Returns the IPv4 loopback address, which only this machine reaches.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self {
            host: Some(Ipv4Addr::LOCALHOST.to_string()),
            port,
        }
    }

    /// Returns the host without brackets; `None` for all addresses.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Returns the port; 0 for any free port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Binds the address's sockets: at least one.
    ///
    /// # Errors
    /// If no socket can be bound; the message names the address.
    pub fn bind(&self) -> io::Result<Vec<TcpListener>> {
        let bound = match &self.host {
            None => bind_all(self.port),
            Some(host) => bind_host(host, self.port),
        };
        bound.map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {self}: {e}")))
    }
}

fn bind_all(port: u16) -> io::Result<Vec<TcpListener>> {
    let Ok(v6) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) else {
        // No IPv6, or the port is taken; then IPv4 fails too.
        return Ok(vec![TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?]);
    };
    let port = v6.local_addr()?.port();
    let mut listeners = vec![v6];
    // Fails where `[::]` also accepts IPv4, which is usual, or where there is no IPv4. Otherwise
    // `bindv6only` is 1.
    listeners.extend(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
    Ok(listeners)
}

/// Binds all addresses of a host name that can be bound, with the same port.
fn bind_host(host: &str, mut port: u16) -> io::Result<Vec<TcpListener>> {
    let mut addrs: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    addrs.sort_unstable();
    addrs.dedup();
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for addr in addrs {
        match TcpListener::bind((addr.ip(), port)) {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => return Err(e),
            Err(e) => failed = e,
        }
    }
    if listeners.is_empty() {
        return Err(failed);
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn address_is_parsed_and_shown() {
        for (text, shown) in [
            (":4040", ":4040"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:80", "[::1]:80"),
            ("localhost:1", "localhost:1"),
        ] {
            assert_eq!(text.parse::<ListenAddr>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn malformed_address_is_rejected() {
        for text in [
            "",
            "4040",
            "localhost",
            ":",
            ":+80",
            ":70000",
            "::1:80",
            "[::1]",
            "[::1:80",
            "[nope]:80",
            "a b:80",
        ] {
            let refused = text.parse::<ListenAddr>();
            assert!(refused.is_err(), "{text:?} was accepted: {refused:?}");
        }
    }

    #[test]
    fn empty_host_accepts_ipv4_and_ipv6() {
        let listeners = ":0".parse::<ListenAddr>().unwrap().bind().unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn taken_port_error_names_address() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = ListenAddr::loopback(taken.local_addr().unwrap().port());
        let error = addr.bind().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    }
}
