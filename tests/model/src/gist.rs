//! A gist in the models: revisions in a chain, and the rule of the effective revision, applied to
//! the whole past of a revision.
//!
//! The lock is compared with this module, so it uses nothing of the lock but the types of requests
//! and answers. The rule is written directly from its description, and it parses only what it needs
//! of a text.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::{Commit, Text};

/// Number of a process's annotation that is above those of its writes.
pub const ANNOTATION: usize = 100;

/// Name of a write that follows the protocol: its process, and its number from 1, or from above
/// [`ANNOTATION`] for an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteId {
    pub process: usize,
    pub number: usize,
}

impl WriteId {
    /// Parses an id of a record.
    pub fn parse(id: &str) -> Option<WriteId> {
        let (process, number) = id.split_once('-')?;
        let process = NAMES.iter().position(|name| *name == process)?;
        let number = match number.strip_prefix('a') {
            Some(number) => ANNOTATION + number.parse::<usize>().ok()?,
            None => number.parse().ok()?,
        };
        Some(WriteId { process, number })
    }

    pub fn is_annotation(self) -> bool {
        self.number > ANNOTATION
    }
}

/// Names of the processes, with which their write ids begin.
pub const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A revision, and the result of the rule for its past.
#[derive(Debug)]
pub struct Entry {
    pub name: Revision,
    pub below: Option<usize>,
    pub text: Text,
    /// Write whose record it carries, even if another writer copied it.
    pub write: Option<WriteId>,
    /// Process's annotation that paused it, even of a foreign record.
    pub paused: Option<WriteId>,
    /// Holder's last write: its own, or for an effective annotation that of the record below.
    pub owner: Option<WriteId>,
    /// Whether it is an effective annotation that is not a copy of the record below.
    pub is_forged: bool,
    /// The effective revision.
    pub effect: usize,
    /// Longest lease and highest fencing token that a reader must know: from the newest effective
    /// revision that follows the protocol up to the effective one.
    pub longest_lease: Option<Duration>,
    pub highest_fencing_token: Option<u64>,
}

/// All revisions in order of creation, and the head.
#[derive(Clone, Debug)]
pub struct Gist {
    entries: Vec<Arc<Entry>>,
    head: usize,
}

impl PartialEq for Gist {
    fn eq(&self, other: &Self) -> bool {
        self.head == other.head && self.names().eq(other.names())
    }
}

impl Eq for Gist {}

/// A revision's name covers its past, so the names alone distinguish two gists.
impl Hash for Gist {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.head.hash(state);
        self.entries.len().hash(state);
        self.names().for_each(|name| name.hash(state));
    }
}

impl Gist {
    pub fn new(text: Text) -> Gist {
        let mut gist = Gist {
            entries: Vec::new(),
            head: 0,
        };
        gist.push(None, text);
        gist
    }

    fn names(&self) -> impl Iterator<Item = Revision> {
        self.entries.iter().map(|entry| entry.name)
    }

    /// Returns the number of revisions ever made.
    pub fn revisions(&self) -> usize {
        self.entries.len()
    }

    /// Returns the head.
    pub fn head(&self) -> usize {
        self.head
    }

    pub fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    pub fn find(&self, name: Revision) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }

    /// Returns a revision and its ancestors, newest first.
    pub fn past(&self, of: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(of), |index| self.entries[*index].below)
    }

    pub fn commits(&self, of: usize) -> impl Iterator<Item = Commit> {
        self.past(of).map(|index| Commit {
            revision: self.entries[index].name,
            committed_at: None,
        })
    }

    /// Returns the effective revisions up to a revision, newest first.
    pub fn effective_revisions(&self, of: usize) -> impl Iterator<Item = usize> {
        let before = |index: &usize| {
            let below = self.entries[*index].below?;
            Some(self.entries[below].effect)
        };
        std::iter::successors(Some(self.entries[of].effect), before)
    }

    /// Returns whether a write became effective up to a revision.
    pub fn became_effective(&self, write: WriteId, by: usize) -> bool {
        self.effective_revisions(by)
            .any(|index| self.entries[index].write == Some(write))
    }

    /// Adds a revision on top of the head.
    pub fn land(&mut self, text: Text) {
        self.push(Some(self.head), text);
    }

    /// Adds a revision on top of an older one, so that those above are lost.
    pub fn land_on(&mut self, below: usize, text: Text) {
        self.push(Some(below), text);
    }

    fn push(&mut self, below: Option<usize>, text: Text) {
        let name = name(below.map(|below| self.entries[below].name), &text);
        self.head = self.entries.len();
        let mut line: Vec<usize> = below.into_iter().flat_map(|at| self.past(at)).collect();
        line.reverse();
        let entries = || line.iter().map(|index| &self.entries[*index]);
        let names: Vec<Revision> = entries().map(|entry| entry.name).chain([name]).collect();
        let texts: Vec<&Text> = entries().map(|entry| &entry.text).chain([&text]).collect();
        line.push(self.head);
        let effective_revisions = effective_revisions(&names, &texts);
        let effect = effective_revisions.last().copied().unwrap_or(0);
        let (longest_lease, highest_fencing_token) = behind(&effective_revisions, &texts);
        let write = origin(&text).map(|(write, _)| write);
        let annotates = write.filter(|write| write.is_annotation());
        // The revision that an effective annotation replaced.
        let replaced = annotates
            .filter(|_| line[effect] == self.head)
            .and_then(|_| effective_revisions.iter().rev().nth(1))
            .map(|at| &self.entries[line[*at]]);
        let fields = |text: &Text| {
            let numbers = ["leaseDurationSeconds", "leaderTransitions"];
            let names = ["holderIdentity", "term", "renewId"];
            let names = names.map(|name| field(text, name).map(str::to_owned));
            (numbers.map(|name| number(text, name)), names)
        };
        let owner = match annotates {
            None => write,
            Some(_) => replaced.and_then(|below| below.owner),
        };
        let is_copy = |below: &Arc<Entry>| fields(&below.text) == fields(&text);
        let is_forged = replaced.is_some_and(|below| below.write.is_none() || !is_copy(below));
        self.entries.push(Arc::new(Entry {
            name,
            below,
            write,
            paused: field(&text, "paused").and_then(WriteId::parse),
            owner,
            is_forged,
            effect: line[effect],
            longest_lease,
            highest_fencing_token,
            text,
        }));
    }
}

/// Applies the rule, oldest first, and returns the indices of the effective revisions in order. A
/// revision with its parent's content is ignored. A write of the protocol is effective only if it
/// supersedes the effective revision. A foreign write always is, and so is the oldest revision.
fn effective_revisions(names: &[Revision], texts: &[&Text]) -> Vec<usize> {
    let mut effective_revisions = vec![0];
    let mut effective = 0;
    for at in 1..texts.len() {
        let superseded = origin(texts[at]).map(|(_, supersedes)| supersedes);
        let stale = superseded.is_some_and(|name| name != names[effective].to_string());
        if texts[at] == texts[at - 1] || stale {
            continue;
        }
        effective = at;
        effective_revisions.push(at);
    }
    effective_revisions
}

/// Returns the longest lease of the effective revisions and the highest fencing token of all
/// revisions, from the newest effective one of the protocol (or the oldest revision) up to the
/// effective one.
fn behind(effective_revisions: &[usize], texts: &[&Text]) -> (Option<Duration>, Option<u64>) {
    let ours = |at: &&usize| origin(texts[**at]).is_some();
    let from = effective_revisions
        .iter()
        .rev()
        .find(ours)
        .copied()
        .unwrap_or(0);
    let to = effective_revisions.last().copied().unwrap_or(0);
    let became_effective = effective_revisions
        .iter()
        .filter(|at| (from..=to).contains(*at));
    let leases = became_effective.filter_map(|at| number(texts[*at], "leaseDurationSeconds"));
    let tokens = texts[from..=to].iter();
    let tokens = tokens.filter_map(|text| number(text, "leaderTransitions"));
    (leases.max().map(Duration::from_secs), tokens.max())
}

/// Returns the write of a text and the name that it supersedes; `None` for a foreign write.
fn origin(text: &Text) -> Option<(WriteId, &str)> {
    let id = field(text, "writeId")?;
    let supersedes = field(text, "supersedes")?;
    Some((WriteId::parse(id)?, supersedes))
}

fn after<'a>(text: &'a Text, name: &str) -> Option<&'a str> {
    let Text::Whole(text) = text else {
        return None;
    };
    let found = text.find(&format!("\"{name}\":"))?;
    Some(&text[found + name.len() + 3..])
}

fn field<'a>(text: &'a Text, name: &str) -> Option<&'a str> {
    after(text, name)?.strip_prefix('"')?.split('"').next()
}

/// Returns the value of a numeric field.
pub fn number(text: &Text, name: &str) -> Option<u64> {
    let digits = after(text, name)?.split(|c: char| !c.is_ascii_digit());
    digits.into_iter().next()?.parse().ok()
}

/// Returns the name of a revision: like git's, a hash of the content and of the parent's name.
fn name(below: Option<Revision>, text: &Text) -> Revision {
    let mut bytes = [0; 20];
    for (half, salt) in bytes.chunks_exact_mut(8).zip(0_u8..) {
        let mut hasher = DefaultHasher::new();
        (salt, below, text).hash(&mut hasher);
        half.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    Revision::from_bytes(bytes)
}
