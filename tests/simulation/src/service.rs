//! The gist service of a simulated world: the pure store, asked as the wire would ask it; and what
//! truly became of every write, which nobody in that world knows.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use elector::election::lock::LockError;
use elector::emulator::{
    Edit, Files, NewGist, PendingWrite, Race, Store, Timestamp, View, WriteError,
};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::{Answer, Commit, GistPage, Reply, Request, Text};

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

/// A record of ours that is older than this, in seconds, is nobody's any more.
const LONG_GONE: i64 = 600;

/// As the client does: how much of a history is read where no end is given, and at the most.
const FIRST_ENTRIES: usize = 30;
const MOST_ENTRIES: usize = 300;

/// What a revision that is in effect means for whoever would claim the lease.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The name of the revision.
    pub revision: Revision,
    /// One of ours.
    pub ours: bool,
    /// The process that wrote it, for one of ours.
    pub process: Option<u64>,
    /// When it was sent, for one of ours; when it landed, for any other; `None` for long ago.
    pub since: Option<Time>,
    /// The holder gave the lease back by it.
    pub released: bool,
    /// The longest lease from the newest of ours that took effect up to this; `None` if there is no
    /// record at all.
    pub lease: Option<Duration>,
}

/// A write of ours as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub process: u64,
    pub at: Time,
}

/// What a write came to when it landed.
#[derive(Clone, Debug)]
pub struct Landed {
    pub revision: Revision,
    /// What it found in effect.
    pub before: Standing,
    pub took_effect: bool,
    /// Its id, for one of ours that took effect.
    pub write_id: Option<Arc<str>>,
    /// Since when the revision right below it had been the head.
    pub head_since: Time,
    pub vanished: bool,
    pub stacked: bool,
}

/// The service, and what nobody knows: for every revision ever made, which one is in effect there.
pub struct Service {
    store: Store,
    in_effect: HashMap<Revision, Standing, Quickly>,
    /// When each revision became the head.
    landed_at: HashMap<Revision, Time, Quickly>,
    /// Revisions that carry a date of long ago.
    forged: HashSet<Revision>,
    pub writes: u64,
}

type Quickly = BuildHasherDefault<FirstBytes>;

/// Revisions are random: their first bytes are a good hash.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }
}

fn stamp(now: Time) -> Timestamp {
    Timestamp(EPOCH * 1000 + (now.0 / 1_000_000) as i64)
}

/// The server's clock, in seconds since 1970.
pub fn seconds_of(now: Time) -> i64 {
    stamp(now).0 / 1000
}

impl Service {
    /// A gist whose file holds `content`, written so many seconds before the beginning.
    pub fn new(seed: u64, content: Option<&str>, age: i64) -> Service {
        let mut store = Store::new(seed);
        let ours = content.map(|content| (Arc::from(FILE), Arc::from(content)));
        let files: Files = [(Arc::from(OTHER_FILE), Arc::from("0"))]
            .into_iter()
            .chain(ours)
            .collect();
        let gist = NewGist {
            description: String::new(),
            public: false,
            files,
        };
        let then = Timestamp(EPOCH * 1000 - age * 1000);
        store.create(Some(GIST), gist, then).expect("a new gist");
        let mut service = Service {
            store,
            in_effect: HashMap::default(),
            landed_at: HashMap::default(),
            forged: HashSet::new(),
            writes: 0,
        };
        service.note_effect(Time(0), None);
        let oldest = service.head();
        if let Some(standing) = service.in_effect.get_mut(&oldest)
            && age > LONG_GONE
        {
            standing.since = None;
        }
        service
    }

    fn view(&self) -> View<'_> {
        self.store.read(GIST).expect("the gist is there")
    }

    pub fn head(&self) -> Revision {
        self.view().head().revision()
    }

    /// The content of our file at the head, and its history of contents.
    pub fn head_text(&self) -> Option<Arc<str>> {
        self.view().head().files().get(FILE).cloned()
    }

    pub fn text_in_effect(&self) -> Option<Arc<str>> {
        let view = self.view().at(self.standing().revision)?;
        view.head().files().get(FILE).cloned()
    }

    pub fn old_text(&self, back: usize) -> Option<Arc<str>> {
        let commit = self.view().history().take(back).last()?;
        commit.files().get(FILE).cloned()
    }

    /// What is in effect as of a head, by the full rule.
    pub fn effect_at(&self, head: Revision) -> Option<Standing> {
        self.in_effect.get(&head).copied()
    }

    /// When a revision became the head.
    pub fn landed_at(&self, revision: Revision) -> Option<Time> {
        self.landed_at.get(&revision).copied()
    }

    /// What is in effect at the head.
    pub fn standing(&self) -> Standing {
        self.in_effect[&self.head()]
    }

    /// How many revisions a stranger has to see: down to the second newest of ours that took effect,
    /// which the newest one names, or to the first of all.
    pub fn depth_of_effect(&self) -> usize {
        let ours = |revision: &Revision| {
            let standing = self.in_effect[revision];
            standing.process.is_some() && standing.revision == *revision
        };
        let mut found = 0;
        let history = self.view().history();
        1 + history
            .take_while(|commit| {
                found += usize::from(ours(&commit.revision()));
                found < 2
            })
            .count()
    }

    /// Whether `below` is among the revisions that lead up to the head.
    pub fn leads_to_head(&self, below: Revision) -> bool {
        self.view().at(below).is_some()
    }

    /// Applies the rule to the newest revision, which is new. `sent` says who sent it, for one of
    /// ours.
    fn note_effect(&mut self, now: Time, sent: Option<Sent>) -> (bool, Option<Arc<str>>) {
        let view = self.view();
        let (head, below) = (view.head(), view.history().nth(1));
        let text = head.files().get(FILE);
        let read = |text: Option<&Arc<str>>| {
            Stored::read(&text.map_or(Text::Missing, |t| Text::Whole(t.clone())))
        };
        let revision = head.revision();
        let mut write_id = None;
        let standing = match below {
            None => beginning(revision, &read(text)),
            Some(below) => {
                let before = self.in_effect[&below.revision()];
                if text == below.files().get(FILE) {
                    before
                } else {
                    let stored = read(text);
                    write_id = stored.origin().map(|origin| Arc::clone(&origin.write_id));
                    apply(before, revision, &stored, now, sent)
                }
            }
        };
        self.in_effect.insert(revision, standing);
        self.landed_at.insert(revision, now);
        (standing.revision == revision, write_id)
    }

    // ---- writes ----

    pub fn begin_write(&self, edit: Edit) -> Result<PendingWrite, WriteError> {
        self.store.begin_write(GIST, edit)
    }

    /// A write moves the head. `sent` says who sent it, if it is one of ours.
    pub fn finish_write(
        &mut self,
        write: &PendingWrite,
        race: Race,
        now: Time,
        sent: Option<Sent>,
    ) -> Result<Landed, WriteError> {
        let head = self.head();
        let before = self.in_effect[&head];
        let revision = self
            .store
            .finish_write(&write.clone().forced(), race, stamp(now))?;
        self.writes += 1;
        let below = self.view().history().nth(1).map(|commit| commit.revision());
        let (took_effect, write_id) = self.note_effect(now, sent);
        Ok(Landed {
            revision,
            before: below.map_or(before, |below| self.in_effect[&below]),
            took_effect,
            write_id,
            head_since: below.map_or(now, |below| self.landed_at[&below]),
            vanished: below != Some(head),
            stacked: below == Some(head) && write.base() != head,
        })
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
        let head = self.head();
        if let Ok(revision) = self.store.replace_files(GIST, files, stamp(now))
            && revision != head
        {
            if forged {
                self.forged.insert(revision);
            }
            self.writes += 1;
            self.note_effect(now, None);
        }
    }

    /// Removes the newest revisions, as `git push --force` can.
    pub fn rewrite(&mut self, count: usize, now: Time) {
        self.store
            .remove_newest(GIST, count, stamp(now))
            .expect("the gist is there");
    }

    // ---- reads ----

    /// What a read is answered with, as of `then`, for a candidate whose record is in `file`.
    pub fn read(&self, request: &Request, then: Time, now: Time, cap: usize, file: &str) -> Answer {
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
                    Reply::Gist(self.page(view, *until, cap, file))
                }
            }
            Request::Revision(revision) => match text_at(view, *revision, file) {
                Some(text) => Reply::Revision(text),
                None => return answer(now, Err(not_found())),
            },
            Request::Commits { page, per_page } => {
                let commits = view.commits(*page as usize, *per_page);
                Reply::Commits(commits.map(|entry| self.commit(entry)).collect())
            }
            Request::History => {
                let mut page = self.page(view, None, cap, file);
                page.history = self.all_commits(view);
                Reply::Gist(page)
            }
            Request::Write { .. } | Request::Create { .. } => {
                return answer(now, Err(not_found()));
            }
        };
        answer(now, Ok(reply))
    }

    fn all_commits(&self, view: View<'_>) -> Vec<Commit> {
        view.history().map(|entry| self.commit(entry)).collect()
    }

    /// Every revision that leads up to the head, newest first, with what the record's file holds.
    pub fn revisions(&self) -> Vec<(Revision, Text)> {
        let history = self.view().history();
        history
            .map(|commit| (commit.revision(), text(commit.files(), FILE)))
            .collect()
    }

    /// What a write that was put into effect just now is answered with.
    pub fn written(&self, until: Revision, now: Time, cap: usize, file: &str) -> Answer {
        answer(
            now,
            Ok(Reply::Gist(self.page(self.view(), Some(until), cap, file))),
        )
    }

    fn commit(&self, commit: &elector::emulator::Commit) -> Commit {
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

    fn page(&self, view: View<'_>, until: Option<Revision>, cap: usize, file: &str) -> GistPage {
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
            text: text(view.head().files(), file),
            history,
            ..GistPage::default()
        }
    }
}

/// The oldest revision is in effect whatever it carries.
fn beginning(revision: Revision, stored: &Stored) -> Standing {
    Standing {
        revision,
        ours: stored.origin().is_some(),
        process: None,
        since: Some(Time(0)),
        released: stored.origin().is_some() && is_free(stored),
        lease: stored.lease(),
    }
}

/// The rule of effect, and what it means for the lease.
fn apply(
    before: Standing,
    revision: Revision,
    stored: &Stored,
    now: Time,
    sent: Option<Sent>,
) -> Standing {
    match stored.origin() {
        Some(origin) if origin.supersedes != before.revision => before,
        Some(_) => Standing {
            revision,
            ours: true,
            process: sent.map(|sent| sent.process),
            since: Some(sent.map_or(now, |sent| sent.at)),
            released: is_free(stored),
            lease: stored.lease(),
        },
        None => Standing {
            revision,
            ours: false,
            process: None,
            since: Some(now),
            released: false,
            lease: before.lease.max(stored.lease()),
        },
    }
}

fn is_free(stored: &Stored) -> bool {
    stored
        .record()
        .is_some_and(|stored| stored.record.holder_identity.is_empty())
}

fn not_found() -> LockError {
    LockError::NotFound("404".into())
}

pub fn answer(now: Time, reply: Result<Reply, LockError>) -> Answer {
    Answer {
        date: Some(seconds_of(now)),
        rate: None,
        reply,
    }
}

fn etag_of(view: View<'_>) -> Arc<str> {
    view.head().revision().to_string().into()
}

fn text_at(view: View<'_>, revision: Revision, file: &str) -> Option<Text> {
    let commit = view.at(revision)?.head();
    Some(text(commit.files(), file))
}

fn text(files: &Files, file: &str) -> Text {
    files
        .get(file)
        .map_or(Text::Missing, |content| Text::Whole(content.clone()))
}
