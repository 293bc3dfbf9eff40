//! Kind of store behind the interface for all kinds of locks.

use std::fmt;
use std::time::Duration;

use super::CasLock;
use super::admin::CasAdmin;
use super::protocol::CasConfig;
use crate::election::config::LeaderElectionConfig;
use crate::election::record::HIGHEST_TOKEN;
use crate::lock::admin::{Admin, Finding};
use crate::lock::backend::{Backend, OpenError, Opened, Times};
use crate::lock::exchange::HttpExchange;
use crate::lock::store::{Snapshot, Store};
use crate::lock::term_history::TermHistory;
use crate::system::clock::BootClock;
use crate::system::random::process_name;

/// Place of a record in one kind of store, and access to it.
pub trait Kind: Clone + fmt::Debug + Send + Sync {
    /// Store of this kind.
    type Store: Store + Send + 'static;

    /// Returns the store, which has sent nothing yet.
    fn store(&self) -> Self::Store;

    /// Opens a client for the store's server. Sends no request.
    ///
    /// # Errors
    /// [`OpenError`] if a setting or a file that it names cannot be used.
    fn exchange(&self) -> Result<HttpExchange, OpenError>;

    /// Returns the place as the setting `LOCK` names it, which contains no secret.
    fn lock(&self) -> String;

    /// Returns the lock's name for the label `name` of metrics.
    fn lease_name(&self) -> String;

    /// Returns the address of the web page that shows the record, if there is one.
    fn web_page(&self) -> Option<String> {
        None
    }

    /// Returns the names of the environment variables that hold secrets or lead to them.
    fn secret_variables(&self) -> &'static [&'static str];

    /// Returns the default times of this kind of store.
    fn default_times(&self) -> Times;

    /// Returns the highest fencing token that the store can keep.
    fn highest_token(&self) -> u64 {
        HIGHEST_TOKEN
    }

    /// Returns the confirm delay, if other writers may replace the place without a condition.
    fn confirm_delay(&self) -> Option<Duration> {
        None
    }

    /// Returns warnings about settings that work but are probably not intended.
    fn warnings(&self, election: &LeaderElectionConfig) -> Vec<String>;

    /// Returns findings of `elector doctor` that only this kind of store has.
    fn findings(&self, _snapshot: &Snapshot) -> Vec<Finding> {
        Vec::new()
    }

    /// Reads who led when, with at most `max_requests` requests; `None` if the store keeps no history.
    fn history(&self, _exchange: &mut HttpExchange, _max_requests: u32) -> Option<TermHistory> {
        None
    }

    /// Returns a place in the same store that no election uses, for trials.
    #[must_use]
    fn scratch(&self) -> Self;
}

/// A lock of this kind.
#[derive(Clone, Debug)]
pub struct CasBackend<K>(pub K);

impl<K: Kind + 'static> Backend for CasBackend<K> {
    fn open(&self, election: &LeaderElectionConfig) -> Result<Opened, OpenError> {
        let lock = self.0.open(election)?;
        Ok(Opened {
            stats: lock.stats(),
            lock: Box::new(lock),
        })
    }

    fn admin(&self, election: &LeaderElectionConfig) -> Result<Box<dyn Admin>, OpenError> {
        Ok(Box::new(CasAdmin::open(self.0.clone(), election)?))
    }

    fn checks(&self) -> &'static [&'static str] {
        super::checks::ALL
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

/// Opening of locks of any kind.
pub(super) trait Open: Kind {
    /// Opens a lock for this process. Sends no request.
    fn open(
        &self,
        election: &LeaderElectionConfig,
    ) -> Result<CasLock<Self::Store, HttpExchange>, OpenError>;
}

impl<K: Kind> Open for K {
    fn open(
        &self,
        election: &LeaderElectionConfig,
    ) -> Result<CasLock<K::Store, HttpExchange>, OpenError> {
        let config = CasConfig {
            process: process_name().map_err(OpenError::System)?,
            renew_deadline: election.renew_deadline,
            highest_token: self.highest_token(),
            confirms: self.confirm_delay().is_some(),
        };
        let exchange = self.exchange()?;
        Ok(CasLock::new(
            &election.identity,
            self.store(),
            config,
            self.confirm_delay(),
            exchange,
            BootClock::now,
        ))
    }
}
