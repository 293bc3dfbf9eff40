//! DNS lookups on a thread, with a cache that outlives a DNS outage.
//!
//! ```text
//!   new connection ──▶ cached? ─ yes ─▶ addresses, immediately; the "dns" thread refreshes them
//!                         └───── no ──▶ the "dns" thread looks them up; wait for it, until the deadline
//! ```
//!
//! An address stays cached until a lookup replaces it. Why: a name that cannot be resolved any more is
//! far more often a DNS outage than a moved server. If a server did move, one connection attempt fails, and
//! the next one uses the addresses that the refresh found.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::system::monitor::Monitor;

/// Greatest number of addresses of a host that are tried. Each gets half the time of the one before.
const MAX_ADDRESSES: usize = 6;

/// Looks up the host that one agent connects to, its server or its proxy, and remembers its addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct CachingResolver(Arc<Monitor<Cache>>);

#[derive(Debug, Default)]
struct Cache {
    /// Addresses that the last successful lookup found.
    addresses: Vec<SocketAddr>,
    /// Reason why the last lookup failed.
    failure: String,
    /// A lookup runs. The system's resolver cannot be interrupted, so that lookups which hang must not
    /// pile up.
    looking_up: bool,
}

type LookupResult = Result<Vec<SocketAddr>, String>;

impl CachingResolver {
    /// Returns at least one address of `host`, in the order in which to try them. Blocks, until `deadline`
    /// at most, only if no earlier lookup succeeded.
    ///
    /// # Errors
    /// Returns the reason if no address is known.
    pub(super) fn addresses(&self, host: &str, port: u16, deadline: Instant) -> LookupResult {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        self.start_lookup((host.to_owned(), port));
        let left = deadline.saturating_duration_since(Instant::now());
        let waits = |cache: &mut Cache| cache.addresses.is_empty() && cache.looking_up;
        let cache = self.0.wait_while_for(left, waits);
        match (cache.addresses.as_slice(), cache.looking_up) {
            ([], true) => Err("no answer in time".to_owned()),
            ([], false) => Err(cache.failure.clone()),
            (addresses, _) => Ok(addresses.to_vec()),
        }
    }

    /// Starts a lookup unless one runs. It updates the cache even if nothing waits for it any more.
    fn start_lookup(&self, name: (String, u16)) {
        if std::mem::replace(&mut self.0.lock().looking_up, true) {
            return;
        }
        let resolver = self.clone();
        let look_up = move || {
            log::debug!(host = name.0, port = name.1; "resolving host");
            let found = name.to_socket_addrs().map_err(|error| error.to_string());
            resolver.finish(found.and_then(|found| in_trial_order(&found.collect::<Vec<_>>())));
        };
        let thread = thread::Builder::new().name("dns".into()).spawn(look_up);
        if let Err(error) = thread {
            self.finish(Err(format!("no thread for the lookup ({error})")));
        }
    }

    /// Caches what a lookup found. If it failed, the earlier addresses stay.
    fn finish(&self, found: LookupResult) {
        self.0.change(|cache| {
            cache.looking_up = false;
            match found {
                Ok(addresses) => cache.addresses = addresses,
                Err(error) => {
                    log::debug!(error; "DNS lookup failed");
                    cache.failure = error;
                }
            }
        });
    }
}

/// Alternates IPv6 and IPv4, otherwise in the system's order. Why: if one of them leads nowhere, the
/// other is tried next and not last.
fn in_trial_order(found: &[SocketAddr]) -> LookupResult {
    let Some(first) = found.first() else {
        return Err("it has no address".into());
    };
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) = found
        .iter()
        .partition(|address| address.is_ipv6() == first.is_ipv6());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(found.len());
    while order.len() < found.len() {
        order.extend(first.next());
        order.extend(second.next());
    }
    order.truncate(MAX_ADDRESSES);
    Ok(order)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn address_families_alternate() {
        let (a, b, c) = (address("[::1]:1"), address("[::2]:1"), address("[::3]:1"));
        let (x, y) = (address("10.0.0.1:1"), address("10.0.0.2:1"));
        let order = |found: &[SocketAddr]| in_trial_order(found).unwrap();
        assert_eq!(order(&[a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(order(&[x, y, a]), [x, a, y]);
        assert_eq!(order(&[x]), [x]);
        assert!(in_trial_order(&[]).is_err());
    }

    #[test]
    fn lookups_do_not_pile_up() {
        let resolver = CachingResolver::default();
        resolver.0.lock().looking_up = true;
        let error = resolver.addresses("localhost", 1, Instant::now());
        assert_eq!(error, Err("no answer in time".to_owned()));
        // The answer of the lookup that hung is still used.
        let found = vec![address("10.0.0.1:1")];
        resolver.finish(Ok(found.clone()));
        // Without this, a refresh could end before the answer.
        resolver.0.lock().looking_up = true;
        let cached = resolver.addresses("localhost", 1, Instant::now());
        assert_eq!(cached, Ok(found));
    }

    #[test]
    fn cached_addresses_outlive_dns_outage() {
        let resolver = CachingResolver::default();
        let found = vec![address("10.0.0.1:443")];
        resolver.finish(Ok(found.clone()));
        for _ in 0..3 {
            // The deadline has passed, so nothing may wait for DNS.
            let now = Instant::now();
            let cached = resolver.addresses("nowhere.invalid", 443, now);
            assert_eq!(cached, Ok(found.clone()));
            let end = soon();
            while resolver.0.lock().looking_up {
                assert!(Instant::now() < end, "the refresh ends");
                thread::yield_now();
            }
        }
        let empty = CachingResolver::default();
        assert!(empty.addresses("nowhere.invalid", 444, soon()).is_err());
    }

    #[test]
    fn refresh_replaces_cached_addresses() {
        let resolver = CachingResolver::default();
        let old = vec![address("10.0.0.1:1")];
        resolver.finish(Ok(old.clone()));
        // The refresh may end before this returns.
        assert!(resolver.addresses("localhost", 1, soon()).is_ok());
        let end = soon();
        while resolver.0.lock().addresses == old {
            assert!(Instant::now() < end, "the refresh ends");
            thread::yield_now();
        }
    }
}
