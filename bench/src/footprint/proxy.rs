//! A proxy to the gist service that counts requests and bytes, plain or encrypted.
//!
//! ```text
//!   contender ── TCP, perhaps TLS ──▶ Way (counts here) ── TCP ──▶ gist service
//! ```
//!
//! It forwards one request and its answer at a time, so it can count them. Bytes are the TCP
//! payload: they include TLS, but no TCP or IP headers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Longest accepted head; contenders and service send shorter ones.
const LONGEST_HEAD: usize = 64 * 1024;

/// A certificate for `localhost`, and the authority to trust for it.
pub(super) struct Authority {
    pub(super) pem: String,
    server: Arc<ServerConfig>,
}

impl Authority {
    pub(super) fn new() -> Result<Authority, String> {
        let certificate = |error: rcgen::Error| format!("no certificate can be made: {error}");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own_key = KeyPair::generate().map_err(certificate)?;
        let issuer = CertifiedIssuer::self_signed(params, own_key).map_err(certificate)?;
        let key = KeyPair::generate().map_err(certificate)?;
        let leaf = CertificateParams::new(["localhost".to_owned()])
            .and_then(|params| params.signed_by(&key, &issuer))
            .map_err(certificate)?;
        let secret = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
        let server =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .and_then(|builder| {
                    builder
                        .with_no_client_auth()
                        .with_single_cert(vec![leaf.der().clone()], secret)
                })
                .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        Ok(Authority {
            pem: issuer.pem(),
            server: Arc::new(server),
        })
    }
}

/// Traffic of a proxy so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) requests: u64,
    /// Bytes that the contender sent.
    pub(super) sent: u64,
    /// Bytes that the contender received.
    pub(super) received: u64,
    pub(super) connections: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    connections: AtomicU64,
    first: OnceLock<Instant>,
}

/// A proxy for one contender. Dropping it ends it.
pub(super) struct Proxy {
    address: SocketAddr,
    is_tls: bool,
    counters: Arc<Counters>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts a proxy to the service at `target`, encrypted if there is an authority.
    pub(super) fn open(target: SocketAddr, authority: Option<&Authority>) -> io::Result<Proxy> {
        // The certificate is for `localhost`, which resolves to this address before IPv6.
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (counters, ended) = (Arc::<Counters>::default(), Arc::<AtomicBool>::default());
        let tls = authority.map(|authority| Arc::clone(&authority.server));
        let (counts, end) = (Arc::clone(&counters), Arc::clone(&ended));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let (counts, tls) = (Arc::clone(&counts), tls.clone());
                // The contender retries if a connection breaks.
                thread::spawn(move || serve(client, target, tls, &counts));
            }
        });
        Ok(Proxy {
            address,
            is_tls: authority.is_some(),
            counters,
            ended,
        })
    }

    /// Returns the proxy's address.
    pub(super) fn url(&self) -> String {
        let port = self.address.port();
        match self.is_tls {
            true => format!("https://localhost:{port}"),
            false => format!("http://127.0.0.1:{port}"),
        }
    }

    pub(super) fn counted(&self) -> Traffic {
        let Counters {
            requests,
            sent,
            received,
            connections,
            ..
        } = &*self.counters;
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Traffic {
            requests: read(requests),
            sent: read(sent),
            received: read(received),
            connections: read(connections),
        }
    }

    /// Returns when the first bytes of a request arrived.
    pub(super) fn first_request(&self) -> Option<Instant> {
        self.counters.first.get().copied()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    client: TcpStream,
    target: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    counters: &Arc<Counters>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    counters.connections.fetch_add(1, Ordering::Relaxed);
    let client = CountingStream {
        stream: client,
        counters: Arc::clone(counters),
    };
    match tls {
        None => relay(client, target, counters),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            relay(StreamOwned::new(connection, client), target, counters)
        }
    }
}

/// Forwards requests and answers until one side closes.
fn relay(client: impl Read + Write, target: SocketAddr, counters: &Counters) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let server = TcpStream::connect(target)?;
    server.set_nodelay(true)?;
    let mut server = BufReader::new(server);
    loop {
        let request = message(&mut client, true)?;
        let _ = counters.first.set(Instant::now());
        counters.requests.fetch_add(1, Ordering::Relaxed);
        server.get_mut().write_all(&request)?;
        let answer = message(&mut server, false)?;
        client.get_mut().write_all(&answer)?;
        client.get_mut().flush()?;
    }
}

/// Reads a whole request or answer. Neither side uses chunks here.
fn message(from: &mut impl BufRead, is_request: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut length = 0;
    loop {
        let start = bytes.len();
        from.read_until(b'\n', &mut bytes)?;
        if bytes.len() == start {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes.len() > LONGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let line = String::from_utf8_lossy(&bytes[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.starts_with("transfer-encoding:") {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let has_body = is_request || !bytes.starts_with(b"HTTP/1.1 304");
    let head = bytes.len();
    bytes.resize(head + if has_body { length } else { 0 }, 0);
    from.read_exact(&mut bytes[head..])?;
    Ok(bytes)
}

/// A stream that counts the bytes of the contender's socket.
struct CountingStream {
    stream: TcpStream,
    counters: Arc<Counters>,
}

impl Read for CountingStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.counters.sent.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Write for CountingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes)?;
        self.counters
            .received
            .fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str, is_request: bool) -> io::Result<usize> {
        message(&mut text.as_bytes(), is_request).map(|bytes| bytes.len())
    }

    #[test]
    fn message_ends_at_content_length() {
        let head = "PATCH / HTTP/1.1\r\nContent-Length: 2\r\n\r\n";
        let request = format!("{head}{{}}GET");
        assert_eq!(whole(&request, true).ok(), Some(head.len() + 2));
        let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(whole(not_modified, false).ok(), Some(not_modified.len()));
        assert!(whole("GET / HTTP/1.1\r\n", true).is_err());
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(whole(chunked, false).is_err());
    }
}
