//! A relay to a server that loses answers. It reads the requests, so it has a separate certificate.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, StreamOwned};

use crate::place::Place;
use crate::support::authority::Authority;

/// Time limit of a read from either side.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Greatest size of a head, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

#[derive(Debug)]
struct Shared {
    server: String,
    client: Arc<ClientConfig>,
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
        let authority = Authority::for_name("localhost");
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.crt");
        std::fs::write(&ca_file, &authority.pem).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server: place.server(),
            client: client(place).unwrap(),
            loss,
            requests: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        });
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, state) = (Arc::clone(&authority.server), Arc::clone(&state));
                thread::spawn(move || {
                    let connection = ServerConnection::new(tls).unwrap();
                    // A broken connection is an answer that is lost.
                    let _ = relay(StreamOwned::new(connection, stream), &state);
                });
            }
        });
        Relay {
            place: place.through(&format!("localhost:{port}"), ca_file),
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

/// Returns the settings of connections to a server.
///
/// # Errors
/// If its certificates cannot be read.
pub(crate) fn client(place: &Place) -> io::Result<Arc<ClientConfig>> {
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

/// Sends a request on a new connection, and returns the answer.
///
/// # Errors
/// If there is none.
pub(crate) fn exchange(
    server: &str,
    client: &Arc<ClientConfig>,
    request: &[u8],
) -> io::Result<Vec<u8>> {
    let (host, _) = server.rsplit_once(':').unwrap_or((server, ""));
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::clone(client), name).map_err(io::Error::other)?;
    let socket = TcpStream::connect(server)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let mut to = StreamOwned::new(connection, socket);
    to.write_all(request)?;
    to.flush()?;
    let mut answer = Vec::new();
    match to.read_to_end(&mut answer) {
        // Some servers close without the end of TLS.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

/// Passes one request and its answer on. Each has a separate connection.
fn relay(mut from: StreamOwned<ServerConnection, TcpStream>, shared: &Shared) -> io::Result<()> {
    from.sock.set_read_timeout(Some(TIMEOUT))?;
    let request = read_request(&mut from)?;
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let answer = exchange(&shared.server, &shared.client, &request)?;
    if fastrand::f64() < shared.loss {
        shared.lost.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    from.write_all(&answer)?;
    from.conn.send_close_notify();
    from.flush()
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
