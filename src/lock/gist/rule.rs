//! Which revision of a gist is in effect.
//!
//! A gist takes every write that is sent to it, so that a write alone decides nothing. But every
//! write becomes a revision, and everybody reads the revisions in one order. So each write is taken
//! for a command, "replace revision S by this record", and everybody applies the same rule, oldest
//! first:
//!
//! - A revision whose content for our file equals that of the one right below it (another file was
//!   written) is passed over.
//! - One of ours (it says what it supersedes) takes effect only if that is the revision in effect.
//! - A plain one (a person's, or client-go's) always takes effect.
//! - The oldest revision is in effect whatever it carries.
//!
//! What a revision does depends only on its own past, so all who see the same past agree.
//!
//! Nobody needs the whole history for it. What one of ours supersedes did take effect once, as its
//! writer applied the same rule to the same past. So did a plain change. [`resolve`] walks down to the
//! nearest of these and applies the rule forward from there; one of ours right on top of what it
//! supersedes, the usual case, is in effect itself. Under a plain overwrite it looks further back, to
//! the newest revision of ours that took effect, to know which leases were overwritten. It reads
//! nothing itself: it says what it has to see next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::revision::Revision;
use super::stored::{PROTOCOL, Stored};
use super::wire::{Commit, Text};

/// What our file held in a revision, as text and as read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RevisionContent {
    /// The text, to be compared with its neighbours'.
    pub text: Text,
    /// What it means.
    pub stored: Arc<Stored>,
}

impl RevisionContent {
    /// Reads a text.
    #[must_use]
    pub fn new(text: Text) -> RevisionContent {
        let stored = Arc::new(Stored::read(&text));
        RevisionContent { text, stored }
    }
}

/// The revisions whose content is known.
pub type RevisionContents = BTreeMap<Revision, RevisionContent>;

/// The revision in effect, and what it may have overwritten.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EffectiveRevision {
    /// Its name: where its content was written.
    pub commit: Commit,
    /// What it holds.
    pub stored: Arc<Stored>,
    /// Whether it and everything back to the newest revision of ours that took effect was seen.
    pub settled: bool,
    /// The longest lease of any record from that one up to this; `None` if there is no record.
    pub longest_lease: Option<Duration>,
    /// A revision on the way here goes by a newer rule, so that what is in effect is not known.
    pub newer_protocol: Option<u64>,
}

impl EffectiveRevision {
    /// Where the rule is begun: a revision that took effect, whatever came before it. `settled` says
    /// that nothing below it matters, as is so for every one of ours and for every floor.
    fn beginning(commit: Commit, stored: &Arc<Stored>, settled: bool) -> EffectiveRevision {
        EffectiveRevision {
            commit,
            stored: Arc::clone(stored),
            settled: settled || stored.origin().is_some() || is_checkpoint(stored),
            longest_lease: stored.lease(),
            newer_protocol: newer_protocol(stored),
        }
    }

    /// Applies the rule to the revision that comes next.
    fn apply(&mut self, commit: Commit, seen: &RevisionContent, below: &RevisionContent) {
        if seen.text == below.text {
            return;
        }
        match seen.stored.origin() {
            Some(origin) if origin.supersedes == self.commit.revision => {
                // What it replaces its writer understood; what was passed over, perhaps not.
                let replaced = newer_protocol(&self.stored);
                let newer = self
                    .newer_protocol
                    .filter(|_| self.newer_protocol != replaced);
                *self = EffectiveRevision::beginning(commit, &seen.stored, false);
                self.newer_protocol = self.newer_protocol.or(newer);
            }
            Some(_) => {
                self.newer_protocol = self.newer_protocol.or(newer_protocol(&seen.stored));
            }
            None => {
                self.commit = commit;
                self.stored = Arc::clone(&seen.stored);
                self.settled |= is_checkpoint(&seen.stored);
                self.newer_protocol = newer_protocol(&seen.stored);
                self.longest_lease = self.longest_lease.max(seen.stored.lease());
            }
        }
    }
}

pub(super) fn is_checkpoint(stored: &Stored) -> bool {
    stored.record().is_some_and(|stored| stored.checkpoint)
}

fn newer_protocol(stored: &Stored) -> Option<u64> {
    let protocol = stored.record()?.protocol;
    (protocol > PROTOCOL).then_some(protocol)
}

/// A point of the history up to which the rule was applied before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Base {
    /// Up to and with this revision.
    pub at: Revision,
    /// What is in effect there.
    pub effect: EffectiveRevision,
}

/// The part of the history that is known: its newest revisions, newest first, without a gap.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The revisions.
    pub commits: &'a [Commit],
    /// Whether the last one of them is the oldest of all.
    pub complete: bool,
    /// Those whose content is known.
    pub seen: &'a RevisionContents,
}

/// What came of [`resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This is in effect.
    Resolved(EffectiveRevision),
    /// The content of this revision has to be seen first.
    NeedText(Revision),
    /// Revisions older than the last one known have to be seen first.
    NeedOlder,
}

/// Finds the revision in effect at the newest revision known.
///
/// `base` is a shortcut, and one that is not among `known.commits` is not used.
#[must_use]
pub fn resolve(known: Known<'_>, base: Option<&Base>) -> Progress {
    resolve_on(known, base, &mut Walk::default())
}

/// As [`resolve`]; `walk` remembers from one call to the next how far the search has come, so that a
/// long history is not searched from its top each time that one more revision is known.
#[must_use]
pub fn resolve_on(known: Known<'_>, base: Option<&Base>, walk: &mut Walk) -> Progress {
    match try_resolve(known, base, walk) {
        Ok(effect) => Progress::Resolved(effect),
        Err(missing) => missing.into(),
    }
}

/// As [`resolve`], but does not look below a plain overwrite for what it may have replaced.
#[must_use]
pub fn resolve_effective(known: Known<'_>, base: Option<&Base>) -> Progress {
    match try_resolve_in_effect(known, base, &mut Walk::default()) {
        Ok((effect, _)) => Progress::Resolved(effect),
        Err(missing) => missing.into(),
    }
}

enum Missing {
    Text(Revision),
    Older,
}

impl From<Missing> for Progress {
    fn from(missing: Missing) -> Progress {
        match missing {
            Missing::Text(revision) => Progress::NeedText(revision),
            Missing::Older => Progress::NeedOlder,
        }
    }
}

/// How far the search for a start has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Walk {
    to_effect: Scan,
    to_settled: Scan,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Scan {
    /// The newest revision, the place below it where the search began, and the base.
    began: Option<(Revision, usize, Option<Revision>)>,
    /// The first place that is not known to be no start.
    next: usize,
    /// What those above it say they supersede.
    named: BTreeSet<Revision>,
    named_last: Option<Revision>,
}

impl Scan {
    fn resume(&mut self, head: Revision, from: usize, base: Option<&Base>) {
        let began = Some((head, from, base.map(|base| base.at)));
        if self.began != began {
            *self = Scan {
                began,
                next: from,
                ..Scan::default()
            };
        }
    }

    /// The place has been passed, and says that it supersedes this.
    fn pass(&mut self, supersedes: Option<Revision>) {
        self.next += 1;
        // Other files' revisions repeat what the one below them says.
        if supersedes != self.named_last {
            self.named.extend(supersedes);
            self.named_last = supersedes;
        }
    }
}

/// A place in the history from which the rule can be applied forward.
struct Start {
    index: usize,
    effect: EffectiveRevision,
}

/// Which places a search for a start takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Search {
    /// Any from which the revision in effect can be found.
    EffectiveRevision,
    /// Those from which all that was overwritten may be known as well.
    Settled,
}

fn try_resolve(
    known: Known<'_>,
    base: Option<&Base>,
    walk: &mut Walk,
) -> Result<EffectiveRevision, Missing> {
    let base = base.filter(|base| known.position(base.at).is_some());
    let (mut effect, mut below) = try_resolve_in_effect(known, base, walk)?;
    // A newer rule further back does not matter to what a plain overwrite says.
    let newer_protocol = effect.newer_protocol;
    while !effect.settled {
        let start = known.next_start(below, Search::Settled, base, &mut walk.to_settled)?;
        below = start.index + 1;
        effect = known.fold(start)?;
    }
    effect.newer_protocol = newer_protocol;
    Ok(effect)
}

/// What is in effect, and the place below the one that it was found from.
fn try_resolve_in_effect(
    known: Known<'_>,
    base: Option<&Base>,
    walk: &mut Walk,
) -> Result<(EffectiveRevision, usize), Missing> {
    let start = known.next_start(0, Search::EffectiveRevision, base, &mut walk.to_effect)?;
    let below = start.index + 1;
    Ok((known.fold(start)?, below))
}

impl Known<'_> {
    fn position(&self, revision: Revision) -> Option<usize> {
        self.commits
            .iter()
            .position(|commit| commit.revision == revision)
    }

    fn commit(&self, index: usize) -> Result<Commit, Missing> {
        self.commits.get(index).copied().ok_or(Missing::Older)
    }

    fn seen(&self, index: usize) -> Result<&RevisionContent, Missing> {
        let revision = self.commit(index)?.revision;
        self.seen.get(&revision).ok_or(Missing::Text(revision))
    }

    fn is_oldest(&self, index: usize) -> bool {
        self.complete && index + 1 == self.commits.len()
    }

    /// The newest place at or below `from` where a revision is known to have taken effect.
    fn next_start(
        &self,
        from: usize,
        search: Search,
        base: Option<&Base>,
        scan: &mut Scan,
    ) -> Result<Start, Missing> {
        scan.resume(self.commit(0)?.revision, from, base);
        for index in scan.next.. {
            let commit = self.commit(index)?;
            let seen = self.seen(index)?;
            if let Some(base) = base
                && base.at == commit.revision
            {
                let effect = base.effect.clone();
                return Ok(Start { index, effect });
            }
            let oldest = self.is_oldest(index);
            let starts = oldest
                || scan.named.contains(&commit.revision)
                || self.took_effect(index, search)?;
            if starts {
                let effect = EffectiveRevision::beginning(commit, &seen.stored, oldest);
                return Ok(Start { index, effect });
            }
            let supersedes = seen.stored.origin().map(|origin| origin.supersedes);
            if index + 1 == self.commits.len() {
                // It may turn out to be the oldest of all.
                break;
            }
            scan.pass(supersedes);
        }
        Err(Missing::Older)
    }

    /// Whether this revision shows by itself, and the one right below it, that it took effect.
    fn took_effect(&self, index: usize, search: Search) -> Result<bool, Missing> {
        let seen = self.seen(index)?;
        match seen.stored.origin() {
            Some(origin) => Ok(origin.supersedes == self.commit(index + 1)?.revision),
            None if search == Search::EffectiveRevision || is_checkpoint(&seen.stored) => {
                Ok(self.seen(index + 1)?.text != seen.text)
            }
            None => Ok(false),
        }
    }

    /// Applies the rule from `start` up to the newest revision.
    fn fold(&self, start: Start) -> Result<EffectiveRevision, Missing> {
        let mut effect = start.effect;
        for index in (0..start.index).rev() {
            effect.apply(
                self.commit(index)?,
                self.seen(index)?,
                self.seen(index + 1)?,
            );
        }
        Ok(effect)
    }
}
