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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Delay {
    /// Always this delay.
    Fixed(u64),
    /// Delay from the first number to the second.
    Range(u64, u64),
}

impl Default for Delay {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl Delay {
    /// Returns whether the range is in order and at most a day.
    pub(super) fn is_valid(self) -> bool {
        let (min, max) = self.range();
        min <= max && max <= LONGEST_MS
    }

    pub(super) fn draw(self, rng: &mut fastrand::Rng) -> Duration {
        let (min, max) = self.range();
        Duration::from_millis(rng.u64(min..=max.max(min)))
    }

    fn range(self) -> (u64, u64) {
        match self {
            Self::Fixed(ms) => (ms, ms),
            Self::Range(min, max) => (min, max),
        }
    }
}
