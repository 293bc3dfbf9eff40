//! The history scan, compared with the rule applied to the whole history.

use std::collections::BTreeMap;
use std::time::Duration;

use elector::lock::gist::revision::Revision;
use elector::lock::gist::rule::{
    Base, EffectiveRevision, HistoryScan, Known, Missing, RevisionContent, resolve,
};
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::{Commit, Text};
use fastrand::Rng;

const HISTORIES: u64 = 20_000;

/// A gist: its revisions, oldest first.
#[derive(Default)]
struct Gist {
    revisions: Vec<(Revision, Text)>,
}

fn name(number: usize) -> Revision {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Revision::from_bytes(bytes)
}

fn ours(writer: usize, lease: u64, supersedes: Revision) -> Text {
    Text::Whole(
        format!(
            r#"{{"holderIdentity":"{writer}","leaseDurationSeconds":{lease},"writeId":"w-{writer}","supersedes":"{supersedes}"}}"#
        )
        .into(),
    )
}

fn foreign(who: usize, lease: u64) -> Text {
    Text::Whole(format!(r#"{{"holderIdentity":"p{who}","leaseDurationSeconds":{lease}}}"#).into())
}

impl Gist {
    fn push(&mut self, text: Text) {
        self.revisions.push((name(self.revisions.len()), text));
    }

    fn text(&self, index: usize) -> &Text {
        &self.revisions[index].1
    }

    /// Applies the rule to every revision up to `last`; returns the index of the effective one.
    fn effective(&self, last: usize) -> usize {
        let mut effective = 0;
        for index in 1..=last {
            if self.text(index) == self.text(index - 1) {
                continue;
            }
            match Stored::read(self.text(index)).origin() {
                Some(origin) if origin.supersedes != self.revisions[effective].0 => {}
                _ => effective = index,
            }
        }
        effective
    }

    /// Returns the longest lease of the effective records since the newest effective write of an elector.
    fn backlog(&self, last: usize) -> Option<Duration> {
        let effective = self.effective(last);
        let conditional = |index: &usize| Stored::read(self.text(*index)).origin().is_some();
        let became_effective = |index: &usize| self.effective(*index) == *index;
        let from = (0..=effective)
            .rev()
            .find(|index| conditional(index) && became_effective(index))
            .unwrap_or(0);
        let records = (from..=effective)
            .filter(became_effective)
            .filter_map(|index| {
                let stored = Stored::read(self.text(index));
                stored.lease()
            });
        records.max()
    }

    fn commits(&self, last: usize) -> Vec<Commit> {
        let newest_first = self.revisions[..=last].iter().rev();
        newest_first
            .map(|(revision, _)| Commit {
                revision: *revision,
                committed_at: None,
            })
            .collect()
    }

    /// Resolves the history up to `last`, provides what is missing, and counts the contents that were read.
    fn resolve(
        &self,
        last: usize,
        base: Option<&Base>,
        contents: &mut BTreeMap<Revision, RevisionContent>,
    ) -> (EffectiveRevision, usize) {
        let commits = self.commits(last);
        let mut known = 2.min(commits.len());
        let mut asked = 0;
        loop {
            let view = Known {
                commits: &commits[..known],
                complete: known == commits.len(),
                contents,
            };
            match resolve(view, base, &mut HistoryScan::default()) {
                Ok(effective) => return (effective, asked),
                Err(Missing::Older) => {
                    assert!(known < commits.len(), "it asks for more than exists");
                    known += 1;
                }
                Err(Missing::Text(revision)) => {
                    asked += 1;
                    let text = self.revisions.iter().find(|(name, _)| *name == revision);
                    let content = RevisionContent::new(text.unwrap().1.clone());
                    let old = contents.insert(revision, content);
                    assert!(old.is_none(), "it asks for a known content");
                }
            }
        }
    }
}

/// Draws a history: writes on top of the effective revision that was read last, late and repeated writes,
/// writes to other files, reverts, manual edits with and without the electors' fields.
fn random_gist(rng: &mut Rng) -> Gist {
    let mut gist = Gist::default();
    gist.push(match rng.u8(..4) {
        0 => Text::Missing,
        1 => Text::Whole("".into()),
        2 => foreign(0, 30),
        _ => ours(0, 30, name(999_999)),
    });
    let length = rng.usize(1..30);
    let honesty = rng.f64();
    while gist.revisions.len() < length {
        let last = gist.revisions.len() - 1;
        let writer = gist.revisions.len();
        let lease = rng.u64(1..100);
        let text = match rng.u8(..10) {
            0 => gist.text(last).clone(),
            1 => foreign(writer, lease),
            2 => gist.text(rng.usize(..=last)).clone(),
            3 => Text::Missing,
            4 => Text::Whole("not json".into()),
            _ => {
                let read_at = if rng.f64() < honesty {
                    last
                } else {
                    rng.usize(..=last)
                };
                ours(writer, lease, gist.revisions[gist.effective(read_at)].0)
            }
        };
        gist.push(text);
    }
    gist
}

#[test]
fn scan_agrees_with_full_rule() {
    for seed in 0..HISTORIES {
        let mut rng = Rng::with_seed(seed);
        let gist = random_gist(&mut rng);
        let last = gist.revisions.len() - 1;
        let (effective, _) = gist.resolve(last, None, &mut BTreeMap::new());
        let expected = gist.effective(last);
        assert_eq!(effective.commit.revision, name(expected), "seed {seed}");
        if effective.stored.origin().is_none() {
            assert_eq!(effective.longest_lease, gist.backlog(last), "seed {seed}");
        }
    }
}

#[test]
fn continued_scan_agrees_with_full_rule() {
    for seed in 0..HISTORIES {
        let mut rng = Rng::with_seed(seed);
        let gist = random_gist(&mut rng);
        let mut contents = BTreeMap::new();
        let mut base: Option<Base> = None;
        let mut at = 0;
        while at < gist.revisions.len() {
            let (effective, _) = gist.resolve(at, base.as_ref(), &mut contents);
            let expected = gist.effective(at);
            assert_eq!(
                effective.commit.revision,
                name(expected),
                "seed {seed} at {at}"
            );
            if effective.stored.origin().is_none() {
                assert_eq!(
                    effective.longest_lease,
                    gist.backlog(at),
                    "seed {seed} at {at}"
                );
            }
            base = Some(Base {
                at: gist.revisions[at].0,
                effective,
            });
            at += rng.usize(1..6);
        }
    }
}

#[test]
fn head_above_superseded_needs_no_read() {
    let mut gist = Gist::default();
    gist.push(foreign(0, 30));
    gist.push(ours(1, 30, name(0)));
    gist.push(ours(2, 30, name(1)));
    let head = RevisionContent::new(gist.text(2).clone());
    let mut contents = BTreeMap::from([(name(2), head)]);
    let (effective, asked) = gist.resolve(2, None, &mut contents);
    assert_eq!(effective.commit.revision, name(2));
    assert_eq!(asked, 0);
}

#[test]
fn other_files_revisions_are_passed_over() {
    let mut gist = Gist::default();
    gist.push(Text::Missing);
    gist.push(ours(1, 30, name(0)));
    for _ in 0..5 {
        gist.push(gist.text(1).clone());
    }
    let (effective, _) = gist.resolve(6, None, &mut BTreeMap::new());
    assert_eq!(effective.commit.revision, name(1));
    gist.push(ours(2, 30, name(1)));
    let (effective, _) = gist.resolve(7, None, &mut BTreeMap::new());
    assert_eq!(effective.commit.revision, name(7));
}

#[test]
fn shared_gist_needs_few_reads() {
    let mut gist = Gist::default();
    gist.push(Text::Missing);
    let mut last = 0;
    // Two other locks renew between every two writes of this one.
    for writer in 1..200 {
        gist.push(ours(writer, 30, name(last)));
        last = gist.revisions.len() - 1;
        gist.push(gist.text(last).clone());
        gist.push(gist.text(last).clone());
    }
    let newest = gist.revisions.len() - 1;
    let (effective, asked) = gist.resolve(newest, None, &mut BTreeMap::new());
    assert_eq!(effective.commit.revision, name(last));
    assert!(asked <= 6, "{asked}");
}

#[test]
fn late_write_cannot_depose_new_leader() {
    let mut gist = Gist::default();
    gist.push(foreign(0, 30));
    gist.push(ours(1, 30, name(0)));
    gist.push(ours(2, 30, name(1)));
    gist.push(ours(3, 30, name(1)));
    let (effective, _) = gist.resolve(3, None, &mut BTreeMap::new());
    assert_eq!(effective.commit.revision, name(2));
}

#[test]
fn edit_with_electors_fields_is_ineffective() {
    let mut gist = Gist::default();
    gist.push(foreign(0, 30));
    gist.push(ours(1, 30, name(0)));
    let Text::Whole(text) = gist.text(1).clone() else {
        unreachable!()
    };
    gist.push(Text::Whole(
        text.replace("\"1\"", "\"somebody else\"").into(),
    ));
    let (effective, _) = gist.resolve(2, None, &mut BTreeMap::new());
    assert_eq!(effective.commit.revision, name(1));
}

#[test]
fn scan_ends_at_checkpoint() {
    let mut gist = Gist::default();
    for number in 0..50 {
        gist.push(foreign(number, 1));
    }
    gist.push(Text::Whole(
        r#"{"holderIdentity":"","leaseDurationSeconds":7,"leaderTransitions":99,"checkpoint":true}"#
            .into(),
    ));
    gist.push(foreign(51, 3));
    let mut contents = BTreeMap::new();
    let (effective, asked) = gist.resolve(51, None, &mut contents);
    assert_eq!(
        asked, 3,
        "the head, the checkpoint, and the content below it"
    );
    assert_eq!(effective.longest_lease, Some(Duration::from_secs(7)));
}

#[test]
fn newer_protocol_lasts_until_foreign_write() {
    let newer = |supersedes: Revision| {
        Text::Whole(
            format!(
                r#"{{"holderIdentity":"x","protocol":2,"writeId":"w-9","supersedes":"{supersedes}"}}"#
            )
            .into(),
        )
    };
    let mut gist = Gist::default();
    gist.push(foreign(0, 30));
    gist.push(ours(1, 30, name(0)));
    gist.push(newer(name(1)));
    let (effective, _) = gist.resolve(2, None, &mut BTreeMap::new());
    assert_eq!(effective.newer_protocol, Some(2));
    gist.push(ours(3, 30, name(1)));
    let (effective, _) = gist.resolve(3, None, &mut BTreeMap::new());
    assert_eq!(
        effective.newer_protocol,
        Some(2),
        "the newer rule may make another revision effective"
    );
    gist.push(foreign(4, 30));
    let (effective, _) = gist.resolve(4, None, &mut BTreeMap::new());
    assert_eq!(effective.newer_protocol, None);
}

#[test]
fn newer_protocol_ends_with_understanding_write() {
    let mut gist = Gist::default();
    gist.push(foreign(0, 30));
    gist.push(Text::Whole(
        format!(
            r#"{{"holderIdentity":"","protocol":2,"writeId":"w-9","supersedes":"{}"}}"#,
            name(0)
        )
        .into(),
    ));
    let mut contents = BTreeMap::new();
    let (effective, _) = gist.resolve(1, None, &mut contents);
    assert_eq!(effective.newer_protocol, Some(2));
    let base = Base {
        at: name(1),
        effective,
    };
    gist.push(ours(2, 30, name(1)));
    // A scan from the base agrees with a scan from nothing.
    for base in [Some(&base), None] {
        let (effective, _) = gist.resolve(2, base, &mut contents.clone());
        assert_eq!(effective.commit.revision, name(2));
        assert_eq!(effective.newer_protocol, None);
    }
}
