//! A lock in an object of object storage: S3, Azure Blob Storage, Google Cloud Storage.
//!
//! ```text
//!   store ── requests, answers ──▶ service: s3, azure, google
//!   exchange ── credentials ──▶ aws, google, or an access token of the settings
//! ```
//!
//! The services differ in addresses, conditions and errors. [`service::Service`] is what they differ in,
//! and [`store::ObjectStore`] what they share. See [`cas`](super::cas) for the lock.

pub mod aws;
pub mod azure;
pub mod google;
pub mod place;
pub mod s3;
pub mod service;
pub mod store;
pub mod temporary;
pub mod xml;

use std::sync::Arc;
use std::time::Duration;

use self::service::Service;
use self::store::ObjectStore;
use crate::lock::admin::Finding;
use crate::lock::backend::{OpenError, Times};
use crate::lock::cas::kind::Kind;
use crate::lock::exchange::{Exchange as _, HttpExchange};
use crate::lock::store::Store;

/// Time limit of the request about versioning.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An object of a service, as a kind of lock.
#[derive(Clone, Debug)]
pub struct Object(pub Arc<dyn Service>);

impl Kind for Object {
    fn store(&self) -> Box<dyn Store + Send> {
        Box::new(ObjectStore::new(Arc::clone(&self.0)))
    }

    fn exchange(&self) -> Result<HttpExchange, OpenError> {
        self.0.exchange()
    }

    fn lock(&self) -> String {
        self.0.lock()
    }

    fn lease_name(&self) -> String {
        self.0.key().to_owned()
    }

    fn secret_variables(&self) -> &'static [&'static str] {
        // The wrapped program keeps variables such as `AWS_SECRET_ACCESS_KEY`, which it may use itself.
        &[]
    }

    fn default_times(&self) -> Times {
        // Each request costs money, and some services take one write a second for an object.
        Times {
            lease_duration: Duration::from_secs(20),
            renew_deadline: Duration::from_secs(9),
            retry_period: Duration::from_secs(4),
            poll_period: Duration::from_secs(2),
        }
    }

    fn findings(&self, exchange: &mut HttpExchange) -> Vec<Finding> {
        let answer = exchange.call(&self.0.ask_versioning(), TIMEOUT);
        let keeps = answer.reply.ok();
        let keeps = keeps.and_then(|response| self.0.keeps_versions(&response));
        vec![match keeps {
            Some(true) => Finding::warn(
                "versioning",
                "every renewal leaves a version of the object; add a lifecycle rule that deletes old \
                 versions after a day",
            ),
            Some(false) => Finding::ok("versioning", "no old versions of the object are kept"),
            None => Finding::ok(
                "versioning",
                "unknown, because the answers do not tell whether old versions are kept",
            ),
        }]
    }

    fn scratch(&self) -> Arc<dyn Kind> {
        Arc::new(Object(self.0.with_key("elector-doctor")))
    }
}
