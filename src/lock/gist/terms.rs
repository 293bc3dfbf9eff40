//! Who led when, by a gist's history. Pure: requests out, answers in.
//!
//! The list of revisions says when each was written; what it holds has to be asked for one by one. A
//! day of renewals makes 10,000 revisions and a handful of terms, so the borders between terms are
//! looked for:
//!
//! ```text
//!   the list:   as the gist itself shows it, then by pages of 100, down to the oldest revision
//!   known:      A?──────────────────────────────C5   what is in effect at both ends
//!   a guess:    A?──────────────B4│C5───────────C5   the record says when its term was acquired
//!   checked:    A?─────A3│──────B4│C5                right below: another one's, so a border
//!   else:       halve the span, and again
//! ```
//!
//! What is in effect at a revision is found by the rule that everybody applies ([`history`]), from that
//! revision downwards. Between two revisions at which the same term of an elector is in effect, nothing
//! else can have been ([`Holding::cannot_return`]), so that such a span is settled without reading it.
//! What came past the elections can come back by hand: a span between two equal plain records is read
//! as a whole if the requests suffice for that, and otherwise taken for one and said to be so. What is
//! not settled when the requests are used up is said as well. Newer borders are settled first.
//!
//! [`report`] makes terms of what is known, at any time. All of this trusts that records which look
//! like ours are ours: who forges `writeId` and `supersedes` can make a history say anything.
//!
//! [`history`]: super::history

mod holding;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::history::{Base, Effect, Known, Progress, Seen, SeenRevisions, resolve_in_effect};
use super::pages::{Pages, Told};
use super::protocol::only_file;
use super::revision::Revision;
use super::wire::{Answer, Commit, GistPage, Reply, Request, Text};
use crate::election::lock::LockError;

pub use holding::Holding;
pub use report::{End, Entry, Gap, Piece, Report, Term, Unsettled};

/// How many requests are made unless more are allowed: two percent of what GitHub grants in an hour,
/// which the electors need too.
pub const USUAL_REQUESTS: u32 = 100;

/// How many texts one place may cost. Where electors alone write it is one, and a few where several
/// locks share a gist; a lock that was left alone for long beside busy ones is not worth the rest.
const TEXTS_PER_PLACE: u32 = 12;

/// How many places of a span may be in doubt before it is left as it is.
const DOUBTS_PER_SPAN: usize = 4;

/// Asks for what is needed to know who led when.
///
/// Call [`poll_request`](Self::poll_request), send what it asks for, hand the answer in, until there is nothing more to
/// ask; [`report`](Self::report) says at any time what is known so far.
#[derive(Clone, Debug)]
pub struct Survey {
    file: Option<String>,
    budget: u32,
    requests: u32,
    /// How many more pages may be read before the texts are looked at.
    pages_left: u32,
    /// The service did not show the gist with its whole history.
    shows_part: bool,
    asked: Asked,
    /// The history as of the first answer, newest first; a place is an index in it.
    commits: Vec<Commit>,
    /// The last of `commits` is the oldest revision of all.
    complete: bool,
    pages: Pages,
    seen: SeenRevisions,
    /// What is in effect at each place that was looked at.
    known: BTreeMap<usize, Effect>,
    /// Places of which that could not be found out.
    doubtful: BTreeSet<usize>,
    /// Revisions that the service lists and does not show.
    unreadable: BTreeSet<Revision>,
    /// The place that is being looked at, and how many texts it cost so far.
    target: Option<(usize, u32)>,
    /// The server's clock when it showed the newest revision, in seconds since the Unix epoch.
    date: Option<i64>,
}

/// What the answer to come is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Gist,
    Page,
    Text(Revision),
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Far {
    /// The requests made, and how many it may be.
    pub requests: (u32, u32),
    /// How many revisions are listed.
    pub listed: usize,
    /// How many of them were read.
    pub read: usize,
}

impl Survey {
    /// Nothing is known yet. `file` is the one with the record, `None` for the gist's only file; so
    /// many requests are made at the most, 2 at least.
    #[must_use]
    pub fn new(file: Option<String>, budget: u32) -> Survey {
        Survey {
            file,
            budget,
            requests: 0,
            pages_left: 0,
            shows_part: false,
            asked: Asked::Nothing,
            commits: Vec::new(),
            complete: false,
            pages: Pages::new(),
            seen: SeenRevisions::new(),
            known: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            target: None,
            date: None,
        }
    }

    /// The file that holds the record, once it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// How far it is.
    #[must_use]
    pub fn far(&self) -> Far {
        Far {
            requests: (self.requests, self.budget),
            listed: self.commits.len(),
            read: self.seen.len(),
        }
    }

    /// Whether all requests were used up.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.requests >= self.budget
    }

    /// What is to be asked for next; `None` if that is all, or all that it may be.
    pub fn poll_request(&mut self) -> Option<Request> {
        if self.is_spent() {
            return None;
        }
        let request = self.next_request()?;
        self.requests += 1;
        Some(request)
    }

    /// Takes the answer to the request asked for last.
    ///
    /// # Errors
    /// What stands in the way; asking on is a further try.
    pub fn handle_answer(&mut self, answer: Answer) -> Result<(), LockError> {
        if self.commits.is_empty() {
            self.date = answer.date;
        }
        let asked = std::mem::replace(&mut self.asked, Asked::Nothing);
        match (asked, answer.reply) {
            (Asked::Gist, Ok(Reply::Gist(page))) => self.take_gist(page),
            (Asked::Gist, Err(LockError::Unavailable(_))) if !self.shows_part => {
                // Too long to be shown as a whole, perhaps.
                self.shows_part = true;
                Ok(())
            }
            (Asked::Page, Ok(Reply::Commits(page))) => self.take_page(&page),
            (Asked::Text(revision), Ok(Reply::Revision(text))) => {
                self.learn(revision, text);
                Ok(())
            }
            (Asked::Text(revision), Err(LockError::NotFound(_))) => {
                self.unreadable.insert(revision);
                Ok(())
            }
            (_, Err(error)) => Err(error),
            (_, Ok(_)) => Err(LockError::Unavailable(
                "an answer came that was not asked for".into(),
            )),
        }
    }

    /// The terms, as far as they are known.
    #[must_use]
    pub fn report(&self) -> Report {
        report::report(self)
    }

    // ---- the list ----

    fn take_gist(&mut self, page: GistPage) -> Result<(), LockError> {
        if self.file.is_none() {
            self.file = Some(only_file(&page.files)?);
        }
        let head = page.history.first().copied();
        let head = head.ok_or_else(|| {
            LockError::Unavailable("the gist service shows the gist without its history".into())
        })?;
        self.commits = page.history;
        self.learn(head.revision, page.text);
        if let Progress::Resolved(effect) = self.look_at(0) {
            // As mostly it does: nothing more has to be asked for that.
            self.settle(0, effect);
        }
        self.pages.begin();
        self.pages_left = self.left() / 2;
        Ok(())
    }

    fn take_page(&mut self, page: &[Commit]) -> Result<(), LockError> {
        let before = self.commits.len();
        match self.pages.take(&mut self.commits, page) {
            Told::More => {}
            Told::Oldest => self.complete = true,
            Told::Changed => {
                return Err(LockError::Unavailable(
                    "the gist's history changed while it was read: try again".into(),
                ));
            }
        }
        if self.complete || self.commits.len() > before {
            // What was too far down may be found now.
            self.doubtful.clear();
        }
        Ok(())
    }

    fn learn(&mut self, revision: Revision, text: Text) {
        self.seen.insert(revision, Seen::new(text));
    }

    fn left(&self) -> u32 {
        self.budget - self.requests
    }

    fn next_request(&mut self) -> Option<Request> {
        if self.commits.is_empty() {
            self.asked = Asked::Gist;
            return Some(match self.shows_part {
                false => Request::History,
                true => Request::Gist {
                    etag: None,
                    until: None,
                },
            });
        }
        loop {
            if !self.complete && self.pages_left > 0 {
                self.pages_left -= 1;
                self.asked = Asked::Page;
                let (page, per_page) = self.pages.next(self.commits.len());
                return Some(Request::Commits { page, per_page });
            }
            if let Some(revision) = self.next_text() {
                self.asked = Asked::Text(revision);
                return Some(Request::Revision(revision));
            }
            if self.complete {
                return None;
            }
            // All that is listed is settled, and there are requests left to go on.
            self.pages_left = (self.left() / 2).max(1);
        }
    }

    // ---- what is in effect at a place ----

    /// The text that is needed next to settle the list as far as it goes.
    fn next_text(&mut self) -> Option<Revision> {
        loop {
            let (place, cost) = match self.target {
                Some(target) => target,
                None => (self.choose()?, 0),
            };
            self.target = None;
            match self.look_at(place) {
                Progress::Resolved(effect) => self.settle(place, effect),
                Progress::NeedText(revision)
                    if cost < TEXTS_PER_PLACE && !self.unreadable.contains(&revision) =>
                {
                    self.target = Some((place, cost + 1));
                    return Some(revision);
                }
                Progress::NeedText(_) | Progress::NeedOlder => {
                    self.doubtful.insert(place);
                }
            }
        }
    }

    fn look_at(&self, place: usize) -> Progress {
        if let Some(replaced) = self.replaced_at(place) {
            return self.named(replaced);
        }
        let known = Known {
            commits: &self.commits[place..],
            complete: self.complete,
            seen: &self.seen,
        };
        let base = self.known.range(place..).next().map(|(at, effect)| Base {
            at: self.commits[*at].revision,
            effect: effect.clone(),
        });
        resolve_in_effect(known, base.as_ref())
    }

    /// One of ours that took effect says what was in effect right below it, and so down to where that
    /// was written.
    fn replaced_at(&self, place: usize) -> Option<usize> {
        let (_, above) = self.known.range(..place).next_back()?;
        // Where it was written is known as well, so that it was above this place.
        let replaced = self.place_of(above.stored.origin()?.supersedes)?;
        (place <= replaced).then_some(replaced)
    }

    /// The revision at this place is in effect by its own name.
    fn named(&self, place: usize) -> Progress {
        let commit = self.commits[place];
        let Some(seen) = self.seen.get(&commit.revision) else {
            return Progress::NeedText(commit.revision);
        };
        let only = Known {
            commits: &[commit],
            complete: true,
            seen: &SeenRevisions::from([(commit.revision, seen.clone())]),
        };
        resolve_in_effect(only, None)
    }

    /// What is in effect at a place is so from where it was written.
    fn settle(&mut self, place: usize, effect: Effect) {
        if let Some(written) = self.place_of(effect.commit.revision) {
            self.known.insert(written, effect.clone());
            self.doubtful.remove(&written);
        }
        self.known.insert(place, effect);
    }

    fn place_of(&self, revision: Revision) -> Option<usize> {
        self.commits
            .iter()
            .position(|commit| commit.revision == revision)
    }

    // ---- where to look next ----

    /// The place to be looked at next; `None` if everything listed is settled, or cannot be.
    fn choose(&self) -> Option<usize> {
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
    fn beginning_of(&self, effect: &Effect) -> Option<usize> {
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
    above: &'a Effect,
}

impl Span<'_> {
    /// How many places lie between its ends.
    fn inside(&self) -> usize {
        self.older - self.newer - 1
    }
}

/// What is known of the places between two that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SpanState {
    /// At all of them the same is in effect as at both ends.
    Settled,
    /// The same is in effect at both ends, and something else may have been in between.
    Assumed,
    /// A border lies there, or several.
    Open,
}

impl SpanState {
    fn between(above: &Effect, below: Option<&Effect>) -> SpanState {
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

fn is_same(one: &Effect, other: &Effect) -> bool {
    Holding::of(&one.stored) == Holding::of(&other.stored)
}

fn unix_seconds(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(time.unix_timestamp())
}
