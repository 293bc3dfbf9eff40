//! Client for one server: calls with a limit on their whole duration, and errors that say whether the
//! request was certainly not sent.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::{Request, Response};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector};
use ureq::{AsSendBody, Body, Error};

use super::connect::{BoundedTcp, CallState, NoResolver, Tracker};
use super::proxy::{ChosenProxy, ProxySettings};
use super::resolver::CachingResolver;
use super::tls::{Roots, TlsConnector};
use super::url::Destination;
use crate::fmt::{brief, one_line};

/// Value of the `user-agent` header. GitHub requires one, and its operators can tell whom to ask.
const USER_AGENT: &str = concat!("elector/", env!("CARGO_PKG_VERSION"));

/// Greatest duration of a call. A longer one is a mistake, and arithmetic with it could overflow.
const MAX_CALL: Duration = Duration::from_secs(3_600);

/// Greatest idle time of a connection that is used for a read: less than the minute after which many
/// servers and firewalls drop one. A read that meets a dropped connection is tried again anyway.
const MAX_IDLE_FOR_READS: Duration = Duration::from_secs(55);

/// Greatest idle time of a connection that is used for a write, which is not tried again. It is just above
/// the default `RETRY_PERIOD`, so that a leader renews over one connection, and below the 10 s after which
/// impatient servers and proxies close one.
const MAX_IDLE_FOR_WRITES: Duration = Duration::from_secs(9);

/// Greatest number of unread bytes of a body that are read so that the connection can be used again: about
/// what a new TLS connection costs.
const MAX_DRAINED: usize = 256 * 1024;

/// Greatest time for reading those bytes, by which a response that is already known is delayed.
const MAX_DRAIN_TIME: Duration = Duration::from_millis(200);

/// Size of the input buffer, in bytes, and so the greatest size of a response's head. GitHub's have about
/// 6 kB, and servers and proxies rarely accept or produce more than 16 kB. An encrypted connection has two
/// such buffers, all of whose pages stay in memory. ureq's default is 128 kB.
///
/// ureq's own limit must not be less: after an interim (1xx) response it applies to everything that has
/// arrived, the body of the final response included.
const INPUT_BUFFER: usize = 32 * 1024;

/// Size of the output buffer, in bytes. A request's head must fit in, a body may be longer.
const OUTPUT_BUFFER: usize = 16 * 1024;

/// Error for network settings that cannot be used.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// The file of root certificates is unusable.
    Roots(String),
    /// The proxy is unusable.
    Proxy(String),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::Roots(message) | SetupError::Proxy(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for SetupError {}

/// Error of a call without a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The server certainly received nothing of the request.
    NotSent(String),
    /// The server may have received the request and acted on it.
    MayHaveLanded(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NotSent(message) | CallError::MayHaveLanded(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for CallError {}

/// Effect of a request, which determines the connections that may carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Changes nothing, so it is sent again if an idle connection turns out to be closed.
    Read,
    /// Changes something, so it is sent once.
    Write,
}

/// End of a call, which may take several requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    timeout: Duration,
    end: Instant,
}

impl Deadline {
    /// Returns the deadline of a call that begins now.
    pub(crate) fn after(timeout: Duration) -> Deadline {
        Deadline {
            timeout,
            end: Instant::now() + timeout.min(MAX_CALL),
        }
    }

    /// Returns the time left.
    pub(crate) fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// Client for one server. It makes one call at a time, and keeps one connection.
pub(crate) struct Agent {
    host: String,
    port: u16,
    proxy: Option<ChosenProxy>,
    roots: Roots,
    resolver: CachingResolver,
    state: Arc<CallState>,
    ureq: ureq::Agent,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").finish_non_exhaustive()
    }
}

impl Agent {
    /// Prepares a client, without sending anything. The certificates in `ca_file` (PEM) replace the
    /// built-in roots; the file is read again when it changes.
    ///
    /// # Errors
    /// Returns an error if the certificates or the proxy cannot be used.
    pub(crate) fn new(
        destination: Destination<'_>,
        ca_file: Option<&Path>,
        proxy: &ProxySettings,
    ) -> Result<Agent, SetupError> {
        let proxy = proxy.for_destination(destination);
        let proxy = proxy.map_err(SetupError::Proxy)?;
        let roots = Roots::open(ca_file).map_err(SetupError::Roots)?;
        let resolver = CachingResolver::default();
        let state = Arc::new(CallState::new(proxy.is_some()));
        Ok(Agent {
            host: destination.host.to_owned(),
            port: destination.port,
            ureq: ureq_agent(proxy.as_ref(), &roots, &resolver, &state),
            proxy,
            roots,
            resolver,
            state,
        })
    }

    /// Returns the proxy as `HOST:PORT`; `None` if the server is reached directly.
    pub(crate) fn proxy(&self) -> Option<String> {
        self.proxy.as_ref().map(ChosenProxy::address)
    }

    /// Sends `request` and returns the response, whose body is still to be read.
    ///
    /// # Errors
    /// Returns why there is no response, and whether the request may have arrived.
    pub(crate) fn call<B: AsSendBody + Clone>(
        &mut self,
        request: Request<B>,
        effect: Effect,
        deadline: Deadline,
    ) -> Result<Response<Body>, CallError> {
        if self.roots.refresh() {
            self.ureq = ureq_agent(
                self.proxy.as_ref(),
                &self.roots,
                &self.resolver,
                &self.state,
            );
        }
        let result = match effect {
            Effect::Write => self.send(request, deadline, MAX_IDLE_FOR_WRITES),
            Effect::Read => match self.send(request.clone(), deadline, MAX_IDLE_FOR_READS) {
                Err(error) if self.state.reused() && !matches!(error, Error::Timeout(_)) => {
                    log::debug!("idle connection was closed, retrying on a new one");
                    self.send(request, deadline, Duration::ZERO)
                }
                result => result,
            },
        };
        result.map_err(|error| {
            let message = self.explain(&error, deadline);
            if self.state.sent() {
                CallError::MayHaveLanded(message)
            } else {
                CallError::NotSent(message)
            }
        })
    }

    /// Sends `request` once, over a connection that was idle for at most `max_idle`, or over a new one.
    fn send(
        &self,
        request: Request<impl AsSendBody>,
        deadline: Deadline,
        max_idle: Duration,
    ) -> Result<Response<Body>, Error> {
        self.state.begin(deadline.end, max_idle);
        self.ureq.run(request)
    }

    /// Reads the rest of a body if that is little, because ureq uses the connection again only then.
    pub(crate) fn drain(&self, body: &mut impl Read) {
        self.state.shorten(MAX_DRAIN_TIME);
        let mut buffer = [0; 8 * 1024];
        let mut left = MAX_DRAINED;
        while left > 0 {
            match body.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    }

    /// Returns why there is no response. It shows the host, but no path, which may be a secret.
    pub(super) fn explain(&self, error: &Error, deadline: Deadline) -> String {
        let host = &self.host;
        let via = match &self.proxy {
            Some(proxy) => {
                format!(
                    " (through the proxy {}, from {})",
                    proxy.address(),
                    proxy.variable
                )
            }
            None => String::new(),
        };
        match error {
            Error::Other(failure) => format!("{failure}{via}"),
            Error::Timeout(_) => {
                let timeout = brief(deadline.timeout);
                format!("{host} did not answer within {timeout}{via}")
            }
            Error::ConnectProxyFailed(reason) => match &self.proxy {
                Some(proxy) => proxy.refusal(&format!("{host}:{}", self.port), reason),
                None => one_line(reason),
            },
            Error::LargeResponseHeader(..) => format!(
                "the answer's header is too big{via}: {host} sent more than {} KiB; check its address and any proxy in between",
                INPUT_BUFFER / 1024
            ),
            Error::Io(error) if is_closed(error) => {
                format!("{host} closed the connection without an answer{via}")
            }
            Error::Io(error) => format!("the connection to {host} broke{via}: {error}"),
            Error::Protocol(error) => format!(
                "{host} does not speak valid HTTP{via} ({}); check its address and any proxy in between",
                one_line(&error.to_string())
            ),
            Error::BadUri(_) => format!("the address at {host} is invalid"),
            other => format!(
                "the request to {host} failed{via}: {}",
                one_line(&other.to_string())
            ),
        }
    }
}

fn ureq_agent(
    proxy: Option<&ChosenProxy>,
    roots: &Roots,
    resolver: &CachingResolver,
    state: &Arc<CallState>,
) -> ureq::Agent {
    // Settings of single requests are not used: with them, ureq would parse the roots for each connection.
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy.map(|chosen| chosen.proxy.clone()))
        .tls_config(roots.tls_config())
        .user_agent(USER_AGENT)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(MAX_IDLE_FOR_READS)
        .max_response_header_size(INPUT_BUFFER)
        .input_buffer_size(INPUT_BUFFER)
        .output_buffer_size(OUTPUT_BUFFER)
        .build();
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(BoundedTcp::new(Arc::clone(state), resolver.clone()))
            .chain(TlsConnector::default())
            .chain(Tracker(Arc::clone(state)));
    ureq::Agent::with_parts(config, connector, NoResolver)
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// Body whose errors have the kinds of `std` instead of wrapping ureq's.
pub(crate) struct PlainBody<R>(pub(crate) R);

impl<R: Read> Read for PlainBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .read(buffer)
            .map_err(|error| match Error::from(error) {
                Error::Timeout(_) => io::ErrorKind::TimedOut.into(),
                other => other.into_io(),
            })
    }
}
