//! A relay to a server that loses answers. It reads the requests, so it has a separate certificate if the
//! server uses TLS. It keeps the header `host` of the client, which some clients sign.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use crate::place::Place;
use crate::support::authority::Authority;

/// Time limit of a read from either side.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Greatest size of a head, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

#[derive(Debug)]
struct Shared {
    server: Server,
    /// Part of the requests whose answers are lost.
    loss: f64,
    requests: AtomicUsize,
    lost: AtomicUsize,
}

/// A relay to one server.
#[derive(Debug)]
pub(crate) struct Relay {
    place: Place,
    shared: Arc<Shared>,
    _folder: tempfile::TempDir,
}

impl Relay {
    /// Starts a relay that loses this part of the answers, after the server has sent them.
    pub(crate) fn start(place: &Place, loss: f64) -> Relay {
        let folder = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared {
            server: Server::of(place).unwrap(),
            loss,
            requests: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        });
        let (mut host, mut ca_file, mut tls) = ("127.0.0.1", None, None);
        if place.uses_tls() {
            let authority = Authority::for_name("localhost");
            let file = folder.path().join("ca.crt");
            std::fs::write(&file, &authority.pem).unwrap();
            (host, ca_file, tls) = ("localhost", Some(file), Some(authority.server));
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, state) = (tls.clone(), Arc::clone(&state));
                // A broken connection is an answer that is lost.
                thread::spawn(move || drop(serve(stream, tls, &state)));
            }
        });
        Relay {
            place: place.through(&format!("{host}:{port}"), ca_file),
            shared,
            _folder: folder,
        }
    }

    /// Returns the place behind the relay.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

/// A server, and how to connect to it.
#[derive(Debug)]
pub(crate) struct Server {
    address: String,
    /// `None` without TLS.
    tls: Option<Arc<ClientConfig>>,
}

impl Server {
    /// Returns the server of a place.
    ///
    /// # Errors
    /// If its certificates cannot be read.
    pub(crate) fn of(place: &Place) -> io::Result<Server> {
        Ok(Server {
            address: place.server(),
            tls: place.uses_tls().then(|| client(place)).transpose()?,
        })
    }

    /// Sends a request on a new connection, and returns the answer.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(&self.address)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let Some(tls) = &self.tls else {
            return answer(&mut socket, request);
        };
        let (host, _) = self.address.rsplit_once(':').unwrap_or_default();
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        answer(&mut StreamOwned::new(connection, socket), request)
    }
}

/// Returns the settings of connections over TLS.
fn client(place: &Place) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let file = place.ca_file.as_ref();
    let file = file.ok_or_else(|| io::Error::other("the server's certificates are not known"))?;
    let certificates = CertificateDer::pem_file_iter(file).map_err(io::Error::other)?;
    roots.add_parsable_certificates(certificates.flatten());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

/// Sends a request, and reads until the server closes the connection.
fn answer(to: &mut (impl Read + Write), request: &[u8]) -> io::Result<Vec<u8>> {
    to.write_all(request)?;
    to.flush()?;
    let mut answer = Vec::new();
    match to.read_to_end(&mut answer) {
        // Some servers close without the end of TLS.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

/// Passes the request of a connection on, over TLS if the relay has a certificate.
fn serve(mut from: TcpStream, tls: Option<Arc<ServerConfig>>, shared: &Shared) -> io::Result<()> {
    from.set_read_timeout(Some(TIMEOUT))?;
    let Some(tls) = tls else {
        return relay(&mut from, shared).map(drop);
    };
    let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
    let mut from = StreamOwned::new(connection, from);
    if relay(&mut from, shared)? {
        from.conn.send_close_notify();
    }
    from.flush()
}

/// Passes one request and its answer on. Each has a separate connection. Returns whether the answer was
/// passed on.
fn relay(from: &mut (impl Read + Write), shared: &Shared) -> io::Result<bool> {
    let request = read_request(from)?;
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let answer = shared.server.exchange(&request)?;
    if fastrand::f64() < shared.loss {
        shared.lost.fetch_add(1, Ordering::Relaxed);
        return Ok(false);
    }
    from.write_all(&answer)?;
    from.flush()?;
    Ok(true)
}

/// Reads a request, and asks for the end of the connection after its answer.
pub(crate) fn read_request(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > LONGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let lines = head.trim_end().split("\r\n");
    let is = |line: &str, name: &str| line.to_ascii_lowercase().starts_with(name);
    let length = lines.clone().find(|line| is(line, "content-length:"));
    let length = length
        .and_then(|line| line[15..].trim().parse().ok())
        .unwrap_or(0);
    let kept: Vec<&str> = lines.filter(|line| !is(line, "connection:")).collect();
    let mut request = format!("{}\r\nconnection: close\r\n\r\n", kept.join("\r\n")).into_bytes();
    let start = request.len();
    request.resize(start + length, 0);
    from.read_exact(&mut request[start..])?;
    Ok(request)
}
