//! Options of a gist lock, and how it is opened.

use std::path::PathBuf;
use std::time::Duration;

use super::budget::Budget;
use super::client::{ClientConfig, GistClient, WriteLimits};
use super::protocol::ProtocolConfig;
use super::wire::target::{ApiUrl, GistId, check_api_url};
use super::{GistLock, GistLockConfig};
use crate::election::config::LeaderElectionConfig;
use crate::lock::backend::OpenError;
use crate::net::{AccessTokenSource, ProxySettings};
use crate::system::clock::BootClock;
use crate::system::random::process_name;

/// API of github.com.
pub const GITHUB_API_URL: &str = "https://api.github.com";

/// Default time that a claim waits for the write that confirms it. It is longer than GitHub is assumed
/// to take from reading the head of a gist to moving it (1.8 s in the simulations), and a quarter of the
/// default retry period.
pub const CONFIRM_DELAY: Duration = Duration::from_secs(2);

/// Place of the record in a gist, and access to it.
#[derive(Clone, Debug)]
pub struct GistOptions {
    /// The gist; `None` for one that `elector init` is about to create.
    pub gist_id: Option<GistId>,
    /// File in the gist; `None` for its only file.
    pub file: Option<String>,
    /// Source of the access token.
    pub access_token: AccessTokenSource,
    /// Address of the API.
    pub api_url: ApiUrl,
    /// PEM file with certificates to trust in place of the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// Time that a claim waits for the write that confirms it.
    pub confirm_delay: Duration,
}

impl GistOptions {
    /// Returns options for a gist at github.com, given by its id or its web address, with defaults for
    /// the rest.
    ///
    /// # Errors
    /// If `gist` is neither an id nor an address.
    pub fn new(gist: &str, access_token: AccessTokenSource) -> Result<Self, OpenError> {
        let unusable = |why: String| OpenError::Settings {
            check: "settings",
            why: format!("GIST_ID: {why}"),
        };
        Ok(GistOptions {
            gist_id: Some(gist.parse().map_err(unusable)?),
            file: None,
            access_token,
            api_url: check_api_url(GITHUB_API_URL, false).map_err(unusable)?,
            ca_file: None,
            confirm_delay: CONFIRM_DELAY,
        })
    }

    /// Opens a lock for this process. Reads proxies from the environment (`HTTPS_PROXY`, `NO_PROXY`) and
    /// sends no request.
    ///
    /// # Errors
    /// If the access token, the certificates or a proxy cannot be used.
    pub fn open(&self, election: &LeaderElectionConfig) -> Result<GistLock, OpenError> {
        let process = process_name().map_err(OpenError::System)?;
        self.open_as(process, election)
    }

    /// Opens a lock for a process of this name.
    pub(super) fn open_as(
        &self,
        process: String,
        election: &LeaderElectionConfig,
    ) -> Result<GistLock, OpenError> {
        let client = self.client(election)?;
        let config = GistLockConfig {
            identity: election.identity.clone(),
            protocol: ProtocolConfig {
                process,
                file: self.file.clone(),
                renew_deadline: election.renew_deadline,
                budget: Budget::new(election),
            },
            confirm_delay: self.confirm_delay,
        };
        let mut lock = GistLock::new(config, client, BootClock::now);
        lock.permit_new_election(false);
        Ok(lock)
    }

    /// Opens a client for requests outside of an election.
    pub(super) fn client(&self, election: &LeaderElectionConfig) -> Result<GistClient, OpenError> {
        GistClient::new(ClientConfig {
            api_url: self.api_url.clone(),
            gist_id: self.gist_id.clone().unwrap_or_else(GistId::unnamed),
            file: self.file.clone(),
            access_token: self.access_token.clone(),
            ca_file: self.ca_file.clone(),
            proxy: ProxySettings::from_environment(),
            write_limits: WriteLimits::github(election),
            clock: Box::new(BootClock::now),
        })
    }
}
