//! Object stores: versitygw and moto for `s3://`, Azurite for `az://`, fake-gcs-server for `gs://`.

use std::fs;
use std::process::ChildStdin;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::place::Place;
use crate::relay::Server;
use crate::server;
use crate::support::eventually;
use crate::support::process::SECRET;

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
    creation: fn() -> Creation,
    /// Returns the lock of an election for a server such as `http://127.0.0.1:4000`.
    lock: fn(&str, &str) -> String,
    /// Returns the settings of the access.
    access: fn() -> Vec<(&'static str, String)>,
    running: OnceLock<Option<Running>>,
}

struct Creation {
    method: &'static str,
    target: String,
    body: String,
}

/// A server that runs.
#[derive(Debug)]
struct Running {
    port: u16,
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
            let options = [
                "--access", "elector", "--secret", &secret, "--port", &listen,
            ];
            // The bucket is a folder.
            let backend = ["--health", "/health", "--quiet", "posix", "data"];
            options
                .into_iter()
                .chain(backend)
                .map(str::to_owned)
                .collect()
        },
        creation: || Creation::new("GET", "/health", ""),
        lock: |server, election| s3_lock("versitygw", server, election),
        access: s3_access,
        running: OnceLock::new(),
    },
    Store {
        name: "azurite",
        program: "azurite-blob",
        arguments: |port| {
            let port = port.to_string();
            let options = ["--blobHost", "127.0.0.1", "--blobPort", &port];
            // It need not know the newest version of the API that the program asks for.
            let others = ["--inMemoryPersistence", "--skipApiVersionCheck"];
            let quiet = ["--disableTelemetry", "--silent"];
            let all = options.into_iter().chain(others).chain(quiet);
            all.map(str::to_owned).collect()
        },
        creation: || {
            let target = format!("/{ACCOUNT}/azurite?restype=container&{}", shared_access());
            Creation::new("PUT", &target, "")
        },
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
            let port = port.to_string();
            let server = ["-scheme", "http", "-host", "127.0.0.1", "-port", &port];
            let backend = ["-backend", "memory"];
            server
                .into_iter()
                .chain(backend)
                .map(str::to_owned)
                .collect()
        },
        creation: || {
            let body = r#"{"name": "fake-gcs-server"}"#;
            Creation::new("POST", "/storage/v1/b?project=elector", body)
        },
        lock: |server, election| format!("gs://fake-gcs-server/locks/{election}?endpoint={server}"),
        access: Vec::new,
        running: OnceLock::new(),
    },
    Store {
        name: "moto",
        program: "moto_server",
        arguments: |port| {
            let port = port.to_string();
            ["-H", "127.0.0.1", "-p", &port].map(str::to_owned).to_vec()
        },
        creation: || Creation::new("PUT", "/moto", ""),
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
        let place = self.place_on(running.port, election);
        if let Err(problems) = place.spec() {
            println!(
                "*** {} is NOT tested: {} ***",
                self.name,
                problems.join("; ")
            );
            return None;
        }
        Some(place)
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
        };
        let server = Server::of(&self.place_on(port, "ready")).unwrap();
        let request = (self.creation)().request();
        let logs = folder.display();
        eventually(&format!("{} is ready, see {logs}", self.name), || {
            let answer = server.exchange(request.as_bytes()).unwrap_or_default();
            // An answer to an earlier request may have been lost, while the server started.
            ["200", "201", "409"]
                .iter()
                .any(|status| answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()))
        });
        Some(running)
    }
}

impl Creation {
    fn new(method: &'static str, target: &str, body: &str) -> Creation {
        Creation {
            method,
            target: target.to_owned(),
            body: body.to_owned(),
        }
    }

    fn request(&self) -> String {
        let Creation {
            method,
            target,
            body,
        } = self;
        format!(
            "{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }
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
