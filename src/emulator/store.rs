//! The gists, their heads, and the outcome of racing writes. Pure: the caller hands in time and seed, so
//! that a simulation can drive it.
//!
//! A gist is a git repository with one branch. Commits are kept even if no head leads to them. The
//! reflog records every head.
//!
//! ```text
//!   commits:  A <- B <- C            reflog:  t1 A, t2 B, t3 C, t4 D
//!               \- D   (based on A)  head D:  history D, A; B and C are lost
//! ```
//!
//! A write has two phases, as at GitHub: it reads the head and moves it later. Writers race between
//! the two.

use std::collections::HashMap;

use super::change::{Change, GistChange, NewGist, PendingWrite, Race, Rules};
use super::error::WriteError;
use super::files::{Edit, Files};
use super::history::{Gist, NewCommit, View};
use super::revision::{Revision, Timestamp, random_revision};

/// Most gists of a store, because each takes memory.
const MOST_GISTS: usize = 1000;

/// Most revisions of a gist: three months of renewals every 8 s, and some hundred megabytes for a
/// record of the usual size.
const MOST_REVISIONS: usize = 1_000_000;

/// Set of gists.
#[derive(Debug)]
pub struct Store {
    gists: HashMap<String, Gist>,
    /// Ids by age, oldest first.
    order: Vec<String>,
    rng: fastrand::Rng,
    rules: Rules,
    /// Changes since the last call of `take_changes`, if they are recorded.
    changes: Option<Vec<GistChange>>,
}

impl Store {
    /// Creates an empty store. The seed determines the names of revisions and gists.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            gists: HashMap::new(),
            order: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            rules: Rules::default(),
            changes: None,
        }
    }

    /// Sets the rules for all later writes.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Starts to record changes for `take_changes`.
    pub fn record_changes(&mut self) {
        self.changes = Some(Vec::new());
    }

    /// Returns the changes recorded since the last call.
    pub fn take_changes(&mut self) -> Vec<GistChange> {
        self.changes
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Returns the ids of all gists, oldest first.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    /// Returns a gist at its head.
    #[must_use]
    pub fn read(&self, id: &str) -> Option<View<'_>> {
        let (id, gist) = self.entry(id)?;
        Some(View {
            id,
            gist,
            head: gist.head(),
            updated_at: gist.updated_at,
        })
    }

    /// Returns a gist at its head of an earlier time, which may be lost since. Before its first
    /// revision it has that revision as the head.
    #[must_use]
    pub fn read_as_of(&self, id: &str, then: Timestamp) -> Option<View<'_>> {
        let now = self.read(id)?;
        let mut reflog = now.gist.reflog.iter();
        let then = reflog.rfind(|(since, _)| *since <= then);
        let (_, head) = then.or(now.gist.reflog.first())?;
        if *head == now.head {
            return Some(now);
        }
        now.at_any(now.gist.commits[*head].revision())
    }

    /// Ignores gists without a revision: a state file may end between the two lines of a new gist.
    fn entry(&self, id: &str) -> Option<(&str, &Gist)> {
        let (id, gist) = self.gists.get_key_value(id)?;
        (!gist.commits.is_empty()).then_some((id, gist))
    }

    fn gist(&self, id: &str) -> Result<&Gist, WriteError> {
        let found = self.entry(id).map(|(_, gist)| gist);
        found.ok_or(WriteError::NotFound)
    }

    fn gist_mut(&mut self, id: &str) -> Result<&mut Gist, WriteError> {
        self.gists.get_mut(id).ok_or(WriteError::NotFound)
    }

    /// Creates a gist with this id or with a new one, and returns the id.
    ///
    /// # Errors
    /// Returns an error if the id is taken, the files are invalid or the store is full.
    pub fn create(
        &mut self,
        id: Option<&str>,
        new: NewGist,
        now: Timestamp,
    ) -> Result<String, WriteError> {
        if self.gists.len() >= MOST_GISTS {
            return Err(WriteError::Full);
        }
        let files = new.files.checked()?;
        let id = id.map_or_else(|| self.new_id(), str::to_owned);
        let description = new.description.unwrap_or_default();
        self.insert(&id, description, new.public, self.date(now))?;
        self.commit(&id, None, files, now)?;
        Ok(id)
    }

    fn insert(
        &mut self,
        id: &str,
        description: String,
        public: bool,
        at: i64,
    ) -> Result<(), WriteError> {
        if self.gist(id).is_ok() {
            return Err(WriteError::Exists);
        }
        self.order.retain(|other| other != id);
        self.order.push(id.to_owned());
        let gist = Gist::new(description.clone(), public, at);
        self.gists.insert(id.to_owned(), gist);
        self.record(id, || Change::Created {
            description,
            public,
            at,
        });
        Ok(())
    }

    /// Deletes a gist with all its revisions.
    ///
    /// # Errors
    /// Returns an error if no such gist exists.
    pub fn delete(&mut self, id: &str) -> Result<(), WriteError> {
        self.gists.remove(id).ok_or(WriteError::NotFound)?;
        self.order.retain(|other| other != id);
        self.record(id, || Change::Deleted);
        Ok(())
    }

    /// Begins a write: reads the head that the write will be based on.
    ///
    /// # Errors
    /// Returns an error if no such gist exists or the edit does not fit its head.
    pub fn begin_write(&self, id: &str, edit: Edit) -> Result<PendingWrite, WriteError> {
        let gist = self.gist(id)?;
        let base = &gist.commits[gist.head()];
        base.files().edited(&edit, self.rules.swallow_blank)?;
        Ok(PendingWrite {
            id: id.to_owned(),
            edit,
            base: base.revision(),
            forced: false,
        })
    }

    /// Finishes a write: moves the head. Returns the new revision, or the head if the write changes
    /// nothing.
    ///
    /// # Errors
    /// Returns an error if `race` refuses the write because the head has moved, the gist was deleted,
    /// or the edit no longer fits.
    pub fn finish_write(
        &mut self,
        write: &PendingWrite,
        race: Race,
        now: Timestamp,
    ) -> Result<Revision, WriteError> {
        let gist = self.gist(&write.id)?;
        let head = gist.head();
        let base = gist.by_name.get(&write.base).copied();
        let base = match (race, base) {
            (_, Some(base)) if base == head => head,
            (Race::Lose, Some(base)) => base,
            // The gist was deleted and created again with the same id.
            (Race::Lose, None) | (Race::Stack, _) => head,
            (Race::Conflict | Race::Serial, _) => return Err(WriteError::Conflict),
        };
        let old = gist.commits[base].files();
        let new = old.edited(&write.edit, self.rules.swallow_blank)?;
        let changes = new != *old
            || write.forced
            || self.rules.identical_makes_revision && !write.edit.files.is_empty();
        // On an older base, even identical content changes the head.
        let revision = if changes || base != head {
            self.commit(&write.id, Some(base), new, now)?
        } else {
            gist.commits[head].revision()
        };
        if let Some(description) = &write.edit.description {
            self.describe(&write.id, description.clone(), self.date(now))?;
        }
        Ok(revision)
    }

    /// Replaces all files on top of the head, as a person does on the web.
    ///
    /// # Errors
    /// Returns an error if no such gist exists or there are no files.
    pub fn replace_files(
        &mut self,
        id: &str,
        files: Files,
        now: Timestamp,
    ) -> Result<Revision, WriteError> {
        let gist = self.gist(id)?;
        if files.is_empty() {
            return Err(WriteError::no_files());
        }
        let head = gist.head();
        if *gist.commits[head].files() == files {
            return Ok(gist.commits[head].revision());
        }
        self.commit(id, Some(head), files, now)
    }

    /// Moves the head back by `count` revisions, at most to the first, as a forced push does.
    ///
    /// # Errors
    /// Returns an error if no such gist exists.
    pub fn remove_newest(
        &mut self,
        id: &str,
        count: usize,
        now: Timestamp,
    ) -> Result<Revision, WriteError> {
        let view = self.read(id).ok_or(WriteError::NotFound)?;
        let older = view.history().take(count.saturating_add(1)).last();
        let revision = older.map_or(view.head().revision(), |commit| commit.revision());
        self.move_head(id, revision, now)?;
        Ok(revision)
    }

    fn move_head(&mut self, id: &str, revision: Revision, at: Timestamp) -> Result<(), WriteError> {
        let gist = self.gist_mut(id)?;
        let head = *gist.by_name.get(&revision).ok_or(WriteError::NotFound)?;
        gist.reflog.push((at, head));
        gist.updated_at = gist.commits[head].committed_at();
        self.record(id, || Change::HeadMoved { revision, at });
        Ok(())
    }

    fn commit(
        &mut self,
        id: &str,
        parent: Option<usize>,
        files: Files,
        now: Timestamp,
    ) -> Result<Revision, WriteError> {
        let committed_at = self.date(now);
        let gist = self.gists.get(id).ok_or(WriteError::NotFound)?;
        if gist.commits.len() >= MOST_REVISIONS {
            return Err(WriteError::Full);
        }
        let revision = loop {
            let revision = random_revision(&mut self.rng);
            // The revisions of a state file may have been drawn from the same seed.
            if !gist.by_name.contains_key(&revision) {
                break revision;
            }
        };
        let commit = NewCommit {
            revision,
            parent,
            files,
            committed_at,
        };
        self.add_commit(id, commit, now)?;
        Ok(revision)
    }

    fn add_commit(&mut self, id: &str, commit: NewCommit, at: Timestamp) -> Result<(), WriteError> {
        let gist = self.gists.get_mut(id).ok_or(WriteError::NotFound)?;
        gist.commit(commit, at);
        if let Some(changes) = &mut self.changes {
            changes.push(GistChange {
                gist: id.to_owned(),
                change: gist.head_change(),
            });
        }
        Ok(())
    }

    fn describe(&mut self, id: &str, description: String, at: i64) -> Result<(), WriteError> {
        let gist = self.gist_mut(id)?;
        if gist.description == description {
            return Ok(());
        }
        gist.description.clone_from(&description);
        gist.updated_at = at;
        self.record(id, || Change::Described { description, at });
        Ok(())
    }

    /// Repeats a recorded change.
    ///
    /// # Errors
    /// Returns an error if the change does not fit the gist.
    pub fn replay(&mut self, line: GistChange) -> Result<(), WriteError> {
        let id = &line.gist;
        match line.change {
            Change::Created {
                description,
                public,
                at,
            } => self.insert(id, description, public, at),
            Change::Committed {
                revision,
                parent,
                committed_at,
                at,
                files,
            } => {
                let gist = self.gist_mut(id)?;
                let find = |name| gist.by_name.get(&name).copied();
                let parent = match parent {
                    Some(name) => Some(find(name).ok_or(WriteError::NotFound)?),
                    None => None,
                };
                if find(revision).is_some() || parent.is_none() != gist.commits.is_empty() {
                    return Err(WriteError::Exists);
                }
                let commit = NewCommit {
                    revision,
                    parent,
                    files: gist.files_of(parent).changed(files),
                    committed_at,
                };
                self.add_commit(id, commit, at)
            }
            Change::HeadMoved { revision, at } => self.move_head(id, revision, at),
            Change::Described { description, at } => self.describe(id, description, at),
            Change::Deleted => self.delete(id),
        }
    }

    fn record(&mut self, id: &str, change: impl FnOnce() -> Change) {
        if let Some(changes) = &mut self.changes {
            changes.push(GistChange {
                gist: id.to_owned(),
                change: change(),
            });
        }
    }

    /// Returns the date of a commit made now, in seconds by the service's clock.
    fn date(&self, now: Timestamp) -> i64 {
        now.plus_ms(self.rules.clock_offset_ms).seconds()
    }

    fn new_id(&mut self) -> String {
        loop {
            let id = random_revision(&mut self.rng).to_string()[..32].to_owned();
            if !self.gists.contains_key(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
