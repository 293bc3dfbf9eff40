//! History scan of a gist for its terms. Pure: requests out, answers in.
//!
//! The list of revisions tells when each was written; what it holds must be read one by one. A day of
//! renewals makes 10,000 revisions and a handful of terms, so the scan searches for the borders between
//! terms:
//!
//! ```text
//!   the list:   as the gist itself shows it, then by pages of 100, down to the oldest revision
//!   known:      A?──────────────────────────────C5   the effective revisions at both ends
//!   a guess:    A?──────────────B4│C5───────────C5   the record tells when its term was acquired
//!   checked:    A?─────A3│──────B4│C5                another leader right below it, so a border
//!   else:       halve the span, and repeat
//! ```
//!
//! The rule that all electors apply ([`rule`](super::rule)) determines the effective revision. Between two
//! revisions of the same term of an elector, no other can be effective ([`Leadership::cannot_return`]),
//! so such a span is settled without reading it. Foreign writes can return by hand. A span between two
//! equal foreign records is read completely if the requests suffice; otherwise it is assumed to hold the
//! same record, and marked. Spans that are not settled when the requests are used up are marked too.
//! Newer borders are settled first. If only the terms since a time matter, the scan stops at the newest
//! revision before that time that names a leader.
//!
//! Forged records can make a history say anything: the scan trusts `writeId` and `supersedes`.

mod known;
mod leadership;
mod report;
mod spans;

use std::collections::BTreeSet;
use std::time::Duration;

use self::known::KnownHistory;
use super::pages::{PageOutcome, Pages};
use super::place::{
    check_exists, holds_too_much, is_missing, not_created, only_file, what_to_delete,
};
use super::revision::Revision;
use super::rule::{
    Base, EffectiveRevision, Known, Missing, RevisionContent, RevisionContents, resolve_unsettled,
};
use super::wire::{Answer, Commit, GistPage, Reply, Request, Text};
use crate::election::lock::LockError;
use crate::lock::term_history::{TermHistory, before};

pub use leadership::Leadership;
pub use report::Piece;

/// Most texts to read for the effective revision at one index. One suffices where only electors write,
/// and a few where several locks share a gist.
const TEXTS_PER_INDEX: u32 = 12;

/// History scan.
///
/// Call [`poll_request`](Self::poll_request), send what it returns, and pass the answer to
/// [`handle_answer`](Self::handle_answer), until there is no request. [`history`](Self::history) returns
/// at any time what is known so far.
#[derive(Clone, Debug)]
pub struct HistoryScan {
    file: Option<String>,
    max_requests: u32,
    /// Period before the first answer that matters; `None` for the whole history.
    since: Option<Duration>,
    requests: u32,
    /// Pages to read before the next texts.
    pages_left: u32,
    /// Whether the service did not show the gist with its whole history.
    shows_part: bool,
    /// Reason why nothing can be read if the newest two revisions do not show the file, or show it cut.
    unusable: Option<LockError>,
    asked: Asked,
    pages: Pages,
    contents: RevisionContents,
    history: KnownHistory,
    /// Revisions that the service lists but does not show.
    unreadable: BTreeSet<Revision>,
    /// Index that is being examined, and the number of texts read for it.
    target: Option<(usize, u32)>,
}

/// Request whose answer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Gist,
    Page,
    Text(Revision),
}

impl HistoryScan {
    /// Returns a scan of at most `max_requests` requests, at least 2. Without `file`, the gist's only file
    /// holds the record.
    #[must_use]
    pub fn new(file: Option<String>, max_requests: u32) -> HistoryScan {
        HistoryScan {
            file,
            max_requests,
            since: None,
            requests: 0,
            pages_left: 0,
            shows_part: false,
            unusable: None,
            asked: Asked::Nothing,
            pages: Pages::new(),
            contents: RevisionContents::new(),
            history: KnownHistory::default(),
            unreadable: BTreeSet::new(),
            target: None,
        }
    }

    /// Lets the scan end when the terms and gaps of the last `since` before its first answer are known.
    #[must_use]
    pub fn since(mut self, since: Option<Duration>) -> HistoryScan {
        self.since = since;
        self
    }

    /// Returns the file that holds the record, once it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Returns whether all requests are used up.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.requests >= self.max_requests
    }

    /// Returns the next request; `None` if nothing is open, or if the requests are used up.
    pub fn poll_request(&mut self) -> Option<Request> {
        if self.is_exhausted() {
            return None;
        }
        let request = self.next_request()?;
        self.requests += 1;
        Some(request)
    }

    /// Handles the answer to the last request.
    ///
    /// # Errors
    /// If the answer cannot be used. Polling again repeats the request.
    pub fn handle_answer(&mut self, answer: Answer) -> Result<(), LockError> {
        if self.history.commits.is_empty() {
            self.history.date = answer.date;
        }
        let asked = std::mem::replace(&mut self.asked, Asked::Nothing);
        match (asked, answer.reply) {
            (Asked::Gist, Ok(Reply::Gist(page))) => self.take_gist(page),
            (Asked::Gist, Err(LockError::Unavailable(_))) if !self.shows_part => {
                // The history may be too long for one answer.
                self.shows_part = true;
                Ok(())
            }
            (Asked::Page, Ok(Reply::Commits(page))) => self.take_page(&page),
            (Asked::Text(revision), Ok(Reply::Revision(text))) => self.take_text(revision, text),
            (Asked::Text(revision), Err(LockError::NotFound(_))) => {
                self.unreadable.insert(revision);
                Ok(())
            }
            (_, Err(error)) => Err(error),
            (_, Ok(_)) => Err(LockError::Unavailable(
                "the gist service answered another request than was sent".into(),
            )),
        }
    }

    /// Returns the terms, as far as they are known.
    #[must_use]
    pub fn history(&self) -> TermHistory {
        TermHistory {
            requests: self.requests,
            exhausted: self.is_exhausted(),
            ..report::history(&self.history.cut())
        }
    }

    /// Returns the listed revisions in pieces of equal leadership, the oldest first.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece> {
        report::pieces(&self.history.cut())
    }

    fn take_gist(&mut self, page: GistPage) -> Result<(), LockError> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(only_file(&page.files)?),
        };
        check_exists(&page, file)?;
        if is_missing(&page, file) {
            self.unusable = Some(not_created(&page, file));
        } else if page.text.is_withheld() {
            self.unusable = Some(holds_too_much(&what_to_delete(&page.largest)));
        }
        let head = page.history.first().copied();
        let head = head.ok_or_else(|| {
            LockError::Unavailable("the gist service shows the gist without its history".into())
        })?;
        self.history.commits = page.history;
        let now = self.history.date.or(head.committed_at);
        self.history.since = self.since.and_then(|since| Some(before(now?, since)));
        if !page.text.is_withheld() {
            self.learn(head.revision, page.text);
        }
        if let Ok(effective) = self.resolve_at(0) {
            self.history.settle(0, effective);
        }
        self.pages.begin();
        self.pages_left = self.left() / 2;
        Ok(())
    }

    fn take_page(&mut self, page: &[Commit]) -> Result<(), LockError> {
        let before = self.history.commits.len();
        match self.pages.take(&mut self.history.commits, page) {
            PageOutcome::More => {}
            PageOutcome::Oldest => self.history.complete = true,
            PageOutcome::Changed => {
                return Err(LockError::Unavailable(
                    "the gist's history changed while it was read; try again".into(),
                ));
            }
        }
        if self.history.complete || self.history.commits.len() > before {
            // Revisions that needed older ones may be resolved now.
            self.history.doubtful.clear();
        }
        Ok(())
    }

    /// Takes the text of a requested revision. The first one that is requested shows whether a file that
    /// the newest revision does not show is of use.
    fn take_text(&mut self, revision: Revision, text: Text) -> Result<(), LockError> {
        if let Some(error) = self.unusable.take()
            && (text == Text::Missing || text.is_withheld())
        {
            self.unusable = Some(error.clone());
            return Err(error);
        }
        self.learn(revision, text);
        Ok(())
    }

    fn learn(&mut self, revision: Revision, text: Text) {
        self.contents.insert(revision, RevisionContent::new(text));
    }

    fn left(&self) -> u32 {
        self.max_requests - self.requests
    }

    fn next_request(&mut self) -> Option<Request> {
        if self.history.commits.is_empty() {
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
            if !self.history.is_listed() && self.pages_left > 0 && self.unusable.is_none() {
                self.pages_left -= 1;
                self.asked = Asked::Page;
                let (page, per_page) = self.pages.next(self.history.commits.len());
                return Some(Request::Commits { page, per_page });
            }
            if let Some(revision) = self.next_text() {
                self.asked = Asked::Text(revision);
                return Some(Request::Revision(revision));
            }
            if self.history.is_listed() {
                return None;
            }
            self.unusable = None;
            // Everything listed is settled, and requests are left for older revisions.
            self.pages_left = (self.left() / 2).max(1);
        }
    }

    /// Returns the revision to read next; `None` if everything listed is settled, or cannot be.
    fn next_text(&mut self) -> Option<Revision> {
        loop {
            let (index, texts) = match self.target.take() {
                Some(target) => target,
                None => (self.history.choose(self.left())?, 0),
            };
            match self.resolve_at(index) {
                Ok(effective) => self.history.settle(index, effective),
                Err(Missing::Text(revision))
                    if texts < TEXTS_PER_INDEX && !self.unreadable.contains(&revision) =>
                {
                    self.target = Some((index, texts + 1));
                    return Some(revision);
                }
                Err(Missing::Text(_) | Missing::Older) => {
                    self.history.doubtful.insert(index);
                }
            }
        }
    }

    /// Returns the effective revision at an index, or what must be read first.
    fn resolve_at(&self, index: usize) -> Result<EffectiveRevision, Missing> {
        if let Some(superseded) = self.superseded_at(index) {
            return self.resolve_alone(superseded);
        }
        let history = &self.history;
        let known = Known {
            commits: &history.commits[index..],
            complete: history.complete,
            contents: &self.contents,
        };
        let base = history.known.range(index..).next();
        let base = base.map(|(at, effective)| Base {
            at: history.commits[*at].revision,
            effective: effective.clone(),
        });
        resolve_unsettled(known, base.as_ref())
    }

    /// Returns the index of the effective revision at `index` if the next effective write above names it:
    /// what that write superseded was effective from its own index up to there.
    fn superseded_at(&self, index: usize) -> Option<usize> {
        let (_, above) = self.history.known.range(..index).next_back()?;
        let superseded = self.history.index_of(above.stored.origin()?.supersedes)?;
        (index <= superseded).then_some(superseded)
    }

    /// Returns the revision at an index, which is known to be effective.
    fn resolve_alone(&self, index: usize) -> Result<EffectiveRevision, Missing> {
        let commit = self.history.commits[index];
        let Some(content) = self.contents.get(&commit.revision) else {
            return Err(Missing::Text(commit.revision));
        };
        let only = Known {
            commits: &[commit],
            complete: true,
            contents: &RevisionContents::from([(commit.revision, content.clone())]),
        };
        resolve_unsettled(only, None)
    }
}
