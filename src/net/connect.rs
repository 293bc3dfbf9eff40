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

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use super::url::port_of;

/// Share of a call's time after which the host must be resolved.
const RESOLVE_SHARE: f64 = 0.4;

/// Share of a call's time after which TCP must be connected. The rest is for TLS and the request.
const CONNECT_SHARE: f64 = 0.6;

/// State of an agent's call, shared with its connections. There is never more than one call.
#[derive(Debug)]
pub(super) struct CallState {
    /// Whether connections to a proxy lie below those to the server.
    has_proxy: bool,
    call: Mutex<Call>,
}

/// Limits and progress of a call, or of one attempt.
#[derive(Debug)]
struct Call {
    /// Connections that were last used before this are not used again.
    reuse_after: Instant,
    resolve_by: Instant,
    connect_by: Instant,
    end: Instant,
    /// Whether any part of the request was given to a connection.
    sent: bool,
    /// Whether a connection was opened for it.
    connected: bool,
}

impl Call {
    fn new(end: Instant, max_idle: Duration) -> Self {
        let now = Instant::now();
        let left = end.saturating_duration_since(now);
        Call {
            reuse_after: now.checked_sub(max_idle).unwrap_or(now),
            resolve_by: now + left.mul_f64(RESOLVE_SHARE),
            connect_by: now + left.mul_f64(CONNECT_SHARE),
            end,
            sent: false,
            connected: false,
        }
    }
}

impl CallState {
    pub(super) fn new(has_proxy: bool) -> Self {
        CallState {
            has_proxy,
            call: Mutex::new(Call::new(Instant::now(), Duration::ZERO)),
        }
    }

    /// Begins a call, or another attempt, that ends at `end`. It uses no connection that was idle for
    /// longer than `max_idle`.
    pub(super) fn begin(&self, end: Instant, max_idle: Duration) {
        *self.call() = Call::new(end, max_idle);
    }

    /// Ends the call after `longest`, unless it ends earlier.
    pub(super) fn shorten(&self, longest: Duration) {
        let mut call = self.call();
        call.end = call.end.min(Instant::now() + longest);
    }

    /// Returns whether any part of the request was given to a connection. If not, the server has
    /// certainly received nothing.
    pub(super) fn sent(&self) -> bool {
        self.call().sent
    }

    /// Returns whether the request was sent over a connection that had served an earlier one.
    pub(super) fn reused(&self) -> bool {
        let call = self.call();
        call.sent && !call.connected
    }

    fn call(&self) -> MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn open(&self, details: &ConnectionDetails<'_>) -> Result<Bounded, String> {
        let (host, port) = (details.uri.host().unwrap_or(""), port_of(details.uri));
        let resolve_by = self.state.call().resolve_by;
        let found = self.resolver.addresses(host, port, resolve_by);
        let found =
            found.map_err(|why| format!("cannot resolve {host}: {why}; check the name and DNS"))?;
        let mut addrs = details.resolver.empty();
        found.into_iter().for_each(|address| addrs.push(address));
        let inner = self.open_any(details, addrs).map_err(|error| {
            let why = match error {
                Error::Timeout(_) => "no answer in time".to_owned(),
                Error::Io(error) => error.to_string(),
                other => other.to_string(),
            };
            format!(
                "cannot connect to {host}:{port}: {why}; check the network, firewalls and proxies"
            )
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
    ) -> Result<Box<dyn Transport>, Error> {
        let details = ConnectionDetails {
            uri: details.uri,
            addrs,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: (details.current_time)(),
            timeout: cap(details.timeout, self.state.call().connect_by)?,
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
        let opened = self.open(details);
        let opened = opened.map_err(|message| Error::Other(message.into()))?;
        Ok(Some(Either::B(opened)))
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
        let timeout = cap(timeout, self.state.call().end)?;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = cap(timeout, self.state.call().end)?;
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
            self.0.call().connected = true;
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
            self.state.call().sent = true;
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        // ureq takes a full buffer for a closed connection.
        let buffers = self.inner.buffers();
        if buffers.input_append_buf().is_empty() {
            let size = buffers.input().len();
            return Err(Error::LargeResponseHeader(size, size));
        }
        let progress = self.inner.await_input(timeout)?;
        self.last_used = Instant::now();
        Ok(progress)
    }

    /// Returns whether ureq may use this connection for the current call.
    fn is_open(&mut self) -> bool {
        let reuse_after = self.state.call().reuse_after;
        self.last_used >= reuse_after && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
