//! TLS: the trusted root certificates, and ureq's connector with errors that say what to do.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use rustls::{CertificateError, RootCertStore};
use ureq::Error;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::{ConnectionDetails, Connector, RustlsConnector, Transport};

use super::watched_file::WatchedFile;

/// Greatest size of a file of certificates, in bytes. A whole system's has about 250 kB.
const MAX_FILE_SIZE: u64 = 4 * 1024 * 1024;

/// Trusted root certificates: the built-in ones, or those of the file that `SSL_CERT_FILE` names.
#[derive(Debug)]
pub(super) struct Roots {
    certificates: RootCerts,
    file: Option<WatchedFile>,
}

impl Roots {
    /// Reads the roots from `file` (PEM), which replace the built-in ones.
    ///
    /// # Errors
    /// Returns an error that names the setting and the file if the file holds no usable certificate.
    pub(super) fn open(file: Option<&Path>) -> Result<Roots, String> {
        let Some(path) = file else {
            return Ok(Roots {
                certificates: RootCerts::WebPki,
                file: None,
            });
        };
        let mut file = WatchedFile::new(path, MAX_FILE_SIZE);
        let certificates =
            read(&mut file).map_err(|problem| format!("SSL_CERT_FILE: {path:?} {problem}"))?;
        Ok(Roots {
            certificates,
            file: Some(file),
        })
    }

    /// Reads the file again if it changed. Returns whether the roots may differ from before. As long as
    /// the file holds no usable certificate, the previous roots stay.
    pub(super) fn refresh(&mut self) -> bool {
        let Some(file) = self.file.as_mut().filter(|file| file.has_changed()) else {
            return false;
        };
        match read(file) {
            Ok(certificates) => {
                log::info!(path:? = file.path(); "root certificates read again");
                self.certificates = certificates;
                true
            }
            Err(problem) => {
                log::warn!(
                    path:? = file.path(), error = problem;
                    "SSL_CERT_FILE unusable, keeping the previous root certificates"
                );
                false
            }
        }
    }

    /// Returns ureq's configuration with these roots.
    pub(super) fn tls_config(&self) -> TlsConfig {
        let provider = CryptoProvider {
            key_provider: &NoClientKeys,
            ..rustls::crypto::ring::default_provider()
        };
        TlsConfig::builder()
            .root_certs(self.certificates.clone())
            .unversioned_rustls_crypto_provider(Arc::new(provider))
            .build()
    }
}

/// Loads no key, because this program has no client certificate. Code for signing stays out of the binary.
#[derive(Debug)]
struct NoClientKeys;

impl KeyProvider for NoClientKeys {
    fn load_private_key(
        &self,
        _: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General(
            "client certificates are not supported".to_owned(),
        ))
    }
}

fn read(file: &mut WatchedFile) -> Result<RootCerts, String> {
    let pem = file.read()?;
    // ureq ignores certificates that it cannot use; this finds out whether any is left.
    let mut usable = RootCertStore::empty();
    let (mut certificates, mut unusable) = (Vec::new(), 0_u32);
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate
            .map_err(|error| format!("is not a valid PEM file ({error}); write it again"))?;
        match usable.add(certificate.clone()) {
            Ok(()) => certificates.push(Certificate::from_der(&certificate).to_owned()),
            Err(_) => unusable += 1,
        }
    }
    if certificates.is_empty() {
        return Err(format!(
            "holds no usable certificate ({unusable} unusable); put PEM certificates \
             (-----BEGIN CERTIFICATE-----) there"
        ));
    }
    if unusable > 0 {
        log::warn!(path:? = file.path(), count = unusable; "certificates in SSL_CERT_FILE unusable");
    }
    Ok(RootCerts::from(certificates))
}

/// ureq's connector, with errors that say what to do.
#[derive(Debug, Default)]
pub(super) struct TlsConnector(RustlsConnector);

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = <RustlsConnector as Connector<In>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        self.0.connect(details, chained).map_err(|error| {
            let host = details.uri.host().unwrap_or_default();
            let why = explain(&error);
            Error::Other(format!("cannot set up TLS with {host}: {why}").into())
        })
    }
}

/// Returns why a handshake failed, and what to do.
fn explain(error: &Error) -> String {
    match error {
        Error::Timeout(_) => "it did not answer in time".to_owned(),
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection".to_owned()
        }
        Error::Io(error) => {
            let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
            match cause {
                Some(rustls::Error::InvalidCertificate(error)) => explain_certificate(error),
                _ => error.to_string(),
            }
        }
        other => other.to_string(),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    match error {
        // A bad signature is that of another authority with the same name, as after a rotation.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate comes from an authority that is not trusted; put that authority's \
             certificate (PEM) into the file that SSL_CERT_FILE names. That file replaces the built-in \
             roots, so it must also hold the roots of other hosts"
                .to_owned()
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid at this time; check this machine's clock".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; check the configured address".to_owned()
        }
        other => format!("its certificate is invalid ({other:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roots_need_no_file() {
        assert!(Roots::open(None).is_ok());
    }

    #[test]
    fn file_replaces_built_in_roots() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        let pem = params.self_signed(&key).unwrap().pem();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, pem).unwrap();
        let roots = Roots::open(Some(file.path())).unwrap();
        let RootCerts::Specific(certificates) = &roots.certificates else {
            panic!("{roots:?}");
        };
        assert_eq!(certificates.len(), 1);
    }

    #[test]
    fn unusable_file_error_names_setting_and_path() {
        let folder = tempfile::tempdir().unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        for (name, text) in [
            ("empty", ""),
            ("text", "hello"),
            ("broken", broken),
            ("cut", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = Roots::open(Some(&path)).unwrap_err();
            assert!(error.contains("SSL_CERT_FILE"), "{error}");
            assert!(error.contains(name), "{error}");
        }
        assert!(Roots::open(Some(&folder.path().join("none"))).is_err());
    }
}
