//! Each call of the gist lock as requests out and answers in.
//!
//! ```text
//!   get ────────▶ ask for the gist ──▶ walk the history as far as needed ──▶ Observed
//!   create ─────▶ (get, unless there was one) ─┐
//!   update ────────────────────────────────────┴▶ write ─▶ find our write in the history of the
//!                                                          answer ─▶ Ok, Conflict or OutcomeUnknown
//! ```
//!
//! All decisions are made here, in `reader.rs` and in [`history`](super::rule); nothing is sent,
//! waited for or measured. The caller starts a call, carries each request out, hands its answer in,
//! and does so until the call is done. One call at a time.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::observed::{ObservedBuilder, content};
use super::reader::{Read, Reader, unavailable};
use super::revision::Revision;
use super::rule::EffectiveRevision;
use super::stored::{self, Mark, Origin, PROTOCOL, PROTOCOL_MOVED, Stored};
use super::wire::target::check_file_name;
use super::wire::{Answer, GistPage, Reply, Request};
use crate::election::lock::{Content, LockError, Observed, Written};
use crate::election::record::{HIGHEST_TOKEN, LeaderElectionRecord};
use crate::election::time::Instant;
use crate::fmt::one_line;

/// What the protocol must be told of its surroundings.
#[derive(Clone, Debug)]
pub struct ProtocolConfig {
    /// Names this process in every write, unlike any other process's: random, without `-`.
    pub process: String,
    /// The file that holds the record; `None` for the gist's only file.
    pub file: Option<String>,
    /// The elector's renew deadline: an answer counts as stale for at most half of it.
    pub renew_deadline: Duration,
    /// How far apart its looks are to be, and which requests are left to the leader.
    pub budget: Budget,
}

/// What is to be done next in a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Send this, and hand in the answer.
    Ask(Request),
    /// The call is done.
    Done(Outcome),
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Of a `get`.
    Got(Result<Observed, LockError>),
    /// Of a `create` or `update`.
    Wrote(Result<Written, LockError>),
}

/// A call under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Call {
    Get,
    /// A look before the first write, when there was no `get` yet.
    ReadThenCreate(Box<LeaderElectionRecord>),
    /// The write was sent.
    Write(Sent),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sent {
    write_id: Arc<str>,
    supersedes: Revision,
    /// What was known to be the newest revision, of any file, and since when.
    newest: Option<(Revision, Instant)>,
    /// The answer to the write has come, and the history is being read.
    answered: bool,
}

/// The gist lock's state and decisions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GistProtocol {
    file: Option<String>,
    /// How many `create` and `update` calls there were.
    writes: u64,
    reader: Reader,
    observer: ObservedBuilder,
    budget: Budget,
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
        GistProtocol::understanding(config, PROTOCOL)
    }

    /// The same for who moves a lock: it reads and writes records that say so, on which every other
    /// refuses to act.
    #[must_use]
    pub fn for_moving(config: ProtocolConfig) -> Self {
        GistProtocol::understanding(config, PROTOCOL_MOVED)
    }

    fn understanding(config: ProtocolConfig, protocol: u64) -> Self {
        GistProtocol {
            observer: ObservedBuilder::new(&config.process, protocol),
            reader: Reader::new(config.renew_deadline),
            budget: config.budget,
            file: config.file,
            writes: 0,
            serve_next: false,
            accepted: false,
            call: None,
        }
    }

    /// The file that holds the record, once it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The newest revision up to which everything is known, and the one in effect there: what all
    /// who know that revision agree on.
    #[must_use]
    pub fn effective(&self) -> Option<(Revision, Revision)> {
        self.reader.known()
    }

    /// Returns the shortest time between a candidate's read at `now` and the next; zero if there is no restriction.
    #[must_use]
    pub fn min_poll_interval(&self, now: Instant) -> Duration {
        self.budget
            .min_poll_interval(now, self.effective().is_some())
    }

    /// What is in effect, as far as it is known.
    #[must_use]
    pub fn stored(&self) -> Option<&Arc<Stored>> {
        Some(&self.reader.effect()?.stored)
    }

    /// Begins a `get`.
    pub fn start_get(&mut self) -> Step {
        if std::mem::take(&mut self.serve_next) {
            return self.got();
        }
        self.begin(Call::Get);
        Step::Ask(self.reader.look())
    }

    /// Begins a `create`.
    pub fn start_create(&mut self, record: &LeaderElectionRecord) -> Step {
        self.writes += 1;
        if self.reader.effect().is_some() {
            return self.create(record);
        }
        self.begin(Call::ReadThenCreate(Box::new(record.clone())));
        Step::Ask(self.reader.look())
    }

    /// Begins an `update`.
    pub fn start_update(&mut self, record: &LeaderElectionRecord) -> Step {
        self.start_marked(record, &Mark::None)
    }

    /// Begins an `update` by a record that says more, in place of whatever was last seen, be it none.
    pub fn start_marked(&mut self, record: &LeaderElectionRecord, mark: &Mark) -> Step {
        self.writes += 1;
        self.write(record, mark)
    }

    /// Takes the answer to the request asked for last, handled at `now`.
    pub fn handle_answer(&mut self, now: Instant, answer: Answer) -> Step {
        self.observer.note_date(answer.date);
        self.budget.note(now, answer.rate);
        self.reader.running_low = self.budget.only_reserve(now);
        let reply = match answer.reply {
            // Not the gist is missing, but a revision that it listed.
            Err(LockError::NotFound(_)) if self.reader.awaits_text() => Err(unavailable(
                "the gist service does not show a revision that it listed a moment ago",
            )),
            Err(error) => Err(self.cut_short(error)),
            reply => reply,
        };
        let step = reply.and_then(|reply| self.take(now, reply));
        step.unwrap_or_else(|error| self.fail(error))
    }

    /// Ends the call under way because its time is over; `why` says so.
    pub fn give_up(&mut self, why: &str) -> Step {
        let error = self.cut_short(unavailable(why));
        self.fail(error)
    }

    /// A look that read some of the history before this ended it goes on from there.
    fn cut_short(&self, error: LockError) -> LockError {
        match (error, &self.call) {
            (LockError::Unavailable(_), Some(Call::Get)) if self.reader.has_read() => {
                self.reader.unfinished()
            }
            (error, _) => error,
        }
    }

    fn begin(&mut self, call: Call) {
        self.reader.begin(matches!(call, Call::Write(_)));
        self.call = Some(call);
    }

    fn take(&mut self, now: Instant, reply: Reply) -> Result<Step, LockError> {
        match reply {
            Reply::NotModified => {}
            Reply::Gist(page) => self.take_page(now, page)?,
            Reply::Revision(text) => {
                let stored = self.reader.take_text(text)?;
                self.observer.note(&stored);
            }
            Reply::Commits(commits) => self.reader.take_older(&commits)?,
            Reply::Created(_) => return Err(unavailable("an answer came that was not asked for")),
        }
        match &self.call {
            Some(Call::Write(sent)) => {
                let sent = sent.clone();
                self.judge_write(now, &sent)
            }
            _ => self.read_on(now),
        }
    }

    fn take_page(&mut self, now: Instant, page: GistPage) -> Result<(), LockError> {
        self.fix_file(&page)?;
        if let Some(Call::Write(sent)) = &mut self.call {
            sent.answered = true;
        }
        let stored = self.reader.take_page(now, page)?;
        self.observer.note(&stored);
        Ok(())
    }

    // ---- looking ----

    fn read_on(&mut self, now: Instant) -> Result<Step, LockError> {
        let effect = match self.reader.read_head(now, false)? {
            Read::Known(effect) => effect,
            Read::Ask(request) => return Ok(Step::Ask(request)),
        };
        self.accept(&effect)?;
        self.reader.settle(now, effect)?;
        Ok(match self.call.take() {
            Some(Call::ReadThenCreate(record)) => self.create(&record),
            _ => self.got(),
        })
    }

    fn got(&mut self) -> Step {
        let record_lost = self.reader.record_lost;
        let observed = match self.reader.effect() {
            Some(effect) => self.observer.observe(
                effect,
                record_lost,
                self.reader.newest().map(|(_, since)| since),
            ),
            None => Err(unavailable("nothing is known of the gist yet")),
        };
        if observed.is_ok() {
            self.reader.record_lost = false;
        }
        Step::Done(Outcome::Got(observed))
    }

    // ---- writing ----

    fn create(&mut self, record: &LeaderElectionRecord) -> Step {
        let content = self.reader.effect().map(content);
        if let Some(Content::Record(_)) = content {
            self.serve_next = true;
            return wrote(Err(LockError::Conflict));
        }
        self.write(record, &Mark::None)
    }

    fn write(&mut self, record: &LeaderElectionRecord, mark: &Mark) -> Step {
        let Some(effect) = self.reader.effect() else {
            // Also when a look found that all that was known is gone, and had no time to read on.
            return wrote(Err(LockError::Unfinished(
                "the lock is not initialized, call get or create first".to_owned(),
            )));
        };
        if let Err(error) = self.observer.understood(effect) {
            return wrote(Err(error));
        }
        if record.leader_transitions > HIGHEST_TOKEN {
            return wrote(Err(LockError::Refused(format!(
                "no token is left above {HIGHEST_TOKEN}: use another file or gist"
            ))));
        }
        let origin = Origin {
            write_id: self.observer.write_id(self.writes),
            supersedes: effect.commit.revision,
        };
        let request = Request::Write {
            content: stored::to_marked_text(record, effect.stored.kept(), &origin, mark),
            until: origin.supersedes,
        };
        self.serve_next = false;
        self.begin(Call::Write(Sent {
            write_id: origin.write_id,
            supersedes: origin.supersedes,
            newest: self.reader.newest(),
            answered: false,
        }));
        Step::Ask(request)
    }

    /// Finds our write in the history of its answer, and whether it took effect.
    fn judge_write(&mut self, now: Instant, sent: &Sent) -> Result<Step, LockError> {
        let observer = &self.observer;
        let goes_by = |effect: &EffectiveRevision| observer.goes_by(effect);
        let written = self
            .reader
            .read_write(now, &sent.write_id, sent.supersedes, goes_by)?;
        let written = match written {
            Read::Known(Some(written)) => written,
            Read::Known(None) => {
                return Err(unavailable("the answer's history does not show the write"));
            }
            Read::Ask(request) => return Ok(Step::Ask(request)),
        };
        if written.in_effect {
            let undisturbed = sent
                .newest
                .filter(|(newest, _)| written.below == Some(*newest));
            self.reader.settle_write(now, written)?;
            self.call = None;
            return Ok(wrote(Ok(Written {
                head_known_since: undisturbed.map(|(_, since)| since),
            })));
        }
        // What is in effect by now is what the get after a conflict will be told.
        let effect = match self.reader.read_head(now, true)? {
            Read::Known(effect) => effect,
            Read::Ask(request) => return Ok(Step::Ask(request)),
        };
        self.reader.settle(now, effect)?;
        self.serve_next = true;
        self.call = None;
        Ok(wrote(Err(LockError::Conflict)))
    }

    // ---- the first look, and failures ----

    /// Fixes the file at the first answer, and refuses a token that cannot write.
    fn fix_file(&mut self, page: &GistPage) -> Result<(), LockError> {
        if self.file.is_none() {
            self.file = Some(only_file(&page.files)?);
        }
        match &page.scopes {
            Some(scopes) if !self.accepted && !scopes.is_empty() && !has_gist_scope(scopes) => {
                Err(LockError::Unauthorized(format!(
                    "the token may not write gists, its scopes are `{scopes}`: give \
                     GITHUB_API_TOKEN a token with the scope gist"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a file that holds other people's text: at the first look, and ever after where there
    /// never was a record.
    fn accept(&mut self, effect: &EffectiveRevision) -> Result<(), LockError> {
        if let Stored::Unrelated(why) = &*effect.stored
            && !(self.accepted && effect.longest_lease.is_some())
        {
            let file = self.file.as_deref().unwrap_or_default();
            return Err(LockError::Refused(format!(
                "the file {file:?} of the gist holds something else, {why}: name another file with \
                 GIST_FILE, or have elector init make one"
            )));
        }
        self.accepted = true;
        Ok(())
    }

    fn fail(&mut self, error: LockError) -> Step {
        match self.call.take() {
            Some(Call::Write(sent)) if sent.answered => {
                // The write landed, but what became of it could not be read.
                self.reader.forget();
                wrote(Err(LockError::OutcomeUnknown(error.to_string())))
            }
            Some(Call::Write(_) | Call::ReadThenCreate(_)) => wrote(Err(error)),
            Some(Call::Get) | None => Step::Done(Outcome::Got(Err(error))),
        }
    }
}

fn wrote(result: Result<Written, LockError>) -> Step {
    Step::Done(Outcome::Wrote(result))
}

/// The gist's only file.
pub(super) fn only_file(files: &[String]) -> Result<String, LockError> {
    match files {
        [file] => match check_file_name(file) {
            Ok(_) => Ok(file.clone()),
            Err(_) => Err(LockError::Refused(format!(
                "the gist's only file, {}, has a name that cannot be used: name another file with \
                 GIST_FILE, it is made",
                one_line(file)
            ))),
        },
        [] => Err(LockError::Refused(
            "the gist has no file: name one with GIST_FILE, it is made".into(),
        )),
        files => Err(LockError::Refused(format!(
            "the gist has several files ({}): say with GIST_FILE which of them holds the record",
            one_line(&files.join(", "))
        ))),
    }
}

/// Whether a token with these scopes (`X-OAuth-Scopes`) may write gists.
#[must_use]
pub fn has_gist_scope(scopes: &str) -> bool {
    scopes.split(',').any(|scope| scope.trim() == "gist")
}
