//! A lock in a Lease of a Kubernetes cluster, over plain HTTPS.
//!
//! client-go's LeaseLock keeps its record in the fields of the Lease's `spec`. So does this lock, for
//! clients that read them, and the whole record is also in an annotation, which has room for its ids.
//! No Events are written.

mod lease;
pub mod settings;
pub mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::store::LeaseStore;
use crate::lock::backend::{OpenError, Times};
use crate::lock::cas::kind::Kind;
use crate::lock::credentials::{TokenCredentials, TokenForm};
use crate::lock::exchange::HttpExchange;
use crate::lock::store::Store;
use crate::net::{AccessTokenSource, ProxySettings, Url};

/// Place of a Lease, and access to it.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// API server.
    pub server: Url,
    /// Whether it is that of the cluster in which this process runs.
    pub in_cluster: bool,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Source of the bearer token.
    pub access_token: AccessTokenSource,
    /// Setting of the bearer token, for messages.
    pub token_setting: &'static str,
    /// PEM file with the certificates to trust; `None` for the built-in ones.
    pub ca_file: Option<PathBuf>,
}

impl Kind for LeaseOptions {
    fn store(&self) -> Box<dyn Store + Send> {
        let server = (!self.in_cluster).then(|| self.server.host().to_owned());
        Box::new(LeaseStore::new(&self.namespace, &self.name, server))
    }

    fn exchange(&self) -> Result<HttpExchange, OpenError> {
        let credentials =
            TokenCredentials::open(&self.access_token, self.token_setting, TokenForm::Bearer)?;
        let ca_file = self.ca_file.as_deref();
        // The API server of the own cluster is reached directly.
        let proxy = match self.in_cluster {
            true => ProxySettings::default(),
            false => ProxySettings::from_environment(),
        };
        HttpExchange::new(&self.server, ca_file, &proxy, Box::new(credentials))
    }

    fn lock(&self) -> String {
        let (namespace, name) = (&self.namespace, &self.name);
        match self.in_cluster {
            true => format!("lease:{namespace}/{name}"),
            false => {
                let origin = self.server.origin();
                let server = origin.strip_prefix("https://").unwrap_or(&origin);
                format!("lease://{server}/{namespace}/{name}")
            }
        }
    }

    fn lease_name(&self) -> String {
        self.name.clone()
    }

    fn secret_variables(&self) -> &'static [&'static str] {
        // `LOCK_TOKEN` counts only with the prefix beside a program, which gets nothing with it.
        &[]
    }

    fn default_times(&self) -> Times {
        // client-go's lease. The other times leave room for TERMINATION_GRACE.
        Times {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(6),
            retry_period: Duration::from_secs(2),
            poll_period: Duration::from_secs(1),
        }
    }

    fn highest_token(&self) -> u64 {
        // `leaseTransitions` is an int32.
        i32::MAX as u64
    }

    fn scratch(&self) -> Arc<dyn Kind> {
        Arc::new(LeaseOptions {
            name: "elector-doctor".to_owned(),
            ..self.clone()
        })
    }
}
