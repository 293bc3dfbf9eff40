//! One gist: its commits, its reflog, and its history below a head. Pure.

use std::collections::HashMap;

use super::change::Change;
use super::files::{ChangeStatus, Files};
use super::revision::{Revision, Timestamp};

/// One revision.
#[derive(Debug, Clone)]
pub struct Commit {
    revision: Revision,
    pub(super) parent: Option<usize>,
    /// Number of revisions below this one.
    depth: usize,
    files: Files,
    committed_at: i64,
    /// Time at which the head moved to this commit, by this machine's clock.
    pub(super) landed: Timestamp,
    pub(super) change: ChangeStatus,
}

impl Commit {
    /// Returns the name of the revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns all files of the revision.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Returns the date in seconds since the Unix epoch, by the service's clock.
    #[must_use]
    pub fn committed_at(&self) -> i64 {
        self.committed_at
    }
}

#[derive(Debug)]
pub(super) struct Gist {
    pub(super) description: String,
    pub(super) public: bool,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) commits: Vec<Commit>,
    /// Indexes of the commits.
    pub(super) by_name: HashMap<Revision, usize>,
    /// Every head with the time since when it was the head.
    pub(super) reflog: Vec<(Timestamp, usize)>,
}

pub(super) struct NewCommit {
    pub(super) revision: Revision,
    pub(super) parent: Option<usize>,
    pub(super) files: Files,
    pub(super) committed_at: i64,
}

impl Gist {
    /// Creates a gist without commits.
    pub(super) fn new(description: String, public: bool, created_at: i64) -> Self {
        Self {
            description,
            public,
            created_at,
            updated_at: created_at,
            commits: Vec::new(),
            by_name: HashMap::new(),
            reflog: Vec::new(),
        }
    }

    pub(super) fn head(&self) -> usize {
        self.reflog.last().map_or(0, |(_, head)| *head)
    }

    /// Adds a commit and moves the head to it.
    pub(super) fn commit(&mut self, new: NewCommit, at: Timestamp) {
        let parent = new.parent.map(|index| &self.commits[index]);
        let commit = Commit {
            revision: new.revision,
            parent: new.parent,
            depth: parent.map_or(0, |parent| parent.depth + 1),
            change: ChangeStatus::between(&self.files_of(new.parent), &new.files),
            files: new.files,
            committed_at: new.committed_at,
            landed: at,
        };
        let index = self.commits.len();
        self.commits.push(commit);
        self.by_name.insert(new.revision, index);
        self.reflog.push((at, index));
        self.updated_at = new.committed_at;
    }

    /// Returns the change that added the commit at the head.
    pub(super) fn head_change(&self) -> Change {
        let head = &self.commits[self.head()];
        Change::Committed {
            revision: head.revision,
            parent: head.parent.map(|index| self.commits[index].revision),
            committed_at: head.committed_at,
            at: head.landed,
            files: head.files.changes_since(&self.files_of(head.parent)),
        }
    }

    /// Returns the files of a commit, or none for the parent of the first commit.
    pub(super) fn files_of(&self, commit: Option<usize>) -> Files {
        commit.map_or_else(Files::default, |index| self.commits[index].files.clone())
    }
}

/// A gist with one of its revisions as the head.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) id: &'a str,
    pub(super) gist: &'a Gist,
    pub(super) head: usize,
    pub(super) updated_at: i64,
}

impl<'a> View<'a> {
    /// Returns the head.
    #[must_use]
    pub fn head(&self) -> &'a Commit {
        &self.gist.commits[self.head]
    }

    /// Returns the number of revisions up to the head.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.head().depth + 1
    }

    /// Returns all revisions from the head down, newest first.
    pub fn history(&self) -> impl Iterator<Item = &'a Commit> + use<'a> {
        let commits = &self.gist.commits;
        std::iter::successors(commits.get(self.head), |commit| {
            commit.parent.map(|index| &commits[index])
        })
    }

    /// Returns one page of the history, counted from 1.
    pub fn commits(
        &self,
        page: usize,
        per_page: usize,
    ) -> impl Iterator<Item = &'a Commit> + use<'a> {
        let skipped = page.saturating_sub(1).saturating_mul(per_page);
        self.history().skip(skipped).take(per_page)
    }

    /// Returns the gist at a revision of this history.
    #[must_use]
    pub fn at(&self, revision: Revision) -> Option<View<'a>> {
        let view = self.at_any(revision)?;
        let depth = view.head().depth;
        let reached = self.history().find(|commit| commit.depth <= depth)?;
        (reached.revision == revision).then_some(view)
    }

    /// Returns the gist at any revision ever made, including lost ones.
    pub(super) fn at_any(&self, revision: Revision) -> Option<View<'a>> {
        let head = *self.gist.by_name.get(&revision)?;
        Some(View {
            head,
            updated_at: self.gist.commits[head].committed_at,
            ..*self
        })
    }
}
