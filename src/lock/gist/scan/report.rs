//! Terms, and what lies between them, of a known history.

use std::time::Duration;

use super::known::KnownHistory;
use super::leadership::Leadership;
use super::spans::SpanState;
use crate::lock::gist::rule::EffectiveRevision;
use crate::lock::term_history::{Entry, Gap, PastTerm, TermEnd, TermHistory, Unsettled};

/// Neighbouring revisions with the same leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Index of its oldest revision, counted from the newest of all, which has 0.
    pub oldest: usize,
    /// Index of its newest revision.
    pub newest: usize,
    /// Leadership; `None` if it is not settled.
    pub leadership: Option<Leadership>,
    /// Whether equal foreign records are at some of its revisions, and what lies between was not read.
    pub assumed: bool,
}

/// Returns the terms of a known history.
pub(super) fn history(known: &KnownHistory) -> TermHistory {
    let pieces = pieces(known);
    let mut history = TermHistory {
        revisions: known.commits.len(),
        complete: known.complete,
        oldest: known.commits.last().and_then(|last| last.committed_at),
        newest: known.commits.first().and_then(|head| head.committed_at),
        now: known.date,
        ..TermHistory::default()
    };
    // Time at which the lease became free, unless a candidate may have held it since.
    let mut free: Option<i64> = None;
    for (at, piece) in pieces.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &pieces[before]);
        let after = pieces.get(at + 1);
        let Some(leadership) = &piece.leadership else {
            let open = unsettled(known, piece);
            history.entries.push(Entry::Unsettled(open));
            free = None;
            continue;
        };
        if let Some(term) = term(known, piece, leadership, before, after) {
            let gap = gap(free, term.from).filter(|_| term.begins);
            free = term.to;
            history.entries.extend(gap);
            history.entries.push(Entry::Term(Box::new(term)));
        }
    }
    if let Some(from) = free
        && known.date.is_none_or(|now| now > from)
    {
        history.entries.push(Entry::Gap(Gap { from, to: None }));
    }
    history
}

/// Returns the gap between the time at which the lease became free and its next claim, if there is one.
fn gap(free: Option<i64>, claimed: Option<i64>) -> Option<Entry> {
    let (from, to) = (free?, claimed?);
    (to > from).then_some(Entry::Gap(Gap { from, to: Some(to) }))
}

/// Splits the listed revisions into pieces, the oldest first.
pub(super) fn pieces(known: &KnownHistory) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let Some(last) = known.commits.len().checked_sub(1) else {
        return pieces;
    };
    let mut below: Option<(usize, &EffectiveRevision)> = None;
    for (&index, effective) in known.known.iter().rev() {
        let between = index + 1..below.map_or(last + 1, |(below, _)| below);
        let state = match below {
            Some((_, below)) => SpanState::between(effective, Some(below)),
            None => SpanState::Open,
        };
        match (state, pieces.last_mut()) {
            (SpanState::Settled | SpanState::Assumed, Some(piece)) => {
                piece.newest = index;
                piece.assumed |= state == SpanState::Assumed && !between.is_empty();
            }
            _ => {
                if !between.is_empty() {
                    pieces.push(open(between.end - 1, between.start));
                }
                pieces.push(Piece {
                    oldest: index,
                    newest: index,
                    leadership: Some(Leadership::of(&effective.stored)),
                    assumed: false,
                });
            }
        }
        below = Some((index, effective));
    }
    match pieces.last().map_or(last + 1, |piece| piece.newest) {
        0 => {}
        top => pieces.push(open(top - 1, 0)),
    }
    pieces
}

fn open(oldest: usize, newest: usize) -> Piece {
    Piece {
        oldest,
        newest,
        leadership: None,
        assumed: false,
    }
}

/// Returns the term of a piece, if it has a leader.
fn term(
    known: &KnownHistory,
    piece: &Piece,
    leadership: &Leadership,
    before: Option<&Piece>,
    after: Option<&Piece>,
) -> Option<PastTerm> {
    let (holder, token) = leadership.leader()?;
    let first = known.known.get(&piece.oldest)?;
    let last = known.known.get(&piece.newest)?;
    let lease = last.stored.lease().unwrap_or_default();
    let renewed = renewed(known, last);
    let (end, to) = ending(known, leadership, renewed, lease, after);
    let begins = match before {
        Some(before) => before.leadership.is_some(),
        None => known.complete,
    };
    Some(PastTerm {
        holder: holder.to_owned(),
        fencing_token: token,
        elected: leadership.cannot_return(),
        from: first.commit.committed_at,
        renewed,
        to,
        end,
        stop_reason: stop_reason(known, after).filter(|_| end == TermEnd::Released),
        confirmed: match last.stored.record().and_then(|stored| stored.term.as_ref()) {
            Some(ids) => ids.is_confirmed(),
            None => first.commit.revision != last.commit.revision || !begins,
        },
        assumed: piece.assumed,
        lease,
        begins,
        versions: (
            first.commit.revision.to_string(),
            last.commit.revision.to_string(),
        ),
    })
}

/// Returns the time of the holder's own last write. `last` is the last record of its term.
fn renewed(known: &KnownHistory, last: &EffectiveRevision) -> Option<i64> {
    let (mut commit, mut next) = (last.commit, Some(last));
    while let Some(below) = next.and_then(|annotation| known.annotated(annotation)) {
        commit = known.commits[below];
        next = known.known.get(&below);
    }
    commit.committed_at
}

/// Returns why the holder released the lease, if the piece after its term is that release.
fn stop_reason(known: &KnownHistory, after: Option<&Piece>) -> Option<String> {
    let release = known.known.get(&after?.oldest)?.stored.record()?;
    let reason = release.record.stop_reason();
    (!reason.is_empty()).then(|| reason.to_owned())
}

/// Returns the reason and the time of a term's end.
fn ending(
    known: &KnownHistory,
    leadership: &Leadership,
    renewed: Option<i64>,
    lease: Duration,
    after: Option<&Piece>,
) -> (TermEnd, Option<i64>) {
    let seconds = i64::try_from(lease.as_secs()).unwrap_or(i64::MAX);
    let expiry = renewed.and_then(|at| at.checked_add(seconds));
    let over = |now: Option<i64>| matches!((now, expiry), (Some(now), Some(end)) if now > end);
    let Some(after) = after else {
        return match over(known.date) {
            true => (TermEnd::Expired, expiry),
            false => (TermEnd::Alive, None),
        };
    };
    let (Some(next), Some(effective)) = (&after.leadership, known.known.get(&after.oldest)) else {
        return (TermEnd::NotSettled, None);
    };
    let then = effective.commit.committed_at;
    // A write that came after the lease expired did not end the term.
    let cut = |end: TermEnd| match over(then) {
        true => (TermEnd::Expired, expiry),
        false => (end, then),
    };
    match next {
        Leadership::Free { .. } if next.process() == leadership.process() => {
            (TermEnd::Released, then)
        }
        Leadership::Term { .. } if next.process() == leadership.process() => {
            cut(TermEnd::ClaimedAgain)
        }
        Leadership::Term { .. } | Leadership::Free { .. } => match (then, expiry) {
            (Some(then), Some(end)) => (TermEnd::Expired, Some(end.min(then))),
            _ => (TermEnd::Expired, expiry),
        },
        Leadership::Newer => cut(TermEnd::NewerProtocol),
        Leadership::Foreign { holder, .. } if !holder.is_empty() => cut(TermEnd::Overwritten),
        Leadership::Foreign { .. } | Leadership::Nothing => cut(TermEnd::Deposed),
    }
}

fn unsettled(known: &KnownHistory, piece: &Piece) -> Unsettled {
    let date = |index: usize| known.commits.get(index)?.committed_at;
    let before = (piece.oldest + 1).min(known.commits.len() - 1);
    Unsettled {
        from: date(before),
        to: date(piece.newest.saturating_sub(1)),
        revisions: piece.oldest - piece.newest + 1,
    }
}
