//! Place of a record on a real server.

use std::env;
use std::path::PathBuf;

use elector::LeaderElectionConfig;
use elector::lock::LockSpec;
use elector::lock::backend::Opened;
use elector::lock::settings::Reader;

use crate::support::process::program::Start;

/// Place of a record, and access to it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Value of `LOCK`.
    pub(crate) lock: String,
    /// Access token; none for a server that needs none.
    pub(crate) token: String,
    /// File with the certificates of the server; `None` for the built-in ones.
    pub(crate) ca_file: Option<PathBuf>,
}

impl Place {
    /// Returns an election's place on the server that the environment names: `STORE_LOCK`,
    /// `STORE_LOCK_TOKEN_FILE`, `STORE_LOCK_CA_FILE`.
    pub(crate) fn from_environment(election: &str) -> Option<Place> {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let lock = text("STORE_LOCK")?;
        let token = text("STORE_LOCK_TOKEN_FILE").map(std::fs::read_to_string);
        let place = Place {
            lock,
            token: token.map_or(String::new(), |token| token.unwrap().trim().to_owned()),
            ca_file: text("STORE_LOCK_CA_FILE").map(PathBuf::from),
        };
        Some(place.for_election(election))
    }

    /// Returns a separate place beside this one: another Lease, or another branch.
    fn for_election(self, election: &str) -> Place {
        let unique = format!("{election}-{}", std::process::id());
        let lock = match self.lock.split_once('#') {
            Some((repository, _)) => format!("{repository}#{unique}"),
            None if self.lock.starts_with("git") => format!("{}#{unique}", self.lock),
            None => format!("{}-{unique}", self.lock),
        };
        Place { lock, ..self }
    }

    /// Returns scheme, server and rest of the lock.
    fn parts(&self) -> (&str, &str, &str) {
        let (scheme, rest) = self.lock.split_once("//").expect("LOCK names a server");
        let (server, rest) = rest.split_once('/').expect("LOCK has a path");
        (scheme, server, rest)
    }

    /// Returns the server as `HOST:PORT`.
    pub(crate) fn server(&self) -> String {
        let server = self.parts().1;
        match server.contains(':') {
            true => server.to_owned(),
            false => format!("{server}:443"),
        }
    }

    /// Returns the same place behind another server.
    pub(crate) fn through(&self, server: &str, ca_file: PathBuf) -> Place {
        let (scheme, _, rest) = self.parts();
        Place {
            lock: format!("{scheme}//{server}/{rest}"),
            token: self.token.clone(),
            ca_file: Some(ca_file),
        }
    }

    /// Returns the settings of the place.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("LOCK", self.lock.clone())];
        if !self.token.is_empty() {
            settings.push(("LOCK_TOKEN", self.token.clone()));
        }
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
        let (spec, _) = LockSpec::read(&mut reader, self.ca_file.as_deref(), false);
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
        token: String::new(),
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
    ] {
        let place = place(lock).for_election("race");
        assert_eq!((&place.lock, &*place.server()), (&own, server));
        assert_eq!(place.through("localhost:1", "ca".into()).lock, through);
    }
}
