//! Makes terms, and what lies between them, of what a survey knows.

use super::search::SpanState;
use super::{Holding, Survey};
use crate::lock::gist::rule::EffectiveRevision;
use crate::lock::term_history::{Entry, Gap, PastTerm, TermEnd, TermHistory, Unsettled};

/// Revisions next to each other at which the same is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The place of its oldest revision, counted from the newest of all, which has number 0.
    pub oldest: usize,
    /// The place of its newest one.
    pub newest: usize,
    /// What is in effect; `None` if that is not settled.
    pub holding: Option<Holding>,
    /// Equal records stand at places of it, and what lies between was not read: a person or client-go
    /// may have brought the same one back after another.
    pub assumed: bool,
}

pub(super) fn history(survey: &Survey) -> TermHistory {
    let pieces = pieces(survey);
    let mut history = TermHistory {
        revisions: survey.commits.len(),
        complete: survey.complete,
        oldest: survey.commits.last().and_then(|last| last.committed_at),
        newest: survey.commits.first().and_then(|head| head.committed_at),
        now: survey.date,
        requests: survey.requests,
        exhausted: survey.is_spent(),
        ..TermHistory::default()
    };
    // When the lease was last let go, as long as nobody may have had it since.
    let mut free: Option<i64> = None;
    for (at, piece) in pieces.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &pieces[before]);
        let after = pieces.get(at + 1);
        let Some(holding) = &piece.holding else {
            let open = unsettled(survey, piece);
            history.entries.push(Entry::Unsettled(open));
            free = None;
            continue;
        };
        if let Some(term) = term(survey, piece, holding, before, after) {
            let gap = gap(free, term.from).filter(|_| term.begins);
            free = term.to;
            history.entries.extend(gap);
            history.entries.push(Entry::Term(Box::new(term)));
        }
    }
    if let Some(from) = free
        && survey.date.is_none_or(|now| now > from)
    {
        history.entries.push(Entry::Gap(Gap { from, to: None }));
    }
    history
}

/// From when the lease was let go to when it was claimed, if that took its time.
fn gap(free: Option<i64>, claimed: Option<i64>) -> Option<Entry> {
    let (from, to) = (free?, claimed?);
    (to > from).then_some(Entry::Gap(Gap { from, to: Some(to) }))
}

/// The whole list in pieces, the oldest first.
pub(super) fn pieces(survey: &Survey) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let Some(lowest) = survey.commits.len().checked_sub(1) else {
        return pieces;
    };
    let mut below: Option<(usize, &EffectiveRevision)> = None;
    for (&place, effect) in survey.known.iter().rev() {
        let between = place + 1..below.map_or(lowest + 1, |(below, _)| below);
        let state = match below {
            Some((_, below)) => SpanState::between(effect, Some(below)),
            None => SpanState::Open,
        };
        match (state, pieces.last_mut()) {
            (SpanState::Settled | SpanState::Assumed, Some(piece)) => {
                piece.newest = place;
                piece.assumed |= state == SpanState::Assumed && !between.is_empty();
            }
            _ => {
                if !between.is_empty() {
                    pieces.push(open(between.end - 1, between.start));
                }
                pieces.push(Piece {
                    oldest: place,
                    newest: place,
                    holding: Some(Holding::of(&effect.stored)),
                    assumed: false,
                });
            }
        }
        below = Some((place, effect));
    }
    match pieces.last().map_or(lowest + 1, |piece| piece.newest) {
        0 => {}
        top => pieces.push(open(top - 1, 0)),
    }
    pieces
}

fn open(oldest: usize, newest: usize) -> Piece {
    Piece {
        oldest,
        newest,
        holding: None,
        assumed: false,
    }
}

/// The term of a piece, if anybody leads there.
fn term(
    survey: &Survey,
    piece: &Piece,
    holding: &Holding,
    before: Option<&Piece>,
    after: Option<&Piece>,
) -> Option<PastTerm> {
    let (holder, token) = holding.leader()?;
    let first = survey.known.get(&piece.oldest)?;
    let last = survey.known.get(&piece.newest)?;
    let lease = last.stored.lease().unwrap_or_default();
    let renewed = last.commit.committed_at;
    let (end, to) = ending(survey, holding, last, after);
    let begins = match before {
        Some(before) => before.holding.is_some(),
        None => survey.complete,
    };
    Some(PastTerm {
        holder: holder.to_owned(),
        fencing_token: token,
        elected: holding.cannot_return(),
        from: first.commit.committed_at,
        renewed,
        to,
        end,
        confirmed: first.commit.revision != last.commit.revision || !begins,
        assumed: piece.assumed,
        lease,
        begins,
        versions: (
            first.commit.revision.to_string(),
            last.commit.revision.to_string(),
        ),
    })
}

/// How a term ended whose last record this is, and when.
fn ending(
    survey: &Survey,
    holding: &Holding,
    last: &EffectiveRevision,
    after: Option<&Piece>,
) -> (TermEnd, Option<i64>) {
    let lease = last.stored.lease().unwrap_or_default();
    let seconds = i64::try_from(lease.as_secs()).unwrap_or(i64::MAX);
    let runs_out = last
        .commit
        .committed_at
        .and_then(|at| at.checked_add(seconds));
    let over = |now: Option<i64>| matches!((now, runs_out), (Some(now), Some(end)) if now > end);
    let Some(after) = after else {
        return match over(survey.date) {
            true => (TermEnd::Expired, runs_out),
            false => (TermEnd::Alive, None),
        };
    };
    let (Some(next), Some(effect)) = (&after.holding, survey.known.get(&after.oldest)) else {
        return (TermEnd::NotSettled, None);
    };
    let then = effect.commit.committed_at;
    // What came long after the lease had run out did not end it.
    let cut = |end: TermEnd| match over(then) {
        true => (TermEnd::Expired, runs_out),
        false => (end, then),
    };
    match next {
        Holding::Free { .. } if next.process() == holding.process() => (TermEnd::Released, then),
        Holding::Term { .. } if next.process() == holding.process() => cut(TermEnd::ClaimedAgain),
        Holding::Term { .. } | Holding::Free { .. } => match (then, runs_out) {
            (Some(then), Some(end)) => (TermEnd::Expired, Some(end.min(then))),
            _ => (TermEnd::Expired, runs_out),
        },
        Holding::Newer => cut(TermEnd::NewerProtocol),
        Holding::Plain { holder, .. } if !holder.is_empty() => cut(TermEnd::Overwritten),
        Holding::Plain { .. } | Holding::Nothing => cut(TermEnd::Deposed),
    }
}

fn unsettled(survey: &Survey, piece: &Piece) -> Unsettled {
    let date = |place: usize| survey.commits.get(place)?.committed_at;
    let before = (piece.oldest + 1).min(survey.commits.len() - 1);
    Unsettled {
        from: date(before),
        to: date(piece.newest.saturating_sub(1)),
        revisions: piece.oldest - piece.newest + 1,
    }
}
