//! GitHub's primary rate limit, as an answer's headers tell it.

use std::time::Duration;

/// How many requests a user may still send, with all programs together. A 304 costs none, and tells
/// this as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// The requests that an hour may have.
    pub limit: u64,
    /// How many of them are left.
    pub remaining: u64,
    /// When all are there again, by the server's clock, in seconds since the Unix epoch.
    pub reset: i64,
    /// The server's clock when it said so.
    pub date: Option<i64>,
}

impl RateLimit {
    /// How long after the answer all requests are there again, by the server's clock alone; `None` if
    /// that is over, or it does not say. A second more than the difference, as both have whole ones.
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
    fn the_time_until_the_reset_is_the_servers() {
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
