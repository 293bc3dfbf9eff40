//! TLS: the trusted root certificates, and ureq's connector with errors that say what to do.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use rustls::{CertificateError, RootCertStore};
use ureq::Error;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::{ConnectionDetails, Connector, RustlsConnector, Transport};

use super::watched_file::WatchedFile;

/// Greatest size of a file of certificates, in bytes. A whole system's has about 250 kB.
const MAX_FILE_SIZE: u64 = 4 * 1024 * 1024;

/// Markers around a block of a PEM file, without its kind.
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

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
                log::info!(event = "roots_changed", path:% = file.path().display(); "read changed root certificates");
                self.certificates = certificates;
                true
            }
            Err(problem) => {
                log::warn!(
                    event = "roots_unusable", path:% = file.path().display(), error = problem;
                    "cannot use SSL_CERT_FILE, keeping the previous root certificates"
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
    let content = file.read()?;
    // ureq ignores certificates that it cannot use; this finds out whether any is left.
    let mut usable = RootCertStore::empty();
    let (mut certificates, mut unusable) = (Vec::new(), 0_u32);
    let tidy = tidied(&content);
    if lacks_line_breaks(&tidy) {
        return Err(
            "is not a valid PEM file: its line breaks are missing; write it again with them".into(),
        );
    }
    for certificate in CertificateDer::pem_slice_iter(&tidy) {
        let certificate = certificate.map_err(|error| malformed(&error).to_owned())?;
        match usable.add(certificate.clone()) {
            Ok(()) => certificates.push(Certificate::from_der(&certificate).to_owned()),
            Err(_) => unusable += 1,
        }
    }
    if certificates.is_empty() {
        let problem = match unusable {
            0 => without_certificate(&content).to_owned(),
            _ => format!("holds no usable certificate ({unusable} unusable)"),
        };
        return Err(format!(
            "{problem}; put PEM certificates (-----BEGIN CERTIFICATE-----) there"
        ));
    }
    if unusable > 0 {
        log::warn!(event = "roots_skipped", path:% = file.path().display(), count = unusable; "skipped unusable certificates in SSL_CERT_FILE");
    }
    Ok(RootCerts::from(certificates))
}

/// Returns the text of a PEM file so that every block begins a line: without byte order marks and
/// indentation, and with a line break between two files that were joined without one.
fn tidied(content: &[u8]) -> Vec<u8> {
    let mut tidy = Vec::with_capacity(content.len());
    for line in content.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let mut rest = line.trim_ascii();
        while let Some(after) = rest.strip_prefix(b"\xef\xbb\xbf") {
            rest = after.trim_ascii();
        }
        if rest.starts_with(END)
            && let Some(next) = find(rest, BEGIN)
        {
            tidy.extend([&rest[..next], b"\n"].concat());
            rest = &rest[next..];
        }
        tidy.extend([rest, b"\n"].concat());
    }
    tidy
}

/// Returns whether a block of a PEM file begins in a line that holds more of it.
fn lacks_line_breaks(tidy: &[u8]) -> bool {
    tidy.split(|byte| *byte == b'\n').any(|line| {
        let Some(begin) = find(line, BEGIN) else {
            return false;
        };
        let label = &line[begin + BEGIN.len()..];
        let is_marker = find(label, b"-----").is_some_and(|end| end + 5 == label.len());
        !is_marker && (begin == 0 || find(label, END).is_some())
    })
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Returns what is wrong with a PEM file. The error itself may contain a private key.
fn malformed(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "is not a valid PEM file: its last block has no -----END line; write it again"
        }
        pem::Error::Base64Decode(_) => {
            "is not a valid PEM file: a block is not base64; write it again"
        }
        _ => "is not a valid PEM file; write it again",
    }
}

/// Returns what a file without any certificate is, without its content.
fn without_certificate(content: &[u8]) -> &'static str {
    match content {
        _ if content.trim_ascii().is_empty() => "is empty",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'-', ..] | [b'-', 0, ..] => {
            "is UTF-16 text, not UTF-8"
        }
        [0x30, 0x80..=0x84, ..] => "is binary (DER)",
        _ if find(content, b"PRIVATE KEY-----").is_some() => {
            "holds a private key, but no certificate"
        }
        _ => "holds no certificate",
    }
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
            let why = explain(&error, host);
            Error::Other(format!("cannot set up TLS with {host}: {why}").into())
        })
    }
}

/// Returns why a handshake with `host` failed, and what to do.
fn explain(error: &Error, host: &str) -> String {
    match error {
        Error::Timeout(_) => "it did not answer in time".to_owned(),
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection".to_owned()
        }
        Error::Io(error) => {
            let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
            match cause {
                Some(rustls::Error::InvalidCertificate(error)) => explain_certificate(error, host),
                _ => error.to_string(),
            }
        }
        other => other.to_string(),
    }
}

fn explain_certificate(error: &CertificateError, host: &str) -> String {
    let unfit = |why: &str| format!("{why}; {}", fit_certificate(host));
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
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            unfit("its certificate names no host, because it has no subjectAltName")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; check the configured address".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            unfit("its certificate is not for servers, because its extendedKeyUsage lacks serverAuth")
        }
        // rustls passes these on without a type.
        CertificateError::Other(other) => match format!("{:?}", other.0).as_str() {
            "CaUsedAsEndEntity" => {
                unfit("its certificate is that of an authority (CA:TRUE), which cannot be a server's")
            }
            "UnsupportedCertVersion" => unfit("its certificate is not of X.509 version 3"),
            other => unfit(&format!("its certificate is invalid ({other})")),
        },
        other => unfit(&format!("its certificate is invalid ({other:?})")),
    }
}

/// Returns which certificate a server needs that has no other authority than itself.
fn fit_certificate(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let kind = match host.parse::<IpAddr>() {
        Ok(_) => "IP",
        Err(_) => "DNS",
    };
    format!(
        "a server needs one of version 3 with its name and CA:FALSE: openssl req -x509 -newkey rsa:2048 \
         -nodes -days 365 -keyout key.pem -out cert.pem -subj /CN={host} -addext \
         subjectAltName={kind}:{host} -addext basicConstraints=critical,CA:FALSE; use it at the server, and \
         put cert.pem into the file that SSL_CERT_FILE names"
    )
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

    /// Returns a self-signed certificate and its private key (PEM).
    fn pem() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// Returns the number of certificates that a file with this content holds.
    fn certificates(content: &[u8]) -> Result<usize, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, content).unwrap();
        match Roots::open(Some(file.path()))?.certificates {
            RootCerts::Specific(certificates) => Ok(certificates.len()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_certificate_is_read() {
        let ((one, key), (two, _)) = (pem(), pem());
        let bom = "\u{feff}";
        let indented = |pem: &str| pem.replace('\n', "\n    ");
        for (content, count) in [
            (format!("{bom}{one}"), 1),
            (format!("{bom}{one}{two}"), 2),
            (format!("{one}{bom}{two}"), 2),
            (format!("{one}{key}{two}"), 2),
            (format!("    {}\n    {}", indented(&one), indented(&two)), 2),
            (format!("{}{two}", one.trim_end()), 2),
            (format!("{}{bom}{two}", one.trim_end()), 2),
            (format!("{one}{two}").replace('\n', "\r\n"), 2),
            (format!("{one}{two}").replace('\n', "\r"), 2),
            (format!("# ours\n{one}# theirs -----BEGIN\n{two}"), 2),
        ] {
            assert_eq!(certificates(content.as_bytes()), Ok(count), "{content:?}");
        }
    }

    #[test]
    fn unusable_content_is_never_shown() {
        let (one, key) = pem();
        let flat = |text: &str| text.replace('\n', "");
        let utf16 = |text: &str, le: bool| -> Vec<u8> {
            let units = text.encode_utf16();
            let pairs = units.map(|unit| {
                if le {
                    unit.to_le_bytes()
                } else {
                    unit.to_be_bytes()
                }
            });
            pairs.flatten().collect()
        };
        let der = CertificateDer::from_pem_slice(one.as_bytes()).unwrap();
        for (content, problem) in [
            (flat(&one).into_bytes(), "line breaks are missing"),
            (
                format!("CERT=\"{}\"", flat(&one)).into_bytes(),
                "line breaks are missing",
            ),
            (flat(&key).into_bytes(), "line breaks are missing"),
            (
                format!("{one}{}", flat(&key)).into_bytes(),
                "line breaks are missing",
            ),
            (
                one.replace('\n', "\\n").into_bytes(),
                "line breaks are missing",
            ),
            (
                key.replace('\n', " ").into_bytes(),
                "line breaks are missing",
            ),
            (one.as_bytes()[..one.len() / 2].to_vec(), "no -----END line"),
            (key.as_bytes()[..key.len() / 2].to_vec(), "no -----END line"),
            (key.replace("MI", "M!").into_bytes(), "not base64"),
            (
                key.clone().into_bytes(),
                "a private key, but no certificate",
            ),
            (der.to_vec(), "binary (DER)"),
            (utf16(&one, true), "UTF-16"),
            (utf16(&format!("\u{feff}{key}"), true), "UTF-16"),
            (utf16(&format!("\u{feff}{key}"), false), "UTF-16"),
            (utf16(&key, false), "UTF-16"),
            (Vec::new(), "is empty"),
            (b" \n".to_vec(), "is empty"),
            (b"hello".to_vec(), "holds no certificate"),
            (
                key.replace("-----BEGIN", "----BEGIN").into_bytes(),
                "no certificate",
            ),
        ] {
            let error = certificates(&content).unwrap_err();
            assert!(error.starts_with("SSL_CERT_FILE: "), "{error}");
            assert!(error.contains(problem), "{error}: {problem}");
            assert!(error.len() < 250, "{error}");
            for secret in [&key, &one] {
                let body = secret.lines().nth(1).unwrap().as_bytes();
                let as_numbers = format!("{:?}", &body[..6]);
                let as_numbers = as_numbers.trim_matches(['[', ']']);
                let as_text = String::from_utf8_lossy(&body[..6]);
                assert!(!error.contains(&*as_text), "{error}");
                assert!(!error.contains(as_numbers), "{error}");
            }
        }
    }

    #[test]
    fn file_error_names_setting_and_path() {
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
