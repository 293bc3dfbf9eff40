//! The known part of a gist's history, and which request must come next.
//!
//! The reader keeps the newest revisions, as far down as they were needed, and the point (the base) up to
//! which the effective revision is known. A long history is scanned in parts: each call may send a limited
//! number of requests, and the next call continues.

mod top;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::pages::{PageOutcome, Pages};
use super::place::{holds_too_much, what_to_delete};
use super::revision::Revision;
use super::rule::{
    Base, EffectiveRevision, HistoryScan, Known, Missing, RevisionContent, RevisionContents,
    resolve,
};
use super::stored::Stored;
use super::wire::{Commit, GistPage, Request, Text};
use crate::election::lock::LockError;
use crate::election::time::Instant;

/// Most requests of one call for the history, so that a long history takes several calls and leaves
/// renewals their requests.
const READS_PER_CALL: u32 = 20;

/// The same while only the leader's reserve is left: enough for the usual poll with one new revision.
const READS_WHEN_LOW: u32 = 2;

/// Most revisions that are kept during a scan. A day of renewals at the defaults makes 11,000.
const MOST_COMMITS: usize = 100_000;

/// Depth, in revisions, at which a known revision is searched before it counts as lost. A leader adds
/// some 450 an hour; a candidate that was away for longer starts over.
const SEARCH_DEPTH: usize = 200;

/// Depth, in revisions, at which this process's own write is searched in the answer to it.
const WRITE_DEPTH: usize = 10;

/// Time after a revision was first observed in which an answer without it counts as stale: reports of
/// stale reads mention some ten seconds.
const STALE_FOR: Duration = Duration::from_secs(12);

/// A result, or the request that must come first.
pub(super) enum Read<T> {
    Known(T),
    Ask(Request),
}

/// Progress of the call under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Cursor {
    /// The call writes: its result decides whether the leader may continue.
    write: bool,
    reads: u32,
    /// Revision whose content was requested last.
    asked: Option<Revision>,
}

/// Known part of the history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    /// Longest time for which an answer counts as stale.
    stale_for: Duration,
    /// Newest revisions, newest first without a gap, as far down as they were needed.
    commits: Vec<Commit>,
    /// Whether the last of `commits` is the oldest revision of the gist.
    complete: bool,
    /// Revisions known from before an answer that showed newer ones only, and whether the last of them is
    /// the oldest. Older pages lead to them.
    earlier: (Vec<Commit>, bool),
    contents: RevisionContents,
    /// Content that was read last.
    last_content: Option<RevisionContent>,
    scan: HistoryScan,
    /// Entity tag of the answer that `commits` begins with.
    etag: Option<Arc<str>>,
    /// Newest revision at which the effective revision is known, and the time when that was found.
    base: Option<Base>,
    base_since: Instant,
    /// Newest revision in any answer, and the time of the first answer that showed it.
    newest: Option<(Revision, Instant)>,
    cursor: Cursor,
    /// Whether only the leader's reserve of requests is left.
    pub(super) only_reserve: bool,
    pages: Pages,
    /// Advice on what to delete, if the gist is so large that GitHub truncates the record.
    too_much: Option<Arc<str>>,
    /// Whether the base was lost and the elector does not know it yet.
    pub(super) record_lost: bool,
}

impl Reader {
    /// Creates a reader that knows nothing; `renew_deadline` bounds how long an answer counts as stale.
    pub(super) fn new(renew_deadline: Duration) -> Self {
        Reader {
            stale_for: STALE_FOR.min(renew_deadline / 2),
            commits: Vec::new(),
            complete: false,
            earlier: (Vec::new(), false),
            contents: RevisionContents::new(),
            last_content: None,
            scan: HistoryScan::default(),
            etag: None,
            base: None,
            base_since: Instant::BOOT,
            newest: None,
            cursor: Cursor::default(),
            only_reserve: false,
            pages: Pages::new(),
            too_much: None,
            record_lost: false,
        }
    }

    /// Returns the effective revision, as far as it is known.
    pub(super) fn effective(&self) -> Option<&EffectiveRevision> {
        Some(&self.base.as_ref()?.effective)
    }

    /// Returns the newest revision up to which everything is known, and the effective revision there.
    pub(super) fn known(&self) -> Option<(Revision, Revision)> {
        let base = self.base.as_ref()?;
        Some((base.at, base.effective.commit.revision))
    }

    /// Returns the newest revision in any answer, and the time of the first answer that showed it.
    pub(super) fn newest(&self) -> Option<(Revision, Instant)> {
        self.newest
    }

    /// Returns the revision right below another one, if both were listed.
    pub(super) fn parent(&self, revision: Revision) -> Option<Revision> {
        let mut commits = self.commits.iter().map(|commit| commit.revision);
        commits.find(|listed| *listed == revision)?;
        commits.next()
    }

    /// Returns advice on what to delete, if the gist is so large that GitHub truncates the record.
    pub(super) fn too_much(&self) -> Option<&str> {
        self.too_much.as_deref()
    }

    /// Returns whether the next answer is that of one revision.
    pub(super) fn awaits_text(&self) -> bool {
        self.cursor.asked.is_some()
    }

    /// Begins a call.
    pub(super) fn begin(&mut self, write: bool) {
        self.cursor = Cursor {
            write,
            ..Cursor::default()
        };
        self.pages.begin();
    }

    /// Returns the request for the current state of the gist.
    pub(super) fn current(&self) -> Request {
        // Without an effective revision, the scan continues below the newest known one.
        let effective = self.effective().map(|effective| effective.commit);
        let until = effective.or(self.commits.first().copied());
        Request::Gist {
            etag: self.etag.clone(),
            until: until.map(|commit| commit.revision),
        }
    }

    /// Finds the effective revision at the newest revision. `fresh`: the last answer cannot be stale.
    pub(super) fn read_head(
        &mut self,
        now: Instant,
        fresh: bool,
    ) -> Result<Read<EffectiveRevision>, LockError> {
        if let Some(base) = &self.base
            && self.is_settled()
        {
            return Ok(Read::Known(base.effective.clone()));
        }
        if let Some(request) = self.find_base(now, fresh)? {
            return Ok(Read::Ask(request));
        }
        self.read_from(0)
    }

    /// Makes the newest revision the base, with this effective revision.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        effective: EffectiveRevision,
    ) -> Result<(), LockError> {
        if self.is_settled() {
            return Ok(());
        }
        self.settle_at(now, 0, effective)
    }

    /// Returns whether the newest revision is the base, as after every 304.
    fn is_settled(&self) -> bool {
        let head = self.commits.first().map(|commit| commit.revision);
        head.is_some() && head == self.base.as_ref().map(|base| base.at)
    }

    // ---- this process's own write ----

    /// Finds this process's write and the effective revision right after it; `None` if it is not there.
    ///
    /// The write counts as effective only if no newer protocol decides that.
    pub(super) fn read_write(
        &mut self,
        now: Instant,
        write_id: &str,
        supersedes: Revision,
    ) -> Result<Read<Option<FoundWrite>>, LockError> {
        let Some(index) = self.find_write(write_id) else {
            return match self.first_unread(supersedes) {
                Some(revision) => self.ask(Missing::Text(revision)).map(Read::Ask),
                None => Ok(Read::Known(None)),
            };
        };
        let oldest = self.complete && index + 1 == self.commits.len();
        if !oldest && let Some(request) = self.find_base(now, true)? {
            return Ok(Read::Ask(request));
        }
        Ok(match self.read_from(index)? {
            // By its id, not by its place: a write that was carried out twice is there twice.
            Read::Known(effective) => Read::Known(Some(FoundWrite {
                is_effective: effective.newer_protocol.is_none()
                    && is_write(&effective.stored, write_id),
                parent: self.commits.get(index + 1).map(|commit| commit.revision),
                index,
                effective,
            })),
            Read::Ask(request) => Read::Ask(request),
        })
    }

    /// Makes this process's effective write the base. The next read deals with newer revisions.
    pub(super) fn settle_write(
        &mut self,
        now: Instant,
        written: FoundWrite,
    ) -> Result<(), LockError> {
        self.settle_at(now, written.index, written.effective)
    }

    fn find_write(&self, write_id: &str) -> Option<usize> {
        self.commits.iter().position(|commit| {
            let content = self.contents.get(&commit.revision);
            content.is_some_and(|content| is_write(&content.stored, write_id))
        })
    }

    /// Returns the newest unread revision above the superseded one: it may be this process's write.
    fn first_unread(&self, supersedes: Revision) -> Option<Revision> {
        self.commits
            .iter()
            .map(|commit| commit.revision)
            .take(WRITE_DEPTH)
            .take_while(|revision| *revision != supersedes)
            .find(|revision| !self.contents.contains_key(revision))
    }

    // ---- answers ----

    /// Takes the gist from an answer that came at `now`; returns the content of its newest revision, unless
    /// the gist holds too much for it to be shown.
    pub(super) fn take_page(
        &mut self,
        now: Instant,
        page: GistPage,
    ) -> Result<Option<Arc<Stored>>, LockError> {
        let head = *page
            .history
            .first()
            .ok_or_else(|| unavailable("the gist service shows the gist without its history"))?;
        if self
            .newest
            .is_none_or(|(newest, _)| newest != head.revision)
        {
            self.newest = Some((head.revision, now));
        }
        self.etag = page.etag;
        self.join(page.history);
        self.too_much = page
            .text
            .is_withheld()
            .then(|| what_to_delete(&page.largest).into());
        if self.too_much.is_some() {
            // The revision may show the whole text.
            return Ok(None);
        }
        Ok(Some(self.learn(head.revision, page.text)))
    }

    /// Takes the text of the requested revision; returns its content.
    pub(super) fn take_text(&mut self, text: Text) -> Result<Arc<Stored>, LockError> {
        let asked = self.cursor.asked.take();
        let revision =
            asked.ok_or_else(|| unavailable("unexpected answer: no text was requested"))?;
        let is_newest = self.commits.first().map(|commit| commit.revision) == Some(revision);
        if let Some(too_much) = &self.too_much
            && is_newest
            && text.is_withheld()
        {
            return Err(holds_too_much(too_much));
        }
        Ok(self.learn(revision, text))
    }

    /// Takes a page of the history.
    pub(super) fn take_older(&mut self, page: &[Commit]) -> Result<(), LockError> {
        match self.pages.take(&mut self.commits, page) {
            PageOutcome::More => {}
            PageOutcome::Oldest => self.complete = true,
            PageOutcome::Changed => {
                self.forget();
                return Err(unavailable("the gist's history changed while it was read"));
            }
        }
        self.attach_earlier();
        if self.commits.len() > MOST_COMMITS {
            self.forget();
            return Err(unavailable(format!(
                "the gist's history has more than {MOST_COMMITS} revisions; use a new gist"
            )));
        }
        Ok(())
    }

    /// Drops the known history, because it does not hold any more or is of no use.
    pub(super) fn forget(&mut self) {
        self.commits.clear();
        self.complete = false;
        self.earlier = (Vec::new(), false);
        self.etag = None;
        self.pages = Pages::new();
    }

    /// Puts a newer list of revisions on top of the known ones, or in their place.
    fn join(&mut self, mut newer: Vec<Commit>) {
        let old_head = self.commits.first().map(|commit| commit.revision);
        let Some(overlap) = old_head.and_then(|head| position(&newer, head)) else {
            let old = std::mem::replace(&mut self.commits, newer);
            let complete = std::mem::take(&mut self.complete);
            if old.len() > self.earlier.0.len() {
                self.earlier = (old, complete);
            }
            return self.attach_earlier();
        };
        if newer.len() - overlap < self.commits.len() {
            newer.truncate(overlap);
            newer.append(&mut self.commits);
        } else {
            self.complete &= newer.len() - overlap == self.commits.len();
        }
        self.commits = newer;
    }

    /// Continues the known revisions by those known earlier, once they reach one of them: the revisions
    /// below a revision never change.
    fn attach_earlier(&mut self) {
        let (earlier, complete) = &mut self.earlier;
        let last = self.commits.last().map(|commit| commit.revision);
        if let Some(at) = last.and_then(|last| position(earlier, last)) {
            self.complete |= *complete;
            self.commits.extend(earlier.drain(..).skip(at + 1));
        }
    }

    fn learn(&mut self, revision: Revision, text: Text) -> Arc<Stored> {
        let known = self.commits.len() + self.earlier.0.len();
        if self.contents.len() >= known + SEARCH_DEPTH {
            // A service that keeps showing other revisions must not fill the memory with them. The
            // known ones are kept for the answer that shows them again.
            let known = self.commits.iter().chain(&self.earlier.0);
            let kept: HashSet<Revision> = known.map(|commit| commit.revision).collect();
            self.contents.retain(|revision, _| kept.contains(revision));
        }
        // Writes to other files repeat the text that was read last.
        let content = match &self.last_content {
            Some(last) if last.text == text => last.clone(),
            _ => RevisionContent::new(text),
        };
        self.last_content = Some(content.clone());
        let stored = Arc::clone(&content.stored);
        self.contents.insert(revision, content);
        stored
    }

    // ---- the history scan ----

    /// Finds the effective revision at the revision with this index.
    fn read_from(&mut self, index: usize) -> Result<Read<EffectiveRevision>, LockError> {
        let known = Known {
            commits: &self.commits[index..],
            complete: self.complete,
            contents: &self.contents,
        };
        match resolve(known, self.base.as_ref(), &mut self.scan) {
            Ok(effective) => Ok(Read::Known(effective)),
            Err(missing) => self.ask(missing).map(Read::Ask),
        }
    }

    /// Makes sure that the known history contains the base, or that the base is lost.
    ///
    /// Returns the request that must come first.
    fn find_base(&mut self, now: Instant, fresh: bool) -> Result<Option<Request>, LockError> {
        if self.base.is_none() || self.base_is_known() {
            return Ok(None);
        }
        // This comes first: an answer may show only the newest of its revisions.
        if !self.complete && self.commits.len() < SEARCH_DEPTH {
            return self.ask(Missing::Older).map(Some);
        }
        // An answer without a revision that was observed a moment ago is stale.
        if !fresh && now.since(self.base_since) < self.stale_for {
            self.forget();
            return Err(unavailable(
                "the gist service answered with an old state of the gist",
            ));
        }
        self.base = None;
        self.base_since = now;
        self.record_lost = true;
        Ok(None)
    }

    /// Returns whether the rule can be applied from the base on.
    fn base_is_known(&mut self) -> bool {
        let Some(base) = &mut self.base else {
            return false;
        };
        let effective = base.effective.commit.revision;
        if position(&self.commits, base.at).is_none()
            && position(&self.commits, effective).is_some()
        {
            // Only revisions above the effective one are lost, such as another file's write.
            base.at = effective;
        }
        position(&self.commits, base.at).is_some()
    }

    /// Returns the error of a call that made progress but did not finish the scan.
    pub(super) fn unfinished(&self) -> LockError {
        let read = self.contents.len();
        LockError::Unfinished(format!(
            "scanning the gist's history, {read} revisions read so far"
        ))
    }

    /// Returns whether this call has read a part of the history.
    pub(super) fn has_read(&self) -> bool {
        // The last request has no answer yet.
        self.cursor.reads > 1
    }

    fn ask(&mut self, missing: Missing) -> Result<Request, LockError> {
        let cursor = &mut self.cursor;
        let read = self.contents.len();
        if self.only_reserve && !cursor.write && cursor.reads >= READS_WHEN_LOW {
            return Err(unavailable(format!(
                "only the leader's reserve of requests is left; the scan of the gist's history continues \
                 later, {read} revisions read so far"
            )));
        }
        if cursor.reads == READS_PER_CALL {
            return Err(self.unfinished());
        }
        cursor.reads += 1;
        if let Missing::Text(revision) = missing {
            cursor.asked = Some(revision);
            return Ok(Request::Revision(revision));
        }
        let (page, per_page) = self.pages.next(self.commits.len());
        Ok(Request::Commits { page, per_page })
    }

    fn settle_at(
        &mut self,
        now: Instant,
        index: usize,
        effective: EffectiveRevision,
    ) -> Result<(), LockError> {
        let at = self
            .commits
            .get(index)
            .ok_or_else(|| unavailable("the gist's history has not been read yet"))?
            .revision;
        if index > 0 {
            self.commits.drain(..index);
            self.etag = None;
        }
        if self.base.as_ref().is_none_or(|old| old.at != at) {
            self.base_since = now;
        }
        // Revisions below the effective one are not needed any more.
        if let Some(last) = position(&self.commits, effective.commit.revision) {
            self.complete &= last + 1 == self.commits.len();
            self.commits.truncate(last + 1);
        }
        // Writes to other files may have piled up on top of it without limit.
        self.complete &= self.commits.len() <= SEARCH_DEPTH;
        self.commits.truncate(SEARCH_DEPTH);
        self.earlier = (Vec::new(), false);
        let commits = &self.commits;
        self.contents
            .retain(|revision, _| position(commits, *revision).is_some());
        self.base = Some(Base { at, effective });
        Ok(())
    }
}

/// This process's write, found in the history.
pub(super) struct FoundWrite {
    /// Whether it became effective when it was made.
    pub(super) is_effective: bool,
    /// Revision right below it.
    pub(super) parent: Option<Revision>,
    index: usize,
    effective: EffectiveRevision,
}

pub(super) fn unavailable(why: impl Into<String>) -> LockError {
    LockError::Unavailable(why.into())
}

fn is_write(stored: &Stored, write_id: &str) -> bool {
    let origin = stored.origin();
    origin.is_some_and(|origin| &*origin.write_id == write_id)
}

fn position(commits: &[Commit], revision: Revision) -> Option<usize> {
    commits
        .iter()
        .position(|commit| commit.revision == revision)
}
