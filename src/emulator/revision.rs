//! Names and times of the store: revisions and time stamps. Pure.

pub use crate::lock::gist::revision::Revision;

/// A name for a new revision.
pub(super) fn random_revision(rng: &mut fastrand::Rng) -> Revision {
    let mut name = [0; 20];
    rng.fill(&mut name);
    Revision::from_bytes(name)
}

/// Milliseconds since 1970, as handed in by whoever owns a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds, as GitHub writes its times.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This much later (earlier, if it is negative).
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Whether this can be a gist's id: it stands in paths and addresses as it is.
pub(super) fn is_gist_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}
