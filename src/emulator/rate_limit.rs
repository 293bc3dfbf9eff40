//! GitHub's rate limits: requests per window (primary), writes per minute and hour (secondary). Pure.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use serde::Serialize;

use super::faults::Faults;
use super::revision::Timestamp;

/// Most accounts that are told apart. One more clears the table.
const MOST_ACCOUNTS: usize = 1000;

/// Most requests per window from an address without an access token, as at GitHub.
const ANONYMOUS_LIMIT: u32 = 60;

/// Most writes that are remembered where the hour has no limit or a high one.
const MOST_WRITES: usize = 100_000;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Account whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Account {
    User,
    /// Digest of the access token.
    Token(u64),
    Anonymous(IpAddr),
}

/// Primary rate limit of an account, as `GET /rate_limit` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct RateLimit {
    pub(super) limit: u32,
    pub(super) used: u32,
    pub(super) remaining: u32,
    /// End of the window, in seconds since the Unix epoch by the service's clock.
    pub(super) reset: i64,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    /// End in seconds since the Unix epoch.
    reset: i64,
    used: u32,
}

/// Requests of all accounts.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    windows: HashMap<Account, Window>,
    /// Times of the last hour's writes, oldest first.
    writes: VecDeque<Timestamp>,
}

impl RateLimits {
    /// Counts a request. Returns whether it is within the limit.
    pub(super) fn charge(&mut self, faults: &Faults, account: Account, now: Timestamp) -> bool {
        let Some(limit) = limit(faults, account) else {
            return true;
        };
        let mut window = self.window(faults, account, now);
        if window.used >= limit {
            return false;
        }
        window.used += 1;
        if self.windows.len() >= MOST_ACCOUNTS && !self.windows.contains_key(&account) {
            self.windows.clear();
        }
        self.windows.insert(account, window);
        true
    }

    /// Takes back a charge, for an answer that is free.
    pub(super) fn refund(&mut self, account: Account) {
        if let Some(window) = self.windows.get_mut(&account) {
            window.used = window.used.saturating_sub(1);
        }
    }

    /// Returns the present primary limit of an account; `None` if there is no limit.
    pub(super) fn primary(
        &self,
        faults: &Faults,
        account: Account,
        now: Timestamp,
    ) -> Option<RateLimit> {
        let limit = limit(faults, account)?;
        let window = self.window(faults, account, now);
        Some(RateLimit {
            limit,
            used: window.used,
            remaining: limit.saturating_sub(window.used),
            reset: window.reset + faults.clock_offset_s,
        })
    }

    fn window(&self, faults: &Faults, account: Account, now: Timestamp) -> Window {
        let present = self.windows.get(&account).copied();
        let present = present.filter(|window| window.reset > now.seconds());
        present.unwrap_or(Window {
            reset: now.seconds() + i64::from(faults.primary_window_s),
            used: 0,
        })
    }

    /// Counts a write. Returns whether it is within the limits of the minute and the hour.
    pub(super) fn charge_write(&mut self, faults: &Faults, now: Timestamp) -> bool {
        let (minute, hour) = (faults.secondary_per_minute, faults.secondary_per_hour);
        if minute.is_none() && hour.is_none() {
            return true;
        }
        let hour_ago = now.plus_ms(-HOUR_MS);
        while self.writes.front().is_some_and(|at| *at <= hour_ago) {
            self.writes.pop_front();
        }
        let minute_ago = now.plus_ms(-MINUTE_MS);
        let newest = self.writes.iter().rev();
        let last_minute = newest.take_while(|at| **at > minute_ago).count();
        let full = |limit: Option<u32>, count| limit.is_some_and(|limit| count >= limit as usize);
        if full(minute, last_minute) || full(hour, self.writes.len()) {
            return false;
        }
        if self.writes.len() >= MOST_WRITES {
            self.writes.pop_front();
        }
        self.writes.push_back(now);
        true
    }
}

fn limit(faults: &Faults, account: Account) -> Option<u32> {
    let limit = faults.primary_limit?;
    Some(match account {
        Account::Anonymous(_) => limit.min(ANONYMOUS_LIMIT),
        Account::User | Account::Token(_) => limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(1_000_000_000);

    #[test]
    fn full_window_refuses_until_reset() {
        let faults = Faults {
            primary_limit: Some(2),
            primary_window_s: 10,
            ..Faults::default()
        };
        let mut limits = RateLimits::default();
        let mut charge = |account, ms| limits.charge(&faults, account, T.plus_ms(ms));
        assert!(charge(Account::User, 0));
        assert!(charge(Account::User, 9000));
        assert!(!charge(Account::User, 9999));
        assert!(charge(Account::Token(1), 0));
        let over = limits.primary(&faults, Account::User, T.plus_ms(9999));
        let over = over.unwrap();
        assert_eq!((over.remaining, over.reset), (0, T.seconds() + 10));
        assert!(limits.charge(&faults, Account::User, T.plus_ms(10_000)));
    }

    #[test]
    fn refund_makes_room_again() {
        let faults = Faults {
            primary_limit: Some(1),
            ..Faults::default()
        };
        let mut limits = RateLimits::default();
        for _ in 0..3 {
            assert!(limits.charge(&faults, Account::User, T));
            limits.refund(Account::User);
        }
    }

    #[test]
    fn writes_have_minute_and_hour_limits() {
        let faults = Faults {
            secondary_per_minute: Some(2),
            secondary_per_hour: Some(3),
            ..Faults::default()
        };
        let mut limits = RateLimits::default();
        let mut at = |seconds: i64| limits.charge_write(&faults, T.plus_ms(seconds * 1000));
        let taken = [at(0), at(1), at(2), at(60), at(61), at(3599), at(3600)];
        assert_eq!(taken, [true, true, false, true, false, false, true]);
    }
}
