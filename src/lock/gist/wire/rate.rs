//! GitHub's primary rate limit in the headers of an answer: requests that an account may send, over all of
//! its programs. A 304 costs none and states this too.

use std::time::Duration;

/// Returns the time from an answer to the reset, by the server's clock alone; `None` if it has passed or is
/// unknown. `date` is the server's clock in the answer. A second is added because both times are in whole
/// seconds.
#[must_use]
pub fn resets_in(resets_at: i64, date: Option<i64>) -> Option<Duration> {
    let seconds = resets_at.checked_sub(date?)?;
    let seconds = u64::try_from(seconds).ok().filter(|&seconds| seconds > 0)?;
    Some(Duration::from_secs(seconds.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_is_measured_by_server_clock() {
        let (date, reset) = (Some(1_588_008_246), 1_588_010_945);
        assert_eq!(resets_in(reset, date), Some(Duration::from_secs(2700)));
        assert_eq!(resets_in(reset, None), None);
        assert_eq!(resets_in(1_588_008_246, date), None);
        assert_eq!(resets_in(i64::MAX, Some(i64::MIN)), None);
        assert_eq!(resets_in(i64::MIN, Some(i64::MAX)), None);
        let far = resets_in(i64::MAX, Some(0));
        assert_eq!(far, Some(Duration::from_secs(1 << 63)));
    }
}
