//! The connections that ureq makes for the client: every step bounded by the end of the call, and
//! with a note of how far it got, so that it is known for certain when nothing was sent.
//!
//! ```text
//! tunnel (ureq's) -> Sockets (DNS and TCP, bounded) -> TLS -> Marker (what was sent?)
//! ```
//!
//! ureq asks its resolver before each request, also before one for which it has a connection. A look-up
//! costs a thread and a question on the network, and one that fails would fail a request that needs none.
//! So [`Unresolved`] answers nothing, and who opens a connection looks the name up.
//!
//! ureq bounds each step by itself, but not their sum where a proxy is on the way, and its errors
//! do not tell a connection that could not be made from one that broke.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, NextTimeout, TcpConnector, Transport,
};

/// The part of a call's time after which looking up the name must have ended.
const LOOK_UP_SHARE: f64 = 0.4;

/// The part of a call's time after which TCP must be connected. Of two addresses, the first gets
/// two thirds of it and the second one third; what is left is for TLS and the request itself.
const CONNECT_SHARE: f64 = 0.6;

/// The most look-ups that may be under way at once. The system's resolver cannot be interrupted; one
/// that hangs is left to end by itself, and they must not pile up.
const MOST_LOOK_UPS: usize = 4;

/// The most addresses of a host that are tried: each further one gets half the time.
const MOST_ADDRESSES: usize = 6;

/// How a connection could not be made. Nothing was sent.
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

/// The call that is under way, as all pieces that take part in it see it. There is never more than
/// one.
#[derive(Debug)]
pub(super) struct CallState {
    /// The proxy on the way to the API has connections of its own below ours.
    has_proxy: bool,
    times: Mutex<Times>,
    sent: AtomicBool,
    fresh: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    look_up_by: Instant,
    connect_by: Instant,
    end: Instant,
}

impl CallState {
    pub(super) fn new(has_proxy: bool) -> Self {
        let now = Instant::now();
        CallState {
            has_proxy,
            times: Mutex::new(Times {
                look_up_by: now,
                connect_by: now,
                end: now,
            }),
            sent: AtomicBool::new(false),
            fresh: AtomicBool::new(false),
        }
    }

    /// A call begins, or is tried again, and must be over at `end`.
    pub(super) fn begin(&self, end: Instant) {
        let now = Instant::now();
        let left = end.saturating_duration_since(now);
        self.set(Times {
            look_up_by: now + left.mul_f64(LOOK_UP_SHARE),
            connect_by: now + left.mul_f64(CONNECT_SHARE),
            end,
        });
        self.sent.store(false, Ordering::Relaxed);
        self.fresh.store(false, Ordering::Relaxed);
    }

    /// From now on the call may last no longer than `longest`.
    pub(super) fn shorten(&self, longest: Duration) {
        let mut times = self.times();
        times.end = times.end.min(Instant::now() + longest);
        self.set(times);
    }

    /// Whether any part of the request was given to the connection. If not, the server has
    /// certainly seen nothing of it.
    pub(super) fn sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether the request went over a connection that had served an earlier one.
    pub(super) fn reused(&self) -> bool {
        self.sent() && !self.fresh.load(Ordering::Relaxed)
    }

    /// The timeout, but not beyond the end of the call.
    pub(super) fn cap(&self, timeout: NextTimeout) -> NextTimeout {
        cap(timeout, self.times().end)
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, times: Times) {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) = times;
    }
}

fn cap(mut timeout: NextTimeout, end: Instant) -> NextTimeout {
    let left = Limit::from(end.saturating_duration_since(Instant::now()));
    timeout.after = timeout.after.min(left);
    timeout
}

/// The resolver for ureq, which resolves nothing.
#[derive(Debug)]
pub(super) struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Looks up names, on threads of their own.
#[derive(Debug, Default)]
struct Names {
    under_way: Arc<AtomicUsize>,
}

impl Names {
    /// The addresses to be tried, in this order; at least one, before `by`.
    fn look_up(&self, host: &str, port: u16, by: Instant) -> Result<Vec<SocketAddr>, String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        log::debug!("looking up {bare}, for port {port}");
        let name = (bare.to_owned(), port);
        let wait = by.saturating_duration_since(Instant::now());
        let place =
            Place::take(&self.under_way).ok_or("earlier look-ups have not come to an end")?;
        let (send, receive) = mpsc::sync_channel(1);
        let look_up = move || {
            let found = name.to_socket_addrs();
            drop(place);
            // Nobody may be waiting any more.
            let _ = send.send(found.map(|all| all.take(16).collect::<Vec<_>>()));
        };
        thread::Builder::new()
            .name("dns".into())
            .spawn(look_up)
            .map_err(|error| format!("no thread for it ({error})"))?;
        match receive.recv_timeout(wait) {
            Ok(Ok(found)) if found.is_empty() => Err("it has no address".into()),
            Ok(Ok(found)) => Ok(mixed(&found).into_iter().take(MOST_ADDRESSES).collect()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(RecvTimeoutError::Timeout) => Err("no answer in time".into()),
            Err(RecvTimeoutError::Disconnected) => Err("the look-up failed".into()),
        }
    }
}

/// A place among the look-ups under way, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(under_way: &Arc<AtomicUsize>) -> Option<Place> {
        if under_way.fetch_add(1, Ordering::Relaxed) >= MOST_LOOK_UPS {
            under_way.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place(Arc::clone(under_way)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn port_of(uri: &Uri) -> u16 {
    let usual = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    uri.port_u16().unwrap_or(usual)
}

/// IPv6 and IPv4 in turn, in the system's order otherwise: where one of them leads nowhere, the
/// other comes next and not last.
fn mixed(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) = found
        .iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(found.len());
    while order.len() < found.len() {
        order.extend(first.next());
        order.extend(second.next());
    }
    order
}

/// Opens TCP connections whose every read and write ends with the call.
#[derive(Debug)]
pub(super) struct Sockets {
    state: Arc<CallState>,
    names: Names,
}

impl Sockets {
    pub(super) fn new(state: Arc<CallState>) -> Self {
        Sockets {
            state,
            names: Names::default(),
        }
    }

    /// To what is asked for, or to the proxy on the way there: whichever ureq wants a connection to.
    fn open(&self, details: &ConnectionDetails<'_>) -> Result<Bounded, Failure> {
        let (host, port) = (details.uri.host().unwrap_or(""), port_of(details.uri));
        let by = self.state.times().look_up_by;
        let addresses = self.names.look_up(host, port, by);
        let addresses = addresses.map_err(|why| Failure::Resolve {
            host: host.to_owned(),
            why,
        })?;
        let socket = self.open_any(details, &addresses);
        socket.map_err(|why| Failure::Connect {
            to: format!("{host}:{port}"),
            why,
        })
    }

    /// Tries one address after the other. If none answers, tells of each of them: which one matters,
    /// only a person can say.
    fn open_any(
        &self,
        details: &ConnectionDetails<'_>,
        addresses: &[SocketAddr],
    ) -> Result<Bounded, String> {
        let connect_by = self.state.times().connect_by;
        let mut failures = Vec::new();
        for (tried, &address) in addresses.iter().enumerate() {
            let left = connect_by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let limit = left.mul_f64(first_share(addresses.len() - tried));
            match self.open_one(details, address, limit) {
                Ok(socket) => return Ok(socket),
                Err(why) => failures.push((address.ip(), why)),
            }
        }
        Err(tell(&failures))
    }

    fn open_one(
        &self,
        details: &ConnectionDetails<'_>,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<Bounded, String> {
        let mut addrs = details.resolver.empty();
        addrs.push(address);
        let details = ConnectionDetails {
            uri: details.uri,
            addrs,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: (details.current_time)(),
            timeout: cap(details.timeout, Instant::now() + limit),
            current_time: Arc::clone(&details.current_time),
            run_connector: Arc::clone(&details.run_connector),
            register_shutdown: Arc::clone(&details.register_shutdown),
        };
        match TcpConnector::default().connect(&details, None::<()>) {
            Ok(Some(socket)) => Ok(Bounded {
                inner: Box::new(socket),
                state: Arc::clone(&self.state),
            }),
            Ok(None) => Err("no connection came of it".into()),
            // Without the time, or each would be told as something new.
            Err(Error::Timeout(_)) => Err("no answer in time".into()),
            Err(Error::Io(error)) => Err(error.to_string()),
            Err(other) => Err(other.to_string()),
        }
    }
}

/// What the next of so many addresses gets of the time that is left: twice as much as the one after it.
fn first_share(addresses: usize) -> f64 {
    1.0 / (2.0 - 0.5_f64.powi(i32::try_from(addresses.saturating_sub(1)).unwrap_or(i32::MAX)))
}

/// Why none of the addresses was connected to. What is true of all is said once.
fn tell(failures: &[(IpAddr, String)]) -> String {
    let Some(((_, why), others)) = failures.split_first() else {
        return "no time was left for it".into();
    };
    if others.iter().all(|(_, other)| other == why) {
        return why.clone();
    }
    let each = failures
        .iter()
        .map(|(address, why)| format!("{address}: {why}"));
    each.collect::<Vec<_>>().join("; ")
}

impl<In: Transport> Connector<In> for Sockets {
    type Out = Either<In, Bounded>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // There is a tunnel through a proxy already, whose socket came from here.
        if let Some(tunnel) = chained {
            return Ok(Some(Either::A(tunnel)));
        }
        Ok(Some(Either::B(self.open(details)?)))
    }
}

/// A socket that does nothing beyond the end of the call.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: Box<dyn Transport>,
    state: Arc<CallState>,
}

impl Bounded {
    fn cap(&self, timeout: NextTimeout) -> Result<NextTimeout, Error> {
        let timeout = self.state.cap(timeout);
        // A socket has no timeout of zero: ureq would wait for a second.
        if timeout.after.is_zero() {
            return Err(Error::Timeout(timeout.reason));
        }
        Ok(timeout)
    }
}

impl Transport for Bounded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = self.cap(timeout)?;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = self.cap(timeout)?;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// Notes when a new connection was made, and when the first byte of a request is given to one.
#[derive(Debug)]
pub(super) struct Marker(pub(super) Arc<CallState>);

impl<In: Transport> Connector<In> for Marker {
    type Out = Marked<In>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // ureq runs the whole chain for the connection to the proxy too, without a proxy then.
        let to_api = !self.0.has_proxy || details.config.proxy().is_some();
        if to_api {
            self.0.fresh.store(true, Ordering::Relaxed);
        }
        Ok(chained.map(|inner| Marked {
            inner,
            state: to_api.then(|| Arc::clone(&self.0)),
        }))
    }
}

/// A connection that is ready to be used.
#[derive(Debug)]
pub(super) struct Marked<T> {
    inner: T,
    /// `None` if it leads to a proxy only.
    state: Option<Arc<CallState>>,
}

impl<T: Transport> Transport for Marked<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if let Some(state) = &self.state {
            state.sent.store(true, Ordering::Relaxed);
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// The kind of error by which a body's reader says what ureq would wrap.
pub(super) fn plain_io(error: io::Error) -> io::Error {
    match Error::from(error) {
        Error::Timeout(_) => io::ErrorKind::TimedOut.into(),
        other => other.into_io(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_families_of_addresses_take_turns() {
        let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let (a, b, c) = (address("[::1]:1"), address("[::2]:1"), address("[::3]:1"));
        let (x, y) = (address("10.0.0.1:1"), address("10.0.0.2:1"));
        assert_eq!(mixed(&[a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(mixed(&[x, y, a]), [x, a, y]);
        assert_eq!(mixed(&[x]), [x]);
        assert_eq!(mixed(&[]), []);
    }

    #[test]
    fn each_address_gets_twice_the_time_of_the_next_one() {
        for (addresses, share) in [(1, 1.0), (2, 2.0 / 3.0), (3, 4.0 / 7.0)] {
            assert!((first_share(addresses) - share).abs() < 1e-9, "{addresses}");
        }
    }

    #[test]
    fn what_every_address_says_is_told() {
        let (four, six) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([0; 16]));
        let (silent, away) = ("no answer in time".to_owned(), "unreachable".to_owned());
        assert_eq!(tell(&[]), "no time was left for it");
        assert_eq!(tell(&[(four, silent.clone())]), silent);
        assert_eq!(tell(&[(four, away.clone()), (six, away.clone())]), away);
        assert_eq!(
            tell(&[(four, silent), (six, away)]),
            "10.0.0.1: no answer in time; ::: unreachable"
        );
    }

    #[test]
    fn look_ups_do_not_pile_up() {
        let under_way = Arc::new(AtomicUsize::new(0));
        let places: Vec<_> = (0..MOST_LOOK_UPS)
            .map(|_| Place::take(&under_way).unwrap())
            .collect();
        assert!(Place::take(&under_way).is_none());
        drop(places);
        assert!(Place::take(&under_way).is_some());
    }
}
