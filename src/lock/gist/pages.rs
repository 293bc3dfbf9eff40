//! Reading of a long history page by page. Pure.
//!
//! The history may change between two pages. New revisions move every entry down; a stale answer moves them
//! up. But the revisions below a revision never change. So only the entries that follow the last known one
//! on the same page are taken, and the page size is chosen so that many entries follow it:
//!
//! ```text
//!   known:   e0 e1 … e98 e99
//!   pages of 100:  [e0 ………… e99] [e100 …]     nothing follows e99
//!   pages of 99:   [e0 … e98] [e99 e100 …]     98 entries follow it
//! ```

use super::revision::Revision;
use super::wire::Commit;

/// Most entries on a page of GitHub's.
const LARGEST: usize = 100;

/// Entries that should precede the last known one on a page, in case a stale answer has it further up.
const BEFORE: usize = 5;

/// Conclusion from a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageOutcome {
    /// More entries may follow.
    More,
    /// The last known entry is the oldest revision.
    Oldest,
    /// The last known entry is no longer in the history.
    Changed,
}

/// Progress of the reading.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pages {
    /// Most entries that the service puts on a page, as far as is known.
    largest: usize,
    /// Number of the page requested last, from 1, and its size.
    asked: (u32, usize),
    /// Whether the last known entry was not on that page, so that it is searched on the next one.
    missed: bool,
    /// Length of that page if the last known entry ended it; the entry is the oldest if no page follows.
    ending: Option<usize>,
    /// Number of entries by which the known ones have moved down.
    moved: usize,
}

impl Pages {
    /// Creates the progress before any page.
    pub(super) fn new() -> Pages {
        Pages {
            largest: LARGEST,
            asked: (0, 0),
            missed: false,
            ending: None,
            moved: 0,
        }
    }

    /// Begins a call, which keeps only the size of the service's pages.
    pub(super) fn begin(&mut self) {
        *self = Pages {
            largest: self.largest,
            ..Pages::new()
        };
    }

    /// Returns the number and the size of the page to request when `known` entries are known.
    pub(super) fn next(&mut self, known: usize) -> (u32, usize) {
        let (page, size) = self.asked;
        self.asked = if self.missed || self.ending.is_some() {
            (page.saturating_add(1), size)
        } else {
            self.page_of(known.saturating_sub(1) + self.moved)
        };
        self.asked
    }

    /// Returns the page with this entry on which most entries follow it and some precede it.
    fn page_of(&self, entry: usize) -> (u32, usize) {
        let sizes = self.largest / 2 + 1..=self.largest;
        let before = BEFORE.min(self.largest / 4).min(entry);
        let worth = |size: &usize| (entry % size >= before, size - 1 - entry % size);
        let size = sizes.max_by_key(worth).unwrap_or(1);
        (u32::try_from(entry / size + 1).unwrap_or(u32::MAX), size)
    }

    /// Takes the requested page, and appends the entries that follow the last known one.
    pub(super) fn take(&mut self, commits: &mut Vec<Commit>, page: &[Commit]) -> PageOutcome {
        let last = commits.last().map(|commit| commit.revision);
        match last.and_then(|last| position(page, last)) {
            Some(at) => {
                self.found(commits, page, at);
                PageOutcome::More
            }
            None => self.not_found(commits, page),
        }
    }

    fn not_found(&mut self, commits: &mut Vec<Commit>, page: &[Commit]) -> PageOutcome {
        match self.ending.take() {
            Some(_) if page.is_empty() => return PageOutcome::Oldest,
            Some(length) => {
                if length < self.asked.1 {
                    // That page was full: the service returns fewer entries than requested.
                    self.largest = length.max(1);
                } else {
                    // On pages this small no entry ever follows the last known one.
                    commits.extend_from_slice(page);
                }
                self.moved = 0;
            }
            None if page.is_empty() => return PageOutcome::Changed,
            None => self.missed = true,
        }
        PageOutcome::More
    }

    /// Returns whether no entry follows the last known one on a page of any size.
    fn is_stuck(&self, known: usize) -> bool {
        let entry = known.saturating_sub(1) + self.moved;
        let (_, size) = self.page_of(entry);
        entry % size == size - 1
    }

    fn found(&mut self, commits: &mut Vec<Commit>, page: &[Commit], at: usize) {
        let (number, size) = self.asked;
        let above = (number.saturating_sub(1) as usize).saturating_mul(size);
        self.moved = above.saturating_add(at + 1).saturating_sub(commits.len());
        self.missed = false;
        let follows = &page[at + 1..];
        let ends = follows.is_empty() && (page.len() < size || self.is_stuck(commits.len()));
        self.ending = ends.then_some(page.len());
        commits.extend_from_slice(follows);
    }
}

fn position(page: &[Commit], revision: Revision) -> Option<usize> {
    page.iter().position(|commit| commit.revision == revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits(range: std::ops::Range<usize>) -> Vec<Commit> {
        let commit = |n: usize| Commit {
            revision: format!("{n:040x}").parse().unwrap(),
            committed_at: None,
        };
        range.map(commit).collect()
    }

    /// Reads a history to its end; `shows` returns the index of the newest entry for each request.
    fn read(
        known: usize,
        all: usize,
        cap: usize,
        mut shows: impl FnMut() -> usize,
    ) -> (Vec<Commit>, PageOutcome, usize) {
        let history = commits(0..all);
        let mut known_entries = history[50..50 + known].to_vec();
        let mut pages = Pages::new();
        for requests in 1..1000 {
            let (number, size) = pages.next(known_entries.len());
            let size = size.min(cap);
            let shown = &history[shows()..];
            let page: Vec<Commit> = shown
                .iter()
                .skip((number as usize - 1) * size)
                .take(size)
                .copied()
                .collect();
            let outcome = pages.take(&mut known_entries, &page);
            if outcome != PageOutcome::More {
                return (known_entries, outcome, requests);
            }
        }
        panic!("the reading does not end");
    }

    #[test]
    fn unchanged_history_is_read_completely() {
        for known in [1, 30, 99, 100, 101, 300] {
            let (known_entries, outcome, requests) = read(known, 1050, 100, || 50);
            assert_eq!(
                (known_entries, outcome),
                (commits(50..1050), PageOutcome::Oldest),
                "{known}"
            );
            assert!(requests <= 16, "{requests}");
        }
    }

    #[test]
    fn smaller_pages_than_requested_are_read() {
        for cap in [1, 2, 3, 30, 99] {
            let (known_entries, outcome, _) = read(30, 350, cap, || 50);
            assert_eq!(
                (known_entries, outcome),
                (commits(50..350), PageOutcome::Oldest),
                "{cap}"
            );
        }
    }

    #[test]
    fn moving_entries_are_never_missed() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut ended = 0;
        for _ in 0..2000 {
            // New revisions appear and answers may be stale, so the newest entry varies.
            let spread = rng.usize(1..=50);
            let mut shows = rng.clone();
            rng.u64(..);
            let all = rng.usize(150..700);
            let newest = || shows.usize(50 - spread..=50 + spread / 10);
            let (known_entries, outcome, _) = read(30, all, 100, newest);
            assert_eq!(known_entries, commits(50..known_entries.len() + 50));
            if outcome == PageOutcome::Oldest {
                assert_eq!(known_entries.len() + 50, all);
                ended += 1;
            }
        }
        assert!(ended > 300, "{ended}");
    }
}
