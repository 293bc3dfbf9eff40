//! A gist as the models see it: revisions, one on top of the other, and the rule of what is in effect,
//! applied to the whole past of a revision.
//!
//! This is the side that the lock is held against, so nothing here comes from it but the types of its
//! requests and answers. The rule is written straight from its description, and a text is read no
//! further than the rule needs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::{Commit, Text};

/// A write of ours: which process wrote it, and which of its writes it is, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteId {
    pub process: usize,
    pub number: usize,
}

/// The names of the processes, as their write ids begin.
pub const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A revision, and what the rule says of its past.
#[derive(Debug)]
pub struct Entry {
    pub name: Revision,
    pub below: Option<usize>,
    pub text: Text,
    /// The write whose record it carries, whoever put it there.
    pub write: Option<WriteId>,
    /// The revision in effect here.
    pub effect: usize,
    /// The longest lease and the highest token that a reader must know of here: from the newest revision
    /// of ours that took effect up to the one in effect.
    pub longest_lease: Option<Duration>,
    pub highest_fencing_token: Option<u64>,
}

/// Every revision ever made, in the order they were made, and which one is the newest.
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

/// A revision's name covers its past, so the names are all there is to tell two gists apart by.
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

    /// How many revisions were ever made.
    pub fn revisions(&self) -> usize {
        self.entries.len()
    }

    /// The newest revision.
    pub fn head(&self) -> usize {
        self.head
    }

    pub fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    pub fn find(&self, name: Revision) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }

    /// A revision and all below it, newest first.
    pub fn past(&self, of: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(of), |index| self.entries[*index].below)
    }

    pub fn commits(&self, of: usize) -> impl Iterator<Item = Commit> {
        self.past(of).map(|index| Commit {
            revision: self.entries[index].name,
            committed_at: None,
        })
    }

    /// Those in effect one after the other up to a revision, newest first.
    pub fn effects(&self, of: usize) -> impl Iterator<Item = usize> {
        let before = |index: &usize| {
            let below = self.entries[*index].below?;
            Some(self.entries[below].effect)
        };
        std::iter::successors(Some(self.entries[of].effect), before)
    }

    /// Whether a write has taken effect by a revision.
    pub fn took_effect(&self, write: WriteId, by: usize) -> bool {
        self.effects(by)
            .any(|index| self.entries[index].write == Some(write))
    }

    /// Puts a revision on top of the newest one.
    pub fn land(&mut self, text: Text) {
        self.push(Some(self.head), text);
    }

    /// Puts a revision on top of an older one, so that those above that vanish.
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
        let effects = effects(&names, &texts);
        let effect = effects.last().copied().unwrap_or(0);
        let (longest_lease, highest_fencing_token) = behind(&effects, &texts);
        self.entries.push(Arc::new(Entry {
            name,
            below,
            write: origin(&text).map(|(write, _)| write),
            effect: line[effect],
            longest_lease,
            highest_fencing_token,
            text,
        }));
    }
}

/// The rule, oldest first: one whose content equals that of the one right below is passed over; one of
/// ours takes effect only if it supersedes the revision in effect; a plain one always does; the oldest
/// is in effect whatever it carries. The places of those that took effect, in order.
fn effects(names: &[Revision], texts: &[&Text]) -> Vec<usize> {
    let mut effects = vec![0];
    let mut in_effect = 0;
    for at in 1..texts.len() {
        let superseded = origin(texts[at]).map(|(_, supersedes)| supersedes);
        let stale = superseded.is_some_and(|name| name != names[in_effect].to_string());
        if texts[at] == texts[at - 1] || stale {
            continue;
        }
        in_effect = at;
        effects.push(at);
    }
    effects
}

/// From the newest revision of ours that took effect (the oldest of all, if there is none) up to the one
/// in effect: the longest lease of those that took effect, and the highest token of any.
fn behind(effects: &[usize], texts: &[&Text]) -> (Option<Duration>, Option<u64>) {
    let ours = |at: &&usize| origin(texts[**at]).is_some();
    let from = effects.iter().rev().find(ours).copied().unwrap_or(0);
    let to = effects.last().copied().unwrap_or(0);
    let took_effect = effects.iter().filter(|at| (from..=to).contains(*at));
    let leases = took_effect.filter_map(|at| number(texts[*at], "leaseDurationSeconds"));
    let tokens = texts[from..=to].iter();
    let tokens = tokens.filter_map(|text| number(text, "leaderTransitions"));
    (leases.max().map(Duration::from_secs), tokens.max())
}

/// Which write of ours a text is, and the name of what it supersedes; `None` for a plain one.
fn origin(text: &Text) -> Option<(WriteId, &str)> {
    let id = field(text, "writeId")?;
    let supersedes = field(text, "supersedes")?;
    let (process, number) = id.split_once('-')?;
    let process = NAMES.iter().position(|name| *name == process)?;
    let number = number.parse().ok()?;
    Some((WriteId { process, number }, supersedes))
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

/// The value of a field that is a number.
pub fn number(text: &Text, name: &str) -> Option<u64> {
    let digits = after(text, name)?.split(|c: char| !c.is_ascii_digit());
    digits.into_iter().next()?.parse().ok()
}

/// As git names a commit: by its content and by the name of the one below.
fn name(below: Option<Revision>, text: &Text) -> Revision {
    let mut bytes = [0; 20];
    for (half, salt) in bytes.chunks_exact_mut(8).zip(0_u8..) {
        let mut hasher = DefaultHasher::new();
        (salt, below, text).hash(&mut hasher);
        half.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    Revision::from_bytes(bytes)
}
