//! A minimal gist for tests of the protocol: its revisions, the rule applied to all of them, and
//! the API's view of them.

use std::collections::BTreeSet;

use elector::lock::gist::revision::Revision;
use elector::lock::gist::stored::{PROTOCOL, Stored};
use elector::lock::gist::wire::{Commit, GistPage, Text};

/// Name of the file that holds the record.
pub const FILE: &str = "leader.json";

/// The server's clock: age of the first revision; each later one is a second younger.
pub const EPOCH: i64 = 1_800_000_000;

pub struct GistModel {
    /// Revisions, oldest first.
    revisions: Vec<(Revision, Text)>,
    /// Revisions that were effective at some time, which other processes may know.
    once_effective: BTreeSet<Revision>,
    made: u64,
    /// Most entries of the history in the gist's own answer.
    pub shown: usize,
    /// Most entries on a page of the history.
    pub per_page: usize,
}

pub fn name(number: u64) -> Revision {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Revision::from_bytes(bytes)
}

impl GistModel {
    pub fn new(text: Text, shown: usize, per_page: usize) -> GistModel {
        let mut gist = GistModel {
            revisions: Vec::new(),
            once_effective: BTreeSet::new(),
            made: 0,
            shown,
            per_page,
        };
        gist.push(text);
        gist
    }

    pub fn push(&mut self, text: Text) -> Revision {
        self.made += 1;
        let revision = name(self.made);
        self.revisions.push((revision, text));
        self.once_effective.insert(self.effective());
        revision
    }

    /// Removes the newest revisions; the first one stays.
    pub fn remove_newest(&mut self, count: usize) {
        let left = self.revisions.len().saturating_sub(count).max(1);
        self.revisions.truncate(left);
    }

    /// Returns whether any revision follows a newer protocol.
    pub fn has_newer_rule(&self) -> bool {
        self.revisions.iter().any(|(_, text)| {
            let stored = Stored::read(text);
            stored
                .record()
                .is_some_and(|record| record.protocol > PROTOCOL)
        })
    }

    pub fn head(&self) -> Revision {
        self.revisions[self.revisions.len() - 1].0
    }

    pub fn head_text(&self) -> Text {
        self.revisions[self.revisions.len() - 1].1.clone()
    }

    /// Returns a revision that was effective at some time, by index, the oldest first.
    pub fn once_effective(&self, index: usize) -> Revision {
        let count = self.once_effective.len();
        *self.once_effective.iter().nth(index % count).unwrap()
    }

    /// Applies the rule to all revisions.
    pub fn effective(&self) -> Revision {
        let mut effect = self.revisions[0].0;
        for pair in self.revisions.windows(2) {
            let [(_, below), (revision, text)] = pair else {
                continue;
            };
            if text == below {
                continue;
            }
            match Stored::read(text).origin() {
                Some(origin) if origin.supersedes != effect => {}
                _ => effect = *revision,
            }
        }
        effect
    }

    pub fn text_of(&self, revision: Revision) -> Option<Text> {
        let found = self.revisions.iter().find(|(name, _)| *name == revision);
        found.map(|(_, text)| text.clone())
    }

    /// Returns the gist as `GET` and `PATCH` show it.
    pub fn page(&self) -> GistPage {
        let mut history = self.history();
        history.truncate(self.shown);
        GistPage {
            etag: Some(format!("W/\"{}\"", self.head()).into()),
            files: vec![FILE.to_owned()],
            text: self.head_text(),
            history,
            ..GistPage::default()
        }
    }

    pub fn commits(&self, page: u32, per_page: usize) -> Vec<Commit> {
        let size = self.per_page.min(per_page);
        let before = (page as usize).saturating_sub(1).saturating_mul(size);
        let all = self.history().into_iter();
        all.skip(before).take(size).collect()
    }

    fn history(&self) -> Vec<Commit> {
        let newest_first = self.revisions.iter().enumerate().rev();
        newest_first
            .map(|(index, (revision, _))| Commit {
                revision: *revision,
                committed_at: Some(EPOCH + index as i64),
            })
            .collect()
    }
}
