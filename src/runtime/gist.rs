//! A gist lock put together: the client, the protocol, the clock and a name of its own.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use crate::election::config::LeaderElectionConfig;
use crate::lock::gist::budget::Budget;
use crate::lock::gist::client::{ClientConfig, ClientError, GistClient, WriteLimits};
use crate::lock::gist::protocol::ProtocolConfig;
use crate::lock::gist::wire::target::{ApiUrl, GistId, TargetError, check_api_url};
use crate::lock::gist::{GistLock, GistLockConfig};
use crate::net::{AccessTokenSource, ProxySettings};
use crate::system::clock::BootClock;

/// The API of github.com.
pub const GITHUB_API_URL: &str = "https://api.github.com";

/// How long a claim waits for the write that confirms it, unless that is set otherwise: longer than
/// GitHub is assumed to take from reading the head of a gist to moving it (the simulations give it
/// 1.8 s), and a quarter of the default retry period.
pub const CONFIRM_DELAY: Duration = Duration::from_secs(2);

/// Where the record is kept, and how to get there.
#[derive(Clone, Debug)]
pub struct GistOptions {
    /// The gist.
    pub gist_id: GistId,
    /// The file in it; `None` for the gist's only file.
    pub file: Option<String>,
    /// Where the token comes from.
    pub access_token: AccessTokenSource,
    /// The API.
    pub api_url: ApiUrl,
    /// File of root certificates (PEM) that replace the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// How long a claim waits for the write that confirms it.
    pub confirm_delay: Duration,
}

/// Why there is no lock.
#[non_exhaustive]
#[derive(Debug)]
pub enum OpenError {
    /// A setting, or a file that one names, cannot be used.
    Settings(ClientError),
    /// The system gives no random numbers.
    System(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Settings(error) => error.fmt(f),
            OpenError::System(error) => write!(f, "/dev/urandom cannot be read: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl GistOptions {
    /// A gist at github.com, by its id or its address, with defaults for the rest.
    ///
    /// # Errors
    /// When `gist` is neither.
    pub fn new(gist: &str, access_token: AccessTokenSource) -> Result<Self, TargetError> {
        Ok(GistOptions {
            gist_id: gist.parse()?,
            file: None,
            access_token,
            api_url: check_api_url(GITHUB_API_URL, false)?,
            ca_file: None,
            confirm_delay: CONFIRM_DELAY,
        })
    }

    /// A lock for this process. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`).
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When the token or the certificates cannot be read, or a proxy makes no sense.
    pub fn open(&self, election: &LeaderElectionConfig) -> Result<GistLock<GistClient>, OpenError> {
        let (config, client) = self.parts(election)?;
        Ok(GistLock::new(config, client, BootClock::now))
    }

    /// The same for who moves a lock, or makes one.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_for_moving(
        &self,
        election: &LeaderElectionConfig,
    ) -> Result<GistLock<GistClient>, OpenError> {
        let (config, client) = self.parts(election)?;
        Ok(GistLock::for_moving(config, client, BootClock::now))
    }

    /// Returns the name of the lease in metrics: the gist's id, and the file if one is set.
    #[must_use]
    pub fn lease_name(&self) -> String {
        let gist = self.gist_id.as_str();
        match &self.file {
            Some(file) => format!("{gist}/{file}"),
            None => gist.to_owned(),
        }
    }

    fn parts(
        &self,
        election: &LeaderElectionConfig,
    ) -> Result<(GistLockConfig, GistClient), OpenError> {
        let client = self.client(election);
        let config = GistLockConfig {
            identity: election.identity.clone(),
            protocol: ProtocolConfig {
                process: process_name().map_err(OpenError::System)?,
                file: self.file.clone(),
                renew_deadline: election.renew_deadline,
                budget: Budget::new(election),
            },
            confirm_delay: self.confirm_delay,
        };
        Ok((config, client.map_err(OpenError::Settings)?))
    }

    /// A client for the gist, for requests outside of an election. Proxies are taken from the
    /// environment. Nothing is sent yet.
    ///
    /// # Errors
    /// When the token or the certificates cannot be read, or a proxy makes no sense.
    pub fn client(&self, election: &LeaderElectionConfig) -> Result<GistClient, ClientError> {
        GistClient::new(ClientConfig {
            api_url: self.api_url.clone(),
            gist_id: self.gist_id.clone(),
            file: self.file.clone(),
            access_token: self.access_token.clone(),
            ca_file: self.ca_file.clone(),
            proxy: ProxySettings::read(|name| std::env::var(name).ok()),
            write_limits: WriteLimits::github(election),
            clock: Box::new(BootClock::now),
        })
    }
}

/// A name for this process in its writes, unlike that of any other process.
///
/// # Errors
/// When the system gives no random numbers.
pub fn process_name() -> io::Result<String> {
    let random: [u8; 16] = random()?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A number that differs from process to process: a seed for staggers and jitter.
///
/// # Errors
/// When the system gives no random numbers.
pub fn random_seed() -> io::Result<u64> {
    Ok(u64::from_ne_bytes(random()?))
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
