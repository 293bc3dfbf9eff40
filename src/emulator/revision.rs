//! Identifiers and times of a store. Pure.

use serde::{Deserialize, Serialize};

pub use crate::lock::gist::revision::Revision;

/// Draws the name of a new revision.
pub(super) fn random_revision(rng: &mut fastrand::Rng) -> Revision {
    let mut name = [0; 20];
    rng.fill(&mut name);
    Revision::from_bytes(name)
}

/// Time in milliseconds since the Unix epoch. The caller reads the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns the time in whole seconds, GitHub's resolution.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the time `ms` milliseconds later, or earlier if `ms` is negative.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Returns whether a text can be a gist's id, which is used unescaped in paths and URLs.
pub(super) fn is_gist_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}
