//! Place of a record on a real server.

use std::env;
use std::path::PathBuf;

use elector::LeaderElectionConfig;
use elector::lock::LockSpec;
use elector::lock::backend::Opened;
use elector::lock::settings::Reader;

use crate::support::process::program::Start;

/// Schemes of locks that name a server only as their endpoint.
const OBJECT_STORES: [&str; 3] = ["s3://", "az://", "gs://"];

/// Parameter with the server of such a lock.
const ENDPOINT: &str = "endpoint=";

/// Variables with the access to `s3://`, in the environment of the tests. Electors do not inherit it.
const AWS: [&str; 12] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Place of a record, and access to it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Value of `LOCK`.
    pub(crate) lock: String,
    /// Settings of the access, such as `LOCK_TOKEN`.
    pub(crate) access: Vec<(&'static str, String)>,
    /// File with the certificates of the server; `None` for the built-in ones.
    pub(crate) ca_file: Option<PathBuf>,
}

impl Place {
    /// Returns an election's place on the server that the environment names: `STORE_LOCK`,
    /// `STORE_LOCK_TOKEN_FILE`, `STORE_LOCK_CA_FILE`, and for `s3://` the variables `AWS_*` that are set.
    pub(crate) fn from_environment(election: &str) -> Option<Place> {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let lock = text("STORE_LOCK")?;
        let token = text("STORE_LOCK_TOKEN_FILE").map(std::fs::read_to_string);
        let token = token.map(|token| ("LOCK_TOKEN", token.unwrap().trim().to_owned()));
        let mut access: Vec<_> = token.into_iter().collect();
        if lock.starts_with("s3:") {
            let found = AWS.iter().map(|name| (*name, text(name)));
            access.extend(found.filter_map(|(name, value)| Some((name, value?))));
        }
        let place = Place {
            lock,
            access,
            ca_file: text("STORE_LOCK_CA_FILE").map(PathBuf::from),
        };
        Some(place.for_election(election))
    }

    /// Returns a separate place beside this one: another Lease, branch or object.
    fn for_election(self, election: &str) -> Place {
        let unique = format!("{election}-{}", std::process::id());
        let lock = match (self.lock.split_once('#'), self.lock.split_once('?')) {
            (Some((repository, _)), _) => format!("{repository}#{unique}"),
            (_, Some((key, parameters))) => format!("{key}-{unique}?{parameters}"),
            _ if self.lock.starts_with("git") => format!("{}#{unique}", self.lock),
            _ => format!("{}-{unique}", self.lock),
        };
        Place { lock, ..self }
    }

    /// Returns whether the lock names its server. A place without one cannot be behind a relay.
    pub(crate) fn names_server(&self) -> bool {
        let is_object = OBJECT_STORES
            .iter()
            .any(|scheme| self.lock.starts_with(scheme));
        !is_object || self.lock.contains(ENDPOINT)
    }

    /// Returns the parts of the lock: what precedes its server, the server, and what follows it.
    fn parts(&self) -> (&str, &str, &str) {
        let start = self.lock.find(ENDPOINT).map_or(0, |at| at + ENDPOINT.len());
        let scheme = self.lock[start..].find("//").expect("LOCK names a server");
        let (before, rest) = self.lock.split_at(start + scheme + "//".len());
        let (server, after) = rest.split_at(rest.find(['/', '&']).unwrap_or(rest.len()));
        (before, server, after)
    }

    /// Returns whether connections to the server use TLS.
    pub(crate) fn uses_tls(&self) -> bool {
        !self.parts().0.ends_with("http://")
    }

    /// Returns the server as `HOST:PORT`.
    pub(crate) fn server(&self) -> String {
        let server = self.parts().1;
        let port = if self.uses_tls() { 443 } else { 80 };
        match server.contains(':') {
            true => server.to_owned(),
            false => format!("{server}:{port}"),
        }
    }

    /// Returns the same place behind another server.
    pub(crate) fn through(&self, server: &str, ca_file: Option<PathBuf>) -> Place {
        let (before, _, after) = self.parts();
        Place {
            lock: format!("{before}{server}{after}"),
            access: self.access.clone(),
            ca_file,
        }
    }

    /// Checks that an output does not contain the signature of a shared access token. Other secrets contain
    /// the word that [`Output::check`](crate::support::process::program::Output::check) looks for.
    pub(crate) fn check_output(&self, text: &str) {
        for (name, value) in &self.access {
            if let Some((_, signature)) = value.split_once("sig=") {
                assert!(!text.contains(signature), "{name} is shown:\n{text}");
            }
        }
    }

    /// Returns the value of a setting of the access.
    ///
    /// # Panics
    /// If the place has no such setting.
    pub(crate) fn setting(&self, name: &str) -> &str {
        let found = self.access.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| panic!("no {name}"), |(_, value)| value)
    }

    /// Returns the settings of the place.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("LOCK", self.lock.clone())];
        settings.extend(self.access.iter().cloned());
        let ca_file = self.ca_file.as_ref();
        settings.extend(ca_file.map(|file| ("SSL_CERT_FILE", file.display().to_string())));
        settings
    }

    /// Adds them to the settings of an elector.
    pub(crate) fn add_to(&self, start: Start) -> Start {
        let settings = self.settings();
        start.with_all(settings.iter().map(|(name, value)| (*name, value.as_str())))
    }

    /// Returns the lock's kind and place as the program reads them.
    ///
    /// # Errors
    /// The problems of the settings.
    pub(crate) fn spec(&self) -> Result<LockSpec, Vec<String>> {
        let settings = self.settings();
        let lookup = |name: &str| {
            let found = settings.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        };
        let mut reader = Reader::new(&lookup);
        let (spec, _) = LockSpec::read(
            &mut reader,
            self.ca_file.as_deref(),
            elector::lock::Purpose::Use,
        );
        spec.map_err(|_| reader.into_problems())
    }

    /// Opens the lock for a candidate of this process.
    pub(crate) fn open(&self, identity: &str) -> Opened {
        let config = LeaderElectionConfig::new(identity);
        let spec = self.spec().unwrap();
        spec.backend().open(&config).unwrap()
    }
}

#[test]
fn lock_is_changed_in_parts() {
    let place = |lock: &str| Place {
        lock: lock.to_owned(),
        access: Vec::new(),
        ca_file: None,
    };
    let id = std::process::id();
    for (lock, own, server, through) in [
        (
            "lease://hub:6443/jobs/x",
            format!("lease://hub:6443/jobs/x-race-{id}"),
            "hub:6443",
            format!("lease://localhost:1/jobs/x-race-{id}"),
        ),
        (
            "git+https://git.example/a/b#x",
            format!("git+https://git.example/a/b#race-{id}"),
            "git.example:443",
            format!("git+https://localhost:1/a/b#race-{id}"),
        ),
        (
            "s3://jobs/a/b?endpoint=http://minio:9000&region=eu",
            format!("s3://jobs/a/b-race-{id}?endpoint=http://minio:9000&region=eu"),
            "minio:9000",
            format!("s3://jobs/a/b-race-{id}?endpoint=http://localhost:1&region=eu"),
        ),
        (
            "s3://jobs/a?region=eu&endpoint=https://minio.example",
            format!("s3://jobs/a-race-{id}?region=eu&endpoint=https://minio.example"),
            "minio.example:443",
            format!("s3://jobs/a-race-{id}?region=eu&endpoint=https://localhost:1"),
        ),
        (
            "az://one/jobs/a?endpoint=http://127.0.0.1/one",
            format!("az://one/jobs/a-race-{id}?endpoint=http://127.0.0.1/one"),
            "127.0.0.1:80",
            format!("az://one/jobs/a-race-{id}?endpoint=http://localhost:1/one"),
        ),
    ] {
        let place = place(lock).for_election("race");
        assert!(place.names_server());
        assert_eq!((&place.lock, &*place.server()), (&own, server));
        assert_eq!(place.through("localhost:1", None).lock, through);
    }
    let place = place("gs://jobs/a").for_election("race");
    assert_eq!(place.lock, format!("gs://jobs/a-race-{id}"));
    assert!(!place.names_server());
}
