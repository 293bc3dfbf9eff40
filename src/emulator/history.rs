//! One gist: its commits, its reflog, and what is seen of it from a head. Pure.

use std::collections::HashMap;

use super::files::{ChangeStatus, Files};
use super::revision::{Revision, Timestamp};

/// One revision with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Commit {
    pub(super) revision: Revision,
    pub(super) parent: Option<usize>,
    depth: usize,
    pub(super) files: Files,
    committed_at: i64,
    landed: Timestamp,
    change: ChangeStatus,
}

impl Commit {
    /// Its name.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The whole set of files as of this revision.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// When it was committed, in whole seconds since 1970 by the server's clock.
    #[must_use]
    pub fn committed_at(&self) -> i64 {
        self.committed_at
    }

    /// When the head was moved to it, to the millisecond and by this machine's clock: what the API
    /// says ([`committed_at`](Self::committed_at)) has neither.
    #[must_use]
    pub fn landed(&self) -> Timestamp {
        self.landed
    }

    /// How many lines it changed.
    #[must_use]
    pub fn change(&self) -> ChangeStatus {
        self.change
    }
}

#[derive(Debug)]
pub(super) struct Gist {
    pub(super) description: String,
    pub(super) public: bool,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) commits: Vec<Commit>,
    pub(super) by_name: HashMap<Revision, usize>,
    /// Where the head was from when on; never empty.
    pub(super) reflog: Vec<(Timestamp, usize)>,
}

impl Gist {
    pub(super) fn head(&self) -> usize {
        self.reflog.last().map_or(0, |(_, head)| *head)
    }

    pub(super) fn commit(&mut self, commit: NewCommit, at: Timestamp) {
        let empty = Files::default();
        let parent = commit.parent.map(|index| &self.commits[index]);
        let index = self.commits.len();
        self.commits.push(Commit {
            revision: commit.revision,
            parent: commit.parent,
            depth: parent.map_or(0, |p| p.depth + 1),
            change: ChangeStatus::between(parent.map_or(&empty, |p| &p.files), &commit.files),
            files: commit.files,
            committed_at: commit.committed_at,
            landed: at,
        });
        self.by_name.insert(commit.revision, index);
        self.reflog.push((at, index));
        self.updated_at = commit.committed_at;
    }
}

pub(super) struct NewCommit {
    pub(super) revision: Revision,
    pub(super) parent: Option<usize>,
    pub(super) files: Files,
    pub(super) committed_at: i64,
}

/// A gist as seen from one head.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) id: &'a str,
    pub(super) gist: &'a Gist,
    pub(super) head: usize,
    pub(super) updated_at: i64,
}

impl<'a> View<'a> {
    /// The gist's id.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The head's commit.
    #[must_use]
    pub fn head(&self) -> &'a Commit {
        &self.gist.commits[self.head]
    }

    /// A line about the gist.
    #[must_use]
    pub fn description(&self) -> &'a str {
        &self.gist.description
    }

    /// Whether it is listed for everybody.
    #[must_use]
    pub fn public(&self) -> bool {
        self.gist.public
    }

    /// When it was made, in seconds.
    #[must_use]
    pub fn created_at(&self) -> i64 {
        self.gist.created_at
    }

    /// When it was last changed, in seconds.
    #[must_use]
    pub fn updated_at(&self) -> i64 {
        self.updated_at
    }

    /// How many revisions lead up to this head, itself included.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.head().depth + 1
    }

    /// All revisions from this head on, newest first.
    pub fn history(&self) -> impl Iterator<Item = &'a Commit> + use<'a> {
        let commits = &self.gist.commits;
        std::iter::successors(commits.get(self.head), |commit| {
            commit.parent.map(|index| &commits[index])
        })
    }

    /// One page of the history; the first page is 1.
    pub fn commits(
        &self,
        page: usize,
        per_page: usize,
    ) -> impl Iterator<Item = &'a Commit> + use<'a> {
        self.history()
            .skip(page.saturating_sub(1).saturating_mul(per_page))
            .take(per_page)
    }

    /// The gist as of one of the revisions that lead up to this head.
    #[must_use]
    pub fn at(&self, revision: Revision) -> Option<View<'a>> {
        let head = *self.gist.by_name.get(&revision)?;
        let wanted = &self.gist.commits[head];
        let reached = self.history().find(|commit| commit.depth <= wanted.depth)?;
        (reached.revision == revision).then_some(View {
            head,
            updated_at: wanted.committed_at,
            ..*self
        })
    }

    /// The gist as of any revision ever made, also one that has vanished.
    #[must_use]
    pub fn at_any(&self, revision: Revision) -> Option<View<'a>> {
        let head = *self.gist.by_name.get(&revision)?;
        Some(View {
            head,
            updated_at: self.gist.commits[head].committed_at,
            ..*self
        })
    }
}
