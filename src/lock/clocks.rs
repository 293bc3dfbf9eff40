//! This machine's clock and a store's, around one answer. Pure.

use std::time::Duration;

use crate::fmt::span;

/// Clocks that differ by less agree, in milliseconds: dates have whole seconds.
const SAME: u64 = 1_000;

/// Clocks that differ by at most this agree well enough to compare two logs, in milliseconds.
const CLOSE: u64 = 5_000;

/// Times around an answer: this machine's clock in milliseconds and the store's date in seconds, both
/// since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clocks {
    pub(super) sent: i64,
    pub(super) answered: i64,
    pub(super) date: i64,
}

/// Comparison of this machine's clock with the store's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// They agree.
    Same,
    /// They agree well enough. The text says by how much this machine's is off: `3s behind`.
    Close(String),
    /// One of them is wrong. The text is as for `Close`.
    Apart(String),
}

impl Clocks {
    /// Compares the clocks at the middle of the request.
    pub(super) fn compare(self) -> Comparison {
        let here = self.sent.midpoint(self.answered);
        // Dates are cut off to whole seconds and lack half of one on average.
        let there = self.date.saturating_mul(1_000).saturating_add(500);
        let ahead = here.saturating_sub(there);
        let apart = ahead.unsigned_abs();
        let side = if ahead > 0 { "ahead of" } else { "behind" };
        let text = format!("{} {side}", span(Duration::from_millis(apart)));
        match apart {
            ..SAME => Comparison::Same,
            SAME..=CLOSE => Comparison::Close(text),
            _ => Comparison::Apart(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_at_midpoint() {
        let base = 1_588_008_246_500;
        for (millis, expected) in [
            (base, Comparison::Same),
            (base + 999, Comparison::Same),
            (base + 1_000, Comparison::Close("1s ahead of".into())),
            (base - 5_000, Comparison::Close("5s behind".into())),
            (base + 5_001, Comparison::Apart("5s ahead of".into())),
        ] {
            let clocks = Clocks {
                sent: millis - 100,
                answered: millis + 100,
                date: 1_588_008_246,
            };
            assert_eq!(clocks.compare(), expected, "{millis}");
        }
    }
}
