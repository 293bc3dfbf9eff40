//! Probabilities and random delays of faults. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest delay in milliseconds: one day.
pub(super) const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// Probability, as a number from 0 to 1. In JSON, `true` and `false` stand for 1 and 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawProbability", into = "f64")]
pub struct Probability(f64);

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0.0);
    /// Always.
    pub const ALWAYS: Self = Self(1.0);

    pub(super) fn happens(self, rng: &mut fastrand::Rng) -> bool {
        self.0 > 0.0 && rng.f64() < self.0
    }
}

impl From<Probability> for f64 {
    fn from(probability: Probability) -> Self {
        probability.0
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawProbability {
    Bool(bool),
    Number(f64),
}

impl TryFrom<RawProbability> for Probability {
    type Error = &'static str;

    fn try_from(raw: RawProbability) -> Result<Self, Self::Error> {
        match raw {
            RawProbability::Bool(always) => Ok(if always { Self::ALWAYS } else { Self::NEVER }),
            RawProbability::Number(p) if (0.0..=1.0).contains(&p) => Ok(Self(p)),
            RawProbability::Number(_) => Err("a probability is a number from 0 to 1"),
        }
    }
}

/// Delay in milliseconds, fixed or drawn from a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawDelay", into = "RawDelay")]
pub struct Delay {
    min_ms: u64,
    max_ms: u64,
}

impl Delay {
    /// Creates a fixed delay.
    #[must_use]
    pub fn fixed(ms: u64) -> Self {
        Self::between(ms, ms)
    }

    /// Creates a delay from `min_ms` to `max_ms`, at most a day.
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
enum RawDelay {
    Fixed(u64),
    Range([u64; 2]),
}

impl TryFrom<RawDelay> for Delay {
    type Error = &'static str;

    fn try_from(raw: RawDelay) -> Result<Self, Self::Error> {
        let (min, max) = match raw {
            RawDelay::Fixed(ms) => (ms, ms),
            RawDelay::Range([min, max]) => (min, max),
        };
        if min > max || max > LONGEST_MS {
            return Err("a delay is milliseconds or [min, max], at most a day");
        }
        Ok(Self::between(min, max))
    }
}

impl From<Delay> for RawDelay {
    fn from(delay: Delay) -> Self {
        match delay.min_ms == delay.max_ms {
            true => Self::Fixed(delay.min_ms),
            false => Self::Range([delay.min_ms, delay.max_ms]),
        }
    }
}
