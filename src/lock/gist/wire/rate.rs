//! GitHub's primary rate limit in the headers of an answer.

use std::time::Duration;

/// Requests that an account may send, over all of its programs. A 304 costs none and states this too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// Requests per hour.
    pub limit: u64,
    /// Requests that are left of them.
    pub remaining: u64,
    /// Time of the reset by the server's clock, in seconds since the Unix epoch.
    pub reset: i64,
    /// The server's clock in this answer.
    pub date: Option<i64>,
}

impl RateLimit {
    /// Returns the time from the answer to the reset, by the server's clock alone; `None` if it has passed
    /// or is unknown. A second is added because both times are in whole seconds.
    #[must_use]
    pub fn resets_in(&self) -> Option<Duration> {
        let seconds = self.reset.checked_sub(self.date?)?;
        let seconds = u64::try_from(seconds).ok().filter(|&seconds| seconds > 0)?;
        Some(Duration::from_secs(seconds.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: RateLimit = RateLimit {
        limit: 5000,
        remaining: 4975,
        reset: 1_588_010_945,
        date: Some(1_588_008_246),
    };

    #[test]
    fn reset_is_measured_by_server_clock() {
        assert_eq!(RATE.resets_in(), Some(Duration::from_secs(2700)));
        let without = |reset, date| RateLimit {
            reset,
            date,
            ..RATE
        };
        assert_eq!(without(RATE.reset, None).resets_in(), None);
        assert_eq!(without(1_588_008_246, RATE.date).resets_in(), None);
        assert_eq!(without(i64::MAX, Some(i64::MIN)).resets_in(), None);
        assert_eq!(without(i64::MIN, Some(i64::MAX)).resets_in(), None);
        let far = without(i64::MAX, Some(0)).resets_in();
        assert_eq!(far, Some(Duration::from_secs(1 << 63)));
    }
}
