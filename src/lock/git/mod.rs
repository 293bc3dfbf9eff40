//! A lock in a git repository over smart HTTP, and in a gist by its repository.
//!
//! ```text
//!   store ── requests, answers ──▶ requests ──▶ pkt_line
//!     │
//!     └── commits, trees, files ──▶ object, pack
//! ```
//!
//! The lock is a file on a branch. A push moves the branch only from the commit that it names. That is the
//! conditional write; see [`cas`](super::cas).

pub mod history;
pub mod object;
pub mod pack;
pub mod pkt_line;
pub mod requests;
pub mod settings;
pub mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::requests::{BRANCHES, Fetched, HEAD, Remote};
use self::store::{GitPlace, GitStore, WRITES_KEPT};
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::LockError;
use crate::lock::backend::{OpenError, Times};
use crate::lock::cas::kind::Kind;
use crate::lock::credentials::{Anonymous, Credentials, TokenCredentials, TokenForm};
use crate::lock::exchange::{Exchange, HttpExchange};
use crate::lock::gist::options::CONFIRM_DELAY;
use crate::lock::gist::wire::target::GistId;
use crate::lock::store::{Request, Response, Step, Store};
use crate::lock::term_history::TermHistory;
use crate::net::{AccessTokenSource, ProxySettings, Url, is_loopback};

/// Time limit of a request for the history.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(20);

/// Shortest retry period with which a leader makes at most 6 pushes a minute, as GitHub advises.
const SHORTEST_RETRY: Duration = Duration::from_secs(10);

/// Place of a record in a git repository, and access to it.
#[derive(Clone, Debug)]
pub struct GitOptions {
    /// Address of the repository.
    pub url: Url,
    /// Full name of the branch, or `HEAD` for the one that the repository shows first.
    pub reference: String,
    /// File; `None` for the only one, or else `leader.json`.
    pub file: Option<String>,
    /// Gist that the repository belongs to.
    pub gist: Option<GistId>,
    /// Credentials; `None` for a server without them.
    pub access: Option<Access>,
    /// PEM file with certificates to trust in place of the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// Time that a claim waits for the write that confirms it, if others may replace the branch blindly.
    pub confirm_delay: Option<Duration>,
}

/// Credentials for a git server.
#[derive(Clone, Debug)]
pub struct Access {
    /// User name.
    pub user: String,
    /// Source of the access token.
    pub token: AccessTokenSource,
    /// Setting with the access token, for messages.
    pub setting: &'static str,
}

impl GitOptions {
    /// Returns the address without a slash and `.git` at its end.
    fn address(&self) -> String {
        let path = self.url.uri().path().trim_end_matches('/');
        format!("{}{}", self.url.origin(), path.trim_end_matches(".git"))
    }

    /// Returns the branch for messages; empty for the one that the repository shows first.
    fn branch(&self) -> &str {
        self.reference.strip_prefix(BRANCHES).unwrap_or_default()
    }

    fn place(&self) -> GitPlace {
        let file = match &self.file {
            Some(file) => format!("file {file:?}"),
            None => "the only file".to_owned(),
        };
        let place = match &self.gist {
            Some(gist) if self.reference == HEAD => {
                format!("{file} in the repository of gist {gist}")
            }
            _ => format!("{file} on branch {:?} of {}", self.branch(), self.address()),
        };
        GitPlace {
            remote: Remote {
                path: self.url.uri().path().trim_end_matches('/').to_owned(),
                place,
            },
            reference: self.reference.clone(),
            file: self.file.clone(),
            writes_kept: WRITES_KEPT,
        }
    }

    fn is_github(&self) -> bool {
        ["github.com", "gist.github.com"].contains(&self.url.host())
    }

    /// Reads the newest commit and then those before it.
    fn terms(
        &self,
        exchange: &mut impl Exchange,
        requests: &mut u32,
        most: u32,
    ) -> Result<TermHistory, LockError> {
        let place = self.place();
        let mut store = GitStore::new(place.clone());
        let mut step = store.read();
        while let Step::Ask(asked) = &step {
            let Some(answer) = exchange.ask(asked, HISTORY_TIMEOUT) else {
                break;
            };
            step = store.handle(answer);
            *requests += 1;
        }
        if let Step::Read(Err(error)) = step {
            return Err(error);
        }
        let Some((newest, abilities)) = store.newest() else {
            return Ok(TermHistory::default());
        };
        let mut depth = history::DEPTH;
        loop {
            if *requests >= most {
                return Ok(TermHistory {
                    exhausted: true,
                    ..TermHistory::default()
                });
            }
            let request = place.remote.ask_objects(newest, depth, abilities);
            *requests += 1;
            let response = ask(exchange, &request)?;
            let objects = match place.remote.objects(&response) {
                Ok(Fetched::Pack(pack)) => pack::read(&pack, history::LIMITS).ok(),
                Ok(Fetched::Refused(why)) => {
                    let place = &place.remote.place;
                    return Err(LockError::Unavailable(format!("{place}: {why}")));
                }
                Err(LockError::Refused(_)) => None,
                Err(error) => return Err(error),
            };
            match objects {
                Some(objects) => {
                    return Ok(history::terms(
                        &objects,
                        newest,
                        store.file(),
                        response.date(),
                    ));
                }
                None if depth > 1 => depth = (depth / 10).max(1),
                None => return Err(LockError::Refused(place.remote.too_large())),
            }
        }
    }
}

fn ask(exchange: &mut impl Exchange, request: &Request) -> Result<Response, LockError> {
    let answer = exchange.call(request, HISTORY_TIMEOUT);
    answer.reply.map_err(|failure| failure.error(false))
}

impl Kind for GitOptions {
    fn store(&self) -> Box<dyn Store + Send> {
        Box::new(GitStore::new(self.place()))
    }

    fn exchange(&self) -> Result<HttpExchange, OpenError> {
        let credentials: Box<dyn Credentials> = match &self.access {
            None => Box::new(Anonymous),
            Some(access) => {
                let form = TokenForm::Basic(access.user.clone());
                Box::new(TokenCredentials::open(&access.token, access.setting, form)?)
            }
        };
        let proxy = ProxySettings::from_environment();
        HttpExchange::new(&self.url, self.ca_file.as_deref(), &proxy, credentials)
    }

    fn lock(&self) -> String {
        let path = self.url.uri().path();
        match (&self.gist, &self.file) {
            (Some(gist), Some(file)) => format!("gist+git:{gist}/{file}"),
            (Some(gist), None) => format!("gist+git:{gist}"),
            (None, _) => format!(
                "git+{}{path}#{}:{}",
                self.url.origin(),
                self.branch(),
                self.file.as_deref().unwrap_or_default()
            ),
        }
    }

    fn lease_name(&self) -> String {
        let name = self.lock();
        let name = name
            .trim_start_matches("git+")
            .trim_start_matches("gist+git:");
        let (_, name) = name.split_once("://").unwrap_or(("", name));
        name.to_owned()
    }

    fn web_page(&self) -> Option<String> {
        match &self.gist {
            Some(gist) => Some(format!("https://gist.github.com/{gist}")),
            None if self.is_github() => Some(format!(
                "{}/blob/{}/{}",
                self.address(),
                self.branch(),
                self.file.as_deref().unwrap_or_default()
            )),
            None => None,
        }
    }

    fn secret_variables(&self) -> &'static [&'static str] {
        match self.gist {
            Some(_) => &["GITHUB_API_TOKEN", "GITHUB_API_TOKEN_FILE"],
            // `LOCK_TOKEN` counts only with the prefix beside a program, which gets nothing with it.
            None => &[],
        }
    }

    fn default_times(&self) -> Times {
        Times {
            lease_duration: Duration::from_secs(40),
            renew_deadline: Duration::from_secs(21),
            retry_period: Duration::from_secs(12),
            poll_period: Duration::from_secs(3),
        }
    }

    fn confirm_delay(&self) -> Option<Duration> {
        self.confirm_delay
    }

    fn warnings(&self, election: &LeaderElectionConfig) -> Vec<String> {
        let mut warnings = Vec::new();
        let host = self.url.host();
        if !self.url.is_https() && !is_loopback(host) {
            warnings.push(format!(
                "ALLOW_INSECURE_HTTP: the access token is sent to {host} unencrypted; use git+https://"
            ));
        }
        if self.is_github() && election.retry_period < SHORTEST_RETRY {
            warnings.push(format!(
                "RETRY_PERIOD is {:?}: GitHub advises at most 6 pushes per minute to a repository; \
                 use 10s or more, with RENEW_DEADLINE and LEASE_DURATION to match",
                election.retry_period
            ));
        }
        if self
            .confirm_delay
            .is_some_and(|delay| delay < CONFIRM_DELAY)
        {
            warnings.push(format!(
                "CONFIRM_DELAY is {:?}: two candidates may lead whenever GitHub takes longer than \
                 this to apply an edit of the gist; use 2s or more",
                self.confirm_delay.unwrap_or_default()
            ));
        }
        warnings
    }

    fn history(&self, exchange: &mut HttpExchange, max_requests: u32) -> Option<TermHistory> {
        let mut requests = 0;
        let history = self.terms(exchange, &mut requests, max_requests);
        let history = history.unwrap_or_else(|error| TermHistory {
            error: Some(error),
            ..TermHistory::default()
        });
        Some(TermHistory {
            requests,
            ..history
        })
    }

    fn scratch(&self) -> Arc<dyn Kind> {
        Arc::new(GitOptions {
            reference: format!("{BRANCHES}elector-doctor"),
            file: Some(self.file.clone().unwrap_or_else(|| store::FILE.to_owned())),
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str, gist: Option<&str>) -> GitOptions {
        let reference = match gist {
            Some(_) => HEAD.to_owned(),
            None => format!("{BRANCHES}elector"),
        };
        GitOptions {
            url: url.parse().unwrap(),
            reference,
            file: gist.is_none().then(|| store::FILE.to_owned()),
            gist: gist.map(|id| id.parse().unwrap()),
            access: None,
            ca_file: None,
            confirm_delay: gist.map(|_| Duration::from_secs(1)),
        }
    }

    #[test]
    fn web_page_is_that_of_github() {
        let repository = options("https://github.com/me/locks.git", None);
        assert_eq!(
            repository.web_page().as_deref(),
            Some("https://github.com/me/locks/blob/elector/leader.json")
        );
        let gist = options("https://gist.github.com/aa5a.git", Some("aa5a"));
        assert_eq!(
            gist.web_page().as_deref(),
            Some("https://gist.github.com/aa5a")
        );
        assert_eq!(options("https://h.example/r", None).web_page(), None);
    }

    #[test]
    fn place_is_described_without_credentials() {
        let repository = options("https://h.example/me/locks.git", None);
        assert_eq!(
            repository.store().describe(),
            "file \"leader.json\" on branch \"elector\" of https://h.example/me/locks"
        );
        let gist = options("https://gist.github.com/aa5a.git", Some("aa5a"));
        assert_eq!(
            gist.store().describe(),
            "the only file in the repository of gist aa5a"
        );
        assert_eq!(gist.lock(), "gist+git:aa5a");
        assert!(gist.scratch().store().describe().contains("elector-doctor"));
    }

    #[test]
    fn costly_or_unsafe_settings_warn() {
        let mut election = LeaderElectionConfig::new("a");
        election.retry_period = Duration::from_secs(9);
        for (url, gist, settings) in [
            ("https://github.com/me/r", None, &["RETRY_PERIOD"][..]),
            ("https://h.example/me/r", None, &[]),
            ("http://h.example/me/r", None, &["ALLOW_INSECURE_HTTP"]),
            ("http://127.0.0.1/me/r", None, &[]),
            (
                "https://gist.github.com/aa5a.git",
                Some("aa5a"),
                &["RETRY_PERIOD", "CONFIRM_DELAY"],
            ),
        ] {
            let options = options(url, gist);
            let warnings = options.warnings(&election);
            assert_eq!(warnings.len(), settings.len(), "{warnings:?}");
            for (warning, setting) in warnings.iter().zip(settings) {
                assert!(warning.starts_with(setting), "{warning}");
            }
        }
    }
}
