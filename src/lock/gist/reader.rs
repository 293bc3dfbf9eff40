//! What is known of the gist's history, and what has to be read next.
//!
//! The reader keeps the newest revisions, as far down as they were needed, and the point (the base)
//! up to which the revision in effect is known. A long history is read in portions: each call has a
//! budget of requests, and the next one goes on where it ended.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::pages::{PageOutcome, Pages};
use super::revision::Revision;
use super::rule::{
    Base, EffectiveRevision, Known, Progress, RevisionContent, RevisionContents, Walk, resolve_on,
};
use super::stored::Stored;
use super::wire::{Commit, GistPage, Request, Text};
use crate::election::lock::LockError;
use crate::election::time::Instant;

/// How many requests one call may spend on reading the history, so that a long history is read in
/// portions over several calls and takes no part of the limits that renewals need.
const READS_PER_CALL: u32 = 20;

/// How many of them while only the leader's requests are left: enough for the usual look, in which
/// one revision is new.
const READS_WHEN_LOW: u32 = 2;

/// How many revisions of the history are kept at the most while it is walked. A day of renewals at
/// the default settings makes 11,000.
const MOST_COMMITS: usize = 100_000;

/// How far down, in revisions, a known one is looked for before it counts as gone. The leader adds
/// some 450 an hour; whoever was away for longer than that starts over.
const SEARCH_DEPTH: usize = 200;

/// How many of the newest revisions our own write is looked for in after its answer came.
const WRITE_DEPTH: usize = 10;

/// For how long after a revision was first seen an answer without it counts as stale: reports of
/// stale reads speak of some ten seconds.
const STALE_FOR: Duration = Duration::from_secs(12);

/// What is known, or what has to be asked for first.
pub(super) enum Read<T> {
    Known(T),
    Ask(Request),
}

/// How far this call has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Cursor {
    /// The call is to write: what it reads decides whether a leader may go on.
    write: bool,
    reads: u32,
    /// The revision whose content was asked for last.
    asked: Option<Revision>,
}

/// The known part of the history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    /// An answer counts as stale for at most this long.
    stale_for: Duration,
    /// The newest revisions, newest first without a gap, as far down as they were needed.
    commits: Vec<Commit>,
    /// The last of `commits` is the oldest revision of all.
    complete: bool,
    seen: RevisionContents,
    /// What was learned last.
    learned: Option<RevisionContent>,
    /// How far the search in them has come.
    walk: Walk,
    /// What `commits` begins with answers to this tag.
    etag: Option<Arc<str>>,
    /// The newest point at which the revision in effect is known, and since when.
    base: Option<Base>,
    base_since: Instant,
    /// The newest revision that an answer showed, and since when it is known.
    newest: Option<(Revision, Instant)>,
    cursor: Cursor,
    /// Of the hour's requests none are left but the leader's.
    pub(super) running_low: bool,
    /// How far its pages were read.
    pages: Pages,
    /// The base was lost, and this has not been told yet.
    pub(super) record_lost: bool,
}

impl Reader {
    pub(super) fn new(renew_deadline: Duration) -> Self {
        Reader {
            stale_for: STALE_FOR.min(renew_deadline / 2),
            commits: Vec::new(),
            complete: false,
            seen: RevisionContents::new(),
            learned: None,
            walk: Walk::default(),
            etag: None,
            base: None,
            base_since: Instant::BOOT,
            newest: None,
            cursor: Cursor::default(),
            running_low: false,
            pages: Pages::new(),
            record_lost: false,
        }
    }

    /// What is in effect, as far as it is known.
    pub(super) fn effect(&self) -> Option<&EffectiveRevision> {
        Some(&self.base.as_ref()?.effect)
    }

    /// Up to which revision everything is known, and which is in effect there.
    pub(super) fn known(&self) -> Option<(Revision, Revision)> {
        let base = self.base.as_ref()?;
        Some((base.at, base.effect.commit.revision))
    }

    /// The newest revision that an answer showed, and since when it is known.
    pub(super) fn newest(&self) -> Option<(Revision, Instant)> {
        self.newest
    }

    /// Whether the answer to come is that of one revision.
    pub(super) fn awaits_text(&self) -> bool {
        self.cursor.asked.is_some()
    }

    /// A new call begins, to write or to look.
    pub(super) fn begin(&mut self, write: bool) {
        self.cursor = Cursor {
            write,
            ..Cursor::default()
        };
        self.pages.begin();
    }

    /// The request that shows the gist as it is.
    pub(super) fn look(&self) -> Request {
        Request::Gist {
            etag: self.etag.clone(),
            until: self.effect().map(|effect| effect.commit.revision),
        }
    }

    /// What is in effect at the newest revision. `fresh`: the last answer cannot be an old one.
    pub(super) fn read_head(
        &mut self,
        now: Instant,
        fresh: bool,
    ) -> Result<Read<EffectiveRevision>, LockError> {
        if let Some(base) = &self.base
            && self.is_settled()
        {
            return Ok(Read::Known(base.effect.clone()));
        }
        if let Some(request) = self.find_base(now, fresh)? {
            return Ok(Read::Ask(request));
        }
        self.read_from(0)
    }

    /// Makes the newest revision the point up to which all is known, with `effect` in effect there.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        effect: EffectiveRevision,
    ) -> Result<(), LockError> {
        if self.is_settled() {
            return Ok(());
        }
        self.settle_at(now, 0, effect)
    }

    /// Everything up to the newest revision known is settled, as after every 304.
    fn is_settled(&self) -> bool {
        let head = self.commits.first().map(|commit| commit.revision);
        head.is_some() && head == self.base.as_ref().map(|base| base.at)
    }

    // ---- our own write ----

    /// Finds our write, and what is in effect once it was applied; it counts as ours only if this
    /// process `goes_by` the rule for that. `None`: it is not there.
    pub(super) fn read_write(
        &mut self,
        now: Instant,
        write_id: &str,
        supersedes: Revision,
        goes_by: impl Fn(&EffectiveRevision) -> bool,
    ) -> Result<Read<Option<Written>>, LockError> {
        let Some(index) = self.find_ours(write_id) else {
            return match self.first_unseen(supersedes) {
                Some(revision) => self.ask(&Progress::NeedText(revision)).map(Read::Ask),
                None => Ok(Read::Known(None)),
            };
        };
        let oldest = self.complete && index + 1 == self.commits.len();
        if !oldest && let Some(request) = self.find_base(now, true)? {
            return Ok(Read::Ask(request));
        }
        Ok(match self.read_from(index)? {
            // By its id, not by its place: a write that was carried out twice stands there twice.
            Read::Known(effect) => Read::Known(Some(Written {
                in_effect: goes_by(&effect) && is_write(&effect.stored, write_id),
                below: self.commits.get(index + 1).map(|commit| commit.revision),
                index,
                effect,
            })),
            Read::Ask(request) => Read::Ask(request),
        })
    }

    /// Our write took effect. What came after it is left to the next look.
    pub(super) fn settle_write(&mut self, now: Instant, written: Written) -> Result<(), LockError> {
        self.settle_at(now, written.index, written.effect)
    }

    fn find_ours(&self, write_id: &str) -> Option<usize> {
        self.commits.iter().position(|commit| {
            let seen = self.seen.get(&commit.revision);
            seen.is_some_and(|seen| is_write(&seen.stored, write_id))
        })
    }

    /// The newest revision above what we superseded whose content is not known: ours may be there.
    fn first_unseen(&self, supersedes: Revision) -> Option<Revision> {
        self.commits
            .iter()
            .map(|commit| commit.revision)
            .take(WRITE_DEPTH)
            .take_while(|revision| *revision != supersedes)
            .find(|revision| !self.seen.contains_key(revision))
    }

    // ---- answers ----

    /// Takes in the gist as an answer that came `now` shows it; returns what its newest revision holds.
    pub(super) fn take_page(
        &mut self,
        now: Instant,
        page: GistPage,
    ) -> Result<Arc<Stored>, LockError> {
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
        Ok(self.learn(head.revision, page.text))
    }

    /// Takes in the content of the revision that was asked for; returns what it holds.
    pub(super) fn take_text(&mut self, text: Text) -> Result<Arc<Stored>, LockError> {
        let asked = self.cursor.asked.take();
        let revision = asked.ok_or_else(|| unavailable("an answer came that was not asked for"))?;
        Ok(self.learn(revision, text))
    }

    /// Takes in a page of the history.
    pub(super) fn take_older(&mut self, page: &[Commit]) -> Result<(), LockError> {
        match self.pages.take(&mut self.commits, page) {
            PageOutcome::More => {}
            PageOutcome::Oldest => self.complete = true,
            PageOutcome::Changed => {
                self.forget();
                return Err(unavailable("the gist's history changed while it was read"));
            }
        }
        if self.commits.len() > MOST_COMMITS {
            self.forget();
            return Err(unavailable(
                "the gist's history is too long to be read: use another gist (elector init --from)",
            ));
        }
        Ok(())
    }

    /// What is in effect, where the newest revisions show it by themselves: a plain change takes effect
    /// whatever came before it. What it overwrote is not known.
    pub(super) fn plain_on_top(&self) -> Option<EffectiveRevision> {
        let differ = |pair: &[Commit]| {
            let seen = |at: usize| self.seen.get(&pair[at].revision);
            Some(seen(0)?.text != seen(1)?.text)
        };
        let mut pairs = self.commits.windows(2).map(differ);
        let at = pairs.position(|differs| differs != Some(false))?;
        let changed = self.seen.get(&self.commits[at].revision)?;
        if changed.stored.origin().is_some() {
            return None;
        }
        let top = Known {
            commits: &self.commits[..=at + 1],
            complete: true,
            seen: &self.seen,
        };
        match resolve_on(top, None, &mut Walk::default()) {
            Progress::Resolved(effect) => Some(EffectiveRevision {
                settled: false,
                ..effect
            }),
            _ => None,
        }
    }

    /// What was known of the history does not hold any more, or is of no use.
    pub(super) fn forget(&mut self) {
        self.commits.clear();
        self.complete = false;
        self.etag = None;
        self.pages = Pages::new();
    }

    /// Puts a newer list of revisions on top of what is known, or in its place.
    fn join(&mut self, mut newer: Vec<Commit>) {
        let old_head = self.commits.first().map(|commit| commit.revision);
        let Some(overlap) = old_head.and_then(|head| position(&newer, head)) else {
            self.complete = false;
            self.commits = newer;
            return;
        };
        if newer.len() - overlap < self.commits.len() {
            newer.truncate(overlap);
            newer.append(&mut self.commits);
        } else {
            self.complete &= newer.len() - overlap == self.commits.len();
        }
        self.commits = newer;
    }

    fn learn(&mut self, revision: Revision, text: Text) -> Arc<Stored> {
        if self.seen.len() >= self.commits.len() + SEARCH_DEPTH {
            // A service that shows ever other revisions must not fill the memory with them. Some
            // are kept for the answer that brings them back.
            let kept: HashSet<Revision> = self.commits.iter().map(|c| c.revision).collect();
            self.seen.retain(|revision, _| kept.contains(revision));
        }
        // Other files' revisions repeat the text that was learned last.
        let seen = match &self.learned {
            Some(last) if last.text == text => last.clone(),
            _ => RevisionContent::new(text),
        };
        self.learned = Some(seen.clone());
        let stored = Arc::clone(&seen.stored);
        self.seen.insert(revision, seen);
        stored
    }

    // ---- walking ----

    /// What is in effect at the revision with this index.
    fn read_from(&mut self, index: usize) -> Result<Read<EffectiveRevision>, LockError> {
        let known = Known {
            commits: &self.commits[index..],
            complete: self.complete,
            seen: &self.seen,
        };
        match resolve_on(known, self.base.as_ref(), &mut self.walk) {
            Progress::Resolved(effect) => Ok(Read::Known(effect)),
            missing => self.ask(&missing).map(Read::Ask),
        }
    }

    /// Makes sure that the base is in the known history, or gone for good. Returns what has to be
    /// asked for first.
    fn find_base(&mut self, now: Instant, fresh: bool) -> Result<Option<Request>, LockError> {
        if self.base.is_none() || self.base_is_known() {
            return Ok(None);
        }
        // First of all: an answer may show only the newest of its revisions.
        if !self.complete && self.commits.len() < SEARCH_DEPTH {
            return self.ask(&Progress::NeedOlder).map(Some);
        }
        // An answer without what was seen a moment ago is an old one.
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

    /// Whether the rule can be applied from the base on.
    fn base_is_known(&mut self) -> bool {
        let Some(base) = &mut self.base else {
            return false;
        };
        let effect = base.effect.commit.revision;
        if position(&self.commits, base.at).is_none() && position(&self.commits, effect).is_some() {
            // Only what stood above the revision in effect is gone: another file's write, say.
            base.at = effect;
        }
        position(&self.commits, base.at).is_some()
    }

    /// A call that came further than the one before, but not to the end.
    pub(super) fn unfinished(&self) -> LockError {
        let far = self.seen.len();
        LockError::Unfinished(format!(
            "the gist's history is long and still being read, {far} revisions so far"
        ))
    }

    /// Whether this call has read some of the history.
    pub(super) fn has_read(&self) -> bool {
        // The last request has no answer yet.
        self.cursor.reads > 1
    }

    fn ask(&mut self, missing: &Progress) -> Result<Request, LockError> {
        let cursor = &mut self.cursor;
        let far = self.seen.len();
        if self.running_low && !cursor.write && cursor.reads >= READS_WHEN_LOW {
            return Err(unavailable(format!(
                "few of the hour's requests are left, and are kept for renewals: the gist's history \
                 is read on later, {far} revisions are read so far"
            )));
        }
        if cursor.reads == READS_PER_CALL {
            return Err(self.unfinished());
        }
        cursor.reads += 1;
        if let Progress::NeedText(revision) = missing {
            cursor.asked = Some(*revision);
            return Ok(Request::Revision(*revision));
        }
        let (page, per_page) = self.pages.next(self.commits.len());
        Ok(Request::Commits { page, per_page })
    }

    fn settle_at(
        &mut self,
        now: Instant,
        index: usize,
        effect: EffectiveRevision,
    ) -> Result<(), LockError> {
        let at = self
            .commits
            .get(index)
            .ok_or_else(|| unavailable("nothing is known of the gist's history"))?
            .revision;
        if index > 0 {
            self.commits.drain(..index);
            self.etag = None;
        }
        if self.base.as_ref().is_none_or(|old| old.at != at) {
            self.base_since = now;
        }
        // What lies below the revision in effect is not needed any more.
        if let Some(last) = position(&self.commits, effect.commit.revision) {
            self.complete &= last + 1 == self.commits.len();
            self.commits.truncate(last + 1);
        }
        // Other files' writes may have piled up on top of it without end.
        self.complete &= self.commits.len() <= SEARCH_DEPTH;
        self.commits.truncate(SEARCH_DEPTH);
        let commits = &self.commits;
        self.seen
            .retain(|revision, _| position(commits, *revision).is_some());
        self.base = Some(Base { at, effect });
        Ok(())
    }
}

/// Our write, found in the history.
pub(super) struct Written {
    /// Whether it took effect when it was made.
    pub(super) in_effect: bool,
    /// The revision right below it.
    pub(super) below: Option<Revision>,
    index: usize,
    effect: EffectiveRevision,
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
