//! What a kind of store contributes to its lock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::election::config::LeaderElectionConfig;
use crate::election::record::HIGHEST_TOKEN;
use crate::lock::admin::Finding;
use crate::lock::backend::{OpenError, Times};
use crate::lock::exchange::HttpExchange;
use crate::lock::store::Store;
use crate::lock::term_history::TermHistory;

/// Place of a record in one kind of store, and access to it.
pub trait Kind: fmt::Debug + Send + Sync {
    /// Returns the store, which has sent nothing yet.
    fn store(&self) -> Box<dyn Store + Send>;

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
    fn warnings(&self, _election: &LeaderElectionConfig) -> Vec<String> {
        Vec::new()
    }

    /// Reads who led when, with at most `max_requests` requests; `None` if the store keeps no history.
    fn history(&self, _exchange: &mut HttpExchange, _max_requests: u32) -> Option<TermHistory> {
        None
    }

    /// Returns what `elector doctor` should say beside the checks of every kind. May send a request.
    fn findings(&self, _exchange: &mut HttpExchange) -> Vec<Finding> {
        Vec::new()
    }

    /// Returns a place in the same store that no election uses, for trials.
    fn scratch(&self) -> Arc<dyn Kind>;
}
