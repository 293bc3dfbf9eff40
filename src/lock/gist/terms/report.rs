//! Makes terms, and what lies between them, of what a survey knows.

use std::time::Duration;

use super::search::SpanState;
use super::{Holding, Survey};
use crate::lock::gist::revision::Revision;
use crate::lock::gist::rule::EffectiveRevision;
use crate::lock::gist::stored::{Moved, Place};

/// Who led when, as far as it is known. Times are the service's own, in seconds since the Unix epoch;
/// `None` where it did not say. Everything is in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many revisions are listed.
    pub revisions: usize,
    /// They are all there are.
    pub complete: bool,
    /// When the oldest of them was written.
    pub oldest: Option<i64>,
    /// When the newest of them was written.
    pub newest: Option<i64>,
    /// The time by the service's clock when it showed the newest revision: all of this is as of then.
    pub now: Option<i64>,
    /// The terms, and what lies between them and after the last one.
    pub entries: Vec<Entry>,
    /// What is in effect says that the lock was moved there.
    pub moved_to: Option<Place>,
    /// All that the above is made of: every revision listed is in one of these.
    pub pieces: Vec<Piece>,
}

/// What there is to be told of a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Somebody led.
    Term(Box<Term>),
    /// Nobody had the lease.
    Gap(Gap),
    /// It is not known who led.
    Unsettled(Unsettled),
}

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

/// A term of leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Who led.
    pub holder: String,
    /// The fencing token.
    pub token: u64,
    /// An elector's; otherwise a record that came past the elections, from a person or client-go.
    pub elected: bool,
    /// When it was claimed; if `begins` is not settled, when it is first known to have lasted.
    pub from: Option<i64>,
    /// The beginning is known.
    pub begins: bool,
    /// When it was last renewed.
    pub renewed: Option<i64>,
    /// When it ended, or at the latest would have; `None` for a term that lasts, or for an end that is
    /// not known.
    pub to: Option<i64>,
    /// How it ended.
    pub end: End,
    /// A second write of the same term took effect: without one, the claimant never led.
    pub confirmed: bool,
    /// See [`Piece::assumed`].
    pub assumed: bool,
    /// The lease that its last record is good for.
    pub lease: Duration,
    /// The oldest and the newest revision in effect that is known of it.
    pub revisions: (Revision, Revision),
}

/// How a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has not.
    Alive,
    /// The lease was given back.
    Released,
    /// It was not renewed, and the lease ran out.
    RanOut,
    /// The same process claimed the lease again, for a new term.
    ClaimedAgain,
    /// What came past the elections left nobody holding the lease.
    Deposed,
    /// What came past the elections gave the lease to somebody.
    Overwritten,
    /// The lock was moved.
    Moved,
    /// It is not known.
    NotSettled,
}

impl End {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            End::Alive => "still alive",
            End::Released => "released",
            End::RanOut => "ran out",
            End::ClaimedAgain => "claimed again",
            End::Deposed => "deposed by hand",
            End::Overwritten => "overwritten",
            End::Moved => "moved",
            End::NotSettled => "not settled",
        }
    }
}

/// A time in which nobody had the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From when.
    pub from: i64,
    /// Until when; `None` for one that lasts.
    pub to: Option<i64>,
}

/// A span of which it is not known who led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// When the last revision before it was written that is settled, or the oldest one listed.
    pub from: Option<i64>,
    /// When the first revision after it was written that is settled.
    pub to: Option<i64>,
    /// How many revisions are in it.
    pub revisions: usize,
}

pub(super) fn report(survey: &Survey) -> Report {
    let pieces = pieces(survey);
    let mut report = Report {
        revisions: survey.commits.len(),
        complete: survey.complete,
        oldest: survey.commits.last().and_then(|last| last.committed_at),
        newest: survey.commits.first().and_then(|head| head.committed_at),
        now: survey.date,
        moved_to: moved_to(survey),
        ..Report::default()
    };
    // When the lease was last let go, as long as nobody may have had it since.
    let mut free: Option<i64> = None;
    for (at, piece) in pieces.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &pieces[before]);
        let after = pieces.get(at + 1);
        let Some(holding) = &piece.holding else {
            let open = unsettled(survey, piece);
            report.entries.push(Entry::Unsettled(open));
            free = None;
            continue;
        };
        if let Some(term) = term(survey, piece, holding, before, after) {
            let gap = gap(free, term.from).filter(|_| term.begins);
            free = term.to;
            report.entries.extend(gap);
            report.entries.push(Entry::Term(Box::new(term)));
        }
    }
    if let Some(from) = free
        && survey.date.is_none_or(|now| now > from)
    {
        report.entries.push(Entry::Gap(Gap { from, to: None }));
    }
    report.pieces = pieces;
    report
}

/// From when the lease was let go to when it was claimed, if that took its time.
fn gap(free: Option<i64>, claimed: Option<i64>) -> Option<Entry> {
    let (from, to) = (free?, claimed?);
    (to > from).then_some(Entry::Gap(Gap { from, to: Some(to) }))
}

impl Report {
    /// The terms.
    pub fn terms(&self) -> impl Iterator<Item = &Term> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Term(term) => Some(&**term),
            _ => None,
        })
    }

    /// When nobody had the lease.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Gap(gap) => Some(*gap),
            _ => None,
        })
    }

    /// The spans of which it is not known who led.
    pub fn unsettled(&self) -> impl Iterator<Item = Unsettled> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Unsettled(span) => Some(*span),
            _ => None,
        })
    }
}

/// The whole list in pieces, the oldest first.
fn pieces(survey: &Survey) -> Vec<Piece> {
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
) -> Option<Term> {
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
    Some(Term {
        holder: holder.to_owned(),
        token,
        elected: holding.cannot_return(),
        from: first.commit.committed_at,
        renewed,
        to,
        end,
        confirmed: first.commit.revision != last.commit.revision || !begins,
        assumed: piece.assumed,
        lease,
        begins,
        revisions: (first.commit.revision, last.commit.revision),
    })
}

/// How a term ended whose last record this is, and when.
fn ending(
    survey: &Survey,
    holding: &Holding,
    last: &EffectiveRevision,
    after: Option<&Piece>,
) -> (End, Option<i64>) {
    let lease = last.stored.lease().unwrap_or_default();
    let seconds = i64::try_from(lease.as_secs()).unwrap_or(i64::MAX);
    let runs_out = last
        .commit
        .committed_at
        .and_then(|at| at.checked_add(seconds));
    let over = |now: Option<i64>| matches!((now, runs_out), (Some(now), Some(end)) if now > end);
    let Some(after) = after else {
        return match over(survey.date) {
            true => (End::RanOut, runs_out),
            false => (End::Alive, None),
        };
    };
    let (Some(next), Some(effect)) = (&after.holding, survey.known.get(&after.oldest)) else {
        return (End::NotSettled, None);
    };
    let then = effect.commit.committed_at;
    // What came long after the lease had run out did not end it.
    let cut = |end: End| match over(then) {
        true => (End::RanOut, runs_out),
        false => (end, then),
    };
    match next {
        Holding::Free { .. } if next.process() == holding.process() => (End::Released, then),
        Holding::Term { .. } if next.process() == holding.process() => cut(End::ClaimedAgain),
        Holding::Term { .. } | Holding::Free { .. } => match (then, runs_out) {
            (Some(then), Some(end)) => (End::RanOut, Some(end.min(then))),
            _ => (End::RanOut, runs_out),
        },
        Holding::Newer(_) => cut(End::Moved),
        Holding::Plain { holder, .. } if !holder.is_empty() => cut(End::Overwritten),
        Holding::Plain { .. } | Holding::Nothing => cut(End::Deposed),
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

fn moved_to(survey: &Survey) -> Option<Place> {
    let head = survey.known.get(&0)?;
    match Holding::of(&head.stored) {
        Holding::Newer(Some(Moved::To(place))) => Some(place),
        _ => None,
    }
}
