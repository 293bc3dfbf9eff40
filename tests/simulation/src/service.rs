//! The gist service of a simulated world: the pure store, asked as the wire would ask it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use multi_cluster_leader_election::election::lock::LockError;
use multi_cluster_leader_election::emulator::{
    Edit, Files, NewGist, PendingWrite, Race, Store, Timestamp, View, WriteError,
};
use multi_cluster_leader_election::lock::gist::revision::Revision;
use multi_cluster_leader_election::lock::gist::stored::Stored;
use multi_cluster_leader_election::lock::gist::wire::{
    Answer, Commit, GistPage, Reply, Request, Text,
};

use crate::clock::Time;

/// The gist, and the file in it that holds the record.
pub const GIST: &str = "gist";
pub const FILE: &str = "leader.json";
/// Another file of the gist, which others write.
pub const OTHER_FILE: &str = "other.txt";

/// The server's clock when the simulation begins, in seconds since 1970.
const EPOCH: i64 = 1_800_000_000;

/// How old a forged date is, in seconds.
const LONG_AGO: i64 = 30 * 24 * 3600;

/// As the client does: how much of a history is read where no end is given, and at the most.
const FIRST_ENTRIES: usize = 30;
const MOST_ENTRIES: usize = 300;

/// The service, and for every revision ever made which one is in effect there.
pub struct Service {
    store: Store,
    in_effect: HashMap<Revision, Revision>,
    /// Revisions that carry a date of long ago.
    forged: HashSet<Revision>,
    pub writes: u64,
    pub vanished: u64,
}

fn stamp(now: Time) -> Timestamp {
    Timestamp(EPOCH * 1000 + (now.0 / 1_000_000) as i64)
}

impl Service {
    pub fn new(seed: u64, content: &str) -> Service {
        let mut store = Store::new(seed);
        let files: Files = [(OTHER_FILE, "0"), (FILE, content)]
            .into_iter()
            .map(|(name, text)| (Arc::from(name), Arc::from(text)))
            .collect();
        let gist = NewGist {
            description: String::new(),
            public: false,
            files,
        };
        store
            .create(Some(GIST), gist, stamp(Time(0)))
            .expect("a new gist");
        let mut service = Service {
            store,
            in_effect: HashMap::new(),
            forged: HashSet::new(),
            writes: 0,
            vanished: 0,
        };
        service.note_effect();
        service
    }

    fn view(&self) -> View<'_> {
        self.store.read(GIST).expect("the gist is there")
    }

    /// The content of our file at the head, and its history of contents.
    pub fn head_text(&self) -> Option<Arc<str>> {
        self.view().head().files().get(FILE).cloned()
    }

    pub fn old_text(&self, back: usize) -> Option<Arc<str>> {
        let commit = self.view().history().take(back).last()?;
        commit.files().get(FILE).cloned()
    }

    /// The revision in effect as of a head, by the full rule.
    pub fn effect_at(&self, head: Revision) -> Option<Revision> {
        self.in_effect.get(&head).copied()
    }

    /// Applies the rule to the newest revision, which is new.
    fn note_effect(&mut self) {
        let view = self.view();
        let head = view.head();
        if self.in_effect.contains_key(&head.revision()) {
            return;
        }
        let effect = match view.history().nth(1) {
            None => head.revision(),
            Some(below) => {
                let before = self.in_effect[&below.revision()];
                let (text, text_below) = (head.files().get(FILE), below.files().get(FILE));
                let stored = Stored::read(&text.map_or(Text::Missing, |t| Text::Whole(t.clone())));
                let passed_over = text == text_below
                    || stored
                        .origin()
                        .is_some_and(|origin| origin.supersedes != before);
                if passed_over { before } else { head.revision() }
            }
        };
        let head = head.revision();
        self.in_effect.insert(head, effect);
    }

    // ---- writes ----

    pub fn begin_write(&self, edit: Edit) -> Result<PendingWrite, WriteError> {
        self.store.begin_write(GIST, edit)
    }

    pub fn finish_write(
        &mut self,
        write: &PendingWrite,
        race: Race,
        now: Time,
    ) -> Result<(), WriteError> {
        let before = self.view().head().revision();
        self.store
            .finish_write(&write.clone().forced(), race, stamp(now))?;
        self.writes += 1;
        let below = self.view().history().nth(1).map(|commit| commit.revision());
        if below != Some(before) {
            self.vanished += 1;
        }
        self.note_effect();
        Ok(())
    }

    /// A person edits the gist on the web; `None` deletes our file.
    pub fn edit_by_hand(&mut self, content: Option<&str>, now: Time, forged: bool) {
        let other = self.view().head().files().get(OTHER_FILE).cloned();
        let mut files = vec![(
            Arc::from(OTHER_FILE),
            other.unwrap_or_else(|| Arc::from("0")),
        )];
        if let Some(content) = content {
            files.push((Arc::from(FILE), Arc::from(content)));
        }
        let files: Files = files.into_iter().collect();
        // An edit that changes nothing makes no revision.
        if let Ok(revision) = self.store.replace_files(GIST, files, stamp(now)) {
            if forged && !self.in_effect.contains_key(&revision) {
                self.forged.insert(revision);
            }
            self.note_effect();
        }
    }

    // ---- reads ----

    /// What a read is answered with, as of `then`.
    pub fn read(&self, request: &Request, then: Time, now: Time, cap: usize) -> Answer {
        let view = self
            .store
            .read_as_of(GIST, stamp(then))
            .expect("the gist is there");
        let reply = match request {
            Request::Gist { etag, until } => {
                let tag = etag_of(view);
                if etag.as_ref() == Some(&tag) {
                    Reply::NotModified
                } else {
                    Reply::Gist(self.page(view, *until, cap))
                }
            }
            Request::Revision(revision) => match self.text_at(view, *revision) {
                Some(text) => Reply::Revision(text),
                None => return answer(now, Err(not_found())),
            },
            Request::Commits { page } => {
                let commits = view.commits(*page as usize, 100);
                Reply::Commits(commits.map(|entry| self.commit(entry)).collect())
            }
            Request::Write { .. } => return answer(now, Err(not_found())),
        };
        answer(now, Ok(reply))
    }

    /// What a write that was put into effect just now is answered with.
    pub fn written(&self, until: Revision, now: Time, cap: usize) -> Answer {
        answer(
            now,
            Ok(Reply::Gist(self.page(self.view(), Some(until), cap))),
        )
    }

    fn text_at(&self, view: View<'_>, revision: Revision) -> Option<Text> {
        let commit = view.at(revision)?.head();
        Some(text(commit.files()))
    }

    fn commit(&self, commit: &multi_cluster_leader_election::emulator::Commit) -> Commit {
        let revision = commit.revision();
        let old = if self.forged.contains(&revision) {
            LONG_AGO
        } else {
            0
        };
        Commit {
            revision,
            committed_at: Some(commit.committed_at() - old),
        }
    }

    fn page(&self, view: View<'_>, until: Option<Revision>, cap: usize) -> GistPage {
        let most = if until.is_some() {
            MOST_ENTRIES
        } else {
            FIRST_ENTRIES
        };
        let mut history = Vec::new();
        for entry in view.history().take(most.min(cap)) {
            let entry = self.commit(entry);
            history.push(entry);
            if until == Some(entry.revision) {
                break;
            }
        }
        GistPage {
            etag: Some(etag_of(view)),
            files: view
                .head()
                .files()
                .iter()
                .map(|(name, _)| name.to_owned())
                .collect(),
            text: text(view.head().files()),
            history,
            scopes: None,
        }
    }
}

fn not_found() -> LockError {
    LockError::NotFound("404".into())
}

pub fn answer(now: Time, reply: Result<Reply, LockError>) -> Answer {
    Answer {
        date: Some(stamp(now).0 / 1000),
        running_low: None,
        reply,
    }
}

fn etag_of(view: View<'_>) -> Arc<str> {
    view.head().revision().to_string().into()
}

fn text(files: &Files) -> Text {
    files
        .get(FILE)
        .map_or(Text::Missing, |content| Text::Whole(content.clone()))
}
