//! The gist service of a simulated run: the pure store behind the wire types, and the true outcome
//! of every write, which no candidate knows.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use elector::election::annotation::{HANDOVER, MOVED_TO, PAUSED, REQUESTS};
use elector::election::lock::LockError;
use elector::election::record::LeaderElectionRecord;
use elector::emulator::{
    Edit, Files, NewGist, PendingWrite, Race, Store, Timestamp, View, WriteError,
};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::{Answer, Commit, GistPage, Reply, Request, Text};

use elector::lock::stored;

use crate::clock::Time;

/// Names of the gist and of the file that holds the record.
pub const GIST: &str = "gist";
pub const FILE: &str = "leader.json";
/// Another file of the gist.
pub const OTHER_FILE: &str = "other.txt";

/// The server's clock when the simulation begins, in seconds since 1970.
const EPOCH: i64 = 1_800_000_000;

/// Age of a forged date, in seconds.
const FORGED_AGE: i64 = 30 * 24 * 3600;

/// Age in seconds above which an initial record counts as expired.
const EXPIRED_LONG_AGO: i64 = 600;

/// Length of the history that the client reads if it names no end, and at most.
const FIRST_ENTRIES: usize = 30;
const MOST_ENTRIES: usize = 300;

/// An effective revision and what it means for the next claim.
#[derive(Clone, Copy, Debug)]
pub struct Effective {
    /// The revision.
    pub revision: Revision,
    /// It follows the protocol; it is not a foreign write.
    pub own_protocol: bool,
    /// Number of the process that wrote it, if it follows the protocol.
    pub process: Option<u64>,
    /// Time at which it was sent if it follows the protocol, otherwise at which it landed; `None` for long
    /// ago.
    pub since: Option<Time>,
    /// It released the lease.
    pub released: bool,
    /// Longest lease since the newest effective write that follows the protocol; `None` without a
    /// record.
    pub lease: Option<Duration>,
}

/// A candidate's write as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub process: u64,
    pub at: Time,
}

/// Outcome of a write that landed.
#[derive(Clone, Debug)]
pub struct Landed {
    pub revision: Revision,
    /// Effective revision before it.
    pub before: Effective,
    pub is_effective: bool,
    /// Its `writeId`, if it follows the protocol and is effective.
    pub write_id: Option<Arc<str>>,
    /// Time at which its parent revision had become the head.
    pub head_since: Time,
    pub lost_write: bool,
    pub stacked: bool,
    /// Broken rule about the fields for operators.
    pub broken: Option<String>,
}

/// The service, and the effective revision at every revision ever made.
pub struct Service {
    store: Store,
    effective: HashMap<Revision, Effective, Quickly>,
    /// Times at which the revisions became the head.
    landed_at: HashMap<Revision, Time, Quickly>,
    /// Revisions with a forged date.
    forged: HashSet<Revision>,
    pub writes: u64,
}

type Quickly = BuildHasherDefault<FirstBytes>;

/// Hasher that uses the first bytes of a revision, which are random.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut message = [0; 8];
            message[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(message);
        }
    }
}

fn stamp(now: Time) -> Timestamp {
    Timestamp(EPOCH * 1000 + (now.0 / 1_000_000) as i64)
}

/// Returns the server's clock in seconds since 1970.
pub fn seconds_of(now: Time) -> i64 {
    stamp(now).0 / 1000
}

impl Service {
    /// Creates a gist whose file holds `content`, written `age` seconds before the simulation
    /// began.
    pub fn new(seed: u64, content: Option<&str>, age: i64) -> Service {
        let mut store = Store::new(seed);
        let own_protocol = content.map(|content| (Arc::from(FILE), Arc::from(content)));
        let files: Files = [(Arc::from(OTHER_FILE), Arc::from("0"))]
            .into_iter()
            .chain(own_protocol)
            .collect();
        let gist = NewGist {
            description: None,
            public: false,
            files,
        };
        let then = Timestamp(EPOCH * 1000 - age * 1000);
        store.create(Some(GIST), gist, then).expect("a new gist");
        let mut service = Service {
            store,
            effective: HashMap::default(),
            landed_at: HashMap::default(),
            forged: HashSet::new(),
            writes: 0,
        };
        service.note_effective(Time(0), None);
        let oldest = service.head();
        if let Some(effective) = service.effective.get_mut(&oldest)
            && age > EXPIRED_LONG_AGO
        {
            effective.since = None;
        }
        service
    }

    fn view(&self) -> View<'_> {
        self.store.read(GIST).expect("the gist is there")
    }

    pub fn head(&self) -> Revision {
        self.view().head().revision()
    }

    /// Returns the content of the record's file at the head.
    pub fn head_text(&self) -> Option<Arc<str>> {
        self.view().head().files().get(FILE).cloned()
    }

    pub fn effective_text(&self) -> Option<Arc<str>> {
        let view = self.view().at(self.effective().revision)?;
        view.head().files().get(FILE).cloned()
    }

    pub fn old_text(&self, back: usize) -> Option<Arc<str>> {
        let commit = self.view().history().take(back).last()?;
        commit.files().get(FILE).cloned()
    }

    /// Returns the effective revision as of a head, by the full rule.
    pub fn effective_at(&self, head: Revision) -> Option<Effective> {
        self.effective.get(&head).copied()
    }

    /// Returns when a revision became the head.
    pub fn landed_at(&self, revision: Revision) -> Option<Time> {
        self.landed_at.get(&revision).copied()
    }

    /// Returns the effective revision at the head.
    pub fn effective(&self) -> Effective {
        self.effective[&self.head()]
    }

    /// Returns how many revisions a new candidate has to read: down to the second newest effective
    /// protocol write, which the newest one names, or to the first revision.
    pub fn effective_depth(&self) -> usize {
        let own_protocol = |revision: &Revision| {
            let effective = self.effective[revision];
            effective.process.is_some() && effective.revision == *revision
        };
        let mut found = 0;
        let history = self.view().history();
        1 + history
            .take_while(|commit| {
                found += usize::from(own_protocol(&commit.revision()));
                found < 2
            })
            .count()
    }

    /// Returns whether `below` is an ancestor of the head.
    pub fn leads_to_head(&self, below: Revision) -> bool {
        self.view().at(below).is_some()
    }

    /// Applies the rule to the newest revision. `sent` names the sender if it is a candidate.
    fn note_effective(&mut self, now: Time, sent: Option<Sent>) -> (bool, Option<Arc<str>>) {
        let view = self.view();
        let (head, below) = (view.head(), view.history().nth(1));
        let text = head.files().get(FILE);
        let read = |text: Option<&Arc<str>>| {
            Stored::read(&text.map_or(Text::Missing, |t| Text::Whole(t.clone())))
        };
        let revision = head.revision();
        let mut write_id = None;
        let effective = match below {
            None => beginning(revision, &read(text)),
            Some(below) => {
                let before = self.effective[&below.revision()];
                if text == below.files().get(FILE) {
                    before
                } else {
                    let stored = read(text);
                    write_id = stored.origin().map(|origin| Arc::clone(&origin.write_id));
                    apply(before, revision, &stored, now, sent)
                }
            }
        };
        self.effective.insert(revision, effective);
        self.landed_at.insert(revision, now);
        (effective.revision == revision, write_id)
    }

    // ---- writes ----

    pub fn begin_write(&self, edit: Edit) -> Result<PendingWrite, WriteError> {
        self.store.begin_write(GIST, edit)
    }

    /// Moves the head to a write. `sent` names the sender if it is a candidate.
    pub fn finish_write(
        &mut self,
        write: &PendingWrite,
        race: Race,
        now: Time,
        sent: Option<Sent>,
    ) -> Result<Landed, WriteError> {
        let head = self.head();
        let revision = self
            .store
            .finish_write(&write.clone().forced(), race, stamp(now))?;
        self.writes += 1;
        let below = self.view().history().nth(1).map(|commit| commit.revision());
        let before = self.effective[&below.unwrap_or(head)];
        let (is_effective, write_id) = self.note_effective(now, sent);
        Ok(Landed {
            revision,
            before,
            is_effective,
            write_id,
            head_since: below.map_or(now, |below| self.landed_at[&below]),
            lost_write: below != Some(head),
            stacked: below == Some(head) && write.base() != head,
            broken: is_effective.then(|| self.lost_annotation(before)).flatten(),
        })
    }

    /// Returns the rule about the fields for operators that the head breaks, which replaced `before`.
    fn lost_annotation(&self, before: Effective) -> Option<String> {
        let before = self.view().at(before.revision)?;
        let before = Stored::read(&text(before.head().files(), FILE));
        let after = Stored::read(&text(self.view().head().files(), FILE));
        let ids = (ids(&before), ids(&after));
        lost_annotation(&before.record()?.record, &after.record()?.record, ids)
    }

    /// Edits the gist as an operator would; `None` deletes the record's file.
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
            self.note_effective(now, None);
        }
    }

    /// Removes the newest revisions, as `git push --force` can.
    pub fn rewrite(&mut self, count: usize, now: Time) {
        self.store
            .remove_newest(GIST, count, stamp(now))
            .expect("the gist is there");
    }

    // ---- reads ----

    /// Returns the answer to a read as of `then`, for a candidate whose record is in `file`.
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

    /// Returns every revision up to the head, newest first, with the content of the record's file.
    pub fn revisions(&self) -> Vec<(Revision, Text)> {
        let history = self.view().history();
        history
            .map(|commit| (commit.revision(), text(commit.files(), FILE)))
            .collect()
    }

    /// Returns the answer to a write that has just landed.
    pub fn written(&self, until: Revision, now: Time, cap: usize, file: &str) -> Answer {
        answer(
            now,
            Ok(Reply::Gist(self.page(self.view(), Some(until), cap, file))),
        )
    }

    fn commit(&self, commit: &elector::emulator::Commit) -> Commit {
        let revision = commit.revision();
        let old = if self.forged.contains(&revision) {
            FORGED_AGE
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

/// Returns the state after the oldest revision, which is always effective.
fn beginning(revision: Revision, stored: &Stored) -> Effective {
    Effective {
        revision,
        own_protocol: stored.origin().is_some(),
        process: None,
        since: Some(Time(0)),
        released: stored.origin().is_some() && is_free(stored),
        lease: stored.lease(),
    }
}

/// Applies the rule of effective revisions, and returns what it means for the lease.
fn apply(
    before: Effective,
    revision: Revision,
    stored: &Stored,
    now: Time,
    sent: Option<Sent>,
) -> Effective {
    match stored.origin() {
        Some(origin) if origin.supersedes != before.revision => before,
        Some(origin) if is_annotation(&origin.write_id) => Effective { revision, ..before },
        Some(_) => Effective {
            revision,
            own_protocol: true,
            process: sent.map(|sent| sent.process),
            since: Some(sent.map_or(now, |sent| sent.at)),
            released: is_free(stored),
            lease: stored.lease(),
        },
        None => Effective {
            revision,
            own_protocol: false,
            process: None,
            since: Some(now),
            released: false,
            lease: before.lease.max(stored.lease()),
        },
    }
}

/// Returns whether a write with this id is an annotation.
pub fn is_annotation(write_id: &str) -> bool {
    let number = write_id.rsplit_once('-').map(|(_, number)| number);
    number.is_some_and(|number| number.starts_with('a'))
}

/// Ids of a record: its own and that of its term, for an elector's write.
pub type Ids = Option<(Arc<str>, Option<Arc<str>>)>;

/// Returns the ids of a record.
pub fn ids<O: stored::Origin>(stored: &stored::Stored<O>) -> Ids {
    let record = stored.record()?;
    let term = record.term.as_ref().map(|ids| Arc::clone(&ids.term));
    Some((Arc::clone(record.origin.as_ref()?.write_id()), term))
}

/// Returns the rule about the fields for operators that a write breaks.
pub fn lost_annotation(
    before: &LeaderElectionRecord,
    after: &LeaderElectionRecord,
    (ids_before, ids_after): (Ids, Ids),
) -> Option<String> {
    let (id, term) = ids_after?;
    if is_annotation(&id) {
        return None;
    }
    let is_claim = term.as_ref() == Some(&id);
    let same = |name: &&str| before.annotation(name) == after.annotation(name);
    let pauses = [PAUSED, MOVED_TO];
    if is_claim && before.is_paused() {
        return Some(format!(
            "the claim {id} ignores that the election is paused"
        ));
    }
    if !pauses.iter().all(&same) {
        return Some(format!("the write {id} drops or adds a pause"));
    }
    let asks = after.annotation(HANDOVER).is_some() || !after.preferred_holder().is_empty();
    if is_claim && asks {
        return Some(format!("the claim {id} keeps a request"));
    }
    let followed = before.preferred_holder() == before.holder_identity;
    if !is_claim && ids_before.is_some() && !followed && !REQUESTS.iter().all(same) {
        return Some(format!("the write {id} drops or adds a request"));
    }
    None
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
