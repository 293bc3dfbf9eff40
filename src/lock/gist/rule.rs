//! The compare-and-swap rule: which revision of a gist is effective.
//!
//! A gist accepts every write, so the answer to a write decides nothing. But every write becomes a
//! revision, and all candidates read the revisions in the same order. Each write is therefore a command,
//! "replace revision S by this record", and every candidate applies one rule to the revisions, oldest first:
//!
//! - A revision whose content for the lock's file equals that of its parent is passed over: it wrote
//!   another file.
//! - A write of an elector (it names the revision that it supersedes) becomes effective only if that revision
//!   is effective.
//! - A foreign write (an operator's, or client-go's) always becomes effective.
//! - The oldest revision is effective whatever it holds.
//!
//! Whether a revision becomes effective depends on its own past only, so all candidates that see the same
//! past agree.
//!
//! Nobody needs the whole history for that. A revision that a write supersedes was effective once, because
//! the writer applied the same rule to the same past. So was every foreign change. [`resolve`] scans down to
//! the nearest of these and applies the rule forward from there. In the usual case, a write right on top of
//! the revision that it supersedes, that is one step. Under a foreign write the scan continues to the newest
//! effective write of an elector, because the leases in between may have been overwritten. The functions here
//! send no requests: they return what must be read next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::revision::Revision;
use super::stored::{PROTOCOL, Stored};
use super::wire::{Commit, Text};

/// Content of the lock's file in one revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RevisionContent {
    /// The text, compared with the parent's.
    pub text: Text,
    /// The parsed text.
    pub stored: Arc<Stored>,
}

impl RevisionContent {
    /// Parses a text.
    #[must_use]
    pub fn new(text: Text) -> RevisionContent {
        let stored = Arc::new(Stored::read(&text));
        RevisionContent { text, stored }
    }
}

/// Contents of the revisions that were read.
pub type RevisionContents = BTreeMap<Revision, RevisionContent>;

/// The effective revision, and the leases that it may have overwritten.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EffectiveRevision {
    /// Entry of the revision in the history.
    pub commit: Commit,
    /// Content of the revision.
    pub stored: Arc<Stored>,
    /// Whether every revision back to the newest effective write of an elector was read.
    pub settled: bool,
    /// Longest lease of the effective records from that write up to this one; `None` without any record.
    pub longest_lease: Option<Duration>,
    /// Protocol of a revision on the way here that follows a newer rule: the effective revision is unknown.
    pub newer_protocol: Option<u64>,
}

impl EffectiveRevision {
    /// Begins with a revision that became effective, whatever came before it.
    ///
    /// `settled` says that nothing below it matters, as for every write of an elector and every checkpoint.
    fn beginning(commit: Commit, stored: &Arc<Stored>, settled: bool) -> EffectiveRevision {
        EffectiveRevision {
            commit,
            stored: Arc::clone(stored),
            settled: settled || stored.origin().is_some() || is_checkpoint(stored),
            longest_lease: stored.lease(),
            newer_protocol: newer_protocol(stored),
        }
    }

    /// Applies the rule to the next revision.
    fn apply(&mut self, commit: Commit, content: &RevisionContent, parent: &RevisionContent) {
        if content.text == parent.text {
            return;
        }
        let stored = &content.stored;
        match stored.origin() {
            Some(origin) if origin.supersedes == self.commit.revision => {
                // The writer understood what it replaced, but perhaps not what it passed over.
                let replaced = newer_protocol(&self.stored);
                let newer = self
                    .newer_protocol
                    .filter(|_| self.newer_protocol != replaced);
                *self = EffectiveRevision::beginning(commit, stored, false);
                self.newer_protocol = self.newer_protocol.or(newer);
            }
            Some(_) => self.newer_protocol = self.newer_protocol.or(newer_protocol(stored)),
            None => {
                self.commit = commit;
                self.stored = Arc::clone(stored);
                self.settled |= is_checkpoint(stored);
                self.newer_protocol = newer_protocol(stored);
                self.longest_lease = self.longest_lease.max(stored.lease());
            }
        }
    }
}

/// Returns whether the record ends a history scan.
pub(super) fn is_checkpoint(stored: &Stored) -> bool {
    stored.record().is_some_and(|stored| stored.checkpoint)
}

fn newer_protocol(stored: &Stored) -> Option<u64> {
    let protocol = stored.record()?.protocol;
    (protocol > PROTOCOL).then_some(protocol)
}

/// A revision at which the effective revision is known from an earlier scan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Base {
    /// Name of the revision.
    pub at: Revision,
    /// Effective revision there.
    pub effective: EffectiveRevision,
}

/// Known part of the history: its newest revisions, newest first, without a gap.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The revisions.
    pub commits: &'a [Commit],
    /// Whether the last of them is the oldest of the gist.
    pub complete: bool,
    /// Contents that were read.
    pub contents: &'a RevisionContents,
}

/// Part of the history that must be read before the effective revision is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Content of this revision.
    Text(Revision),
    /// Revisions older than the last known one.
    Older,
}

/// Finds the effective revision at the newest known revision.
///
/// `base` is a shortcut; it is ignored if `known.commits` does not contain it. `scan` is that of the previous
/// call: a long history is not scanned again from its newest revision each time one more content is known.
///
/// # Errors
/// Returns what must be read first.
pub fn resolve(
    known: Known<'_>,
    base: Option<&Base>,
    scan: &mut HistoryScan,
) -> Result<EffectiveRevision, Missing> {
    let base = base.filter(|base| known.position(base.at).is_some());
    let start = known.next_start(0, Purpose::Effective, base, &mut scan.for_effective)?;
    let mut parent = start.index + 1;
    let mut effective = known.fold(start)?;
    // A newer protocol further back does not matter to a foreign write.
    let newer_protocol = effective.newer_protocol;
    while !effective.settled {
        let start = known.next_start(parent, Purpose::Settled, base, &mut scan.for_settled)?;
        parent = start.index + 1;
        effective = known.fold(start)?;
    }
    effective.newer_protocol = newer_protocol;
    Ok(effective)
}

/// Like [`resolve`], but does not scan below a foreign write for the leases that it may have overwritten.
///
/// # Errors
/// Returns what must be read first.
pub fn resolve_unsettled(
    known: Known<'_>,
    base: Option<&Base>,
) -> Result<EffectiveRevision, Missing> {
    let start = known.next_start(0, Purpose::Effective, base, &mut Search::default())?;
    known.fold(start)
}

/// Progress of a scan through the history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HistoryScan {
    for_effective: Search,
    for_settled: Search,
}

/// Progress of the search for a revision to apply the rule from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Search {
    /// Newest revision, index at which the search began, and base; another search begins if they change.
    began: Option<(Revision, usize, Option<Revision>)>,
    /// First index that is not known to be unsuitable.
    next: usize,
    /// Revisions that those above it supersede.
    superseded: BTreeSet<Revision>,
    last_superseded: Option<Revision>,
}

impl Search {
    fn resume(&mut self, head: Revision, from: usize, base: Option<&Base>) {
        let began = Some((head, from, base.map(|base| base.at)));
        if self.began != began {
            *self = Search {
                began,
                next: from,
                ..Search::default()
            };
        }
    }

    /// Skips an index whose revision supersedes `superseded`.
    fn pass(&mut self, superseded: Option<Revision>) {
        self.next += 1;
        // Writes to other files repeat the content of their parents.
        if superseded != self.last_superseded {
            self.superseded.extend(superseded);
            self.last_superseded = superseded;
        }
    }
}

/// A revision from which the rule can be applied forward.
struct Start {
    index: usize,
    effective: EffectiveRevision,
}

/// Purpose of a search for a start.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Find the effective revision.
    Effective,
    /// Find every lease that a foreign write may have overwritten.
    Settled,
}

impl Known<'_> {
    fn position(&self, revision: Revision) -> Option<usize> {
        self.commits
            .iter()
            .position(|commit| commit.revision == revision)
    }

    fn commit(&self, index: usize) -> Result<Commit, Missing> {
        self.commits.get(index).copied().ok_or(Missing::Older)
    }

    fn content(&self, index: usize) -> Result<&RevisionContent, Missing> {
        let revision = self.commit(index)?.revision;
        self.contents.get(&revision).ok_or(Missing::Text(revision))
    }

    fn is_oldest(&self, index: usize) -> bool {
        self.complete && index + 1 == self.commits.len()
    }

    /// Finds the newest revision at or below index `from` that is known to have become effective.
    fn next_start(
        &self,
        from: usize,
        purpose: Purpose,
        base: Option<&Base>,
        search: &mut Search,
    ) -> Result<Start, Missing> {
        search.resume(self.commit(0)?.revision, from, base);
        for index in search.next.. {
            let commit = self.commit(index)?;
            let content = self.content(index)?;
            if let Some(base) = base
                && base.at == commit.revision
            {
                let effective = base.effective.clone();
                return Ok(Start { index, effective });
            }
            let oldest = self.is_oldest(index);
            let starts = oldest
                || search.superseded.contains(&commit.revision)
                || self.became_effective(index, purpose)?;
            if starts {
                let effective = EffectiveRevision::beginning(commit, &content.stored, oldest);
                return Ok(Start { index, effective });
            }
            let superseded = content.stored.origin().map(|origin| origin.supersedes);
            if index + 1 == self.commits.len() {
                // It may turn out to be the oldest revision.
                break;
            }
            search.pass(superseded);
        }
        Err(Missing::Older)
    }

    /// Returns whether this revision and its parent alone prove that it became effective.
    fn became_effective(&self, index: usize, purpose: Purpose) -> Result<bool, Missing> {
        let content = self.content(index)?;
        match content.stored.origin() {
            Some(origin) => Ok(origin.supersedes == self.commit(index + 1)?.revision),
            None if purpose == Purpose::Effective || is_checkpoint(&content.stored) => {
                Ok(self.content(index + 1)?.text != content.text)
            }
            None => Ok(false),
        }
    }

    /// Applies the rule from `start` up to the newest revision.
    fn fold(&self, start: Start) -> Result<EffectiveRevision, Missing> {
        let mut effective = start.effective;
        for index in (0..start.index).rev() {
            let (commit, content) = (self.commit(index)?, self.content(index)?);
            effective.apply(commit, content, self.content(index + 1)?);
        }
        Ok(effective)
    }
}
