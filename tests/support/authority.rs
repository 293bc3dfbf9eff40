//! A certificate authority that no client trusts by default.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// Authority, and a server for one name with a certificate from it.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) server: Arc<ServerConfig>,
}

impl Authority {
    pub(crate) fn for_name(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap();
        Authority {
            pem: issuer.pem(),
            server: server(&leaf, &key),
        }
    }

    /// Returns a server with a self-signed certificate.
    pub(crate) fn of_itself(params: &CertificateParams) -> Authority {
        let key = KeyPair::generate().unwrap();
        let leaf = params.self_signed(&key).unwrap();
        Authority {
            pem: leaf.pem(),
            server: server(&leaf, &key),
        }
    }
}

fn server(leaf: &Certificate, key: &KeyPair) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        );
    Arc::new(config.unwrap())
}
