//! Interface of a service for objects: its addresses, its conditions, and what its answers mean.

use std::fmt;
use std::sync::Arc;

use crate::election::lock::LockError;
use crate::lock::backend::OpenError;
use crate::lock::exchange::HttpExchange;
use crate::lock::store::{Request, Response, Version};

/// An object of a service, and access to it.
pub trait Service: fmt::Debug + Send + Sync {
    /// Returns whether an object has the same version again if the same bytes are written again.
    fn versions_recur(&self) -> bool {
        false
    }

    /// Returns the request that reads the object, unless it still has the version `known`.
    fn ask_read(&self, known: Option<&Version>) -> Request;

    /// Returns the request that writes `value` if the version is `expected` (`None`: there is no object).
    fn ask_write(&self, expected: Option<&Version>, value: Vec<u8>) -> Request;

    /// Returns the version in the answer to a read or a write that succeeded. It contains no space.
    fn version(&self, response: &Response) -> Option<Version>;

    /// Returns what another answer means.
    fn judge(&self, response: &Response, writes: bool) -> Judgement;

    /// Returns a well-formed version that no object ever has.
    fn impossible_version(&self) -> Version;

    /// Returns the request whose answer [`keeps_versions`](Self::keeps_versions) reads.
    fn ask_versioning(&self) -> Request {
        self.ask_read(None)
    }

    /// Returns whether the place keeps old versions of objects; `None` if the answer does not tell.
    fn keeps_versions(&self, response: &Response) -> Option<bool>;

    /// Opens a client for the service.
    ///
    /// # Errors
    /// [`OpenError`] if a setting or a file that it names cannot be used.
    fn exchange(&self) -> Result<HttpExchange, OpenError>;

    /// Returns the place as the setting `LOCK` names it.
    fn lock(&self) -> String;

    /// Returns the name of the object in its bucket or container.
    fn key(&self) -> &str;

    /// Returns another object in the same bucket or container.
    fn with_key(&self, key: &str) -> Arc<dyn Service>;

    /// Returns the place for messages.
    fn describe(&self) -> String;
}

/// Meaning of an answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// There is no object.
    Missing,
    /// The condition did not hold, so nothing was written.
    Conflict,
    /// Another error.
    Error(LockError),
}
