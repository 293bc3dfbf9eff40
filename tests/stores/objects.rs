//! Object stores: versitygw and moto for `s3://`, Azurite for `az://`, fake-gcs-server for `gs://`.

use std::fs;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use elector::election::lock::{Content, LockError};

use crate::place::Place;
use crate::race::TIMEOUT;
use crate::relay::Server;
use crate::server;
use crate::support::eventually;
use crate::support::process::SECRET;
use crate::support::record;

/// Azurite's only account, and the key that Microsoft publishes for it.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Region of the S3 servers.
const REGION: &str = "us-east-1";

/// An object store, of which one server runs in this process's tests.
struct Store {
    /// Name, also of its bucket or container.
    name: &'static str,
    program: &'static str,
    /// Returns the arguments of the program for a port.
    arguments: fn(u16) -> Vec<String>,
    /// Returns the request that creates the bucket or container. It succeeds as soon as the server is ready.
    creation: fn() -> Request,
    /// Returns the request with which another client deletes an election's object; `None` for a server whose
    /// objects are files.
    deletion: Option<fn(&str) -> Request>,
    /// Returns the lock of an election for a server such as `http://127.0.0.1:4000`.
    lock: fn(&str, &str) -> String,
    /// Returns the settings of the access.
    access: fn() -> Vec<(&'static str, String)>,
    running: OnceLock<Option<Running>>,
}

/// A request of a client other than elector.
struct Request {
    method: &'static str,
    target: String,
    /// Header lines.
    headers: String,
    body: &'static str,
}

/// A server that runs.
#[derive(Debug)]
struct Running {
    port: u16,
    folder: PathBuf,
    /// It ends with this.
    _program: ChildStdin,
}

/// Every object store. moto is the last, because it is not made for simultaneous writers.
static STORES: [Store; 4] = [
    Store {
        name: "versitygw",
        program: "versitygw",
        arguments: |port| {
            let secret = s3_secret();
            let listen = format!("127.0.0.1:{port}");
            let access = words("--access elector --secret").chain([secret]);
            let server = words("--health /health --quiet --port").chain([listen]);
            // The bucket is a folder in `data`.
            access.chain(server).chain(words("posix data")).collect()
        },
        creation: || Request::new("GET", "/health"),
        deletion: None,
        lock: |server, election| s3_lock("versitygw", server, election),
        access: s3_access,
        running: OnceLock::new(),
    },
    Store {
        name: "azurite",
        program: "azurite-blob",
        arguments: |port| {
            let options =
                "--inMemoryPersistence --disableTelemetry --silent --blobHost 127.0.0.1 --blobPort";
            words(options).chain([port.to_string()]).collect()
        },
        creation: || {
            let target = format!("/{ACCOUNT}/azurite?restype=container&{}", shared_access());
            Request::new("PUT", target)
        },
        deletion: Some(|election| {
            let blob = format!("/{ACCOUNT}/azurite/locks/{election}");
            Request::new("DELETE", format!("{blob}?{}", shared_access()))
        }),
        lock: |server, election| {
            format!("az://{ACCOUNT}/azurite/locks/{election}?endpoint={server}/{ACCOUNT}")
        },
        access: || vec![("LOCK_TOKEN", shared_access())],
        running: OnceLock::new(),
    },
    Store {
        name: "fake-gcs-server",
        program: "fake-gcs-server",
        arguments: |port| {
            let options = words("-backend memory -scheme http -host 127.0.0.1 -port");
            options.chain([port.to_string()]).collect()
        },
        creation: || {
            let request = Request::new("POST", "/storage/v1/b?project=elector");
            Request {
                body: r#"{"name": "fake-gcs-server"}"#,
                ..request
            }
        },
        deletion: Some(|election| {
            let object = format!("/storage/v1/b/fake-gcs-server/o/locks%2F{election}");
            Request::new("DELETE", object)
        }),
        lock: |server, election| format!("gs://fake-gcs-server/locks/{election}?endpoint={server}"),
        access: Vec::new,
        running: OnceLock::new(),
    },
    Store {
        name: "moto",
        program: "moto_server",
        arguments: |port| words("-H 127.0.0.1 -p").chain([port.to_string()]).collect(),
        creation: || Request::new("PUT", "/moto"),
        deletion: Some(|election| Request {
            // moto does not check the signature, but there must be one.
            headers:
                "authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0\r\n"
                    .to_owned(),
            ..Request::new("DELETE", format!("/moto/locks/{election}"))
        }),
        lock: |server, election| s3_lock("moto", server, election),
        access: s3_access,
        running: OnceLock::new(),
    },
];

/// Returns an election's object on each server that is installed, and names the others.
pub(crate) fn places(election: &str) -> Vec<Place> {
    STORES
        .iter()
        .filter_map(|store| store.place(election))
        .collect()
}

impl Store {
    fn place(&self, election: &str) -> Option<Place> {
        let running = self.running.get_or_init(|| self.start()).as_ref()?;
        Some(self.place_on(running.port, election))
    }

    /// Deletes an election's object as another client.
    fn delete(&self, place: &Place, election: &str) {
        let running = self.running.get().and_then(Option::as_ref).unwrap();
        let Some(deletion) = self.deletion else {
            let bucket = running.folder.join("data").join(self.name);
            fs::remove_file(bucket.join("locks").join(election)).unwrap();
            return;
        };
        let request = deletion(election).bytes();
        let answer = Server::of(place).unwrap().exchange(&request).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }

    fn place_on(&self, port: u16, election: &str) -> Place {
        Place {
            lock: (self.lock)(&format!("http://127.0.0.1:{port}"), election),
            access: (self.access)(),
            ca_file: None,
        }
    }

    fn start(&self) -> Option<Running> {
        let program = server::find(self.program, &format!("locks on {} are", self.name))?;
        let folder = server::folder(self.name);
        fs::create_dir_all(folder.join("data").join(self.name)).unwrap();
        let [port] = server::free_ports();
        let running = Running {
            port,
            _program: server::run(&folder, &program, &(self.arguments)(port)),
            folder,
        };
        let server = Server::of(&self.place_on(port, "ready")).unwrap();
        let request = (self.creation)().bytes();
        let logs = running.folder.display();
        eventually(&format!("{} is ready, see {logs}", self.name), || {
            let answer = server.exchange(&request).unwrap_or_default();
            // An answer to an earlier request may have been lost, while the server started.
            ["200", "201", "409"]
                .iter()
                .any(|status| answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()))
        });
        Some(running)
    }
}

impl Request {
    fn new(method: &'static str, target: impl Into<String>) -> Request {
        Request {
            method,
            target: target.into(),
            headers: String::new(),
            body: "",
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let Request {
            method,
            target,
            headers,
            body,
        } = self;
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{headers}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        head.into_bytes()
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(' ').map(str::to_owned)
}

fn s3_secret() -> String {
    format!("{SECRET}-of-s3")
}

fn s3_access() -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ACCESS_KEY_ID", "elector".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", s3_secret()),
    ]
}

fn s3_lock(bucket: &str, server: &str, election: &str) -> String {
    format!("s3://{bucket}/locks/{election}?region={REGION}&endpoint={server}")
}

/// Returns a shared access signature for the account: every right on its containers and blobs.
fn shared_access() -> String {
    let (version, rights, end) = ("2021-12-02", "rwdlac", "2099-12-31T00:00:00Z");
    // Account, permissions, services, types, start, end, addresses, protocols, version, encryption scope.
    let signed = format!("{ACCOUNT}\n{rights}\nb\nsco\n\n{end}\n\nhttps,http\n{version}\n\n");
    let key = STANDARD.decode(ACCOUNT_KEY).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let signature = STANDARD.encode(ring::hmac::sign(&key, signed.as_bytes()));
    let escaped = |text: &str| {
        let pairs = [
            ("%", "%25"),
            ("+", "%2B"),
            ("/", "%2F"),
            ("=", "%3D"),
            (":", "%3A"),
            (",", "%2C"),
        ];
        let mut text = text.to_owned();
        for (character, code) in pairs {
            text = text.replace(character, code);
        }
        text
    };
    format!(
        "sv={version}&ss=b&srt=sco&sp={rights}&se={}&spr={}&sig={}",
        escaped(end),
        escaped("https,http"),
        escaped(&signature)
    )
}

#[test]
fn deleted_object_is_not_created_again() {
    for store in &STORES {
        let Some(place) = store.place("deleted") else {
            continue;
        };
        let mut lock = place.open("a").lock;
        lock.get(TIMEOUT).unwrap();
        lock.create(&record("a", 7), TIMEOUT).unwrap();
        store.delete(&place, "deleted");
        let error = lock.update(&record("a", 7), TIMEOUT).unwrap_err();
        assert!(
            matches!(error, LockError::Conflict),
            "{}: {error}",
            store.name
        );
        let content = lock.get(TIMEOUT).unwrap().content;
        assert_eq!(content, Content::Deleted, "{}", store.name);
    }
}

#[test]
fn missing_bucket_is_named() {
    for store in &STORES {
        let Some(place) = store.place("missing") else {
            continue;
        };
        let lock = place
            .lock
            .replace(&format!("/{}/", store.name), "/missing/");
        let mut lock = Place { lock, ..place }.open("a").lock;
        let error = match lock.get(TIMEOUT) {
            // Google does not tell a missing bucket from a missing object.
            Ok(observed) => {
                assert_eq!(observed.content, Content::Deleted, "{}", store.name);
                lock.create(&record("a", 7), TIMEOUT).unwrap_err()
            }
            Err(error) => error,
        };
        assert!(
            matches!(error, LockError::NotFound(_)),
            "{}: {error}",
            store.name
        );
        assert!(error.to_string().contains("create it"), "{error}");
    }
}

#[test]
fn wrong_credentials_are_named() {
    let wrong = [
        (
            "versitygw",
            "AWS_SECRET_ACCESS_KEY",
            format!("{SECRET}-of-nobody"),
        ),
        (
            "azurite",
            "LOCK_TOKEN",
            shared_access().replace("rwdlac", "rwdlacu"),
        ),
    ];
    for (name, setting, value) in wrong {
        let store = STORES.iter().find(|store| store.name == name).unwrap();
        let Some(mut place) = store.place("refused") else {
            continue;
        };
        place.access.retain(|(known, _)| *known != setting);
        place.access.push((setting, value));
        let error = place.open("a").lock.get(TIMEOUT).unwrap_err();
        assert!(
            matches!(error, LockError::Unauthorized(_)),
            "{name}: {error}"
        );
        println!("{name}: {error}");
    }
}
