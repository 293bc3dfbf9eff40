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
//! [`Survey::history`] makes terms of what is known, at any time. All of this trusts that records which look
//! like ours are ours: who forges `writeId` and `supersedes` can make a history say anything.
//!
//! [`history`]: super::rule

mod holding;
mod report;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use super::pages::{PageOutcome, Pages};
use super::protocol::only_file;
use super::revision::Revision;
use super::rule::{
    Base, EffectiveRevision, Known, Missing, RevisionContent, RevisionContents, resolve_unsettled,
};
use super::wire::{Answer, Commit, GistPage, Reply, Request, Text};
use crate::election::lock::LockError;
use crate::lock::term_history::{self, TermHistory};

pub use holding::Holding;
pub use report::Piece;

/// How many texts one place may cost. Where electors alone write it is one, and a few where several
/// locks share a gist; a lock that was left alone for long beside busy ones is not worth the rest.
const TEXTS_PER_PLACE: u32 = 12;

/// Asks for what is needed to know who led when.
///
/// Call [`poll_request`](Self::poll_request), send what it asks for, hand the answer in, until there is nothing more to
/// ask; [`history`](Self::history) says at any time what is known so far.
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
    seen: RevisionContents,
    /// What is in effect at each place that was looked at.
    known: BTreeMap<usize, EffectiveRevision>,
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
            seen: RevisionContents::new(),
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

    /// Returns the progress.
    #[must_use]
    pub fn progress(&self) -> term_history::Progress {
        term_history::Progress {
            requests: self.requests,
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

    /// Returns the terms, as far as they are known.
    #[must_use]
    pub fn history(&self) -> TermHistory {
        report::history(self)
    }

    /// Returns the listed revisions in pieces that mean the same, the oldest first.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        report::pieces(self)
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
        if let Ok(effect) = self.look_at(0) {
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
            PageOutcome::More => {}
            PageOutcome::Oldest => self.complete = true,
            PageOutcome::Changed => {
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
        self.seen.insert(revision, RevisionContent::new(text));
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
                Ok(effect) => self.settle(place, effect),
                Err(Missing::Text(revision))
                    if cost < TEXTS_PER_PLACE && !self.unreadable.contains(&revision) =>
                {
                    self.target = Some((place, cost + 1));
                    return Some(revision);
                }
                Err(Missing::Text(_) | Missing::Older) => {
                    self.doubtful.insert(place);
                }
            }
        }
    }

    fn look_at(&self, place: usize) -> Result<EffectiveRevision, Missing> {
        if let Some(replaced) = self.replaced_at(place) {
            return self.named(replaced);
        }
        let known = Known {
            commits: &self.commits[place..],
            complete: self.complete,
            contents: &self.seen,
        };
        let base = self.known.range(place..).next().map(|(at, effect)| Base {
            at: self.commits[*at].revision,
            effective: effect.clone(),
        });
        resolve_unsettled(known, base.as_ref())
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
    fn named(&self, place: usize) -> Result<EffectiveRevision, Missing> {
        let commit = self.commits[place];
        let Some(seen) = self.seen.get(&commit.revision) else {
            return Err(Missing::Text(commit.revision));
        };
        let only = Known {
            commits: &[commit],
            complete: true,
            contents: &RevisionContents::from([(commit.revision, seen.clone())]),
        };
        resolve_unsettled(only, None)
    }

    /// What is in effect at a place is so from where it was written.
    fn settle(&mut self, place: usize, effect: EffectiveRevision) {
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
}
