//! The real clocks: time since boot for decisions, the wall clock for people.
//!
//! Nothing but this file reads a clock. Waiting is the business of [`super::timer`].

use std::num::NonZeroU8;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};

use crate::election::time::Instant;

/// RFC 3339 with whole seconds, as client-go writes its records.
const SECONDS: EncodedConfig = Config::DEFAULT
    .set_time_precision(TimePrecision::Second {
        decimal_digits: None,
    })
    .encode();

/// RFC 3339 with milliseconds, for log lines: finer than any network, short enough to read.
const MILLISECONDS: EncodedConfig = Config::DEFAULT
    .set_time_precision(TimePrecision::Second {
        decimal_digits: NonZeroU8::new(3),
    })
    .encode();

/// The time since boot, suspended time included (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug)]
pub struct BootClock;

impl BootClock {
    /// Now.
    ///
    /// # Panics
    /// When the system has no such clock (Linux has one since 2.6.39). No made-up instant would do:
    /// an early one keeps a leader leading, a late one makes every lease look expired.
    #[must_use]
    pub fn now() -> Instant {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME)
            .expect("this system has no CLOCK_BOOTTIME: Linux 2.6.39 or later is needed");
        Instant::from_boot(now.into())
    }
}

/// The wall clock as RFC 3339 in UTC with whole seconds, cut off: `2026-11-22T10:00:00Z`. For people
/// and for records; no decision rests on it.
#[must_use]
pub fn utc_timestamp() -> String {
    seconds(OffsetDateTime::now_utc())
}

/// The wall clock in milliseconds since the Unix epoch, to be compared with another's before people.
#[must_use]
pub fn unix_millis() -> i64 {
    let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
    i64::try_from(nanos / 1_000_000).unwrap_or_default()
}

/// What the wall clock will show after that time, as [`wall`] writes it; empty if no clock shows it.
#[must_use]
pub fn utc_timestamp_after(wait: Duration) -> String {
    let wait = time::Duration::try_from(wait).unwrap_or(time::Duration::MAX);
    let then = OffsetDateTime::now_utc().checked_add(wait);
    then.map(seconds).unwrap_or_default()
}

/// The wall clock with milliseconds, for log lines: `2026-11-22T10:00:00.123Z`.
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
    fn the_boot_clock_does_not_run_backwards() {
        let first = BootClock::now();
        let second = BootClock::now();
        assert!(Instant::BOOT < first && first <= second);
        assert!(second.since(first) < Duration::from_secs(60));
    }

    #[test]
    fn wall_times_are_written_in_utc_and_cut_off() {
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
