//! Listed revisions of a gist, and the effective revision at those that were examined.

use std::collections::{BTreeMap, BTreeSet};

use super::leadership::Leadership;
use crate::lock::gist::revision::Revision;
use crate::lock::gist::rule::EffectiveRevision;
use crate::lock::gist::wire::Commit;

/// History as far as a scan knows it. Revisions are addressed by their index in `commits`.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownHistory {
    /// Revisions as of the first answer, newest first.
    pub(super) commits: Vec<Commit>,
    /// Whether the last one is the oldest of all.
    pub(super) complete: bool,
    /// Effective revision at each examined index.
    pub(super) known: BTreeMap<usize, EffectiveRevision>,
    /// Indexes at which the effective revision could not be found.
    pub(super) doubtful: BTreeSet<usize>,
    /// Service's clock when it showed the newest revision, in seconds since the Unix epoch.
    pub(super) date: Option<i64>,
    /// Time, in seconds since the Unix epoch, before which the history does not matter.
    pub(super) since: Option<i64>,
}

impl KnownHistory {
    /// Records the effective revision at an index. It has been effective since it was written.
    pub(super) fn settle(&mut self, index: usize, effective: EffectiveRevision) {
        if let Some(written) = self.index_of(effective.commit.revision) {
            self.known.insert(written, effective.clone());
            self.doubtful.remove(&written);
        }
        self.known.insert(index, effective);
    }

    pub(super) fn index_of(&self, revision: Revision) -> Option<usize> {
        self.commits
            .iter()
            .position(|commit| commit.revision == revision)
    }

    /// Returns the index of the write that an annotation replaced; `None` for another write.
    pub(super) fn annotated(&self, effective: &EffectiveRevision) -> Option<usize> {
        let stored = Some(&effective.stored).filter(|stored| stored.is_annotation())?;
        let below = self.index_of(stored.origin()?.supersedes)?;
        (below > self.index_of(effective.commit.revision)?).then_some(below)
    }

    /// Returns the oldest index that matters and at which the effective revision can be found. Why not
    /// the last one: the revision that a write supersedes must be listed too.
    pub(super) fn oldest(&self) -> usize {
        let below = if self.complete { 1 } else { 2 };
        let last = self.commits.len().saturating_sub(below);
        self.border().map_or(last, |border| border.min(last))
    }

    /// Returns the index of the newest revision before `since` that names a leader, or may do so; `None`
    /// if it is not listed.
    fn border(&self) -> Option<usize> {
        let since = self.since?;
        let before = |commit: &Commit| commit.committed_at.is_some_and(|at| at < since);
        let mut index = self.commits.iter().position(before)?;
        while index < self.commits.len() {
            // The end of the last term is the beginning of a gap.
            let free = |effective: &EffectiveRevision| match Leadership::of(&effective.stored) {
                Leadership::Newer => false,
                leadership => leadership.leader().is_none(),
            };
            match self.known.range(index..).next() {
                _ if self.doubtful.contains(&index) => index += 1,
                Some((at, effective)) if free(effective) => index = at + 1,
                _ => return Some(index),
            }
        }
        None
    }

    /// Returns whether every revision that matters is listed.
    pub(super) fn is_listed(&self) -> bool {
        let below = |border| border + 1 < self.commits.len();
        self.complete || self.border().is_some_and(below)
    }

    /// Returns the history without the revisions that do not matter.
    pub(super) fn cut(&self) -> KnownHistory {
        let mut cut = self.clone();
        if let Some(border) = self.border().filter(|border| self.reaches(*border)) {
            let oldest = self
                .known
                .keys()
                .next_back()
                .map_or(border, |at| border.max(*at));
            cut.commits.truncate(oldest + 1);
            cut.complete &= cut.commits.len() == self.commits.len();
        }
        cut
    }

    /// Returns whether the effective revision is known at this index or an older one.
    pub(super) fn reaches(&self, index: usize) -> bool {
        self.known.range(index..).next().is_some()
    }
}
