//! Each call of the gist lock as requests out and answers in.
//!
//! ```text
//!   get ────────▶ ask for the gist ──▶ walk the history as far as needed ──▶ Observed
//!   create ─────▶ (get, unless there was one) ─┐
//!   update ────────────────────────────────────┴▶ write ─▶ find our write in the history of the
//!                                                          answer ─▶ Ok, Conflict or OutcomeUnknown
//! ```
//!
//! All decisions are made here and in [`history`](super::history); nothing is sent, waited for or
//! measured. The caller starts a call, carries each request out, hands its answer in, and does so
//! until the call is done. One call at a time.

use std::sync::Arc;
use std::time::Duration;

use super::history::{Base, Effect, Known, Progress, Seen, SeenRevisions, resolve};
use super::observation::{Observer, content};
use super::revision::Revision;
use super::stored::{self, Origin, Stored};
use super::wire::{Answer, Commit, GistPage, Reply, Request, Text};
use crate::election::lock::{Content, LockError, Observed};
use crate::election::record::{HIGHEST_TOKEN, LeaderElectionRecord};
use crate::election::time::Instant;

/// How many requests one call may spend on reading the history, so that a long history is read in
/// portions over several calls and takes no part of the limits that renewals need.
const READS_PER_CALL: u32 = 20;

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

/// The number of entries on a page of the history.
const PAGE: usize = 100;

/// What the protocol must be told of its surroundings.
#[derive(Clone, Debug)]
pub struct ProtocolConfig {
    /// Names this process in every write, unlike any other process's: random, without `-`.
    pub process: String,
    /// The file that holds the record; `None` for the gist's only file.
    pub file: Option<String>,
    /// The elector's renew deadline: an answer counts as stale for at most half of it.
    pub renew_deadline: Duration,
}

/// What is to be done next in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, and hand in the answer.
    Ask(Request),
    /// The call is done.
    Done(Outcome),
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of a `get`.
    Got(Result<Observed, LockError>),
    /// Of a `create` or `update`.
    Wrote(Result<(), LockError>),
}

/// A call under way.
#[derive(Debug)]
struct Call {
    purpose: Purpose,
    reads_left: u32,
    /// The revision whose content was asked for last.
    asked: Option<Revision>,
    /// The page of the history that was asked for last; 0 for none.
    page: u32,
    /// Our last entry was the last on that page.
    page_ended_with_ours: bool,
}

#[derive(Debug)]
enum Purpose {
    Get,
    /// A look before the first write, when there was no `get` yet.
    LookThenCreate(Box<LeaderElectionRecord>),
    /// The write was sent.
    Write(Sent),
}

#[derive(Debug)]
struct Sent {
    write_id: Arc<str>,
    supersedes: Revision,
    /// The answer to the write has come, and the history is being read.
    answered: bool,
}

/// The gist lock's state and decisions.
#[derive(Debug)]
pub struct GistProtocol {
    config: ProtocolConfig,
    /// How many `create` and `update` calls there were.
    writes: u64,
    /// The newest revisions, newest first without a gap, as far down as they were needed.
    commits: Vec<Commit>,
    complete: bool,
    seen: SeenRevisions,
    /// What `commits` starts with answers to this tag.
    etag: Option<Arc<str>>,
    /// The newest point at which the revision in effect is known, and since when.
    base: Option<Base>,
    base_since: Instant,
    observer: Observer,
    /// The next `get` is answered from what the answer to a write showed.
    serve_next: bool,
    /// A first answer was taken, and the file is one that may be written.
    accepted: bool,
    call: Option<Call>,
}

impl GistProtocol {
    /// A lock that has seen nothing yet.
    #[must_use]
    pub fn new(config: ProtocolConfig) -> Self {
        GistProtocol {
            observer: Observer::new(&config.process),
            config,
            writes: 0,
            commits: Vec::new(),
            complete: false,
            seen: SeenRevisions::new(),
            etag: None,
            base: None,
            base_since: Instant::BOOT,
            serve_next: false,
            accepted: false,
            call: None,
        }
    }

    /// The file that holds the record, once it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.config.file.as_deref()
    }

    /// Begins a `get`.
    pub fn start_get(&mut self) -> Step {
        if std::mem::take(&mut self.serve_next)
            && let Some(base) = &self.base
        {
            let observed = self.observer.observe(&base.effect);
            return Step::Done(Outcome::Got(observed));
        }
        self.begin(Purpose::Get);
        self.look()
    }

    /// Begins a `create`.
    pub fn start_create(&mut self, record: &LeaderElectionRecord) -> Step {
        self.writes += 1;
        if self.base.is_none() {
            self.begin(Purpose::LookThenCreate(Box::new(record.clone())));
            return self.look();
        }
        self.create_on_base(record)
    }

    /// Begins an `update`.
    pub fn start_update(&mut self, record: &LeaderElectionRecord) -> Step {
        self.writes += 1;
        self.write(record)
    }

    /// Takes the answer to the request asked for last, handled at `now`.
    pub fn handle_answer(&mut self, now: Instant, answer: Answer) -> Step {
        self.observer.date = answer.date.or(self.observer.date);
        let step = match answer.reply {
            Ok(reply) => self.handle_reply(now, reply),
            Err(error) => Err(error),
        };
        step.unwrap_or_else(|error| self.fail(error))
    }

    /// Ends the call under way because its time is over; `why` says so.
    pub fn give_up(&mut self, why: &str) -> Step {
        self.fail(LockError::Unavailable(why.to_owned()))
    }

    fn begin(&mut self, purpose: Purpose) {
        self.call = Some(Call {
            purpose,
            reads_left: READS_PER_CALL,
            asked: None,
            page: 0,
            page_ended_with_ours: false,
        });
    }

    fn look(&self) -> Step {
        Step::Ask(Request::Gist {
            etag: self.etag.clone(),
            until: self.base.as_ref().map(|base| base.effect.commit.revision),
        })
    }

    // ---- writing ----

    fn create_on_base(&mut self, record: &LeaderElectionRecord) -> Step {
        let occupied = self
            .base
            .as_ref()
            .is_some_and(|base| matches!(content(&base.effect), Content::Record(_)));
        if occupied {
            self.serve_next = true;
            return wrote(Err(LockError::Conflict));
        }
        self.write(record)
    }

    fn write(&mut self, record: &LeaderElectionRecord) -> Step {
        let Some(base) = &self.base else {
            return wrote(Err(LockError::Unavailable(
                "the lock is not initialized, call get or create first".into(),
            )));
        };
        if record.leader_transitions > HIGHEST_TOKEN {
            return wrote(Err(LockError::Refused(format!(
                "the token {} is the last one there is: use another file or gist",
                record.leader_transitions
            ))));
        }
        let origin = Origin {
            write_id: self.observer.write_id(self.writes),
            supersedes: base.effect.commit.revision,
        };
        let kept = match &*base.effect.stored {
            Stored::Object { fields, .. } => Some(fields),
            _ => None,
        };
        let request = Request::Write {
            content: stored::to_text(record, kept, &origin),
            until: origin.supersedes,
        };
        self.serve_next = false;
        self.begin(Purpose::Write(Sent {
            write_id: origin.write_id,
            supersedes: origin.supersedes,
            answered: false,
        }));
        Step::Ask(request)
    }

    // ---- answers ----

    fn handle_reply(&mut self, now: Instant, reply: Reply) -> Result<Step, LockError> {
        match reply {
            Reply::NotModified => {}
            Reply::Gist(page) => self.take_page(page)?,
            Reply::Revision(text) => self.take_text(text)?,
            Reply::Commits(commits) => self.take_older(&commits)?,
        }
        self.go_on(now)
    }

    /// Goes on with the call after an answer was taken in.
    fn go_on(&mut self, now: Instant) -> Result<Step, LockError> {
        if let Some(sent) = self.sent() {
            let write_id = Arc::clone(&sent.write_id);
            return self.judge_write(now, &write_id);
        }
        let head = self.head()?;
        if self.base.as_ref().is_some_and(|base| base.at == head) {
            return Ok(self.finish_look());
        }
        if let Some(step) = self.find_base(now)? {
            return Ok(step);
        }
        let effect = match resolve(self.known(), self.base.as_ref()) {
            Progress::Resolved(effect) => effect,
            missing => return self.ask_for(&missing),
        };
        self.accept(&effect)?;
        self.set_base(now, Base { at: head, effect });
        Ok(self.finish_look())
    }

    fn finish_look(&mut self) -> Step {
        let purpose = self.call.take().map(|call| call.purpose);
        if let Some(Purpose::LookThenCreate(record)) = purpose {
            return self.create_on_base(&record);
        }
        let observed = match &self.base {
            Some(base) => self.observer.observe(&base.effect),
            None => Err(unavailable("nothing is known of the gist yet")),
        };
        Step::Done(Outcome::Got(observed))
    }

    /// Takes in the gist as an answer shows it.
    fn take_page(&mut self, page: GistPage) -> Result<(), LockError> {
        let head = *page
            .history
            .first()
            .ok_or_else(|| unavailable("the gist service shows the gist without its history"))?;
        self.fix_file(&page)?;
        if let Some(Call {
            purpose: Purpose::Write(sent),
            ..
        }) = &mut self.call
        {
            sent.answered = true;
        }
        self.etag = page.etag;
        self.learn(head.revision, page.text);
        self.join(page.history);
        Ok(())
    }

    /// Puts a newer list of revisions on top of what is known, or in its place.
    fn join(&mut self, mut newer: Vec<Commit>) {
        let old_head = self.commits.first().map(|commit| commit.revision);
        let overlap = old_head.and_then(|head| position(&newer, head));
        let Some(overlap) = overlap else {
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

    fn take_text(&mut self, text: Text) -> Result<(), LockError> {
        let asked = self.call.as_mut().and_then(|call| call.asked.take());
        let revision = asked.ok_or_else(|| unavailable("an answer came that was not asked for"))?;
        self.learn(revision, text);
        Ok(())
    }

    fn take_older(&mut self, older: &[Commit]) -> Result<(), LockError> {
        let last = self.commits.last().map(|commit| commit.revision);
        let Some(call) = &mut self.call else {
            return Ok(());
        };
        let found = last.and_then(|last| position(older, last));
        match found {
            Some(index) => {
                self.commits.extend_from_slice(&older[index + 1..]);
                call.page_ended_with_ours = true;
            }
            None if call.page_ended_with_ours && older.is_empty() => self.complete = true,
            None if call.page_ended_with_ours => self.commits.extend_from_slice(older),
            None if older.is_empty() => {
                self.forget();
                return Err(unavailable("the gist's history changed while it was read"));
            }
            None => {}
        }
        if self.commits.len() > MOST_COMMITS {
            self.forget();
            return Err(unavailable(
                "the gist's history is too long to be read: use another gist (elector init --from)",
            ));
        }
        Ok(())
    }

    fn learn(&mut self, revision: Revision, text: Text) {
        let seen = Seen::new(text);
        self.observer.note(&seen.stored);
        self.seen.insert(revision, seen);
    }

    /// What was known of the history does not hold any more, or is of no use.
    fn forget(&mut self) {
        self.commits.clear();
        self.complete = false;
        self.etag = None;
    }

    // ---- the history ----

    fn known(&self) -> Known<'_> {
        Known {
            commits: &self.commits,
            complete: self.complete,
            seen: &self.seen,
        }
    }

    fn head(&self) -> Result<Revision, LockError> {
        let head = self.commits.first().map(|commit| commit.revision);
        head.ok_or_else(|| unavailable("nothing is known of the gist's history"))
    }

    /// Makes sure that the base is in the known history, or gone for good. Returns what has to be
    /// asked for first.
    fn find_base(&mut self, now: Instant) -> Result<Option<Step>, LockError> {
        if self.base.is_none() || self.base_is_known() {
            return Ok(None);
        }
        // An answer without what was seen a moment ago is an old one. The answer to a write is not:
        // the write is in it.
        let window = STALE_FOR.min(self.config.renew_deadline / 2);
        if self.sent().is_none() && now.since(self.base_since) < window {
            self.forget();
            return Err(unavailable(
                "the gist service answered with an old state of the gist",
            ));
        }
        if !self.complete && self.commits.len() < SEARCH_DEPTH {
            return self.ask_for(&Progress::NeedOlder).map(Some);
        }
        self.lose_base(now);
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

    /// The revision that was in effect is gone from the history.
    fn lose_base(&mut self, now: Instant) {
        log::warn!(
            "the revision that was in effect is gone from the gist's history, starting over from \
             what is there"
        );
        self.base = None;
        self.base_since = now;
        self.observer.rewound = true;
    }

    fn ask_for(&mut self, missing: &Progress) -> Result<Step, LockError> {
        let entries = self.commits.len();
        let read = self.seen.len();
        let call = self
            .call
            .as_mut()
            .ok_or_else(|| unavailable("no call is under way"))?;
        if call.reads_left == 0 {
            return Err(unavailable(format!(
                "the gist's history is still being read, {read} of {entries} revisions so far"
            )));
        }
        call.reads_left -= 1;
        Ok(Step::Ask(match missing {
            Progress::NeedText(revision) => {
                call.asked = Some(*revision);
                Request::Revision(*revision)
            }
            _ => {
                // The page that our last entry should be on comes first: entries move down while
                // others write, and only an overlap shows that none was missed.
                call.page = match call.page {
                    0 => u32::try_from(entries.saturating_sub(1) / PAGE + 1).unwrap_or(u32::MAX),
                    page => page + 1,
                };
                Request::Commits { page: call.page }
            }
        }))
    }

    /// Makes `base` the point up to which everything is known.
    fn set_base(&mut self, now: Instant, base: Base) {
        let known = self.base.as_ref().is_some_and(|old| old.at == base.at);
        if !known {
            self.base_since = now;
        }
        // What lies below the revision in effect is not needed any more.
        let effect = base.effect.commit.revision;
        if let Some(index) = position(&self.commits, effect) {
            self.complete &= index + 1 == self.commits.len();
            self.commits.truncate(index + 1);
        }
        let commits = &self.commits;
        self.seen
            .retain(|revision, _| position(commits, *revision).is_some());
        self.base = Some(base);
    }

    // ---- our own write ----

    fn sent(&self) -> Option<&Sent> {
        match &self.call.as_ref()?.purpose {
            Purpose::Write(sent) => Some(sent),
            _ => None,
        }
    }

    /// Finds our write in the history of its answer, and whether it took effect.
    fn judge_write(&mut self, now: Instant, write_id: &str) -> Result<Step, LockError> {
        let Some(index) = self.find_ours(write_id) else {
            return match self.first_unseen() {
                Some(revision) => self.ask_for(&Progress::NeedText(revision)),
                None => Err(unavailable("the answer's history does not show the write")),
            };
        };
        let ours = self.commits[index].revision;
        if !self.is_oldest(index)
            && let Some(step) = self.find_base(now)?
        {
            return Ok(step);
        }
        let up_to_ours = Known {
            commits: &self.commits[index..],
            ..self.known()
        };
        let effect = match resolve(up_to_ours, self.base.as_ref()) {
            Progress::Resolved(effect) => effect,
            missing => return self.ask_for(&missing),
        };
        if effect.commit.revision == ours {
            return Ok(self.wrote_in_effect(now, index, effect));
        }
        // What is in effect by now is what the get after a conflict will be told.
        let effect = match resolve(self.known(), self.base.as_ref()) {
            Progress::Resolved(effect) => effect,
            missing => return self.ask_for(&missing),
        };
        let at = self.head()?;
        self.set_base(now, Base { at, effect });
        self.call = None;
        self.serve_next = true;
        Ok(wrote(Err(LockError::Conflict)))
    }

    /// Our write, at `index`, took effect. What came after it is left to the next look.
    fn wrote_in_effect(&mut self, now: Instant, index: usize, effect: Effect) -> Step {
        if index > 0 {
            self.commits.drain(..index);
            self.etag = None;
        }
        let at = effect.commit.revision;
        self.set_base(now, Base { at, effect });
        self.call = None;
        wrote(Ok(()))
    }

    fn is_oldest(&self, index: usize) -> bool {
        self.complete && index + 1 == self.commits.len()
    }

    fn find_ours(&self, write_id: &str) -> Option<usize> {
        self.commits.iter().position(|commit| {
            let origin = self.seen.get(&commit.revision);
            let origin = origin.and_then(|seen| seen.stored.origin());
            origin.is_some_and(|origin| &*origin.write_id == write_id)
        })
    }

    /// The newest revision above what we superseded whose content is not known: ours may be there.
    fn first_unseen(&self) -> Option<Revision> {
        let sent = self.sent()?;
        self.commits
            .iter()
            .map(|commit| commit.revision)
            .take(WRITE_DEPTH)
            .take_while(|revision| *revision != sent.supersedes)
            .find(|revision| !self.seen.contains_key(revision))
    }

    // ---- the first look, and failures ----

    /// Fixes the file at the first answer, and refuses a token that cannot write.
    fn fix_file(&mut self, page: &GistPage) -> Result<(), LockError> {
        if self.config.file.is_none() {
            self.config.file = Some(only_file(&page.files)?);
        }
        if self.accepted {
            return Ok(());
        }
        match &page.scopes {
            Some(scopes) if !scopes.is_empty() && !has_gist_scope(scopes) => {
                Err(LockError::Unauthorized(format!(
                    "the token may not write gists, its scopes are `{scopes}`: give \
                     GITHUB_API_TOKEN a token with the scope gist"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Refuses, at the first look, a file that holds other people's text.
    fn accept(&mut self, effect: &Effect) -> Result<(), LockError> {
        let file = self.config.file.as_deref().unwrap_or_default();
        if let Stored::Foreign(why) = &*effect.stored
            && !(self.accepted && effect.any_record)
        {
            return Err(LockError::Refused(format!(
                "the file {file:?} of the gist holds something else, {why}: name another file with \
                 GIST_FILE, or have elector init make one"
            )));
        }
        self.accepted = true;
        Ok(())
    }

    fn fail(&mut self, error: LockError) -> Step {
        match self.call.take().map(|call| call.purpose) {
            Some(Purpose::Write(sent)) if sent.answered => {
                // The write landed, but what became of it could not be read.
                self.forget();
                wrote(Err(LockError::OutcomeUnknown(error.to_string())))
            }
            Some(Purpose::Write(_)) => wrote(Err(error)),
            Some(Purpose::LookThenCreate(_)) => wrote(Err(error)),
            Some(Purpose::Get) | None => Step::Done(Outcome::Got(Err(error))),
        }
    }
}

fn wrote(result: Result<(), LockError>) -> Step {
    Step::Done(Outcome::Wrote(result))
}

fn unavailable(why: impl Into<String>) -> LockError {
    LockError::Unavailable(why.into())
}

fn position(commits: &[Commit], revision: Revision) -> Option<usize> {
    commits
        .iter()
        .position(|commit| commit.revision == revision)
}

fn only_file(files: &[String]) -> Result<String, LockError> {
    match files {
        [file] => Ok(file.clone()),
        [] => Err(LockError::Refused(
            "the gist has no file: name one with GIST_FILE, it is made".into(),
        )),
        files => Err(LockError::Refused(format!(
            "the gist has several files ({}): say with GIST_FILE which of them holds the record",
            files.join(", ")
        ))),
    }
}

fn has_gist_scope(scopes: &str) -> bool {
    scopes.split(',').any(|scope| scope.trim() == "gist")
}
