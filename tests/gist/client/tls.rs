//! Trust of the gist client.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa};

use super::*;
use crate::support::authority::Authority;

/// Writes the certificate of `authority` into a file.
fn file(authority: &Authority, name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("{name}-{}.pem", std::process::id()));
    std::fs::write(&path, format!("# ours\n{}", authority.pem)).unwrap();
    path
}

fn client(server: &Server, roots: Option<PathBuf>) -> GistClient {
    secrets::listen();
    let mut config = config(&format!("https://localhost:{}", server.address.port()));
    config.ca_file = roots;
    GistClient::new(config).unwrap()
}

#[test]
fn ssl_cert_file_makes_server_trusted() {
    let authority = Authority::for_name("localhost");
    let file = file(&authority, "trusted");
    let server = Server::with_tls([good(), good()], Arc::clone(&authority.server));
    let mut client = client(&server, Some(file.clone()));
    std::fs::remove_file(file).unwrap();
    assert_eq!(text(&client.call(&read(), AMPLE)), "x");
    assert_eq!(text(&client.call(&write(), AMPLE)), "x");
    assert_eq!(server.requests().len(), 2);
    assert_eq!(server.connections(), 1, "the connection is used again");
}

#[test]
fn untrusted_server_receives_nothing() {
    let authority = Authority::for_name("localhost");
    let server = Server::with_tls([good()], Arc::clone(&authority.server));
    let mut client = client(&server, None);
    for request in [read(), write()] {
        assert_unavailable(client.call(&request, AMPLE), "SSL_CERT_FILE");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn certificate_for_other_name_is_refused() {
    let authority = Authority::for_name("elsewhere.example");
    let file = file(&authority, "elsewhere");
    let server = Server::with_tls([good()], Arc::clone(&authority.server));
    let mut client = client(&server, Some(file.clone()));
    std::fs::remove_file(file).unwrap();
    assert_unavailable(client.call(&write(), AMPLE), "another name");
    assert!(server.requests().is_empty());
}

#[test]
fn unfit_self_signed_certificate_is_explained() {
    let named = || CertificateParams::new(["localhost".to_owned()]).unwrap();
    let mut of_authority = named();
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut of_client = named();
    of_client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let nameless = CertificateParams::default();
    for (params, problem) in [
        (of_authority, "CA:TRUE"),
        (of_client, "serverAuth"),
        (nameless, "no subjectAltName"),
    ] {
        let authority = Authority::of_itself(&params);
        let file = file(&authority, "unfit");
        let server = Server::with_tls([good()], Arc::clone(&authority.server));
        let mut client = client(&server, Some(file.clone()));
        std::fs::remove_file(file).unwrap();
        let error = error(client.call(&read(), AMPLE)).to_string();
        for part in [
            problem,
            "openssl req -x509",
            "subjectAltName=DNS:localhost",
            "CA:FALSE",
            "SSL_CERT_FILE",
        ] {
            assert!(error.contains(part), "{error}: {part}");
        }
        assert!(server.requests().is_empty());
    }
}

#[test]
fn fit_self_signed_certificate_is_trusted() {
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let authority = Authority::of_itself(&params);
    let file = file(&authority, "fit");
    let server = Server::with_tls([good()], Arc::clone(&authority.server));
    let mut client = client(&server, Some(file.clone()));
    std::fs::remove_file(file).unwrap();
    assert_eq!(text(&client.call(&read(), AMPLE)), "x");
}

#[test]
fn hung_handshake_times_out() {
    for step in [Step::Hang, Step::Trickle(String::new())] {
        // It waits for a whole head, which no handshake is.
        let server = Server::new([step]);
        let mut client = client(&server, None);
        let started = Monotonic::now();
        let answer = client.call(&write(), Duration::from_millis(300));
        assert_unavailable(answer, "cannot set up TLS with localhost");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn tls_works_through_proxy() {
    let authority = Authority::for_name("ghe.invalid");
    let file = file(&authority, "proxied");
    let server = Server::with_tls([good(), good()], Arc::clone(&authority.server));
    let (address, heads) = proxy(server.address, "HTTP/1.1 200 OK\r\n\r\n");
    let mut config = config("https://ghe.invalid/api/v3");
    config.ca_file = Some(file.clone());
    config.proxy.https_proxy = Some(address.to_string());
    let mut client = GistClient::new(config).unwrap();
    std::fs::remove_file(file).unwrap();
    assert_eq!(text(&client.call(&read(), AMPLE)), "x");
    assert_eq!(text(&client.call(&write(), AMPLE)), "x");
    let heads = heads.lock().unwrap();
    assert!(
        heads[0].starts_with("CONNECT ghe.invalid:443 "),
        "{}",
        heads[0]
    );
    assert_eq!(heads.len(), 1);
}

/// Returns an answer after which the server closes the connection.
fn last() -> Step {
    Step::Last(http(200, &[], &gist("x", 3)).into_bytes())
}

#[test]
fn rotated_authority_is_trusted_without_restart() {
    let (old, new) = (
        Authority::for_name("localhost"),
        Authority::for_name("localhost"),
    );
    let path = file(&old, "rotated");
    let server = Server::with_tls(vec![last(); 3], Arc::clone(&old.server));
    let mut client = client(&server, Some(path.clone()));
    assert_eq!(text(&client.call(&read(), AMPLE)), "x");
    server.use_tls(&new.server);
    let answer = client.call(&write(), AMPLE);
    assert_unavailable(answer, "must also hold the roots of other hosts");
    // A file without certificates changes nothing, and one with the new authority does.
    std::fs::write(&path, "none").unwrap();
    assert_unavailable(client.call(&write(), AMPLE), "not trusted");
    std::fs::write(&path, format!("{}{}", old.pem, new.pem)).unwrap();
    assert_eq!(text(&client.call(&write(), AMPLE)), "x");
    server.use_tls(&old.server);
    assert_eq!(text(&client.call(&read(), AMPLE)), "x");
    std::fs::remove_file(path).unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn new_connection_resumes_tls_session() {
    let authority = Authority::for_name("localhost");
    let file = file(&authority, "resumed");
    let server = Server::with_tls(vec![last(); 3], Arc::clone(&authority.server));
    let mut client = client(&server, Some(file.clone()));
    for request in [read(), write(), read()] {
        assert_eq!(text(&client.call(&request, AMPLE)), "x");
    }
    std::fs::remove_file(file).unwrap();
    assert_eq!(server.connections(), 3);
    let end = Monotonic::now() + AMPLE;
    while server.resumed() < 2 {
        assert!(Monotonic::now() < end, "{} resumed", server.resumed());
        std::thread::yield_now();
    }
}
