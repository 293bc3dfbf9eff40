//! Whom the client trusts.

use std::path::PathBuf;

use super::*;
use crate::support::authority::Authority;

/// Its certificate, in a file.
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
fn a_server_is_trusted_by_the_file_of_further_certificates() {
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
fn an_unknown_server_is_refused_before_anything_is_sent() {
    let authority = Authority::for_name("localhost");
    let server = Server::with_tls([good()], Arc::clone(&authority.server));
    let mut client = client(&server, None);
    for request in [read(), write()] {
        assert_unavailable(client.call(&request, AMPLE), "SSL_CERT_FILE");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::for_name("elsewhere.example");
    let file = file(&authority, "elsewhere");
    let server = Server::with_tls([good()], Arc::clone(&authority.server));
    let mut client = client(&server, Some(file.clone()));
    std::fs::remove_file(file).unwrap();
    assert_unavailable(client.call(&write(), AMPLE), "another name");
    assert!(server.requests().is_empty());
}

#[test]
fn a_hung_handshake_is_given_up_in_time() {
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
fn tls_works_through_a_proxy() {
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
