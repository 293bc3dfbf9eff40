//! Faults of the service, and the draw of those that one request meets. Pure.
//!
//! As JSON all fields are optional. By default nothing goes wrong. Probabilities are numbers from 0 to
//! 1 (or `true`/`false`), delays are milliseconds, fixed (`50`) or drawn from a range (`[10, 200]`).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::change::{Race, Rules};
use super::random::{Delay, LONGEST_MS, Probability};

/// Longest time that a hung request waits for its client to give up. Clients wait less.
const HANG: Duration = Duration::from_secs(600);

/// Largest offset of the clock in seconds, ten years: dates keep a year of four digits.
const MOST_OFFSET_S: i64 = 10 * 366 * 24 * 3600;

/// All faults, and the service's behaviour where GitHub's is unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Seed that restarts the draws when it is set.
    pub seed: Option<u64>,
    /// Drops the connection of every API request.
    pub outage: bool,
    /// Latency of reads, split at random between before and after the work.
    pub read_ms: Delay,
    /// Latency of writes, split likewise.
    pub write_ms: Delay,
    /// Reads that are neither handled nor answered.
    pub hang_reads: Probability,
    /// Writes that are neither handled nor answered.
    pub hang_writes: Probability,
    /// Time for which they hang; `null`: until the client gives up, at most 10 minutes.
    pub hang_ms: Option<u64>,
    /// Requests whose connection is dropped before anything is done.
    pub drop: Probability,
    /// Writes that are done and not answered.
    pub lost_answers: Probability,
    /// Answers that end half way.
    pub truncated_answers: Probability,
    /// Writes whose connection is dropped immediately and that are done `late_ms` later.
    pub late_writes: Probability,
    /// Delay of late writes.
    pub late_ms: Delay,
    /// Writes that are done twice, as two revisions.
    pub duplicate_writes: Probability,
    /// Delay of the second time after the answer; 0: before the answer.
    pub duplicate_ms: Delay,
    /// Outcome of racing writes.
    pub race: Race,
    /// Time of a write between reading the head and moving it.
    pub race_window_ms: Delay,
    /// Longest such time after which a write may still replace another; later it gets 409. `null`: no
    /// limit. On a busy machine a window may last longer than drawn.
    pub race_limit_ms: Option<u64>,
    /// Reads that are answered from an earlier state.
    pub stale_reads: Probability,
    /// Age of that state.
    pub stale_age_ms: Delay,
    /// Requests that are answered with `error_status`.
    pub error_5xx: Probability,
    /// Status from 500 to 599.
    pub error_status: u16,
    /// Share of those writes that are done nevertheless.
    pub error_write_landed: Probability,
    /// Requests that are answered 401 `Bad credentials`.
    pub unauthorized: Probability,
    /// Access tokens whose requests are answered so, as if they were revoked.
    pub rejected_tokens: Vec<String>,
    /// Expiration of the access tokens, as in GitHub's header: `2026-12-24 18:00:00 UTC`.
    pub token_expiration: Option<String>,
    /// Writes that are answered 403 `Resource not accessible by integration`.
    pub forbidden_writes: Probability,
    /// Writes that are answered 404.
    pub not_found_writes: Probability,
    /// Requests per window of a user with all access tokens together; `null`: no limit and no headers.
    pub primary_limit: Option<u32>,
    /// Length of that window in seconds.
    pub primary_window_s: u32,
    /// Limits each access token separately. At GitHub all of a user's share one limit.
    pub primary_per_token: bool,
    /// Status of a request over the primary limit: 403 or 429.
    pub primary_status: u16,
    /// Most writes per minute.
    pub secondary_per_minute: Option<u32>,
    /// Most writes per hour.
    pub secondary_per_hour: Option<u32>,
    /// Status of a write over those limits: 403 or 429.
    pub secondary_status: u16,
    /// Value of its header `Retry-After`; `null`: no such header.
    pub retry_after_s: Option<u32>,
    /// Most entries in a gist's `history`. `/commits` shows all.
    pub history_cap: Option<usize>,
    /// Most entries on a page of `/commits`.
    pub per_page_cap: Option<usize>,
    /// Sends no `ETag`, and so never answers 304.
    pub no_etag: bool,
    /// Sends no `Date`.
    pub no_date: bool,
    /// Seconds by which the service's clock is ahead.
    pub clock_offset_s: i64,
    /// Ignores blank content with 200 instead of refusing it with 422.
    pub swallow_blank: bool,
    /// Makes a revision of a write that changes nothing.
    pub identical_makes_revision: bool,
    /// Shows lost revisions under `/gists/{id}/{sha}`.
    pub lost_readable: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: None,
            outage: false,
            read_ms: Delay::default(),
            write_ms: Delay::default(),
            hang_reads: Probability::NEVER,
            hang_writes: Probability::NEVER,
            hang_ms: None,
            drop: Probability::NEVER,
            lost_answers: Probability::NEVER,
            truncated_answers: Probability::NEVER,
            late_writes: Probability::NEVER,
            late_ms: Delay::default(),
            duplicate_writes: Probability::NEVER,
            duplicate_ms: Delay::default(),
            race: Race::default(),
            race_window_ms: Delay::default(),
            race_limit_ms: None,
            stale_reads: Probability::NEVER,
            stale_age_ms: Delay::default(),
            error_5xx: Probability::NEVER,
            error_status: 502,
            error_write_landed: Probability::NEVER,
            unauthorized: Probability::NEVER,
            rejected_tokens: Vec::new(),
            token_expiration: None,
            forbidden_writes: Probability::NEVER,
            not_found_writes: Probability::NEVER,
            primary_limit: None,
            primary_window_s: 3600,
            primary_per_token: false,
            primary_status: 403,
            secondary_per_minute: None,
            secondary_per_hour: None,
            secondary_status: 403,
            retry_after_s: None,
            history_cap: None,
            per_page_cap: None,
            no_etag: false,
            no_date: false,
            clock_offset_s: 0,
            swallow_blank: false,
            identical_makes_revision: false,
            lost_readable: false,
        }
    }
}

impl Faults {
    /// Reads faults from JSON. Missing fields have their default.
    ///
    /// # Errors
    /// Returns an error if the JSON is malformed, names an unknown field or has a value out of range.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        Self::default().merged(json)
    }

    /// Returns these faults with the fields of a JSON object changed; `null` restores the default.
    ///
    /// # Errors
    /// Returns an error as [`from_json`](Self::from_json) does.
    pub fn merged(&self, json: &[u8]) -> Result<Self, String> {
        let text = |error: serde_json::Error| error.to_string();
        let changes: Map<String, Value> = serde_json::from_slice(json).map_err(text)?;
        let mut all = serde_json::to_value(self).map_err(text)?;
        for (name, value) in changes {
            match all.as_object_mut() {
                Some(all) if value.is_null() && all.contains_key(&name) => all.remove(&name),
                Some(all) => all.insert(name, value),
                None => None,
            };
        }
        let merged: Self = serde_json::from_value(all).map_err(text)?;
        merged.check()?;
        Ok(merged)
    }

    /// Returns all fields as JSON, one per line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers, texts and lists cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    fn check(&self) -> Result<(), String> {
        let limit_status = |status| matches!(status, 403 | 429);
        let offsets = -MOST_OFFSET_S..=MOST_OFFSET_S;
        let delays = [
            self.read_ms,
            self.write_ms,
            self.late_ms,
            self.duplicate_ms,
            self.race_window_ms,
            self.stale_age_ms,
        ];
        let expiration = self.token_expiration.as_deref().unwrap_or("x");
        let why = if !delays.iter().all(|delay| delay.is_valid()) {
            "a delay is milliseconds or [min, max], at most a day"
        } else if !(500..=599).contains(&self.error_status) {
            "error_status is a number from 500 to 599"
        } else if !limit_status(self.primary_status) {
            "primary_status is 403 or 429"
        } else if !limit_status(self.secondary_status) {
            "secondary_status is 403 or 429"
        } else if self.primary_window_s == 0 {
            "primary_window_s is at least 1"
        } else if self.per_page_cap == Some(0) {
            "per_page_cap is at least 1"
        } else if !offsets.contains(&self.clock_offset_s) {
            "clock_offset_s is at most ten years"
        } else if !expiration.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            "token_expiration is the value of a header"
        } else if self.hang_ms.is_some_and(|ms| ms > LONGEST_MS) {
            "hang_ms is at most a day"
        } else {
            return Ok(());
        };
        Err(why.to_owned())
    }

    pub(super) fn rules(&self) -> Rules {
        Rules {
            swallow_blank: self.swallow_blank,
            identical_makes_revision: self.identical_makes_revision,
            clock_offset_ms: self.clock_offset_s.saturating_mul(1000),
        }
    }
}

/// Faults of one request, drawn before anything is done with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RequestFaults {
    pub(super) dropped: bool,
    pub(super) hang: Option<Duration>,
    pub(super) before: Duration,
    pub(super) after: Duration,
    pub(super) truncated: bool,
    pub(super) unauthorized: bool,
    pub(super) error: Option<u16>,
    pub(super) error_landed: bool,
    pub(super) stale: Option<Duration>,
    pub(super) forbidden: bool,
    pub(super) not_found: bool,
    pub(super) lost: bool,
    pub(super) late: Option<Duration>,
    pub(super) duplicate: Option<Duration>,
    pub(super) window: Duration,
    race: Race,
    race_limit: Option<Duration>,
}

impl RequestFaults {
    /// Draws in a fixed order, so that a seed and an order of requests determine all faults.
    pub(super) fn draw(faults: &Faults, rng: &mut fastrand::Rng, write: bool) -> Self {
        let (latency, hangs) = match write {
            true => (faults.write_ms, faults.hang_writes),
            false => (faults.read_ms, faults.hang_reads),
        };
        let latency = latency.draw(rng);
        let before = latency.mul_f64(rng.f64());
        let hangs = hangs.happens(rng);
        let only_writes =
            |chance: Probability, rng: &mut fastrand::Rng| write && chance.happens(rng);
        Self {
            dropped: faults.outage || faults.drop.happens(rng),
            hang: hangs.then(|| faults.hang_ms.map_or(HANG, Duration::from_millis)),
            before,
            after: latency.saturating_sub(before),
            truncated: faults.truncated_answers.happens(rng),
            unauthorized: faults.unauthorized.happens(rng),
            error: faults.error_5xx.happens(rng).then_some(faults.error_status),
            error_landed: only_writes(faults.error_write_landed, rng),
            stale: (!write && faults.stale_reads.happens(rng))
                .then(|| faults.stale_age_ms.draw(rng)),
            forbidden: only_writes(faults.forbidden_writes, rng),
            not_found: only_writes(faults.not_found_writes, rng),
            lost: only_writes(faults.lost_answers, rng),
            late: only_writes(faults.late_writes, rng).then(|| faults.late_ms.draw(rng)),
            duplicate: only_writes(faults.duplicate_writes, rng)
                .then(|| faults.duplicate_ms.draw(rng)),
            window: match faults.race {
                Race::Serial => Duration::ZERO,
                _ => faults.race_window_ms.draw(rng),
            },
            race: faults.race,
            race_limit: faults.race_limit_ms.map(Duration::from_millis),
        }
    }

    /// Returns the outcome of a race for a write that took this long since it read the head.
    pub(super) fn race_after(&self, took: Duration) -> Race {
        match self.race {
            Race::Lose if self.race_limit.is_some_and(|limit| took > limit) => Race::Conflict,
            race => race,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probability(p: f64) -> Probability {
        serde_json::from_value(p.into()).unwrap()
    }

    #[test]
    fn missing_fields_have_their_default() {
        assert_eq!(Faults::from_json(b"{}").unwrap(), Faults::default());
        let some = Faults::from_json(
            br#"{"drop":0.5,"read_ms":[1,9],"write_ms":7,"race":"lose","hang_reads":true}"#,
        );
        let expected = Faults {
            drop: probability(0.5),
            read_ms: Delay::Range(1, 9),
            write_ms: Delay::Fixed(7),
            race: Race::Lose,
            hang_reads: Probability::ALWAYS,
            ..Faults::default()
        };
        assert_eq!(some.unwrap(), expected);
    }

    #[test]
    fn shown_faults_can_be_read() {
        let faults = Faults {
            read_ms: Delay::Range(1, 9),
            history_cap: Some(3),
            ..Faults::default()
        };
        assert_eq!(
            Faults::from_json(faults.to_json().as_bytes()).unwrap(),
            faults
        );
    }

    #[test]
    fn invalid_faults_are_refused() {
        for json in [
            "",
            "[]",
            "{\"dorp\":1}",
            "{\"drop\":1.5}",
            "{\"drop\":-1}",
            "{\"read_ms\":[9,1]}",
            "{\"read_ms\":-1}",
            "{\"race\":\"win\"}",
            "{\"error_status\":404}",
            "{\"secondary_status\":200}",
            "{\"per_page_cap\":0}",
            "{\"late_ms\":99999999999}",
            "{\"token_expiration\":\"a\\nb\"}",
            "{\"clock_offset_s\":400000000}",
            "{\"clock_offset_s\":-9223372036854775808}",
        ] {
            assert!(
                Faults::from_json(json.as_bytes()).is_err(),
                "{json} was taken"
            );
            assert!(
                json.is_empty() || Faults::default().merged(json.as_bytes()).is_err(),
                "{json} was merged"
            );
        }
    }

    #[test]
    fn merge_changes_only_named_fields() {
        let faults =
            Faults::from_json(br#"{"drop":0.5,"error_status":503,"history_cap":4}"#).unwrap();
        let merged = faults
            .merged(br#"{"error_status":null,"history_cap":null,"outage":true}"#)
            .unwrap();
        let expected = Faults {
            drop: probability(0.5),
            outage: true,
            ..Faults::default()
        };
        assert_eq!(merged, expected);
    }

    #[test]
    fn seed_determines_faults() {
        let faults = Faults {
            drop: probability(0.3),
            read_ms: Delay::Range(0, 99),
            stale_reads: probability(0.5),
            ..Faults::default()
        };
        let course = |seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..50)
                .map(|n| RequestFaults::draw(&faults, &mut rng, n % 3 == 0))
                .collect::<Vec<_>>()
        };
        assert_eq!(course(1), course(1));
        assert_ne!(course(1), course(2));
    }

    #[test]
    fn default_faults_never_happen() {
        let mut rng = fastrand::Rng::with_seed(1);
        for n in 0..1000 {
            let plan = RequestFaults::draw(&Faults::default(), &mut rng, n % 2 == 0);
            assert!(!plan.dropped && !plan.truncated && !plan.unauthorized && plan.error.is_none());
            assert!(
                plan.hang.is_none()
                    && plan.stale.is_none()
                    && plan.late.is_none()
                    && plan.duplicate.is_none()
            );
            assert!(plan.before.is_zero() && plan.after.is_zero() && plan.window.is_zero());
        }
    }
}
