//! TLS: whom to trust, and the connector that ureq runs to encrypt a connection.
//!
//! ureq can replace its built-in roots but not add to them, as its own roots are no whole
//! certificates. Hence this connector of our own; it also keeps one configuration for all
//! connections, so that sessions are resumed, which ureq does not for requests with a timeout.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::SigningKey;
use rustls::{CertificateError, ClientConfig, RootCertStore, StreamOwned};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::connect::{CallState, Failure};

/// The longest file of certificates, in bytes: a whole system's has some 250 kB.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// Whom to trust: the built-in roots, and those in the file of `extra` (PEM).
///
/// # Errors
/// The file cannot be read or has no certificate that could be trusted; the text names the file.
pub(super) fn config(extra: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = extra {
        add_roots(&mut roots, path).map_err(|why| format!("{path:?} (SSL_CERT_FILE) {why}"))?;
    }
    let provider = Arc::new(CryptoProvider {
        key_provider: &NoKeys,
        ..rustls::crypto::ring::default_provider()
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up ({error})"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// We have no certificate of our own, and so no key: what signs with one stays out of the program.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(
        &self,
        _: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General(
            "no key can be used for a certificate of one's own".to_owned(),
        ))
    }
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let unreadable =
        |error: io::Error| format!("cannot be read ({error}); check the path and its permissions");
    let mut pem = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LONGEST_FILE + 1)
        .read_to_end(&mut pem)
        .map_err(unreadable)?;
    if pem.len() as u64 > LONGEST_FILE {
        return Err(format!("is longer than {} MiB", LONGEST_FILE / 1024 / 1024));
    }
    let (mut good, mut bad) = (0_u32, 0_u32);
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate
            .map_err(|error| format!("is no proper PEM file ({error}); write it anew"))?;
        match roots.add(certificate) {
            Ok(()) => good += 1,
            Err(_) => bad += 1,
        }
    }
    if good == 0 {
        return Err(format!(
            "holds no certificate that could be trusted ({bad} unusable); it must hold PEM certificates (-----BEGIN CERTIFICATE-----)"
        ));
    }
    if bad > 0 {
        log::warn!("{bad} of the certificates in {path:?} (SSL_CERT_FILE) cannot be used");
    }
    Ok(())
}

/// Encrypts connections to `https://` hosts.
pub(super) struct TlsConnector {
    config: Arc<ClientConfig>,
    state: Arc<CallState>,
}

impl TlsConnector {
    pub(super) fn new(config: Arc<ClientConfig>, state: Arc<CallState>) -> Self {
        TlsConnector { config, state }
    }

    fn encrypt<In: Transport>(
        &self,
        details: &ConnectionDetails<'_>,
        plain: In,
        host: &str,
    ) -> Result<TlsTransport, String> {
        let name = ServerName::try_from(host)
            .map_err(|_| "that is no name a certificate could be for".to_owned())?
            .to_owned();
        let mut conn = ClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|error| error.to_string())?;
        let mut sock = TransportAdapter::<Box<dyn Transport>>::new(
            Box::new(plain),
            Arc::clone(&details.current_time),
        );
        sock.set_timeout(self.state.cap(details.timeout));
        conn.complete_io(&mut sock).map_err(explain)?;
        Ok(TlsTransport {
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
            stream: StreamOwned { conn, sock },
        })
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(plain) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || plain.is_tls() {
            return Ok(Some(Either::A(plain)));
        }
        let host = details.uri.host().unwrap_or("");
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match self.encrypt(details, plain, host) {
            Ok(encrypted) => Ok(Some(Either::B(encrypted))),
            Err(why) => Err(Failure::Tls {
                host: host.to_owned(),
                why,
            }
            .into()),
        }
    }
}

/// Why a handshake failed, and what to do.
fn explain(error: io::Error) -> String {
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(certificate)) = cause {
        return match certificate {
            CertificateError::UnknownIssuer => {
                "nobody we trust has signed its certificate; if it is right, put the certificate of its authority (PEM) into a file and set SSL_CERT_FILE to that".to_owned()
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid at this time; check this machine's clock".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name; check the address that is set".to_owned()
            }
            other => format!("its certificate is not good ({other:?})"),
        };
    }
    if cause.is_some() {
        return error.to_string();
    }
    match Error::from(error) {
        Error::Timeout(_) => "it did not answer in time".to_owned(),
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection".to_owned()
        }
        other => other.to_string(),
    }
}

/// An encrypted connection.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_roots_are_trusted_without_a_file() {
        assert!(config(None).is_ok());
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let folder = std::env::temp_dir().join(format!("roots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        for (name, text) in [
            ("empty", ""),
            ("text", "hello"),
            ("broken", broken),
            ("cut", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            let error = config(Some(&path)).unwrap_err();
            assert!(error.contains("SSL_CERT_FILE"), "{error}");
            assert!(error.contains(name), "{error}");
        }
        assert!(config(Some(&folder.join("none"))).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
