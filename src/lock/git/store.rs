//! A branch of a git repository as a store: the version is its newest commit. Pure.
//!
//! ```text
//!   read ───▶ ls-refs ──▶ known commit? ── no ──▶ fetch ──▶ gone? ls-refs again
//!   write ──▶ push ──┬─▶ ok
//!                    └─▶ refused or unclear ──▶ ls-refs ──▶ this commit, another, or the old one
//! ```
//!
//! **Parents.** A term's claim is put on the claim of the term before, so that the repository keeps one commit
//! per term and the renewals of the present one. A renewal is put on the renewal before, and after
//! [`GitPlace::writes_kept`] of them on the term's claim. Both are forced pushes, which the server carries
//! out only if the branch is still at the commit that they replace. Where it refuses them, commits are
//! put on the newest one. Commits that no elector made are never removed.

use std::sync::Arc;

use super::object::{Commit, ObjectId, ObjectKind, Tree, claim_message, renewal_message};
use super::pack::{self, Limits, PackError};
use super::requests::{Abilities, Fetched, HEAD, Head, Remote, Report};
use crate::election::lock::LockError;
use crate::election::record::LeaderElectionRecord;
use crate::fmt::{one_line, unix_time};
use crate::lock::store::{Answer, LONGEST_VALUE, Response, Snapshot, Step, Store, Version};

/// Renewals of a term that a branch keeps.
pub const WRITES_KEPT: u32 = 1_000;

/// File with the record, if none is named.
pub const FILE: &str = "leader.json";

/// Times that one read asks for a commit that is gone.
const ATTEMPTS: u32 = 3;

/// Bounds of the objects of one commit.
pub const ONE_COMMIT: Limits = Limits {
    objects: 10_000,
    object: 1024 * 1024,
    total: 16 * 1024 * 1024,
};

/// Place of a record in a git repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GitPlace {
    /// Repository.
    pub remote: Remote,
    /// Full name of the branch, or [`HEAD`] for the one that the repository shows first.
    pub reference: String,
    /// File; `None` for the only one, or else `leader.json`.
    pub file: Option<String>,
    /// Renewals of a term that the branch keeps.
    pub writes_kept: u32,
}

/// Newest commit that was read or written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Known {
    head: Head,
    /// Commit that the next term's claim is put on.
    base: ObjectId,
    tree: Tree,
    value: Option<Arc<[u8]>>,
    record: Option<Arc<LeaderElectionRecord>>,
}

/// Push that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Push {
    old: ObjectId,
    /// State after it.
    after: Known,
    /// Whether it removes commits from the branch.
    forced: bool,
    /// Renewals on the branch after it.
    chained: u32,
}

/// Reason why the branch is read after a push.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Doubt {
    /// The server refused it, for this reason.
    Refused(String),
    /// There is no clear answer, for this reason.
    Unclear(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Nothing,
    Abilities,
    Head,
    Objects(Head),
    Push(Push),
    HeadAfter(Push, Doubt),
}

/// A file on a branch of a git repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GitStore {
    place: GitPlace,
    abilities: Option<Abilities>,
    known: Option<Known>,
    asked: Asked,
    /// Fetches of this read that found the commit gone.
    gone: u32,
    /// Renewals on the branch since the present term's claim.
    chained: u32,
    /// Writes that are put on the newest commit, because the server refused to remove commits.
    plain_left: u32,
    /// Reason of the last push, if the server refused it.
    refused: Option<String>,
    /// The server's clock at the last answer, or else this machine's, in seconds since the Unix epoch.
    date: i64,
}

impl GitStore {
    /// Returns a store that has read nothing yet.
    #[must_use]
    pub fn new(place: GitPlace) -> GitStore {
        GitStore {
            place,
            abilities: None,
            known: None,
            asked: Asked::Nothing,
            gone: 0,
            chained: 0,
            plain_left: 0,
            refused: None,
            date: 0,
        }
    }

    /// Returns the newest commit that was read, and the server's abilities.
    #[must_use]
    pub fn newest(&self) -> Option<(ObjectId, Abilities)> {
        Some((self.known.as_ref()?.head.commit, self.abilities?))
    }

    /// Returns the name of the file, as far as it is known.
    #[must_use]
    pub fn file(&self) -> &str {
        self.place.file.as_deref().unwrap_or(FILE)
    }

    fn ask_head(&mut self) -> Step {
        self.asked = Asked::Head;
        Step::ask(self.place.remote.ask_head(&self.place.reference))
    }

    // ---- reads ----

    fn on_head(&mut self, response: &Response) -> Result<Step, LockError> {
        let head = self.place.remote.head(response, &self.place.reference)?;
        let Some(head) = head else {
            if self.place.reference == HEAD {
                return Err(LockError::NotFound(format!(
                    "{}: the repository is empty; create another one",
                    self.place.remote.place
                )));
            }
            self.known = None;
            return Ok(self.snapshot(response));
        };
        if self.known.as_ref().is_some_and(|known| known.head == head) {
            return Ok(self.snapshot(response));
        }
        let abilities = self.abilities.unwrap_or(Abilities { filter: false });
        let request = self.place.remote.ask_objects(head.commit, 1, abilities);
        self.asked = Asked::Objects(head);
        Ok(Step::ask(request))
    }

    fn on_objects(&mut self, head: Head, response: &Response) -> Result<Step, LockError> {
        let pack = match self.place.remote.objects(response)? {
            Fetched::Pack(pack) => pack,
            Fetched::Refused(_) if self.gone + 1 < ATTEMPTS => {
                self.gone += 1;
                return Ok(self.ask_head());
            }
            Fetched::Refused(why) => {
                return Err(LockError::Unavailable(format!(
                    "{}: the server did not send the newest commit {ATTEMPTS} times in a row: {why}",
                    self.place.remote.place
                )));
            }
        };
        self.known = Some(self.parse(head, &pack)?);
        Ok(self.snapshot(response))
    }

    fn parse(&mut self, head: Head, pack: &[u8]) -> Result<Known, LockError> {
        let remote = &self.place.remote;
        let objects = pack::read(pack, ONE_COMMIT).map_err(|error| match error {
            PackError::TooLarge => LockError::Refused(remote.too_large()),
            PackError::Damaged => remote.not_understood(),
        })?;
        let commit = objects.get(ObjectKind::Commit, head.commit);
        let commit = commit.and_then(Commit::parse);
        let commit = commit.ok_or_else(|| remote.not_understood())?;
        let tree = match objects.get(ObjectKind::Tree, commit.tree) {
            Some(tree) => Tree::parse(tree),
            // Git's servers need not send the empty tree.
            None if commit.tree == ObjectId::of(ObjectKind::Tree, b"") => Some(Tree::default()),
            None => None,
        };
        let tree = tree.ok_or_else(|| remote.not_understood())?;
        let file = match &self.place.file {
            Some(file) => file,
            None => {
                let file = only_file(&tree, remote)?;
                self.place.file.insert(file)
            }
        };
        let value = match tree.entry(file) {
            None => None,
            Some(entry) if !entry.is_file() => {
                return Err(LockError::Refused(format!(
                    "{}: {} is not a plain file; name another one",
                    remote.place,
                    one_line(file)
                )));
            }
            Some(entry) => match objects.get(ObjectKind::Blob, entry.id) {
                Some(value) if value.len() <= LONGEST_VALUE => Some(Arc::from(value)),
                _ => {
                    return Err(LockError::Refused(format!(
                        "{}: {} is larger than {} kB, so it is not a lease record; name another \
                         file",
                        remote.place,
                        one_line(file),
                        LONGEST_VALUE / 1024
                    )));
                }
            },
        };
        Ok(Known {
            base: commit.base().unwrap_or(head.commit),
            head,
            tree,
            record: value.as_deref().and_then(record).map(Arc::new),
            value,
        })
    }

    fn snapshot(&self, response: &Response) -> Step {
        let known = self.known.as_ref();
        Step::Read(Ok(Snapshot {
            value: known.and_then(|known| known.value.clone()),
            version: known.map(|known| version(known.head.commit)),
            server_time: response.date(),
            // The commit has the time of its writer's clock.
            written_at: None,
        }))
    }

    // ---- writes ----

    /// Makes the push of a value in place of `old`, and its pack.
    fn push(&mut self, old: ObjectId, value: &[u8]) -> Result<Step, LockError> {
        let known = match old {
            ObjectId::ZERO => None,
            _ => self.known.as_ref(),
        };
        let target = self
            .known
            .as_ref()
            .map(|known| known.head.reference.clone());
        let reference = match self.place.reference.as_str() {
            HEAD => target.ok_or_else(|| {
                LockError::Unfinished(format!("{}: nothing was read yet", self.place.remote.place))
            })?,
            reference => reference.to_owned(),
        };
        let record = record(value).map(Arc::new);
        let before = known.and_then(|known| known.record.as_ref());
        let term = |record: &Arc<LeaderElectionRecord>| record.leader_transitions;
        let claims = record.is_some() && before.map(term) != record.as_ref().map(term);
        let cuts = claims || self.chained >= self.place.writes_kept;
        let cuts = cuts && self.plain_left == 0;
        let parent = known.map(|known| match cuts {
            true => known.base,
            false => known.head.commit,
        });
        let forced = parent != known.map(|known| known.head.commit);
        let subject = subject(record.as_deref());
        let message = match known {
            Some(known) if !claims => renewal_message(&subject, known.base),
            _ => claim_message(&subject, before.map(|before| previous(before)).as_deref()),
        };
        let renewed = record
            .as_ref()
            .and_then(|record| unix_time(&record.renew_time));
        let blob = ObjectId::of(ObjectKind::Blob, value);
        let tree = known.map(|known| known.tree.clone()).unwrap_or_default();
        let tree = tree.with_file(self.file(), blob);
        let content = tree.to_bytes();
        let commit = Commit {
            tree: ObjectId::of(ObjectKind::Tree, &content),
            parent,
            time: renewed.unwrap_or(self.date),
            by_elector: true,
            message,
        };
        let base = commit.base();
        let commit = commit.to_bytes();
        let id = ObjectId::of(ObjectKind::Commit, &commit);
        let pack = pack::write(&[
            (ObjectKind::Commit, &commit),
            (ObjectKind::Tree, &content),
            (ObjectKind::Blob, value),
        ]);
        let request = self.place.remote.push(&reference, old, id, &pack);
        self.asked = Asked::Push(Push {
            old,
            after: Known {
                base: base.unwrap_or(id),
                head: Head {
                    reference,
                    commit: id,
                },
                tree,
                value: Some(Arc::from(value)),
                record,
            },
            forced,
            chained: match (claims, cuts) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => self.chained + 1,
            },
        });
        Ok(Step::ask(request))
    }

    fn on_report(&mut self, push: Push, answer: Answer) -> Result<Step, LockError> {
        let reference = push.after.head.reference.as_str();
        let report = match answer.reply {
            Ok(response) => self.place.remote.report(&response, reference),
            Err(failure) => Err(failure.error(true)),
        };
        let doubt = match report {
            Ok(Report::Done) => return Ok(self.landed(push)),
            Ok(Report::Refused(why)) => Doubt::Refused(why),
            Err(LockError::OutcomeUnknown(why)) => Doubt::Unclear(why),
            Err(error) => return Err(error),
        };
        let step = self.ask_head();
        self.asked = Asked::HeadAfter(push, doubt);
        Ok(step)
    }

    fn on_head_after(
        &mut self,
        push: Push,
        doubt: Doubt,
        response: &Response,
    ) -> Result<Step, LockError> {
        let head = self.place.remote.head(response, &self.place.reference);
        let head = head.map_err(|error| {
            let (Doubt::Refused(why) | Doubt::Unclear(why)) = &doubt;
            LockError::OutcomeUnknown(format!("{why}; {error}"))
        })?;
        let commit = head.map_or(ObjectId::ZERO, |head| head.commit);
        if commit == push.after.head.commit {
            return Ok(self.landed(push));
        }
        if commit != push.old {
            return Err(LockError::Conflict);
        }
        let place = &self.place.remote.place;
        match doubt {
            Doubt::Unclear(why) => Err(LockError::OutcomeUnknown(why)),
            Doubt::Refused(_) if push.forced => {
                self.plain_left = self.place.writes_kept.max(1);
                let value = push.after.value.unwrap_or_default();
                self.push(push.old, &value)
            }
            Doubt::Refused(why) if self.refused.as_ref() == Some(&why) => {
                Err(LockError::Refused(format!(
                    "{place}: the server refuses pushes to the branch: {why}; check its protection \
                     and hooks"
                )))
            }
            Doubt::Refused(why) => {
                let error =
                    LockError::OutcomeUnknown(format!("{place}: the push was refused: {why}"));
                self.refused = Some(why);
                Err(error)
            }
        }
    }

    fn landed(&mut self, push: Push) -> Step {
        self.refused = None;
        self.chained = push.chained;
        self.plain_left = self.plain_left.saturating_sub(1);
        let version = version(push.after.head.commit);
        self.known = Some(push.after);
        Step::Wrote(Ok(version))
    }
}

impl Store for GitStore {
    fn read(&mut self) -> Step {
        self.gone = 0;
        if self.abilities.is_some() {
            return self.ask_head();
        }
        self.asked = Asked::Abilities;
        Step::ask(self.place.remote.ask_abilities())
    }

    fn write(&mut self, expected: Option<&Version>, value: &[u8]) -> Step {
        self.asked = Asked::Nothing;
        let old = match expected {
            None => Some(ObjectId::ZERO),
            Some(version) => version.0.parse().ok(),
        };
        let newest = self.known.as_ref().map(|known| known.head.commit);
        let step = match old {
            // Only the newest commit can be replaced. The server must refuse the impossible ones.
            Some(old @ (ObjectId::ZERO | ObjectId::IMPOSSIBLE)) => self.push(old, value),
            Some(old) if newest == Some(old) => self.push(old, value),
            _ => Err(LockError::Conflict),
        };
        step.unwrap_or_else(|error| Step::Wrote(Err(error)))
    }

    fn handle(&mut self, answer: Answer) -> Step {
        let date = answer.reply.as_ref().ok().and_then(Response::date);
        self.date = date.unwrap_or(answer.received_at);
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Push(push) => {
                let step = self.on_report(push, answer);
                step.unwrap_or_else(|error| Step::Wrote(Err(error)))
            }
            Asked::HeadAfter(push, doubt) => {
                let step = match answer.reply {
                    Ok(response) => self.on_head_after(push, doubt, &response),
                    Err(failure) => {
                        let (Doubt::Refused(why) | Doubt::Unclear(why)) = doubt;
                        let second = failure.error(false);
                        Err(LockError::OutcomeUnknown(format!("{why}; {second}")))
                    }
                };
                step.unwrap_or_else(|error| Step::Wrote(Err(error)))
            }
            asked => {
                let response = answer.reply.map_err(|failure| failure.error(false));
                let step = response.and_then(|response| match asked {
                    Asked::Abilities => {
                        self.abilities = Some(self.place.remote.abilities(&response)?);
                        Ok(self.ask_head())
                    }
                    Asked::Head => self.on_head(&response),
                    Asked::Objects(head) => self.on_objects(head, &response),
                    _ => Err(self.place.remote.not_understood()),
                });
                step.unwrap_or_else(|error| Step::Read(Err(error)))
            }
        }
    }

    fn impossible_version(&self) -> Version {
        version(ObjectId::IMPOSSIBLE)
    }

    fn describe(&self) -> String {
        self.place.remote.place.clone()
    }
}

fn version(commit: ObjectId) -> Version {
    Version(commit.to_string().into())
}

fn record(value: &[u8]) -> Option<LeaderElectionRecord> {
    LeaderElectionRecord::from_json(std::str::from_utf8(value).ok()?).ok()
}

/// Returns the first line of a commit's message.
fn subject(record: Option<&LeaderElectionRecord>) -> String {
    let Some(record) = record else {
        return "lease record".to_owned();
    };
    let token = record.leader_transitions;
    match one_line(&record.holder_identity).as_str() {
        "" => format!("lease free, fencing token {token}"),
        holder => format!("lease held by {holder}, fencing token {token}"),
    }
}

/// Returns how the term of a record ended, whose lease was acquired by another, and why its holder
/// stopped leading.
fn previous(record: &LeaderElectionRecord) -> String {
    match record.holder_identity.as_str() {
        "" => one_line(&format!("released {}", record.stop_reason())),
        _ => "expired".to_owned(),
    }
}

/// Returns the tree's only file, or else `leader.json` if there is one.
fn only_file(tree: &Tree, remote: &Remote) -> Result<String, LockError> {
    let entry = match tree.entries.as_slice() {
        [] => return Ok(FILE.to_owned()),
        [entry] => Some(entry),
        _ => tree.entry(FILE),
    };
    let name = entry.map(|entry| String::from_utf8(entry.name.clone()));
    match name {
        Some(Ok(name)) => Ok(name),
        _ => Err(LockError::Refused(format!(
            "{}: it has several files; name one in LOCK",
            remote.place
        ))),
    }
}
