//! What can be made to go wrong: the settings, and the draw of what goes wrong with one request. Pure.
//!
//! As JSON all fields are optional; a field that is not there is at its default, which is a service
//! that works. Chances are numbers from 0 to 1 (or `true`/`false`), times are milliseconds, fixed
//! (`50`) or drawn from a range (`[10, 200]`).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chance::{Chance, LONGEST_MS, Span};
use super::write::{Race, Rules};

/// How long a hung request hangs if its client does not give up: longer than any client waits.
const HANG: Duration = Duration::from_secs(600);

/// What becomes of writes that found the same head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RaceMode {
    /// The later one gets 409.
    #[default]
    Conflict,
    /// Both get 200, one on top of the other.
    Stack,
    /// Both get 200, and the earlier one vanishes.
    Vanish,
    /// Writes never overlap, whatever the window is.
    Serial,
}

impl RaceMode {
    pub(super) fn race(self) -> Race {
        match self {
            Self::Conflict | Self::Serial => Race::Conflict,
            Self::Stack => Race::Stack,
            Self::Vanish => Race::Vanish,
        }
    }
}

/// Everything that can be made to go wrong, and how the service answers where GitHub's way is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Starts the draws anew from this seed when it is set.
    pub seed: Option<u64>,
    /// Every API request has its connection dropped.
    pub outage: bool,
    /// Latency of reads, split at random between before and after the work.
    pub read_ms: Span,
    /// Latency of writes, likewise.
    pub write_ms: Span,
    /// Reads that are never handled nor answered.
    pub hang_reads: Chance,
    /// Writes that are never handled nor answered.
    pub hang_writes: Chance,
    /// How long those hang: `null` is until the client gives up, 10 minutes at most.
    pub hang_ms: Option<u64>,
    /// Requests whose connection is dropped before anything is done.
    pub drop: Chance,
    /// Writes that are done and not answered.
    pub lost_answers: Chance,
    /// Answers that end half way.
    pub truncated_answers: Chance,
    /// Writes whose connection is dropped at once and that are done `late_ms` later.
    pub late_writes: Chance,
    /// How much later.
    pub late_ms: Span,
    /// Writes that are done twice, as two revisions.
    pub duplicate_writes: Chance,
    /// How long after the answer the second time is; 0 is at once, before the answer.
    pub duplicate_ms: Span,
    /// What becomes of racing writes.
    pub race: RaceMode,
    /// How long a write takes from reading the head to moving it.
    pub race_window_ms: Span,
    /// A write that took longer than this from reading the head makes no other one vanish but gets 409:
    /// on a busy machine a window may last longer than it was drawn. `null` is no limit.
    pub race_limit_ms: Option<u64>,
    /// Reads that are answered from an earlier state.
    pub stale_reads: Chance,
    /// How much earlier.
    pub stale_age_ms: Span,
    /// Requests that are answered with `error_status`.
    pub error_5xx: Chance,
    /// 500 to 599.
    pub error_status: u16,
    /// Of the writes answered so: those that are done nevertheless.
    pub error_write_landed: Chance,
    /// Requests that are answered 401 `Bad credentials`.
    pub unauthorized: Chance,
    /// Writes that are answered 403 `Resource not accessible by integration`.
    pub forbidden_writes: Chance,
    /// Writes that are answered 404.
    pub not_found_writes: Chance,
    /// Requests per window, of a user with all tokens together; `null` is no limit, and no headers about it.
    pub primary_limit: Option<u32>,
    /// Length of that window.
    pub primary_window_s: u32,
    /// Every token has a primary limit of its own (at GitHub the user's tokens share one).
    pub primary_per_token: bool,
    /// Status of a request over the primary limit: 403 or 429.
    pub primary_status: u16,
    /// Writes a minute.
    pub secondary_per_minute: Option<u32>,
    /// Writes an hour.
    pub secondary_per_hour: Option<u32>,
    /// Status of a write over those: 403 or 429.
    pub secondary_status: u16,
    /// What `retry-after` then says; `null` is no such header.
    pub retry_after_s: Option<u32>,
    /// Most entries in a gist's `history`; `/commits` goes further.
    pub history_cap: Option<usize>,
    /// Most entries on a page of `/commits`.
    pub per_page_cap: Option<usize>,
    /// No `ETag`, and so never 304.
    pub no_etag: bool,
    /// No `Date`.
    pub no_date: bool,
    /// How far the server's clock is ahead.
    pub clock_offset_s: i64,
    /// Blank content is swallowed (200, nothing happens) rather than refused with 422.
    pub swallow_blank: bool,
    /// A write that changes nothing makes a revision.
    pub identical_makes_revision: bool,
    /// `GET /gists/{id}/{sha}` finds revisions that have vanished from history.
    pub vanished_readable: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: None,
            outage: false,
            read_ms: Span::default(),
            write_ms: Span::default(),
            hang_reads: Chance::NEVER,
            hang_writes: Chance::NEVER,
            hang_ms: None,
            drop: Chance::NEVER,
            lost_answers: Chance::NEVER,
            truncated_answers: Chance::NEVER,
            late_writes: Chance::NEVER,
            late_ms: Span::default(),
            duplicate_writes: Chance::NEVER,
            duplicate_ms: Span::default(),
            race: RaceMode::default(),
            race_window_ms: Span::default(),
            race_limit_ms: None,
            stale_reads: Chance::NEVER,
            stale_age_ms: Span::default(),
            error_5xx: Chance::NEVER,
            error_status: 502,
            error_write_landed: Chance::NEVER,
            unauthorized: Chance::NEVER,
            forbidden_writes: Chance::NEVER,
            not_found_writes: Chance::NEVER,
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
            vanished_readable: false,
        }
    }
}

/// Why settings for faults were not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultsError {
    /// Not the JSON of such settings; says where.
    Json(String),
    /// A value that makes no sense; says which.
    Value(&'static str),
}

impl fmt::Display for FaultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => write!(f, "these are no faults: {why}"),
            Self::Value(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for FaultsError {}

impl Faults {
    /// Reads settings from JSON; what is not there is at its default.
    ///
    /// # Errors
    /// If it is malformed, names an unknown field or has a value out of range.
    pub fn from_json(json: &[u8]) -> Result<Self, FaultsError> {
        Self::default().merged(json)
    }

    /// These settings with those fields changed that the JSON object names; `null` is the default.
    ///
    /// # Errors
    /// As `from_json`.
    pub fn merged(&self, json: &[u8]) -> Result<Self, FaultsError> {
        let broken = |e: serde_json::Error| FaultsError::Json(e.to_string());
        let changes: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(json).map_err(broken)?;
        let mut all = match serde_json::to_value(self).map_err(broken)? {
            serde_json::Value::Object(all) => all,
            _ => serde_json::Map::new(),
        };
        for (name, value) in changes {
            if value.is_null() && all.contains_key(&name) {
                all.remove(&name);
            } else {
                all.insert(name, value);
            }
        }
        serde_json::from_value::<Self>(all.into())
            .map_err(broken)?
            .checked()
    }

    /// The settings as pretty JSON, all fields.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers, strings and lists only: there is nothing that could fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    fn checked(self) -> Result<Self, FaultsError> {
        let rules = [
            (
                (500..=599).contains(&self.error_status),
                "error_status is a number from 500 to 599",
            ),
            (
                matches!(self.primary_status, 403 | 429),
                "primary_status is 403 or 429",
            ),
            (
                matches!(self.secondary_status, 403 | 429),
                "secondary_status is 403 or 429",
            ),
            (self.primary_window_s > 0, "primary_window_s is at least 1"),
            (self.per_page_cap != Some(0), "per_page_cap is at least 1"),
            (
                (-MOST_OFFSET_S..=MOST_OFFSET_S).contains(&self.clock_offset_s),
                "clock_offset_s is at most ten years",
            ),
            (
                self.hang_ms.is_none_or(|ms| ms <= LONGEST_MS),
                "hang_ms is at most a day",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, why)) => Err(FaultsError::Value(why)),
            None => Ok(self),
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules {
            swallow_blank: self.swallow_blank,
            identical_makes_revision: self.identical_makes_revision,
            clock_offset_ms: self.clock_offset_s.saturating_mul(1000),
        }
    }
}

/// A clock further off than this is no clock; and its dates stay within four digits of a year.
const MOST_OFFSET_S: i64 = 10 * 366 * 24 * 3600;

/// What goes wrong with one request, drawn before anything is done with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
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

impl Plan {
    /// Draws in a fixed order, so that one seed and one order of requests give one course of events.
    pub(super) fn draw(faults: &Faults, rng: &mut fastrand::Rng, write: bool) -> Self {
        let (latency, hangs) = match write {
            true => (faults.write_ms, faults.hang_writes),
            false => (faults.read_ms, faults.hang_reads),
        };
        let latency = latency.draw(rng);
        let before = latency.mul_f64(rng.f64());
        let hangs = hangs.happens(rng);
        let only_writes = |chance: Chance, rng: &mut fastrand::Rng| write && chance.happens(rng);
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
                RaceMode::Serial => Duration::ZERO,
                _ => faults.race_window_ms.draw(rng),
            },
            race: faults.race.race(),
            race_limit: faults.race_limit_ms.map(Duration::from_millis),
        }
    }

    /// What becomes of the write if the head has moved, now that it took so long.
    pub(super) fn race_after(&self, took: Duration) -> Race {
        match self.race {
            Race::Vanish if self.race_limit.is_some_and(|limit| took > limit) => Race::Conflict,
            race => race,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_not_there_are_at_their_default() {
        assert_eq!(Faults::from_json(b"{}").unwrap(), Faults::default());
        let some = Faults::from_json(
            br#"{"drop":0.5,"read_ms":[1,9],"write_ms":7,"race":"vanish","hang_reads":true}"#,
        );
        let expected = Faults {
            drop: Chance::of(0.5),
            read_ms: Span::between(1, 9),
            write_ms: Span::fixed(7),
            race: RaceMode::Vanish,
            hang_reads: Chance::ALWAYS,
            ..Faults::default()
        };
        assert_eq!(some.unwrap(), expected);
    }

    #[test]
    fn what_is_shown_can_be_set_again() {
        let faults = Faults {
            read_ms: Span::between(1, 9),
            history_cap: Some(3),
            ..Faults::default()
        };
        assert_eq!(
            Faults::from_json(faults.to_json().as_bytes()).unwrap(),
            faults
        );
    }

    #[test]
    fn nonsense_is_refused() {
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
    fn a_merge_changes_only_what_it_names_and_null_is_the_default() {
        let faults =
            Faults::from_json(br#"{"drop":0.5,"error_status":503,"history_cap":4}"#).unwrap();
        let merged = faults
            .merged(br#"{"error_status":null,"history_cap":null,"outage":true}"#)
            .unwrap();
        let expected = Faults {
            drop: Chance::of(0.5),
            outage: true,
            ..Faults::default()
        };
        assert_eq!(merged, expected);
    }

    #[test]
    fn one_seed_gives_one_course_of_events() {
        let faults = Faults {
            drop: Chance::of(0.3),
            read_ms: Span::between(0, 99),
            stale_reads: Chance::of(0.5),
            ..Faults::default()
        };
        let course = |seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..50)
                .map(|n| Plan::draw(&faults, &mut rng, n % 3 == 0))
                .collect::<Vec<_>>()
        };
        assert_eq!(course(1), course(1));
        assert_ne!(course(1), course(2));
    }

    #[test]
    fn without_faults_nothing_goes_wrong() {
        let mut rng = fastrand::Rng::with_seed(1);
        for n in 0..1000 {
            let plan = Plan::draw(&Faults::default(), &mut rng, n % 2 == 0);
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
