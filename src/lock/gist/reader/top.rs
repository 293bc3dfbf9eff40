//! Facts that the newest revisions alone show, for commands that need not scan the history.

use std::sync::Arc;

use super::Reader;
use crate::lock::gist::rule::{EffectiveRevision, HistoryScan, Known, resolve};
use crate::lock::gist::stored::Stored;
use crate::lock::gist::wire::{Commit, Text};

impl Reader {
    /// Finds the effective revision where the newest revisions alone show it: a foreign change is effective
    /// whatever came before it. The leases that it overwrote remain unknown.
    pub(in crate::lock::gist) fn foreign_on_top(&self) -> Option<EffectiveRevision> {
        let differ = |pair: &[Commit]| {
            let content = |at: usize| self.contents.get(&pair[at].revision);
            Some(content(0)?.text != content(1)?.text)
        };
        let mut pairs = self.commits.windows(2).map(differ);
        let at = pairs.position(|differs| differs != Some(false))?;
        let changed = self.contents.get(&self.commits[at].revision)?;
        if changed.stored.origin().is_some() {
            return None;
        }
        let top = Known {
            commits: &self.commits[..=at + 1],
            complete: true,
            contents: &self.contents,
        };
        let effective = resolve(top, None, &mut HistoryScan::default()).ok()?;
        Some(EffectiveRevision {
            settled: false,
            ..effective
        })
    }

    /// Returns the newest revision as that of a file that was never written, if the newest two revisions do
    /// not have the file.
    pub(in crate::lock::gist) fn without_file(&self) -> Option<EffectiveRevision> {
        let lacks = |at: usize| {
            let content = self.contents.get(&self.commits.get(at)?.revision)?;
            Some(content.text == Text::Missing)
        };
        let only = self.complete && self.commits.len() == 1;
        let missing = lacks(0) == Some(true) && (only || lacks(1) == Some(true));
        Some(EffectiveRevision {
            commit: self.commits.first().copied().filter(|_| missing)?,
            stored: Arc::new(Stored::Blank),
            settled: true,
            longest_lease: None,
            newer_protocol: None,
        })
    }
}
