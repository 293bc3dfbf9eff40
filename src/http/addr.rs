//! Listen addresses: `:PORT`, `HOST:PORT`, `[V6]:PORT`, and the sockets they stand for.
//!
//! `:PORT` is every address, IPv4 and IPv6, whichever there is. std cannot ask for IPV6_V6ONLY, so
//! whether `[::]` takes IPv4 as well is the system's setting; where it does not, a second listener does.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;

/// Where to listen, as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddr {
    /// `None` is every address.
    host: Option<String>,
    port: u16,
}

/// Why a listen address cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddrError {
    /// There is no `:PORT` at its end.
    NoPort(String),
    /// What follows the last colon is no number from 0 to 65535.
    BadPort(String),
    /// The host is not well formed; an IPv6 address needs brackets.
    BadHost(String),
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPort(text) => write!(
                f,
                "`{text}` has no port: write `:PORT`, `HOST:PORT` or `[IPV6]:PORT`"
            ),
            Self::BadPort(text) => write!(
                f,
                "`{text}` has no port from 0 to 65535 after its last colon"
            ),
            Self::BadHost(text) => write!(
                f,
                "`{text}` has no valid host: write `:PORT`, `HOST:PORT` or `[IPV6]:PORT`"
            ),
        }
    }
}

impl std::error::Error for AddrError {}

impl FromStr for ListenAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| AddrError::NoPort(text.to_owned()))?;
        // Digits only: `u16::from_str` would also take `+80`.
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddrError::BadPort(text.to_owned()));
        }
        let port = port
            .parse()
            .map_err(|_| AddrError::BadPort(text.to_owned()))?;
        let bad_host = || AddrError::BadHost(text.to_owned());
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inner = rest.strip_suffix(']').ok_or_else(bad_host)?;
                inner.parse::<Ipv6Addr>().map_err(|_| bad_host())?;
                Some(inner.to_owned())
            }
            None if host.is_empty() => None,
            None if host.contains([':', '[', ']', '/', ' ']) => return Err(bad_host()),
            None => Some(host.to_owned()),
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
    /// A loopback address (IPv4), for a service that only this machine shall reach.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self {
            host: Some(Ipv4Addr::LOCALHOST.to_string()),
            port,
        }
    }

    /// The host as it was written, without brackets; `None` for every address.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port; 0 is any that is free.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The sockets this address stands for: at least one.
    ///
    /// # Errors
    /// If none of the addresses can be bound; the message names the address.
    pub fn bind(&self) -> io::Result<Vec<TcpListener>> {
        let bound = match &self.host {
            None => bind_everywhere(self.port),
            Some(host) => bind_host(host, self.port),
        };
        bound.map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {self}: {e}")))
    }
}

fn bind_everywhere(port: u16) -> io::Result<Vec<TcpListener>> {
    let Ok(v6) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) else {
        // No IPv6 here, or the port is taken: then IPv4 says so as well.
        return Ok(vec![TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?]);
    };
    let port = v6.local_addr()?.port();
    let mut listeners = vec![v6];
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
        // Only where the system's `bindv6only` is 1: `[::]` left IPv4 to us.
        Ok(v4) => listeners.push(v4),
        // The dual-stack socket has it already, which is the usual case; or there is no IPv4.
        Err(e) => log::trace!("http: [::]:{port} stands alone: {e}"),
    }
    Ok(listeners)
}

/// A name may stand for several addresses (`localhost`): all that can be had, with one port.
fn bind_host(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut port = port;
    let mut failed = None;
    let mut seen: Vec<IpAddr> = Vec::new();
    for ip in (host, port).to_socket_addrs()?.map(|addr| addr.ip()) {
        if seen.contains(&ip) {
            continue;
        }
        seen.push(ip);
        match TcpListener::bind(SocketAddr::new(ip, port)) {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => return Err(e),
            Err(e) => failed = Some(e),
        }
    }
    if listeners.is_empty() {
        return Err(failed.unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "the host has no address")
        }));
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn addresses_are_read_as_people_write_them() {
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
    fn what_is_no_address_is_refused_with_a_reason() {
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
            assert!(refused.is_err(), "{text:?} was taken: {refused:?}");
        }
    }

    #[test]
    fn an_empty_host_is_reached_over_ipv4_and_where_there_is_one_over_ipv6() {
        let listeners = ":0".parse::<ListenAddr>().unwrap().bind().unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_the_address() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = ListenAddr::loopback(taken.local_addr().unwrap().port());
        let error = addr.bind().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    }
}
