//! Interface of a store that can refuse a stale write, as a step machine without I/O and without a clock.
//!
//! A store turns a read or a conditional write into HTTP requests, one after another, and their answers
//! into a result. [`Exchange`](super::exchange::Exchange) sends the requests, or a simulation does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::election::lock::LockError;
use crate::election::time::Instant;
use crate::fmt::{one_line, unix_time};

/// Longest value of a record that is read, in bytes. A record has less than 1 kB.
pub const LONGEST_VALUE: usize = 256 * 1024;

/// Longest text of a server that an error shows, in characters.
const LONGEST_REASON: usize = 200;

/// Time that a throttled client waits without a `Retry-After`: Google takes one write a second for an
/// object, and the leader must renew in time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Longest `Retry-After` that is followed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Version of a stored value, as the store names it. It changes with each write, and perhaps without one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub Arc<str>);

impl From<&str> for Version {
    fn from(text: &str) -> Version {
        Version(text.into())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Value that is replaced only by a caller that names its current version.
///
/// Each call begins with [`read`](Self::read) or [`write`](Self::write). As long as the step is
/// [`Step::Ask`], the caller sends the requests and passes each answer to [`handle`](Self::handle) as it
/// comes. A new call may begin at any time and abandons the one before. A store with several members takes
/// the answers to the requests of an abandoned call too.
pub trait Store {
    /// Begins a read.
    fn read(&mut self) -> Step;

    /// Begins a write of `value` that must be refused unless the current version is `expected` (`None`:
    /// nothing is stored, and the place has no version).
    ///
    /// The result is [`LockError::Conflict`] if the store refused it because of the version, and
    /// [`LockError::OutcomeUnknown`] if it may have landed or may still land.
    fn write(&mut self, expected: Option<&Version>, value: &[u8]) -> Step;

    /// Handles the answer to a request.
    fn handle(&mut self, answer: Answer) -> Step;

    /// Returns a well-formed version that no value ever has.
    fn impossible_version(&self) -> Version;

    /// Returns the place for messages: `Lease default/report`.
    fn describe(&self) -> String;
}

impl Store for Box<dyn Store + Send> {
    fn read(&mut self) -> Step {
        (**self).read()
    }

    fn write(&mut self, expected: Option<&Version>, value: &[u8]) -> Step {
        (**self).write(expected, value)
    }

    fn handle(&mut self, answer: Answer) -> Step {
        (**self).handle(answer)
    }

    fn impossible_version(&self) -> Version {
        (**self).impossible_version()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}

/// Next step of a call to a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these requests simultaneously, and pass the first answer on that comes, of these or of earlier
    /// ones. If there are none, an answer to an earlier request is awaited.
    Ask(Vec<Request>),
    /// A read has ended.
    Read(Result<Snapshot, LockError>),
    /// A write has ended. Its result is the new version.
    Wrote(Result<Version, LockError>),
}

impl Step {
    /// Returns the step that sends one request.
    #[must_use]
    pub fn ask(request: Request) -> Step {
        Step::Ask(vec![request])
    }
}

/// Result of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Stored value; `None` if there is none.
    pub value: Option<Arc<[u8]>>,
    /// Version for the next write. A place without a value may have one, such as a branch without the
    /// file.
    pub version: Option<Version>,
    /// The store's clock when it answered, in seconds since the Unix epoch.
    pub server_time: Option<i64>,
    /// Time of the write by the same clock.
    pub written_at: Option<i64>,
}

/// HTTP request to the store's server, without credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Index of the server that it is for, in a store with several members.
    pub member: usize,
    /// HTTP method.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Body; `None` for none.
    pub body: Option<Vec<u8>>,
    /// Whether the request may change something, so that it is sent only once.
    pub writes: bool,
    /// Greatest size of the answer's body that is read, in bytes.
    pub max_body: usize,
}

impl Request {
    /// Returns a GET request.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Request {
        Request {
            member: 0,
            method: "GET",
            path: path.into(),
            headers: Vec::new(),
            body: None,
            writes: false,
            max_body: 4 * LONGEST_VALUE,
        }
    }

    /// Returns a request with a body that changes something.
    #[must_use]
    pub fn write(method: &'static str, path: impl Into<String>, body: Vec<u8>) -> Request {
        Request {
            method,
            body: Some(body),
            writes: true,
            ..Request::get(path)
        }
    }

    /// Returns the part of a call's time that the request gets. Half of it remains for the read that follows
    /// a write without an answer.
    #[must_use]
    pub fn share(&self, left: Duration) -> Duration {
        match self.writes {
            true => left / 2,
            false => left,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((name, value.into()));
        self
    }
}

/// Answer to a request, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// [`Request::member`] of the request.
    pub member: usize,
    /// Time when the answer came, since boot.
    pub at: Instant,
    /// The same by this machine's time of day, in seconds since the Unix epoch.
    pub received_at: i64,
    /// Response of the server.
    pub reply: Result<Response, Failure>,
}

/// Response of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, as far as it was read.
    pub body: Vec<u8>,
    /// Whether the body was longer than permitted, and so is cut.
    pub cut: bool,
}

/// Reason why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The server certainly received nothing.
    NotSent(String),
    /// The server may have received the request, and acted on it.
    NoAnswer(String),
    /// The request was not sent, because there are no credentials for it.
    NoCredentials(String),
}

impl Failure {
    /// Returns the reason alone.
    #[must_use]
    pub fn why(self) -> String {
        match self {
            Failure::NotSent(why) | Failure::NoAnswer(why) | Failure::NoCredentials(why) => why,
        }
    }

    /// Returns the error of a call that sent the request.
    #[must_use]
    pub fn error(self, writes: bool) -> LockError {
        match self {
            Failure::NoAnswer(why) if writes => LockError::OutcomeUnknown(why),
            Failure::NotSent(why) | Failure::NoAnswer(why) => LockError::Unavailable(why),
            Failure::NoCredentials(why) => LockError::Unauthorized(why),
        }
    }
}

impl Response {
    /// Returns a header. `name` is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the server's clock in seconds since the Unix epoch.
    #[must_use]
    pub fn date(&self) -> Option<i64> {
        unix_time(self.header("date")?)
    }

    /// Returns the error of a response that is not a success, and that the store does not know better.
    /// `place` is the store for messages, `reason` the server's words.
    #[must_use]
    pub fn error(&self, place: &str, reason: &str, writes: bool) -> LockError {
        let status = self.status;
        let said = self.said(place, reason);
        match status {
            401 => LockError::Unauthorized(format!("{said}; check the credentials")),
            403 => LockError::Unauthorized(format!("{said}; the credentials lack this right")),
            404 => LockError::NotFound(format!("{said}; check the address and the rights")),
            429 | 503 if status == 429 || self.header("retry-after").is_some() => {
                self.throttled(place, reason)
            }
            300..400 => {
                let to = self.header("location").unwrap_or_default();
                let to: String = one_line(to).chars().take(LONGEST_REASON).collect();
                LockError::Unavailable(format!(
                    "{said}, redirected to {to:?}; use that address in LOCK"
                ))
            }
            500.. if writes => LockError::OutcomeUnknown(said),
            400..500 => LockError::Refused(said),
            _ => LockError::Unavailable(said),
        }
    }

    /// Returns the error of a request that was not carried out, because there were too many.
    #[must_use]
    pub fn throttled(&self, place: &str, reason: &str) -> LockError {
        LockError::RateLimited {
            retry_after: self.retry_after(),
            why: self.said(place, reason),
        }
    }

    /// Returns what the server answered, for messages.
    fn said(&self, place: &str, reason: &str) -> String {
        let reason: String = one_line(reason).chars().take(LONGEST_REASON).collect();
        let status = self.status;
        match reason.trim_end_matches('.') {
            "" => format!("{place} answered {status}"),
            reason => format!("{place} answered {status}: {reason}"),
        }
    }

    /// Returns how long the server wants to be left alone.
    fn retry_after(&self) -> Duration {
        let header = self.header("retry-after");
        let seconds = header.and_then(|text| text.trim().parse().ok());
        seconds
            .map_or(RETRY_AFTER, Duration::from_secs)
            .min(LONGEST_RETRY_AFTER)
    }
}
