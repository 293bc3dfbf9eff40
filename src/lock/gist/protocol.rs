//! Each call of the gist lock as requests out and answers in.
//!
//! ```text
//!   get ────────▶ read the gist ──▶ scan the history as far as needed ──▶ Observed
//!   create ─────▶ (get, unless there was one) ─┐
//!   update ────────────────────────────────────┴▶ write ─▶ find the write in the history of the
//!                                                          answer ─▶ Ok, Conflict or OutcomeUnknown
//! ```
//!
//! All decisions are made here, in `reader.rs` and in [`rule`](super::rule). This module sends nothing, waits
//! for nothing and reads no clock. The caller starts a call, sends each request, passes its answer in, and
//! repeats that until the call is done. One call runs at a time.

mod annotation;

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::observed::{ObservedBuilder, content};
use super::place::{check_exists, is_missing, only_file};
use super::reader::{Read, Reader, unavailable};
use super::revision::Revision;
use super::rule::EffectiveRevision;
use super::stored::{self, Origin, Stored};
use super::wire::{Answer, GistPage, Reply, Request};
use crate::election::lock::{Content, LockError, Observed, Written};
use crate::election::record::{HIGHEST_TOKEN, LeaderElectionRecord};
use crate::election::time::Instant;
use crate::lock::stored::TermIds;

/// Settings of the protocol.
#[derive(Clone, Debug)]
pub struct ProtocolConfig {
    /// Name of this process in its writes, unique among all processes: random, without `-`.
    pub process: String,
    /// File that holds the record; `None` for the gist's only file.
    pub file: Option<String>,
    /// Renew deadline of the elector: an answer counts as stale for at most half of it.
    pub renew_deadline: Duration,
    /// Interval between reads, and the leader's reserve of requests.
    pub budget: Budget,
}

/// Next step of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Send this request, then pass its answer to [`GistProtocol::handle_answer`].
    Ask(Request),
    /// The call is done.
    Done(Outcome),
}

/// Result of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Result of a `get`.
    Got(Result<Observed, LockError>),
    /// Result of a `create` or `update`.
    Wrote(Result<Written, LockError>),
}

/// A call under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Call {
    Get,
    /// A read before the first write, without a `get` so far.
    ReadThenCreate(Box<LeaderElectionRecord>),
    /// The write was sent.
    Write(Sent),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sent {
    write_id: Arc<str>,
    supersedes: Revision,
    /// Newest known revision, of any file, and the time since when it was known.
    newest: Option<(Revision, Instant)>,
    /// Content of an annotated foreign record, which has no id.
    foreign: Option<Arc<Stored>>,
    /// Whether the answer to the write has come, so that only the history is read.
    answered: bool,
}

/// State and decisions of the gist lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GistProtocol {
    file: Option<String>,
    /// Number of `create` and `update` calls so far.
    writes: u64,
    /// Number of `annotate` calls so far.
    annotations: u64,
    reader: Reader,
    builder: ObservedBuilder,
    budget: Budget,
    /// Whether the next `get` is answered from the answer to the last write.
    serve_next: bool,
    /// Whether the first answer showed a file that may be written.
    accepted: bool,
    /// Whether the file may be created beside other elections of the gist.
    permits_new_election: bool,
    /// Whether the file was missing in the last answer that showed the gist.
    missing: bool,
    /// Whether no setting names the file.
    only_file: bool,
    /// Whether no setting names the file, although the gist has others by now.
    unnamed: bool,
    call: Option<Call>,
}

impl GistProtocol {
    /// Creates a lock that has read nothing yet.
    #[must_use]
    pub fn new(config: ProtocolConfig) -> Self {
        GistProtocol {
            builder: ObservedBuilder::new(&config.process),
            reader: Reader::new(config.renew_deadline),
            budget: config.budget,
            file: config.file,
            writes: 0,
            annotations: 0,
            serve_next: false,
            accepted: false,
            permits_new_election: true,
            missing: false,
            only_file: false,
            unnamed: false,
            call: None,
        }
    }

    /// Returns the file that holds the record, once it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Permits or refuses that the file is created in a gist whose other files hold election records.
    pub fn permit_new_election(&mut self, permitted: bool) {
        self.permits_new_election = permitted;
    }

    /// Returns whether the file was missing in the last answer that showed the gist.
    #[must_use]
    pub fn is_file_missing(&self) -> bool {
        self.missing
    }

    /// Returns the file that holds the record if no setting names it and the gist has others by now.
    #[must_use]
    pub fn unnamed_file(&self) -> Option<&str> {
        self.file().filter(|_| self.unnamed)
    }

    /// Returns advice on what to delete, if the gist is so large that GitHub truncates the record.
    #[must_use]
    pub fn too_much(&self) -> Option<&str> {
        self.reader.too_much()
    }

    /// Returns the protocol of an elector's effective record, if it is an older one.
    #[must_use]
    pub fn older_protocol(&self) -> Option<u64> {
        self.reader.effective()?.stored.older_protocol()
    }

    /// Returns the newest revision up to which everything is known, and the effective revision there.
    ///
    /// All processes that know that revision agree on it.
    #[must_use]
    pub fn effective(&self) -> Option<(Revision, Revision)> {
        self.reader.known()
    }

    /// Returns the shortest time between a candidate's read at `now` and the next; zero if there is no
    /// restriction.
    #[must_use]
    pub fn min_poll_interval(&self, now: Instant) -> Duration {
        self.budget
            .min_poll_interval(now, self.effective().is_some())
    }

    /// Begins a `get`.
    pub fn start_get(&mut self) -> Step {
        if std::mem::take(&mut self.serve_next) {
            return self.got();
        }
        self.begin(Call::Get);
        Step::Ask(self.reader.current())
    }

    /// Begins a `create`.
    pub fn start_create(&mut self, record: &LeaderElectionRecord) -> Step {
        self.writes += 1;
        if self.reader.effective().is_some() {
            return self.create(record);
        }
        self.begin(Call::ReadThenCreate(Box::new(record.clone())));
        Step::Ask(self.reader.current())
    }

    /// Begins an `update`.
    pub fn start_update(&mut self, record: &LeaderElectionRecord) -> Step {
        self.writes += 1;
        self.write(record, false)
    }

    /// Begins an `update` with a checkpoint, which may also be the first record.
    pub fn start_checkpoint(&mut self, record: &LeaderElectionRecord) -> Step {
        self.writes += 1;
        self.write(record, true)
    }

    /// Takes the answer to the last request, handled at `now`.
    pub fn handle_answer(&mut self, now: Instant, answer: Answer) -> Step {
        self.builder.note_date(answer.date);
        self.budget.note(now, answer.rate, answer.date);
        self.reader.only_reserve = self.budget.only_reserve(now);
        let reply = match answer.reply {
            // The gist exists; a revision that it listed is missing.
            Err(LockError::NotFound(_)) if self.reader.awaits_text() => Err(unavailable(
                "the gist service does not show a revision that it listed a moment ago",
            )),
            Err(error) => Err(self.cut_short(error)),
            reply => reply,
        };
        let step = reply.and_then(|reply| self.take(now, reply));
        step.unwrap_or_else(|error| self.fail(error))
    }

    /// Ends the call under way because its time is over, with `why` as the error's text.
    pub fn give_up(&mut self, why: &str) -> Step {
        let error = self.cut_short(unavailable(why));
        self.fail(error)
    }

    /// Replaces the error of a read that made progress in the history: the next read continues.
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
                self.builder.note(&stored);
            }
            Reply::Commits(commits) => self.reader.take_older(&commits)?,
            Reply::Created(_) => return Err(unavailable("unexpected answer: no gist was created")),
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
        if let Some(stored) = self.reader.take_page(now, page)? {
            self.builder.note(&stored);
        }
        Ok(())
    }

    // ---- reads ----

    fn read_on(&mut self, now: Instant) -> Result<Step, LockError> {
        let effective = match self.reader.read_head(now, false)? {
            Read::Known(effective) => effective,
            Read::Ask(request) => return Ok(Step::Ask(request)),
        };
        self.accept(&effective)?;
        self.reader.settle(now, effective)?;
        Ok(match self.call.take() {
            Some(Call::ReadThenCreate(record)) => self.create(&record),
            _ => self.got(),
        })
    }

    fn got(&mut self) -> Step {
        let record_lost = self.reader.record_lost;
        let observed = match self.reader.effective() {
            Some(effective) => self.builder.build(
                effective,
                record_lost,
                self.reader.newest().map(|(_, since)| since),
            ),
            None => Err(unavailable("the gist has not been read yet")),
        };
        if observed.is_ok() {
            self.reader.record_lost = false;
        }
        Step::Done(Outcome::Got(observed))
    }

    // ---- writes ----

    fn create(&mut self, record: &LeaderElectionRecord) -> Step {
        let content = self.reader.effective().map(content);
        if let Some(Content::Record(_)) = content {
            self.serve_next = true;
            return wrote(Err(LockError::Conflict));
        }
        self.write(record, false)
    }

    fn write(&mut self, record: &LeaderElectionRecord, checkpoint: bool) -> Step {
        let effective = match self.writable() {
            Ok(effective) => effective,
            Err(error) => return wrote(Err(error)),
        };
        if record.leader_transitions > HIGHEST_TOKEN {
            return wrote(Err(LockError::Refused(format!(
                "no fencing token is left above {HIGHEST_TOKEN}; use another file or gist"
            ))));
        }
        let origin = Origin {
            write_id: self.builder.ids.write(self.writes),
            supersedes: effective.commit.revision,
        };
        let record = TermIds::added_to(record, effective.stored.record(), &origin.write_id);
        let content = stored::to_text(&record, effective.stored.kept(), &origin, checkpoint);
        self.send(content, origin, None)
    }

    /// Returns what the next write replaces.
    fn writable(&self) -> Result<&EffectiveRevision, LockError> {
        let Some(effective) = self.reader.effective() else {
            // Also if a read found the known history replaced and had no time to read the new one.
            return Err(LockError::Unfinished(
                "the gist has not been read yet; read it first".to_owned(),
            ));
        };
        ObservedBuilder::check_protocol(effective)?;
        Ok(effective)
    }

    fn send(&mut self, content: String, origin: Origin, foreign: Option<Arc<Stored>>) -> Step {
        let until = origin.supersedes;
        self.serve_next = false;
        self.begin(Call::Write(Sent {
            write_id: origin.write_id,
            supersedes: origin.supersedes,
            newest: self.reader.newest(),
            foreign,
            answered: false,
        }));
        Step::Ask(Request::Write { content, until })
    }

    /// Finds this process's write in the history of its answer, and whether it is effective.
    fn judge_write(&mut self, now: Instant, sent: &Sent) -> Result<Step, LockError> {
        if let Some(foreign) = &sent.foreign {
            return self.judge_foreign(now, sent.newest, foreign);
        }
        let written = self
            .reader
            .read_write(now, &sent.write_id, sent.supersedes)?;
        let written = match written {
            Read::Known(Some(written)) => written,
            Read::Known(None) => {
                return Err(unavailable("the answer's history does not show the write"));
            }
            Read::Ask(request) => return Ok(Step::Ask(request)),
        };
        if written.is_effective {
            let undisturbed = sent
                .newest
                .filter(|(newest, _)| written.parent == Some(*newest));
            self.reader.settle_write(now, written)?;
            self.call = None;
            return Ok(wrote(Ok(Written {
                head_known_since: undisturbed.map(|(_, since)| since),
            })));
        }
        // The get after a conflict is answered with the revision that is effective now.
        let effective = match self.reader.read_head(now, true)? {
            Read::Known(effective) => effective,
            Read::Ask(request) => return Ok(Step::Ask(request)),
        };
        self.reader.settle(now, effective)?;
        self.serve_next = true;
        self.call = None;
        Ok(wrote(Err(LockError::Conflict)))
    }

    // ---- the first read, and failures ----

    /// Sets the file at the first answer, and refuses a missing one beside other elections and an access
    /// token that cannot write.
    fn fix_file(&mut self, page: &GistPage) -> Result<(), LockError> {
        let file = match &self.file {
            Some(file) => file,
            None => {
                self.only_file = true;
                self.file.insert(only_file(&page.files)?)
            }
        };
        self.unnamed = self.only_file && page.files.iter().any(|other| other != file);
        self.missing = is_missing(page, file);
        if !self.accepted && !self.permits_new_election {
            check_exists(page, file)?;
        }
        match &page.scopes {
            Some(scopes) if !self.accepted && !scopes.is_empty() && !has_gist_scope(scopes) => {
                Err(LockError::Unauthorized(format!(
                    "GITHUB_API_TOKEN: the access token may not write gists, its scopes are `{scopes}`; use \
                     a token with the scope gist"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a file with unrelated text at the first read, and later if there never was a record.
    fn accept(&mut self, effective: &EffectiveRevision) -> Result<(), LockError> {
        if let Stored::Unrelated(why) = &*effective.stored
            && !(self.accepted && effective.longest_lease.is_some())
        {
            let file = self.file.as_deref().unwrap_or_default();
            return Err(LockError::Refused(format!(
                "GIST_FILE: the file {file:?} of the gist is not a lease record, {why}; name another file, or \
                 run `elector init`"
            )));
        }
        self.accepted = true;
        Ok(())
    }

    fn fail(&mut self, error: LockError) -> Step {
        match self.call.take() {
            Some(Call::Write(sent)) if sent.answered => {
                // The write landed, but its result could not be read.
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

/// Returns whether an access token with these scopes (`X-OAuth-Scopes`) may write gists.
#[must_use]
pub fn has_gist_scope(scopes: &str) -> bool {
    scopes.split(',').any(|scope| scope.trim() == "gist")
}
