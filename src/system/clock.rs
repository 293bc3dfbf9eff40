//! The real clocks: time since boot for decisions, and UTC for display.
//!
//! Waiting is in [`super::timer`].

use std::num::NonZeroU8;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};

use crate::election::time::Instant;

/// RFC 3339 with whole seconds, as in client-go's records.
const SECONDS: EncodedConfig = Config::DEFAULT
    .set_time_precision(TimePrecision::Second {
        decimal_digits: None,
    })
    .encode();

/// RFC 3339 with milliseconds, for log lines.
const MILLISECONDS: EncodedConfig = Config::DEFAULT
    .set_time_precision(TimePrecision::Second {
        decimal_digits: NonZeroU8::new(3),
    })
    .encode();

/// Clock of the time since boot, including suspended time (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug)]
pub struct BootClock;

impl BootClock {
    /// Returns the current time.
    ///
    /// # Panics
    /// Panics if the system has no such clock (Linux has one since 2.6.39). Why: no default would be safe.
    /// With an early one a leader would never stop; with a late one every lease would have expired.
    #[must_use]
    pub fn now() -> Instant {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME)
            .expect("CLOCK_BOOTTIME is missing; use Linux 2.6.39 or later");
        Instant::from_boot(now.into())
    }
}

/// Returns the current UTC time as RFC 3339, truncated to seconds: `2026-11-22T10:00:00Z`. Use it for display
/// and records only, never for a decision.
#[must_use]
pub fn utc_timestamp() -> String {
    seconds(OffsetDateTime::now_utc())
}

/// Returns the current UTC time in milliseconds since the Unix epoch. Use it only for display, and for
/// delays that outlive a boot.
#[must_use]
pub fn unix_millis() -> i64 {
    let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
    i64::try_from(nanos / 1_000_000).unwrap_or_default()
}

/// Returns the UTC time after `wait`, formatted like [`utc_timestamp`], or an empty text if it is out of range.
#[must_use]
pub fn utc_timestamp_after(wait: Duration) -> String {
    let wait = time::Duration::try_from(wait).unwrap_or(time::Duration::MAX);
    let then = OffsetDateTime::now_utc().checked_add(wait);
    then.map(seconds).unwrap_or_default()
}

/// Returns the UTC time before `age`, formatted like [`utc_timestamp`], or an empty text if it is out of range.
#[must_use]
pub fn utc_timestamp_before(age: Duration) -> String {
    let age = time::Duration::try_from(age).unwrap_or(time::Duration::MAX);
    let then = OffsetDateTime::now_utc().checked_sub(age);
    then.map(seconds).unwrap_or_default()
}

/// Returns the current UTC time with milliseconds, for log lines: `2026-11-22T10:00:00.123Z`.
#[must_use]
pub fn utc_timestamp_millis() -> String {
    milliseconds(OffsetDateTime::now_utc())
}

fn seconds(time: OffsetDateTime) -> String {
    time.format(&Iso8601::<SECONDS>).unwrap_or_default()
}

fn milliseconds(time: OffsetDateTime) -> String {
    time.format(&Iso8601::<MILLISECONDS>).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_clock_never_runs_backwards() {
        let first = BootClock::now();
        let second = BootClock::now();
        assert!(Instant::BOOT < first && first <= second);
        assert!(second.since(first) < Duration::from_secs(60));
    }

    #[test]
    fn timestamps_are_utc_and_truncated() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_795_341_599_999_999_999).unwrap();
        assert_eq!(seconds(time), "2026-11-22T09:59:59Z");
        assert_eq!(milliseconds(time), "2026-11-22T09:59:59.999Z");
        let early = OffsetDateTime::from_unix_timestamp(7).unwrap();
        assert_eq!(milliseconds(early), "1970-01-01T00:00:07.000Z");
        assert_eq!(utc_timestamp().len(), 20);
        assert!(utc_timestamp() < utc_timestamp_after(Duration::from_secs(60)));
        assert_eq!(utc_timestamp_after(Duration::MAX), "");
    }
}
