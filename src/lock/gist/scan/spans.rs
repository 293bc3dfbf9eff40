//! Choice of the revision to examine next: which span between two known ones is open, and where in it a
//! border between terms should be.

use super::known::KnownHistory;
use super::leadership::Leadership;
use crate::fmt::unix_time;
use crate::lock::gist::rule::EffectiveRevision;
use crate::lock::gist::wire::Commit;

/// Number of doubtful revisions at which a span is left open.
const DOUBTS_PER_SPAN: usize = 4;

impl KnownHistory {
    /// Returns the index to examine next; `None` if every listed revision is settled, or cannot be.
    pub(super) fn choose(&self, requests_left: u32) -> Option<usize> {
        if self.known.is_empty() && !self.doubtful.contains(&0) {
            return Some(0);
        }
        let oldest = self.oldest();
        if !self.reaches(oldest) && !self.doubtful.contains(&oldest) {
            return Some(oldest);
        }
        let spans = || self.spans();
        let open = spans().find_map(|span| match span.state {
            SpanState::Open => self.split(&span),
            SpanState::Assumed | SpanState::Settled => None,
        });
        // A term lasts until a lease after the holder's own last write.
        let own = || {
            let mut below = self.known.values().filter_map(|it| self.annotated(it));
            below.find(|at| !self.known.contains_key(at) && !self.doubtful.contains(at))
        };
        open.or_else(own).or_else(|| {
            // Spans that only reading all of them can settle come last.
            spans().find_map(|span| match span.state {
                SpanState::Assumed if span.inside() <= requests_left as usize => self.split(&span),
                _ => None,
            })
        })
    }

    /// Returns the spans between known revisions, newest first.
    fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        let oldest = self.oldest();
        let unknown = (!self.reaches(oldest)).then_some((oldest, None));
        let ends = self
            .known
            .iter()
            .map(|(index, effective)| (*index, Some(effective)));
        let older = ends.clone().skip(1).chain(unknown);
        ends.zip(older)
            .filter_map(|((newer, above), (older, below))| {
                Some(Span {
                    newer,
                    older,
                    state: SpanState::between(above?, below),
                    above: above?,
                })
            })
    }

    /// Returns the index to examine inside a span: where the term at its newer end should have begun, then
    /// ever farther from there, and finally any.
    fn split(&self, span: &Span<'_>) -> Option<usize> {
        if span.inside() == 0 {
            return None;
        }
        let guess = self.guess_border(span);
        let inside = span.newer + 1..span.older;
        let doubts = self.doubtful.range(inside.clone()).count();
        if doubts > DOUBTS_PER_SPAN {
            return None;
        }
        let free = |index: &usize| inside.contains(index) && !self.doubtful.contains(index);
        let around = (0..=doubts + 1).flat_map(|off| [guess.saturating_sub(off), guess + off]);
        let mut around = around.filter(free);
        around
            .next()
            .or_else(|| inside.clone().find(|index| free(index)))
    }

    /// Returns the likeliest index of a border in a span.
    fn guess_border(&self, span: &Span<'_>) -> usize {
        let middle = span.newer + (span.older - span.newer) / 2;
        if span.state == SpanState::Assumed {
            return middle;
        }
        let Some(guess) = self.beginning_of(span.above) else {
            // A time without a leader is usually short.
            let first = self.known.range(..span.newer).next_back();
            let first = first.is_none_or(|(_, newer)| !is_same(newer, span.above));
            let short = first && Leadership::of(&span.above.stored).leader().is_none();
            return if short { span.newer + 1 } else { middle };
        };
        let near = if guess <= span.newer {
            // The term began before the guess.
            span.newer + (span.newer - guess).max(1)
        } else if guess >= span.older {
            // The term began after the guess.
            span.older.saturating_sub(guess - span.older + 1)
        } else {
            guess
        };
        let inside = span.newer < near && near < span.older;
        if inside { near } else { middle }
    }

    /// Returns the index at which the term of this record should have begun, by its own times and the
    /// service's. Both tell how long it had lasted when the record was written.
    fn beginning_of(&self, effective: &EffectiveRevision) -> Option<usize> {
        let record = &effective.stored.record()?.record;
        if record.holder_identity.is_empty() {
            return None;
        }
        let lasted = unix_time(&record.renew_time)? - unix_time(&record.acquire_time)?;
        let began = effective.commit.committed_at?.checked_sub(lasted)?;
        let off = |commit: &Commit| commit.committed_at.map(|at| at.abs_diff(began));
        let commits = self.commits.iter().enumerate();
        let dated = commits.filter_map(|(index, commit)| Some((off(commit)?, index)));
        dated.min().map(|(_, index)| index)
    }
}

/// Revisions between two neighbouring known ones.
#[derive(Clone, Copy, Debug)]
struct Span<'a> {
    newer: usize,
    older: usize,
    state: SpanState,
    /// Effective revision at its newer end.
    above: &'a EffectiveRevision,
}

impl Span<'_> {
    /// Returns the number of revisions between its ends.
    fn inside(&self) -> usize {
        self.older - self.newer - 1
    }
}

/// Knowledge of the revisions between two known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanState {
    /// The same leadership applies to all of them as at both ends.
    Settled,
    /// The same leadership applies at both ends, and another may have applied between.
    Assumed,
    /// There is at least one border.
    Open,
}

impl SpanState {
    pub(super) fn between(
        above: &EffectiveRevision,
        below: Option<&EffectiveRevision>,
    ) -> SpanState {
        let Some(below) = below else {
            return SpanState::Open;
        };
        // A revision that becomes effective is newer, so the same one at both ends was always effective.
        if above.commit.revision == below.commit.revision {
            return SpanState::Settled;
        }
        match is_same(above, below) {
            true if Leadership::of(&above.stored).cannot_return() => SpanState::Settled,
            true => SpanState::Assumed,
            false => SpanState::Open,
        }
    }
}

fn is_same(one: &EffectiveRevision, other: &EffectiveRevision) -> bool {
    Leadership::of(&one.stored) == Leadership::of(&other.stored)
}
