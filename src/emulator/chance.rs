//! Chances and times as faults are described with them. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest time that can be asked for: nothing here waits longer than a day.
pub(super) const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// How probable something is, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawChance", into = "f64")]
pub struct Chance(f64);

impl Chance {
    /// It never happens.
    pub const NEVER: Self = Self(0.0);
    /// It always happens.
    pub const ALWAYS: Self = Self(1.0);

    /// This chance; what is outside of 0 to 1 is taken as the nearer end.
    #[must_use]
    pub fn of(p: f64) -> Self {
        Self(if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) })
    }

    pub(super) fn happens(self, rng: &mut fastrand::Rng) -> bool {
        self.0 > 0.0 && rng.f64() < self.0
    }
}

impl From<Chance> for f64 {
    fn from(chance: Chance) -> Self {
        chance.0
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawChance {
    Sure(bool),
    Number(f64),
}

impl TryFrom<RawChance> for Chance {
    type Error = &'static str;

    fn try_from(raw: RawChance) -> Result<Self, Self::Error> {
        match raw {
            RawChance::Sure(sure) => Ok(if sure { Self::ALWAYS } else { Self::NEVER }),
            RawChance::Number(p) if (0.0..=1.0).contains(&p) => Ok(Self(p)),
            RawChance::Number(_) => Err("a chance is a number from 0 to 1"),
        }
    }
}

/// A time in milliseconds, fixed or from a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawSpan", into = "RawSpan")]
pub struct Span {
    min_ms: u64,
    max_ms: u64,
}

impl Span {
    /// Always this long.
    #[must_use]
    pub fn fixed(ms: u64) -> Self {
        Self::between(ms, ms)
    }

    /// From the first to the second, both included.
    #[must_use]
    pub fn between(min_ms: u64, max_ms: u64) -> Self {
        let min_ms = min_ms.min(LONGEST_MS);
        Self {
            min_ms,
            max_ms: max_ms.clamp(min_ms, LONGEST_MS),
        }
    }

    pub(super) fn draw(self, rng: &mut fastrand::Rng) -> Duration {
        Duration::from_millis(rng.u64(self.min_ms..=self.max_ms))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RawSpan {
    Fixed(u64),
    Range([u64; 2]),
}

impl TryFrom<RawSpan> for Span {
    type Error = &'static str;

    fn try_from(raw: RawSpan) -> Result<Self, Self::Error> {
        let (min, max) = match raw {
            RawSpan::Fixed(ms) => (ms, ms),
            RawSpan::Range([min, max]) => (min, max),
        };
        if min > max || max > LONGEST_MS {
            return Err("a time is milliseconds or [min, max], at most a day");
        }
        Ok(Self::between(min, max))
    }
}

impl From<Span> for RawSpan {
    fn from(span: Span) -> Self {
        match span.min_ms == span.max_ms {
            true => Self::Fixed(span.min_ms),
            false => Self::Range([span.min_ms, span.max_ms]),
        }
    }
}
