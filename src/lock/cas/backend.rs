//! Lock of any kind of store behind the interface for all kinds of locks.

use std::sync::Arc;
use std::time::Duration;

use super::kind::Kind;
use super::session::{Session, open};
use crate::election::config::LeaderElectionConfig;
use crate::lock::admin::Admin;
use crate::lock::backend::{Backend, OpenError, Opened, Times};
use crate::lock::settings::Noted;
use crate::lock::{Place, ReadLock};
use crate::system::random::process_name;

/// A lock of some kind.
#[derive(Clone, Debug)]
pub struct CasBackend(pub Arc<dyn Kind>);

/// Reads the settings of a lock that needs no confirm delay, as [`Kind::read`](crate::lock::Kind::read) does.
pub fn read_lock<K: Kind + 'static>(
    place: Option<&Place>,
    read: impl FnOnce(&Place) -> Result<K, Noted>,
) -> ReadLock {
    let kind = place.ok_or(Noted).and_then(read);
    (
        kind.map(|kind| Arc::new(CasBackend(Arc::new(kind))) as _),
        None,
    )
}

impl Backend for CasBackend {
    fn open(&self, election: &LeaderElectionConfig) -> Result<Opened, OpenError> {
        let process = process_name().map_err(OpenError::System)?;
        let lock = open(&*self.0, election, process.clone())?;
        Ok(Opened {
            stats: lock.stats(),
            lock: Box::new(lock),
            process,
        })
    }

    fn admin(&self, election: &LeaderElectionConfig) -> Result<Box<dyn Admin>, OpenError> {
        Ok(Box::new(Session::open(Arc::clone(&self.0), election)?))
    }

    fn checks(&self) -> &'static [&'static str] {
        super::checks::ALL
    }

    fn lock(&self) -> String {
        self.0.lock()
    }

    fn lease_name(&self) -> String {
        self.0.lease_name()
    }

    fn web_page(&self) -> Option<String> {
        self.0.web_page()
    }

    fn confirm_delay(&self) -> Option<Duration> {
        self.0.confirm_delay()
    }

    fn secret_variables(&self) -> &'static [&'static str] {
        self.0.secret_variables()
    }

    fn default_times(&self) -> Times {
        self.0.default_times()
    }

    fn warnings(&self, election: &LeaderElectionConfig) -> Vec<String> {
        self.0.warnings(election)
    }
}
