//! Reading a long history page by page. Pure.
//!
//! What a service shows may change between two pages: others write, so that every entry moves down, or
//! an answer is an old one, so that it moves up. But what lies below a revision never changes. So only
//! what follows our last entry on one and the same page is taken, and the page is cut so that as much
//! as possible follows:
//!
//! ```text
//!   known:   e0 e1 … e98 e99
//!   pages of 100:  [e0 ………… e99] [e100 …]     nothing follows e99
//!   pages of 99:   [e0 … e98] [e99 e100 …]     98 entries follow it
//! ```

use super::revision::Revision;
use super::wire::Commit;

/// The most entries that GitHub puts on a page.
const LARGEST: usize = 100;

/// How many entries are to come before our last one on a page.
const BEFORE: usize = 5;

/// What a page told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageOutcome {
    /// There may be more.
    More,
    /// Our last entry is the oldest revision of all.
    Oldest,
    /// Our last entry is not in the history any more.
    Changed,
}

/// How far the reading has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pages {
    /// How many entries the service puts on a page at the most, as far as is known.
    largest: usize,
    /// The page asked for last, counted from 1, and its size.
    asked: (u32, usize),
    /// How many entries it had.
    length: usize,
    /// Our last entry was not on it, so it is looked for on the next one.
    missed: bool,
    /// Our last entry ended it, and is the oldest if no page follows.
    ending: bool,
    /// How far our entries have moved down since they were learned.
    moved: usize,
}

impl Pages {
    pub(super) fn new() -> Pages {
        Pages {
            largest: LARGEST,
            asked: (0, 0),
            length: 0,
            missed: false,
            ending: false,
            moved: 0,
        }
    }

    /// A call begins anew with what it knows.
    pub(super) fn begin(&mut self) {
        *self = Pages {
            largest: self.largest,
            ..Pages::new()
        };
    }

    /// The page to ask for when so many entries are known, and its size.
    pub(super) fn next(&mut self, known: usize) -> (u32, usize) {
        let (page, size) = self.asked;
        self.asked = if self.missed || self.ending {
            (page.saturating_add(1), size)
        } else {
            self.page_of(known.saturating_sub(1) + self.moved)
        };
        self.asked
    }

    /// The page with the entry of this number on which most entries follow it, and some come before,
    /// in case that an old answer has it further up.
    fn page_of(&self, entry: usize) -> (u32, usize) {
        let sizes = self.largest / 2 + 1..=self.largest;
        let before = BEFORE.min(self.largest / 4).min(entry);
        let worth = |size: &usize| (entry % size >= before, size - 1 - entry % size);
        let size = sizes.max_by_key(worth).unwrap_or(1);
        (u32::try_from(entry / size + 1).unwrap_or(u32::MAX), size)
    }

    /// Takes in the page that was asked for, and puts what follows our last entry below it.
    pub(super) fn take(&mut self, commits: &mut Vec<Commit>, page: &[Commit]) -> PageOutcome {
        let length = std::mem::replace(&mut self.length, page.len());
        let last = commits.last().map(|commit| commit.revision);
        match last.and_then(|last| position(page, last)) {
            Some(at) => {
                self.found(commits, page, at);
                PageOutcome::More
            }
            None if self.ending && page.is_empty() => PageOutcome::Oldest,
            None if self.ending => {
                self.ending = false;
                if length < self.asked.1 {
                    // That page was full after all: the service gives fewer than were asked for.
                    self.largest = length.max(1);
                } else {
                    // On pages this small nothing follows ours on any; this is all that can be had.
                    commits.extend_from_slice(page);
                }
                self.moved = 0;
                PageOutcome::More
            }
            None if page.is_empty() => PageOutcome::Changed,
            None => {
                self.missed = true;
                PageOutcome::More
            }
        }
    }

    /// Whether nothing follows our last entry on a page of any size.
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
        self.ending = follows.is_empty() && (page.len() < size || self.is_stuck(commits.len()));
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

    /// Reads a history to its end; `shows` says where the newest entry shown is, for each request.
    fn read(
        known: usize,
        all: usize,
        cap: usize,
        mut shows: impl FnMut() -> usize,
    ) -> (Vec<Commit>, PageOutcome, usize) {
        let history = commits(0..all);
        let mut ours = history[50..50 + known].to_vec();
        let mut pages = Pages::new();
        for requests in 1..1000 {
            let (number, size) = pages.next(ours.len());
            let size = size.min(cap);
            let shown = &history[shows()..];
            let page: Vec<Commit> = shown
                .iter()
                .skip((number as usize - 1) * size)
                .take(size)
                .copied()
                .collect();
            let told = pages.take(&mut ours, &page);
            if told != PageOutcome::More {
                return (ours, told, requests);
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn a_history_that_stands_still_is_read_to_its_end() {
        for known in [1, 30, 99, 100, 101, 300] {
            let (ours, told, requests) = read(known, 1050, 100, || 50);
            assert_eq!(
                (ours, told),
                (commits(50..1050), PageOutcome::Oldest),
                "{known}"
            );
            assert!(requests <= 16, "{requests}");
        }
    }

    #[test]
    fn a_service_that_gives_fewer_than_were_asked_for_is_read_too() {
        for cap in [1, 2, 3, 30, 99] {
            let (ours, told, _) = read(30, 350, cap, || 50);
            assert_eq!(
                (ours, told),
                (commits(50..350), PageOutcome::Oldest),
                "{cap}"
            );
        }
    }

    #[test]
    fn whatever_moves_between_two_pages_nothing_is_missed_and_nothing_ends_too_early() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut ended = 0;
        for _ in 0..2000 {
            // Others write, and answers are old or new: the newest entry shown is any of these.
            let spread = rng.usize(1..=50);
            let mut shows = rng.clone();
            rng.u64(..);
            let all = rng.usize(150..700);
            let newest = || shows.usize(50 - spread..=50 + spread / 10);
            let (ours, told, _) = read(30, all, 100, newest);
            assert_eq!(ours, commits(50..ours.len() + 50));
            if told == PageOutcome::Oldest {
                assert_eq!(ours.len() + 50, all);
                ended += 1;
            }
        }
        assert!(ended > 300, "{ended}");
    }
}
