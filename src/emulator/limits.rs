//! GitHub's limits: requests per window (primary), writes per minute and hour (secondary). Pure.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::faults::Faults;
use super::revision::Timestamp;

/// More clients than this are not told apart: whoever comes then starts with a fresh table.
const MOST_CLIENTS: usize = 1000;

/// What GitHub allows an address that shows no token.
const ANONYMOUS_LIMIT: u32 = 60;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Client {
    User,
    /// A digest of the token, never the token.
    Token(u64),
    Anonymous(IpAddr),
}

/// Where a client stands in its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) limit: u32,
    pub(super) used: u32,
    /// In seconds since 1970.
    pub(super) reset: i64,
}

impl Standing {
    pub(super) fn remaining(self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    reset: i64,
    used: u32,
}

/// The counters of all clients.
#[derive(Debug, Default)]
pub(super) struct Quota {
    windows: HashMap<Client, Window>,
    /// When the last hour's writes were, oldest first; never more than the hour's limit.
    writes: VecDeque<Timestamp>,
}

impl Quota {
    /// Counts a request. `Err` is one over the limit; `None` means that there is no limit.
    pub(super) fn charge(
        &mut self,
        faults: &Faults,
        client: Client,
        now: Timestamp,
    ) -> Result<(), Standing> {
        let Some(standing) = self.standing(faults, client, now) else {
            return Ok(());
        };
        if standing.remaining() == 0 {
            return Err(standing);
        }
        if self.windows.len() >= MOST_CLIENTS && !self.windows.contains_key(&client) {
            self.windows.clear();
        }
        let window = Window {
            reset: standing.reset,
            used: standing.used + 1,
        };
        self.windows.insert(client, window);
        Ok(())
    }

    /// Takes a charge back, for an answer that turned out to be free.
    pub(super) fn refund(&mut self, client: Client) {
        if let Some(window) = self.windows.get_mut(&client) {
            window.used = window.used.saturating_sub(1);
        }
    }

    /// Where the client stands now; `None` if there is no limit.
    pub(super) fn standing(
        &self,
        faults: &Faults,
        client: Client,
        now: Timestamp,
    ) -> Option<Standing> {
        let limit = match client {
            Client::Anonymous(_) => faults.primary_limit?.min(ANONYMOUS_LIMIT),
            Client::User | Client::Token(_) => faults.primary_limit?,
        };
        let running = self
            .windows
            .get(&client)
            .filter(|window| window.reset > now.seconds());
        let fresh = Window {
            reset: now.seconds() + i64::from(faults.primary_window_s),
            used: 0,
        };
        let window = running.copied().unwrap_or(fresh);
        Some(Standing {
            limit,
            used: window.used,
            reset: window.reset,
        })
    }

    /// Counts a write if neither the minute nor the hour is full.
    pub(super) fn take_write(&mut self, faults: &Faults, now: Timestamp) -> bool {
        while self
            .writes
            .front()
            .is_some_and(|at| *at <= now.plus_ms(-HOUR_MS))
        {
            self.writes.pop_front();
        }
        let last_minute = self
            .writes
            .iter()
            .rev()
            .take_while(|at| **at > now.plus_ms(-MINUTE_MS))
            .count();
        let full =
            |limit: Option<u32>, count: usize| limit.is_some_and(|limit| count >= limit as usize);
        if full(faults.secondary_per_minute, last_minute)
            || full(faults.secondary_per_hour, self.writes.len())
        {
            return false;
        }
        if faults.secondary_per_minute.is_some() || faults.secondary_per_hour.is_some() {
            if self.writes.len() >= MOST_WRITES {
                self.writes.pop_front();
            }
            self.writes.push_back(now);
        }
        true
    }
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Writes that are remembered where only the minute is limited, or the hour hardly.
const MOST_WRITES: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(1_000_000_000);

    #[test]
    fn a_full_window_refuses_until_its_reset() {
        let faults = Faults {
            primary_limit: Some(2),
            primary_window_s: 10,
            ..Faults::default()
        };
        let mut quota = Quota::default();
        assert_eq!(quota.charge(&faults, Client::User, T), Ok(()));
        assert_eq!(quota.charge(&faults, Client::User, T.plus_ms(9000)), Ok(()));
        let over = quota
            .charge(&faults, Client::User, T.plus_ms(9999))
            .unwrap_err();
        assert_eq!((over.remaining(), over.reset), (0, T.seconds() + 10));
        assert_eq!(quota.charge(&faults, Client::Token(1), T), Ok(()));
        assert_eq!(
            quota.charge(&faults, Client::User, T.plus_ms(10_000)),
            Ok(())
        );
    }

    #[test]
    fn a_refund_makes_room_again() {
        let faults = Faults {
            primary_limit: Some(1),
            ..Faults::default()
        };
        let mut quota = Quota::default();
        for _ in 0..3 {
            assert_eq!(quota.charge(&faults, Client::User, T), Ok(()));
            quota.refund(Client::User);
        }
    }

    #[test]
    fn writes_are_limited_by_the_minute_and_by_the_hour() {
        let faults = Faults {
            secondary_per_minute: Some(2),
            secondary_per_hour: Some(3),
            ..Faults::default()
        };
        let mut quota = Quota::default();
        let mut at = |seconds: i64| quota.take_write(&faults, T.plus_ms(seconds * 1000));
        let taken = [at(0), at(1), at(2), at(60), at(61), at(3599), at(3600)];
        assert_eq!(taken, [true, true, false, true, false, false, true]);
    }
}
