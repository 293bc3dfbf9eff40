//! Where a survey looks next: which span between two places is open, and where in it a border should
//! be.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Holding, Survey};
use crate::lock::gist::rule::EffectiveRevision;
use crate::lock::gist::wire::Commit;

/// How many places of a span may be in doubt before it is left as it is.
const DOUBTS_PER_SPAN: usize = 4;

impl Survey {
    /// The place to be looked at next; `None` if everything listed is settled, or cannot be.
    pub(super) fn choose(&self) -> Option<usize> {
        if self.known.is_empty() && !self.doubtful.contains(&0) {
            return Some(0);
        }
        let bottom = self.bottom();
        if !self.reaches(bottom) && !self.doubtful.contains(&bottom) {
            return Some(bottom);
        }
        let spans = || self.spans();
        let open = spans().find_map(|span| match span.state {
            SpanState::Open => self.split(&span),
            SpanState::Assumed | SpanState::Settled => None,
        });
        open.or_else(|| {
            // Last of all, those that only reading them as a whole can settle.
            spans().find_map(|span| match span.state {
                SpanState::Assumed if span.inside() <= self.left() as usize => self.split(&span),
                _ => None,
            })
        })
    }

    /// The lowest place of which something can be found out: below one of ours the one it superseded
    /// has to be listed.
    fn bottom(&self) -> usize {
        let below = if self.complete { 1 } else { 2 };
        self.commits.len().saturating_sub(below)
    }

    /// Whether something is known of this place or one below it.
    fn reaches(&self, place: usize) -> bool {
        self.known.range(place..).next().is_some()
    }

    /// The spans between places that were looked at, newest first.
    fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        let bottom = self.bottom();
        let unknown = (!self.reaches(bottom)).then_some((bottom, None));
        let ends = self
            .known
            .iter()
            .map(|(place, effect)| (*place, Some(effect)));
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

    /// Where to look inside a span: where the term at its newer end should have begun, then further and
    /// further away from there, and in its middle once that leads too far.
    fn split(&self, span: &Span<'_>) -> Option<usize> {
        if span.inside() == 0 {
            return None;
        }
        let wish = self.wish(span);
        let inside = span.newer + 1..span.older;
        let doubts = self.doubtful.range(inside.clone()).count();
        if doubts > DOUBTS_PER_SPAN {
            return None;
        }
        let free = |place: &usize| inside.contains(place) && !self.doubtful.contains(place);
        let around = (0..=doubts + 1).flat_map(|off| [wish.saturating_sub(off), wish + off]);
        let mut around = around.filter(free);
        around
            .next()
            .or_else(|| inside.clone().find(|place| free(place)))
    }

    fn wish(&self, span: &Span<'_>) -> usize {
        let middle = span.newer + (span.older - span.newer) / 2;
        if span.state == SpanState::Assumed {
            return middle;
        }
        let Some(guess) = self.beginning_of(span.above) else {
            // What has no leader rarely lasts for long.
            let first = self.known.range(..span.newer).next_back();
            let first = first.is_none_or(|(_, newer)| !is_same(newer, span.above));
            let short = first && Holding::of(&span.above.stored).leader().is_none();
            return if short { span.newer + 1 } else { middle };
        };
        let near = if guess <= span.newer {
            // It goes further down than was guessed.
            span.newer + (span.newer - guess).max(1)
        } else if guess >= span.older {
            // It does not go so far down.
            span.older.saturating_sub(guess - span.older + 1)
        } else {
            guess
        };
        let inside = span.newer < near && near < span.older;
        if inside { near } else { middle }
    }

    /// Where the term of this record should have begun, by its own times and the server's: both say
    /// how long it had lasted when the record was written.
    fn beginning_of(&self, effect: &EffectiveRevision) -> Option<usize> {
        let record = &effect.stored.record()?.record;
        if record.holder_identity.is_empty() {
            return None;
        }
        let lasted = unix_seconds(&record.renew_time)? - unix_seconds(&record.acquire_time)?;
        let began = effect.commit.committed_at?.checked_sub(lasted)?;
        let off = |commit: &Commit| commit.committed_at.map(|at| at.abs_diff(began));
        let places = self.commits.iter().enumerate();
        let dated = places.filter_map(|(place, commit)| Some((off(commit)?, place)));
        dated.min().map(|(_, place)| place)
    }
}

/// What lies between two places that were looked at, and next to each other.
#[derive(Clone, Copy, Debug)]
struct Span<'a> {
    newer: usize,
    older: usize,
    state: SpanState,
    /// What is in effect at its newer end.
    above: &'a EffectiveRevision,
}

impl Span<'_> {
    /// How many places lie between its ends.
    fn inside(&self) -> usize {
        self.older - self.newer - 1
    }
}

/// What is known of the places between two that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanState {
    /// At all of them the same is in effect as at both ends.
    Settled,
    /// The same is in effect at both ends, and something else may have been in between.
    Assumed,
    /// A border lies there, or several.
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
        // What takes effect is a newer revision: the same one at both ends was in effect all along.
        if above.commit.revision == below.commit.revision {
            return SpanState::Settled;
        }
        match is_same(above, below) {
            true if Holding::of(&above.stored).cannot_return() => SpanState::Settled,
            true => SpanState::Assumed,
            false => SpanState::Open,
        }
    }
}

fn is_same(one: &EffectiveRevision, other: &EffectiveRevision) -> bool {
    Holding::of(&one.stored) == Holding::of(&other.stored)
}

fn unix_seconds(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(time.unix_timestamp())
}
