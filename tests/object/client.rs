//! A bucket on a server, and locks and electors that use it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Deref;
use std::process::Command;
use std::sync::{Arc, Mutex};

use elector::commands::settings::Settings;
use elector::election::lock::ResourceLock;

use crate::objects::{BUCKET, KEY, Kind, Objects, Pass, Passes};
use crate::signature::REGION;
use crate::support::process::program::Start;
use crate::support::process::{CAS_TIMES, Elector};
use crate::support::server::{Fault, Server};
pub(crate) use crate::support::{AMPLE, kind};
use crate::support::{record, server};

/// Account of Azure, which is part of the endpoint's path.
pub(crate) const ACCOUNT: &str = "devaccount1";

/// Keys and tokens. Every secret part contains `TheSecret`.
pub(crate) const KEY_ID: &str = "AKIAELECTOR";
pub(crate) const SECRET_KEY: &str = "TheSecretKey/+0123456789abcdefghijklmnop";
pub(crate) const SAS: &str =
    "sv=2021-12-02&sr=c&sp=rcw&se=2099-12-31T00%3A00%3A00Z&sig=TheSecretSignature%2B0%2F%3D";
pub(crate) const BEARER: &str = "ya29.TheSecretBearerToken0123456789";

pub(crate) type Lock = Box<dyn ResourceLock + Send>;

/// Settings, as environment variables.
pub(crate) type Variables = BTreeMap<&'static str, String>;

/// A server with one bucket or container.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) kind: Kind,
    pub(crate) passes: Passes,
    server: Server<Objects>,
}

impl Deref for Bucket {
    type Target = Server<Objects>;

    fn deref(&self) -> &Server<Objects> {
        &self.server
    }
}

impl Bucket {
    /// Starts a server that permits the usual credentials.
    pub(crate) fn new(kind: Kind) -> Bucket {
        let bucket = Bucket::without_passes(kind);
        let (id, secret) = match kind {
            Kind::S3 => (KEY_ID, SECRET_KEY),
            Kind::Azure => (SAS, ""),
            Kind::Google => (BEARER, ""),
        };
        bucket.permit(id, secret, "");
        bucket
    }

    /// Starts a server that permits no credentials yet.
    pub(crate) fn without_passes(kind: Kind) -> Bucket {
        let passes = Passes::new(Mutex::default());
        let objects = Objects::new(kind, Arc::clone(&passes));
        Bucket {
            kind,
            passes,
            server: Server::start(objects, None),
        }
    }

    pub(crate) fn permit(&self, id: &str, secret: &str, session: &str) {
        self.passes.lock().unwrap().push(Pass {
            id: id.to_owned(),
            secret: secret.to_owned(),
            session: session.to_owned(),
            until: None,
        });
    }

    /// Returns the setting `LOCK`.
    pub(crate) fn place(&self, bucket: &str) -> String {
        let server = format!("http://{}", self.address);
        match self.kind {
            Kind::S3 => format!("s3://{bucket}/{KEY}?region={REGION}&endpoint={server}"),
            Kind::Azure => format!("az://{ACCOUNT}/{bucket}/{KEY}?endpoint={server}/{ACCOUNT}"),
            Kind::Google => format!("gs://{bucket}/{KEY}?endpoint={server}"),
        }
    }

    /// Returns the settings of the lock, with the usual credentials.
    pub(crate) fn variables(&self) -> Variables {
        let mut variables = Variables::from([("LOCK", self.place(BUCKET))]);
        match self.kind {
            Kind::S3 => {
                variables.insert("AWS_ACCESS_KEY_ID", KEY_ID.to_owned());
                variables.insert("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned());
            }
            Kind::Azure => drop(variables.insert("LOCK_TOKEN", SAS.to_owned())),
            Kind::Google => drop(variables.insert("LOCK_TOKEN", BEARER.to_owned())),
        }
        variables
    }

    /// Returns the method of writes.
    pub(crate) fn writes(&self) -> &'static str {
        match self.kind {
            Kind::Google => "POST",
            _ => "PUT",
        }
    }

    /// Returns the lock of a process.
    pub(crate) fn open(&self) -> Lock {
        open(&self.variables())
    }

    /// Returns a server whose object a process holds with fencing token 7, and its lock.
    pub(crate) fn held(kind: Kind) -> (Bucket, Lock) {
        let bucket = Bucket::new(kind);
        let lock = bucket.hold();
        (bucket, lock)
    }

    /// Returns a lock that holds the object with fencing token 7.
    pub(crate) fn hold(&self) -> Lock {
        let mut lock = self.open();
        lock.get(AMPLE).unwrap();
        lock.update(&record("napoleon", 7), AMPLE).unwrap();
        lock
    }

    /// Returns the stored record; null if there is none.
    pub(crate) fn record(&self) -> serde_json::Value {
        let value = self.with(|objects| objects.value());
        serde_json::from_str(&value).unwrap_or_default()
    }

    /// Returns the number of requests of this method so far.
    pub(crate) fn count(&self, method: &str) -> usize {
        let received = self.received();
        received.iter().filter(|one| one.method == method).count()
    }

    /// Lets the next request of this method be answered so, and not carried out.
    pub(crate) fn answer_next(&self, method: &'static str, answer: &[u8]) {
        self.next(method, [Fault::Answer(answer.to_vec())]);
    }

    /// Returns an answer of a proxy.
    pub(crate) fn page(status: u16) -> Vec<u8> {
        server::http(status, &[("content-type", "text/html")], b"<html>\nproxy")
    }

    // ---- processes ----

    /// Returns the settings of `elector run`, to change and spawn.
    pub(crate) fn elector(&self, name: &str) -> Start {
        let mut start = Start::new(name)
            .without("CONFIRM_DELAY")
            .with_all(CAS_TIMES);
        for (variable, value) in self.variables() {
            start = start.with(variable, value);
        }
        start
    }

    pub(crate) fn start(&self, name: &str) -> Elector {
        self.elector(name).spawn()
    }

    /// Returns the settings of a command.
    pub(crate) fn command(&self, name: &str) -> Start {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
        command.arg(name);
        let mut start = Start::of(name, command).with_all(CAS_TIMES);
        for (variable, value) in self.variables() {
            start = start.with(variable, value);
        }
        start.with("LEADER_NAME", "operator")
    }
}

/// Reads these settings.
pub(crate) fn settings(variables: &Variables) -> Result<Settings, Vec<String>> {
    let lookup = |name: &str| variables.get(name).map(OsString::from);
    let settings = Settings::read(&lookup, Some("host"));
    settings.map_err(|error| error.problems().to_vec())
}

/// Opens the lock of these settings.
pub(crate) fn open(variables: &Variables) -> Lock {
    let settings = settings(variables).unwrap();
    let opened = settings.lock.backend().open(&settings.election);
    opened.unwrap().lock
}
