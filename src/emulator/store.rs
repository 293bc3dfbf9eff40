//! The gists themselves: revisions, heads, and what happens when writes race. Pure: time and seed are
//! handed in; there is no thread, socket, clock or environment here, so that a simulator can drive it.
//!
//! A gist is a git repository with one branch. Its commits stay for ever, also those that no head
//! leads to any more; its reflog says where the head was when.
//!
//! ```text
//!   commits:  A <- B <- C            reflog:  t1 A, t2 B, t3 C, t4 D
//!               \- D   (built on A)  head D:  history D, A; B and C have vanished
//! ```
//!
//! A write has two phases, since GitHub reads the head first and moves it later: what has happened
//! to the head in between is where writers race.

use std::collections::HashMap;
use std::sync::Arc;

use super::files::{self, Edit, Files};
use super::history::{Gist, NewCommit, View};
use super::revision::{Revision, Timestamp, random_revision};
use super::write::{Event, NewGist, PendingWrite, Race, Rules, WriteError};

/// More gists than this no store holds: each request that makes one would take memory for ever.
const MOST_GISTS: usize = 1000;

/// More revisions than this no gist gets: three months of renewals every 8 s, and some hundred
/// megabytes for a record of the usual size.
const MOST_REVISIONS: usize = 1_000_000;

/// A set of gists.
#[derive(Debug)]
pub struct Store {
    gists: HashMap<String, Gist>,
    /// Ids in the order they were made.
    order: Vec<String>,
    rng: fastrand::Rng,
    rules: Rules,
    /// Kept only for whoever takes them.
    journal: Option<Vec<(String, Event)>>,
}

impl Store {
    /// An empty store; the seed decides the names of revisions and gists.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self {
            gists: HashMap::new(),
            order: Vec::new(),
            rng,
            rules: Rules::default(),
            journal: None,
        }
    }

    /// Changes the rules from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Starts to keep events for `take_events`.
    pub fn keep_events(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// What happened since the last call, with the gist's id.
    pub fn take_events(&mut self) -> Vec<(String, Event)> {
        self.journal
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Ids of all gists, oldest first.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    /// The gist at its head.
    #[must_use]
    pub fn read(&self, id: &str) -> Option<View<'_>> {
        let gist = self.gist(id)?;
        Some(View {
            id: self.key(id)?,
            gist,
            head: gist.head(),
            updated_at: gist.updated_at,
        })
    }

    /// The gist as it was then, also at a head that has vanished since. Before its first revision it
    /// is at its first.
    #[must_use]
    pub fn read_as_of(&self, id: &str, then: Timestamp) -> Option<View<'_>> {
        let gist = self.gist(id)?;
        let at = gist
            .reflog
            .iter()
            .rev()
            .find(|(since, _)| *since <= then)
            .or(gist.reflog.first());
        let head = at.map_or(0, |(_, head)| *head);
        let updated_at = if head == gist.head() {
            gist.updated_at
        } else {
            gist.commits[head].committed_at()
        };
        Some(View {
            id: self.key(id)?,
            gist,
            head,
            updated_at,
        })
    }

    /// A gist counts from its first revision on: what was read back from a file may end before it.
    fn gist(&self, id: &str) -> Option<&Gist> {
        self.gists.get(id).filter(|gist| !gist.commits.is_empty())
    }

    fn key(&self, id: &str) -> Option<&str> {
        self.gists.get_key_value(id).map(|(key, _)| key.as_str())
    }

    /// Makes a gist under this id, or under a new one.
    ///
    /// # Errors
    /// If the id is taken, the files make no gist or the store is full.
    pub fn create(
        &mut self,
        id: Option<&str>,
        new: NewGist,
        now: Timestamp,
    ) -> Result<String, WriteError> {
        if self.gists.len() >= MOST_GISTS {
            return Err(WriteError::Full);
        }
        // Blank content is never swallowed here: there would be nothing left to make.
        let put = new
            .files
            .iter()
            .map(|(name, content)| (name.into(), files::FileEdit::Put(Arc::clone(content))));
        let edit = Edit {
            description: None,
            files: put.collect(),
        };
        let files = files::apply(&Files::default(), &edit, false)?;
        let id = id.map_or_else(|| self.new_id(), str::to_owned);
        let at = self.stamp(now);
        self.insert(&id, new.description, new.public, at)?;
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
        if self.gist(id).is_some() {
            return Err(WriteError::Exists);
        }
        self.order.retain(|other| other != id);
        self.order.push(id.to_owned());
        let gist = Gist {
            description: description.clone(),
            public,
            created_at: at,
            updated_at: at,
            commits: Vec::new(),
            by_name: HashMap::new(),
            reflog: Vec::new(),
        };
        self.gists.insert(id.to_owned(), gist);
        self.note(id, || Event::Created {
            description,
            public,
            at,
        });
        Ok(())
    }

    /// Removes a gist with all its revisions.
    ///
    /// # Errors
    /// If it is not there.
    pub fn delete(&mut self, id: &str) -> Result<(), WriteError> {
        self.gists.remove(id).ok_or(WriteError::NotFound)?;
        self.order.retain(|other| other != id);
        self.note(id, || Event::Deleted);
        Ok(())
    }

    /// First phase of a write: finds the head it will be built on.
    ///
    /// # Errors
    /// If the gist is not there or the edit makes no sense on that head.
    pub fn begin_write(&self, id: &str, edit: Edit) -> Result<PendingWrite, WriteError> {
        let gist = self.gist(id).ok_or(WriteError::NotFound)?;
        let base = gist.head();
        files::apply(&gist.commits[base].files, &edit, self.rules.swallow_blank)?;
        let base_revision = gist.commits[base].revision;
        Ok(PendingWrite {
            id: id.to_owned(),
            edit,
            base,
            base_revision,
            forced: false,
        })
    }

    /// Second phase: moves the head. Gives the revision that the write made, or the head if nothing
    /// was to be changed.
    ///
    /// # Errors
    /// If the head has moved and `race` refuses that, the gist is gone, or the edit no longer makes sense.
    pub fn finish_write(
        &mut self,
        write: &PendingWrite,
        race: Race,
        now: Timestamp,
    ) -> Result<Revision, WriteError> {
        let rules = self.rules;
        let gist = self.gist(&write.id).ok_or(WriteError::NotFound)?;
        let head = gist.head();
        // A gist that was deleted and made again under the same id shares nothing with the old one.
        let found = gist.by_name.get(&write.base_revision) == Some(&write.base);
        let base = match race {
            _ if found && head == write.base => head,
            Race::Conflict => return Err(WriteError::Conflict),
            Race::Vanish if found => write.base,
            Race::Stack | Race::Vanish => head,
        };
        let old = &gist.commits[base].files;
        let new = files::apply(old, &write.edit, rules.swallow_blank)?;
        let changes = new != *old
            || write.forced
            || rules.identical_makes_revision && !write.edit.files.is_empty();
        // Built on an older head, even the same content moves the head back.
        let revision = if changes || base != head {
            self.commit(&write.id, Some(base), new, now)?
        } else {
            gist.commits[head].revision
        };
        if let Some(description) = &write.edit.description {
            self.describe(&write.id, description, self.stamp(now));
        }
        Ok(revision)
    }

    /// What a person does on the web: the whole set of files replaced, on top of the head.
    ///
    /// # Errors
    /// If the gist is not there or would have no file.
    pub fn replace_files(
        &mut self,
        id: &str,
        files: Files,
        now: Timestamp,
    ) -> Result<Revision, WriteError> {
        let gist = self.gist(id).ok_or(WriteError::NotFound)?;
        if files.is_empty() {
            return Err(WriteError::Invalid(
                "a gist needs at least one file".to_owned(),
            ));
        }
        let head = gist.head();
        if gist.commits[head].files == files {
            return Ok(gist.commits[head].revision);
        }
        self.commit(id, Some(head), files, now)
    }

    /// Moves the head back by `count` revisions (not past the first), as a forced push does.
    ///
    /// # Errors
    /// If the gist is not there.
    pub fn remove_newest(
        &mut self,
        id: &str,
        count: usize,
        now: Timestamp,
    ) -> Result<Revision, WriteError> {
        let gist = self.gist(id).ok_or(WriteError::NotFound)?;
        let mut head = gist.head();
        for _ in 0..count {
            let Some(parent) = gist.commits[head].parent else {
                break;
            };
            head = parent;
        }
        let revision = gist.commits[head].revision;
        self.replay(id, Event::HeadMoved { revision, at: now }, Files::default())?;
        self.note(id, || Event::HeadMoved { revision, at: now });
        Ok(revision)
    }

    fn commit(
        &mut self,
        id: &str,
        parent: Option<usize>,
        files: Files,
        now: Timestamp,
    ) -> Result<Revision, WriteError> {
        let committed_at = self.stamp(now);
        let gist = self.gists.get_mut(id).ok_or(WriteError::NotFound)?;
        if gist.commits.len() >= MOST_REVISIONS {
            return Err(WriteError::Full);
        }
        let revision = loop {
            let revision = random_revision(&mut self.rng);
            // The seed may be that of a store whose revisions were read back from a file.
            if !gist.by_name.contains_key(&revision) {
                break revision;
            }
        };
        let parent_name = parent.map(|index| gist.commits[index].revision);
        gist.commit(
            NewCommit {
                revision,
                parent,
                files,
                committed_at,
            },
            now,
        );
        self.note(id, || Event::Committed {
            revision,
            parent: parent_name,
            committed_at,
            at: now,
        });
        Ok(revision)
    }

    fn describe(&mut self, id: &str, description: &str, at: i64) {
        let Some(gist) = self
            .gists
            .get_mut(id)
            .filter(|gist| gist.description != description)
        else {
            return;
        };
        description.clone_into(&mut gist.description);
        gist.updated_at = at;
        self.note(id, || Event::Described {
            description: description.to_owned(),
            at,
        });
    }

    /// Does what an event says; `files` are those of a committed revision.
    ///
    /// # Errors
    /// If it does not fit what is here.
    pub fn replay(&mut self, id: &str, event: Event, files: Files) -> Result<(), WriteError> {
        if let Event::Created {
            description,
            public,
            at,
        } = event
        {
            let kept = self.journal.take();
            let inserted = self.insert(id, description, public, at);
            self.journal = kept;
            return inserted;
        }
        let gist = self.gists.get_mut(id).ok_or(WriteError::NotFound)?;
        match event {
            Event::Created { .. } => {}
            Event::Committed {
                revision,
                parent,
                committed_at,
                at,
            } => {
                let find =
                    |name: Revision| gist.by_name.get(&name).copied().ok_or(WriteError::NotFound);
                let parent = parent.map(find).transpose()?;
                if gist.by_name.contains_key(&revision)
                    || parent.is_none() != gist.commits.is_empty()
                {
                    return Err(WriteError::Exists);
                }
                gist.commit(
                    NewCommit {
                        revision,
                        parent,
                        files,
                        committed_at,
                    },
                    at,
                );
            }
            Event::HeadMoved { revision, at } => {
                let head = *gist.by_name.get(&revision).ok_or(WriteError::NotFound)?;
                gist.reflog.push((at, head));
                gist.updated_at = gist.commits[head].committed_at();
            }
            Event::Described { description, at } => {
                gist.description = description;
                gist.updated_at = at;
            }
            Event::Deleted => {
                self.gists.remove(id);
                self.order.retain(|other| other != id);
            }
        }
        Ok(())
    }

    /// The files of any revision ever made, also of one that has vanished.
    #[must_use]
    pub fn files_of(&self, id: &str, revision: Revision) -> Option<&Files> {
        let gist = self.gist(id)?;
        gist.by_name
            .get(&revision)
            .map(|index| &gist.commits[*index].files)
    }

    fn note(&mut self, id: &str, event: impl FnOnce() -> Event) {
        if let Some(journal) = &mut self.journal {
            journal.push((id.to_owned(), event()));
        }
    }

    fn stamp(&self, now: Timestamp) -> i64 {
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
