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
//! Nobody needs the whole history for it. One of ours that supersedes the revision right below it,
//! not counting other files' writes in between, is in effect, as its writer computed the same; so is
//! a plain change. [`resolve`] walks down to the
//! nearest of these and applies the rule forward from there. Under a plain overwrite it looks
//! further back, to the newest revision of ours that took effect, to know which leases were
//! overwritten. It reads nothing itself: it says what it has to see next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::revision::Revision;
use super::stored::{PROTOCOL, Stored};
use super::wire::{Commit, Text};

/// What our file held in a revision, as text and as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The text, to be compared with its neighbours'.
    pub text: Text,
    /// What it means.
    pub stored: Arc<Stored>,
}

impl Seen {
    /// Reads a text.
    #[must_use]
    pub fn new(text: Text) -> Seen {
        let stored = Arc::new(Stored::read(&text));
        Seen { text, stored }
    }
}

/// The revisions whose content is known.
pub type SeenRevisions = HashMap<Revision, Seen>;

/// The revision in effect, and what it may have overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Its name: where its content was written.
    pub commit: Commit,
    /// What it holds.
    pub stored: Arc<Stored>,
    /// Whether it and everything back to the newest revision of ours that took effect was seen.
    pub settled: bool,
    /// The longest lease of any record from that one up to this; `None` if there is no record.
    pub longest_lease: Option<Duration>,
    /// The longest lease of those above this one that were passed over.
    passed_over: Option<Duration>,
    /// A revision on the way here goes by a newer rule, so that what is in effect is not known.
    pub newer_protocol: Option<u64>,
}

impl Effect {
    /// Where the rule is begun: a revision that is in effect whatever came before it.
    fn beginning(commit: Commit, stored: &Arc<Stored>, settled: bool) -> Effect {
        Effect {
            commit,
            stored: Arc::clone(stored),
            settled,
            longest_lease: lease(stored),
            passed_over: None,
            newer_protocol: newer_protocol(stored),
        }
    }

    /// Applies the rule to the revision that comes next.
    fn apply(&mut self, commit: Commit, seen: &Seen, below: &Seen) {
        if seen.text == below.text {
            return;
        }
        match seen.stored.origin() {
            Some(origin) if origin.supersedes == self.commit.revision => {
                let newer = self.newer_protocol;
                *self = Effect::beginning(commit, &seen.stored, true);
                self.newer_protocol = self.newer_protocol.or(newer);
            }
            Some(_) => {
                self.passed_over = self.passed_over.max(lease(&seen.stored));
                self.newer_protocol = self.newer_protocol.or(newer_protocol(&seen.stored));
            }
            None => {
                self.commit = commit;
                self.stored = Arc::clone(&seen.stored);
                self.newer_protocol = newer_protocol(&seen.stored);
                let overwritten = self.longest_lease.max(self.passed_over.take());
                self.longest_lease = overwritten.max(lease(&seen.stored));
            }
        }
    }
}

fn lease(stored: &Stored) -> Option<Duration> {
    Some(stored.record()?.record.lease_duration())
}

fn newer_protocol(stored: &Stored) -> Option<u64> {
    let protocol = stored.record()?.protocol;
    (protocol > PROTOCOL).then_some(protocol)
}

/// A point of the history up to which the rule was applied before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Up to and with this revision.
    pub at: Revision,
    /// What is in effect there.
    pub effect: Effect,
}

/// The part of the history that is known: its newest revisions, newest first, without a gap.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The revisions.
    pub commits: &'a [Commit],
    /// Whether the last one of them is the oldest of all.
    pub complete: bool,
    /// Those whose content is known.
    pub seen: &'a SeenRevisions,
}

/// What came of [`resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This is in effect.
    Resolved(Effect),
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
    match try_resolve(known, base) {
        Ok(effect) => Progress::Resolved(effect),
        Err(Missing::Text(revision)) => Progress::NeedText(revision),
        Err(Missing::Older) => Progress::NeedOlder,
    }
}

enum Missing {
    Text(Revision),
    Older,
}

/// A place in the history from which the rule can be applied forward.
struct Start {
    index: usize,
    effect: Effect,
}

fn try_resolve(known: Known<'_>, base: Option<&Base>) -> Result<Effect, Missing> {
    let base = base.filter(|base| known.position(base.at).is_some());
    let start = known.nearest_start(base)?;
    let effect = known.fold(start, 0)?;
    if effect.settled {
        return Ok(effect);
    }
    let newer_protocol = effect.newer_protocol;
    let index = known
        .position(effect.commit.revision)
        .ok_or(Missing::Older)?;
    let mut effect = known.fold(known.settled_start(index)?, 0)?;
    // A newer rule further back does not matter to what a plain overwrite says.
    effect.newer_protocol = newer_protocol;
    Ok(effect)
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

    fn seen(&self, index: usize) -> Result<&Seen, Missing> {
        let revision = self.commit(index)?.revision;
        self.seen.get(&revision).ok_or(Missing::Text(revision))
    }

    fn is_oldest(&self, index: usize) -> bool {
        self.complete && index + 1 == self.commits.len()
    }

    /// Ours, on top of what it supersedes with nothing but other files' writes in between: in effect,
    /// or its writer would not have written it. Not told of one that has `base` in between, from
    /// where the rule can be applied.
    fn is_anchor(&self, index: usize, base: Option<&Base>) -> Result<bool, Missing> {
        let Some(origin) = self.seen(index)?.stored.origin() else {
            return Ok(false);
        };
        if self.leaves_ours(index)? {
            return Ok(false);
        }
        let mut below = index + 1;
        loop {
            let revision = self.commit(below)?.revision;
            if revision == origin.supersedes {
                return Ok(true);
            }
            if base.is_some_and(|base| base.at == revision) || !self.leaves_ours(below)? {
                return Ok(false);
            }
            below += 1;
        }
    }

    /// Whether only another file was written here, so that ours holds what it held below.
    fn leaves_ours(&self, index: usize) -> Result<bool, Missing> {
        if self.is_oldest(index) {
            return Ok(false);
        }
        let seen = self.seen(index)?;
        let below = self.commit(index + 1)?.revision;
        // What names the revision below can only have been written here: that one need not be seen.
        let origin = seen.stored.origin();
        if origin.is_some_and(|origin| origin.supersedes == below) {
            return Ok(false);
        }
        Ok(seen.text == self.seen(index + 1)?.text)
    }

    /// The newest place that will do for the revision in effect.
    fn nearest_start(&self, base: Option<&Base>) -> Result<Start, Missing> {
        for index in 0.. {
            let commit = self.commit(index)?;
            if let Some(base) = base
                && base.at == commit.revision
            {
                self.seen(index)?;
                let effect = base.effect.clone();
                return Ok(Start { index, effect });
            }
            let seen = self.seen(index)?;
            let oldest = self.is_oldest(index);
            if oldest || self.is_anchor(index, base)? {
                let effect = Effect::beginning(commit, &seen.stored, true);
                return Ok(Start { index, effect });
            }
            // With a base, the leases that a plain change overwrote are known by going on to it.
            let plain = seen.stored.origin().is_none();
            if base.is_none() && plain && self.seen(index + 1)?.text != seen.text {
                let effect = Effect::beginning(commit, &seen.stored, false);
                return Ok(Start { index, effect });
            }
        }
        Err(Missing::Older)
    }

    /// The newest place below `above` from which all that was overwritten up to it is known.
    fn settled_start(&self, above: usize) -> Result<Start, Missing> {
        for index in above.. {
            let commit = self.commit(index)?;
            let stored = &self.seen(index)?.stored;
            // One of ours that calls itself a floor may have been passed over.
            let record = stored.record();
            let floor = record.is_some_and(|stored| stored.floor && stored.origin.is_none());
            if floor || self.is_oldest(index) || self.is_anchor(index, None)? {
                let effect = Effect::beginning(commit, stored, true);
                return Ok(Start { index, effect });
            }
        }
        Err(Missing::Older)
    }

    /// Applies the rule from `start` up to the revision at `last`.
    fn fold(&self, start: Start, last: usize) -> Result<Effect, Missing> {
        let mut effect = start.effect;
        for index in (last..start.index).rev() {
            effect.apply(
                self.commit(index)?,
                self.seen(index)?,
                self.seen(index + 1)?,
            );
        }
        Ok(effect)
    }
}
