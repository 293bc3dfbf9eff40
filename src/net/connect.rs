//! Connections that ureq makes for an agent: every step ends with the call, and a record of how far the
//! call got, so that it is certain when nothing was sent.
//!
//! ```text
//! proxy tunnel (ureq) ──▶ TCP (resolver, ureq) ──▶ TLS (ureq) ──▶ Tracker (what was sent?)
//! ```
//!
//! ureq bounds each step by itself, but not their sum if there is a proxy. Its errors do not distinguish a
//! connection that could not be made from one that broke. It also resolves names before each request, even if
//! a connection is open. Hence [`NoResolver`]: only opening a connection needs an address.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, NextTimeout, TcpConnector, Transport,
};

use super::resolver::CachingResolver;

/// Share of a call's time after which the host must be resolved.
const RESOLVE_SHARE: f64 = 0.4;

/// Share of a call's time after which TCP must be connected. The rest is for TLS and the request.
const CONNECT_SHARE: f64 = 0.6;

/// Step at which a connection could not be made. Nothing was sent.
#[derive(Debug)]
pub(super) enum Failure {
    Resolve { host: String, why: String },
    Connect { to: String, why: String },
    Tls { host: String, why: String },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Resolve { host, why } => {
                write!(f, "cannot resolve {host}: {why}; check the name and DNS")
            }
            Failure::Connect { to, why } => write!(
                f,
                "cannot connect to {to}: {why}; check the network, firewalls and proxies"
            ),
            Failure::Tls { host, why } => write!(f, "cannot set up TLS with {host}: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Other(Box::new(failure))
    }
}

/// State of an agent's call, shared with its connections. There is never more than one call.
#[derive(Debug)]
pub(super) struct CallState {
    /// Whether connections to a proxy lie below those to the server.
    has_proxy: bool,
    times: Mutex<Times>,
    sent: AtomicBool,
    connected: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    /// Connections that were last used before this are not used again.
    reuse_after: Instant,
    resolve_by: Instant,
    connect_by: Instant,
    end: Instant,
}

impl CallState {
    pub(super) fn new(has_proxy: bool) -> Self {
        let now = Instant::now();
        CallState {
            has_proxy,
            times: Mutex::new(Times {
                reuse_after: now,
                resolve_by: now,
                connect_by: now,
                end: now,
            }),
            sent: AtomicBool::new(false),
            connected: AtomicBool::new(false),
        }
    }

    /// Begins a call, or another attempt, that ends at `end`. It uses no connection that was idle for
    /// longer than `max_idle`.
    pub(super) fn begin(&self, end: Instant, max_idle: Duration) {
        let now = Instant::now();
        let left = end.saturating_duration_since(now);
        self.set(Times {
            reuse_after: now.checked_sub(max_idle).unwrap_or(now),
            resolve_by: now + left.mul_f64(RESOLVE_SHARE),
            connect_by: now + left.mul_f64(CONNECT_SHARE),
            end,
        });
        self.sent.store(false, Ordering::Relaxed);
        self.connected.store(false, Ordering::Relaxed);
    }

    /// Ends the call after `longest`, unless it ends earlier.
    pub(super) fn shorten(&self, longest: Duration) {
        let mut times = self.times();
        times.end = times.end.min(Instant::now() + longest);
        self.set(times);
    }

    /// Returns whether any part of the request was given to a connection. If not, the server has
    /// certainly received nothing.
    pub(super) fn sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns whether the request was sent over a connection that had served an earlier one.
    pub(super) fn reused(&self) -> bool {
        self.sent() && !self.connected.load(Ordering::Relaxed)
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, times: Times) {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) = times;
    }
}

/// Limits `timeout` to the time until `end`.
///
/// # Errors
/// Returns a timeout if `end` has passed, because a socket cannot have a timeout of zero.
fn cap(mut timeout: NextTimeout, end: Instant) -> Result<NextTimeout, Error> {
    let left = Limit::from(end.saturating_duration_since(Instant::now()));
    timeout.after = timeout.after.min(left);
    if timeout.after.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    Ok(timeout)
}

/// Resolver for ureq that resolves nothing.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Returns the port of `uri`, which its scheme determines if it names none.
pub(super) fn port_of(uri: &Uri) -> u16 {
    let of_scheme = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    uri.port_u16().unwrap_or(of_scheme)
}

/// Opens TCP connections whose every read and write ends with the call.
#[derive(Debug)]
pub(super) struct BoundedTcp {
    state: Arc<CallState>,
    resolver: CachingResolver,
    tcp: TcpConnector,
}

impl BoundedTcp {
    pub(super) fn new(state: Arc<CallState>, resolver: CachingResolver) -> Self {
        BoundedTcp {
            state,
            resolver,
            tcp: TcpConnector::default(),
        }
    }

    /// Opens a connection to the server, or to the proxy if ureq asks for that.
    fn open(&self, details: &ConnectionDetails<'_>) -> Result<Bounded, Failure> {
        let (host, port) = (details.uri.host().unwrap_or(""), port_of(details.uri));
        let times = self.state.times();
        let found = self.resolver.addresses(host, port, times.resolve_by);
        let found = found.map_err(|why| Failure::Resolve {
            host: host.to_owned(),
            why,
        })?;
        let mut addrs = details.resolver.empty();
        found.into_iter().for_each(|address| addrs.push(address));
        let inner = self.open_any(details, addrs, times.connect_by);
        let inner = inner.map_err(|error| Failure::Connect {
            to: format!("{host}:{port}"),
            why: match error {
                Error::Timeout(_) => "no answer in time".to_owned(),
                Error::Io(error) => error.to_string(),
                other => other.to_string(),
            },
        })?;
        Ok(Bounded {
            inner,
            state: Arc::clone(&self.state),
        })
    }

    /// Tries one address after the other. Each gets half the time of the one before.
    fn open_any(
        &self,
        details: &ConnectionDetails<'_>,
        addrs: ResolvedSocketAddrs,
        connect_by: Instant,
    ) -> Result<Box<dyn Transport>, Error> {
        let details = ConnectionDetails {
            uri: details.uri,
            addrs,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: (details.current_time)(),
            timeout: cap(details.timeout, connect_by)?,
            current_time: Arc::clone(&details.current_time),
            run_connector: Arc::clone(&details.run_connector),
            register_shutdown: Arc::clone(&details.register_shutdown),
        };
        let socket = self.tcp.connect(&details, None::<()>)?;
        Ok(Box::new(socket.ok_or(Error::ConnectionFailed)?))
    }
}

impl<In: Transport> Connector<In> for BoundedTcp {
    type Out = Either<In, Bounded>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // A tunnel through a proxy is there already; its socket was opened here.
        if let Some(tunnel) = chained {
            return Ok(Some(Either::A(tunnel)));
        }
        Ok(Some(Either::B(self.open(details)?)))
    }
}

/// Socket whose reads and writes end with the call.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: Box<dyn Transport>,
    state: Arc<CallState>,
}

impl Transport for Bounded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = cap(timeout, self.state.times().end)?;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = cap(timeout, self.state.times().end)?;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

/// Records when a connection is made, and when the first byte of a request is given to it.
#[derive(Debug)]
pub(super) struct Tracker(pub(super) Arc<CallState>);

impl<In: Transport> Connector<In> for Tracker {
    type Out = Tracked<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // ureq also runs the whole chain for the connection to the proxy, then without a proxy set.
        let to_server = !self.0.has_proxy || details.config.proxy().is_some();
        if to_server {
            self.0.connected.store(true, Ordering::Relaxed);
        }
        Ok(chained.map(|inner| Tracked {
            inner,
            state: Arc::clone(&self.0),
            to_server,
            last_used: Instant::now(),
        }))
    }
}

/// Connection that is ready to be used.
#[derive(Debug)]
pub(super) struct Tracked<T> {
    inner: T,
    state: Arc<CallState>,
    /// Whether it leads to the server and not only to a proxy.
    to_server: bool,
    last_used: Instant,
}

impl<T: Transport> Transport for Tracked<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.to_server {
            self.state.sent.store(true, Ordering::Relaxed);
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let progress = self.inner.await_input(timeout)?;
        self.last_used = Instant::now();
        Ok(progress)
    }

    /// Returns whether ureq may use this connection for the current call.
    fn is_open(&mut self) -> bool {
        self.last_used >= self.state.times().reuse_after && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
