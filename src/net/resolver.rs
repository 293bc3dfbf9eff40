//! DNS lookups on threads of their own, with a cache that outlives a DNS outage.
//!
//! ```text
//!   new connection ──▶ cached? ─ yes ─▶ addresses, immediately; a "dns" thread refreshes them
//!                         └───── no ──▶ a "dns" thread looks them up; wait for it, until the deadline
//! ```
//!
//! An address stays cached until a lookup replaces it. Why: a name that cannot be resolved any more is
//! far more often a DNS outage than a moved server. If a server did move, one connection attempt fails, and
//! the next one uses the addresses that the refresh found.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// Greatest number of simultaneous lookups. The system's resolver cannot be interrupted: a lookup that
/// hangs ends by itself, and such lookups must not pile up.
const MAX_LOOKUPS: usize = 4;

/// Greatest number of addresses of a host that are tried. Each gets half the time of the one before.
const MAX_ADDRESSES: usize = 6;

/// Looks up host names and remembers their addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct CachingResolver(Arc<Mutex<Cache>>);

#[derive(Debug, Default)]
struct Cache {
    /// An agent connects to its server or its proxy, so there are few.
    hosts: Vec<Host>,
    /// Number of lookups that run now.
    lookups: usize,
}

/// Host name and port.
type Name = (String, u16);

#[derive(Debug)]
struct Host {
    name: Name,
    addresses: Vec<SocketAddr>,
    refreshing: bool,
}

impl Cache {
    fn find(&mut self, name: &Name) -> Option<&mut Host> {
        self.hosts.iter_mut().find(|host| host.name == *name)
    }
}

type LookupResult = Result<Vec<SocketAddr>, String>;

impl CachingResolver {
    /// Returns at least one address of `host`, in the order in which to try them. Blocks, until `deadline`
    /// at most, only if no earlier lookup of `host` succeeded.
    ///
    /// # Errors
    /// Returns the reason if no address is known.
    pub(super) fn addresses(&self, host: &str, port: u16, deadline: Instant) -> LookupResult {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let name = (host.to_owned(), port);
        if let Some(addresses) = self.cached(&name) {
            return Ok(addresses);
        }
        let found = self.look_up(name)?;
        let left = deadline.saturating_duration_since(Instant::now());
        found.recv_timeout(left).unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Timeout => "no answer in time".into(),
                RecvTimeoutError::Disconnected => "the lookup failed".into(),
            })
        })
    }

    /// Returns the cached addresses, if there are any, and starts to refresh them.
    fn cached(&self, name: &Name) -> Option<Vec<SocketAddr>> {
        let (addresses, refreshing) = {
            let mut cache = self.lock();
            let host = cache.find(name)?;
            let refreshing = std::mem::replace(&mut host.refreshing, true);
            (host.addresses.clone(), refreshing)
        };
        if !refreshing && let Err(error) = self.look_up(name.clone()) {
            self.finish(name, &Err(error));
        }
        Some(addresses)
    }

    /// Starts a lookup that puts its result into the cache, even if nothing waits for it any more.
    fn look_up(&self, name: Name) -> Result<Receiver<LookupResult>, String> {
        let slot = LookupSlot::take(self).ok_or("earlier lookups have not ended")?;
        let (send, receive) = mpsc::sync_channel(1);
        let resolver = self.clone();
        let look_up = move || {
            log::debug!("looking up {}, for port {}", name.0, name.1);
            let found = match name.to_socket_addrs() {
                Ok(found) => in_trial_order(&found.collect::<Vec<_>>()),
                Err(error) => Err(error.to_string()),
            };
            resolver.finish(&name, &found);
            drop(slot);
            // The caller may have stopped waiting.
            let _ = send.send(found);
        };
        thread::Builder::new()
            .name("dns".into())
            .spawn(look_up)
            .map_err(|error| format!("no thread for the lookup ({error})"))?;
        Ok(receive)
    }

    /// Caches what a lookup found. If it failed, the earlier addresses stay.
    fn finish(&self, name: &Name, found: &LookupResult) {
        let mut cache = self.lock();
        match (found, cache.find(name)) {
            (Ok(addresses), Some(host)) => {
                host.addresses.clone_from(addresses);
                host.refreshing = false;
            }
            (Ok(addresses), None) => cache.hosts.push(Host {
                name: name.clone(),
                addresses: addresses.clone(),
                refreshing: false,
            }),
            (Err(error), Some(host)) => {
                host.refreshing = false;
                log::debug!(host = name.0, error; "DNS lookup failed, keeping the cached addresses");
            }
            (Err(_), None) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Right to run one of the simultaneous lookups, until it is dropped.
struct LookupSlot(CachingResolver);

impl LookupSlot {
    fn take(resolver: &CachingResolver) -> Option<LookupSlot> {
        let mut cache = resolver.lock();
        if cache.lookups == MAX_LOOKUPS {
            return None;
        }
        cache.lookups += 1;
        drop(cache);
        Some(LookupSlot(resolver.clone()))
    }
}

impl Drop for LookupSlot {
    fn drop(&mut self) {
        self.0.lock().lookups -= 1;
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
        let slots: Vec<_> = (0..MAX_LOOKUPS)
            .map(|_| LookupSlot::take(&resolver).unwrap())
            .collect();
        assert!(LookupSlot::take(&resolver).is_none());
        let error = resolver.addresses("localhost", 1, soon()).unwrap_err();
        assert!(error.contains("earlier lookups"), "{error}");
        drop(slots);
        assert!(LookupSlot::take(&resolver).is_some());
    }

    #[test]
    fn cached_addresses_outlive_dns_outage() {
        let resolver = CachingResolver::default();
        let found = vec![address("10.0.0.1:443")];
        let name = ("nowhere.invalid".to_owned(), 443);
        resolver.finish(&name, &Ok(found.clone()));
        for _ in 0..3 {
            // The deadline has passed, so nothing may wait for DNS.
            let now = Instant::now();
            let cached = resolver.addresses("nowhere.invalid", 443, now);
            assert_eq!(cached, Ok(found.clone()));
            let end = soon();
            while resolver.lock().hosts[0].refreshing {
                assert!(Instant::now() < end, "the refresh ends");
                thread::yield_now();
            }
        }
        assert!(resolver.addresses("nowhere.invalid", 444, soon()).is_err());
    }

    #[test]
    fn refresh_replaces_cached_addresses() {
        let resolver = CachingResolver::default();
        let name = ("localhost".to_owned(), 1);
        let old = vec![address("10.0.0.1:1")];
        resolver.finish(&name, &Ok(old.clone()));
        assert_eq!(resolver.addresses("localhost", 1, soon()), Ok(old.clone()));
        let end = soon();
        while resolver.lock().hosts[0].addresses == old {
            assert!(Instant::now() < end, "the refresh ends");
            thread::yield_now();
        }
    }
}
