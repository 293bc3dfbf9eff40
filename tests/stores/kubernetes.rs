//! A real API server with its etcd, for Leases.

use std::fs;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::OnceLock;

use elector::election::lock::{Content, LockError};

use crate::place::Place;
use crate::race::TIMEOUT;
use crate::relay::Server;
use crate::server;
use crate::support::eventually;
use crate::support::process::SECRET;
use crate::support::record;

/// Namespace of the Leases. Every API server has it.
pub(crate) const NAMESPACE: &str = "default";

/// A running API server.
#[derive(Debug)]
struct Cluster {
    port: u16,
    folder: PathBuf,
    token: String,
    /// They end with these.
    _programs: [ChildStdin; 2],
}

/// Returns an election's Lease; `None` if the server's programs are missing.
pub(crate) fn place(election: &str) -> Option<Place> {
    Some(cluster()?.place(election))
}

impl Cluster {
    fn place(&self, election: &str) -> Place {
        Place {
            lock: format!("lease://127.0.0.1:{}/{NAMESPACE}/{election}", self.port),
            access: vec![("LOCK_TOKEN", self.token.clone())],
            ca_file: Some(self.folder.join("certs/apiserver.crt")),
        }
    }
}

/// Returns the only server of this process. It ends with the process.
fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(start).as_ref()
}

fn start() -> Option<Cluster> {
    let what = "Leases on a real API server are";
    let etcd = server::find("etcd", what)?;
    let api_server = server::find("kube-apiserver", what)?;
    let folder = server::folder("kubernetes");
    let [port, client, peer] = server::free_ports();
    let [client, peer] = [client, peer].map(|port| format!("http://127.0.0.1:{port}"));
    let etcd_arguments = [
        "--data-dir=etcd".to_owned(),
        // The data need not survive the machine.
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ];
    let token = format!("{SECRET}-of-the-admin");
    let tokens = format!("{token},admin,1,\"system:masters\"\n");
    fs::write(folder.join("tokens"), tokens).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(folder.join("key"), key.serialize_pem()).unwrap();
    fs::write(folder.join("key.pub"), key.public_key_pem()).unwrap();
    let server_arguments = [
        format!("--etcd-servers={client}"),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--cert-dir=certs".to_owned(),
        "--token-auth-file=tokens".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-account-key-file=key.pub".to_owned(),
        "--service-account-signing-key-file=key".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
    ];
    let cluster = Cluster {
        port,
        token,
        _programs: [
            server::run(&folder, &etcd, &etcd_arguments),
            server::run(&folder, &api_server, &server_arguments),
        ],
        folder,
    };
    let place = cluster.place("ready");
    let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let logs = cluster.folder.display();
    eventually(&format!("the API server is ready, see {logs}"), || {
        let answer = Server::of(&place).and_then(|server| server.exchange(request.as_bytes()));
        answer.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
    });
    Some(cluster)
}

/// Sends a request about a Lease as another client. Returns the answer's first line.
fn call(place: &Place, method: &str, path: &str, body: &str) -> String {
    let folder = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    let request = format!(
        "{method} {folder}{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         authorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        place.setting("LOCK_TOKEN"),
        body.len()
    );
    let answer = Server::of(place).unwrap().exchange(request.as_bytes());
    let answer = String::from_utf8_lossy(&answer.unwrap()).into_owned();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn empty_lease_can_be_acquired() {
    let Some(place) = place("empty") else { return };
    let body = r#"{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "empty"}}"#;
    assert!(call(&place, "POST", "", body).contains("201"));
    let mut lock = place.open("a").lock;
    assert_eq!(lock.get(TIMEOUT).unwrap().content.holder(), "");
    lock.update(&record("a", 7), TIMEOUT).unwrap();
    assert_eq!(lock.get(TIMEOUT).unwrap().mine, Some(1));
}

#[test]
fn deleted_lease_is_not_created_again() {
    let Some(place) = place("deleted") else {
        return;
    };
    let mut lock = place.open("a").lock;
    lock.get(TIMEOUT).unwrap();
    lock.create(&record("a", 7), TIMEOUT).unwrap();
    assert!(call(&place, "DELETE", "/deleted", "").contains("200"));
    let error = lock.update(&record("a", 7), TIMEOUT).unwrap_err();
    assert!(matches!(error, LockError::Conflict), "{error}");
    assert!(call(&place, "GET", "/deleted", "").contains("404"));
    assert_eq!(lock.get(TIMEOUT).unwrap().content, Content::Deleted);
}

#[test]
fn wrong_token_and_namespace_are_named() {
    let Some(good) = place("refused") else { return };
    let wrong = Place {
        access: vec![("LOCK_TOKEN", format!("{SECRET}-of-nobody"))],
        ..good.clone()
    };
    let error = wrong.open("a").lock.get(TIMEOUT).unwrap_err();
    assert!(matches!(error, LockError::Unauthorized(_)), "{error}");
    let missing = Place {
        lock: good.lock.replace(NAMESPACE, "missing"),
        ..good
    };
    let mut lock = missing.open("a").lock;
    assert_eq!(lock.get(TIMEOUT).unwrap().content, Content::Deleted);
    let error = lock.create(&record("a", 7), TIMEOUT).unwrap_err();
    assert!(matches!(error, LockError::NotFound(_)), "{error}");
    assert!(error.to_string().contains("create it"), "{error}");
}
