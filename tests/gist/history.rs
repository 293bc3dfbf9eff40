//! The walk over a gist's history, held against the full rule applied to all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use elector::lock::gist::revision::Revision;
use elector::lock::gist::rule::{
    Base, EffectiveRevision, Known, Progress, RevisionContent, resolve,
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

fn plain(who: usize, lease: u64) -> Text {
    Text::Whole(format!(r#"{{"holderIdentity":"p{who}","leaseDurationSeconds":{lease}}}"#).into())
}

impl Gist {
    fn push(&mut self, text: Text) {
        self.revisions.push((name(self.revisions.len()), text));
    }

    fn text(&self, index: usize) -> &Text {
        &self.revisions[index].1
    }

    /// The rule, applied to everything up to and with `last`; its state as the index of the revision
    /// in effect.
    fn in_effect(&self, last: usize) -> usize {
        let mut effect = 0;
        for index in 1..=last {
            if self.text(index) == self.text(index - 1) {
                continue;
            }
            match Stored::read(self.text(index)).origin() {
                Some(origin) if origin.supersedes != self.revisions[effect].0 => {}
                _ => effect = index,
            }
        }
        effect
    }

    /// The longest lease of any record that took effect, from the newest of ours up to the one in
    /// effect.
    fn backlog(&self, last: usize) -> Option<Duration> {
        let effect = self.in_effect(last);
        let is_ours = |index: &usize| Stored::read(self.text(*index)).origin().is_some();
        let took_effect = |index: &usize| self.in_effect(*index) == *index;
        let from = (0..=effect)
            .rev()
            .find(|index| is_ours(index) && took_effect(index))
            .unwrap_or(0);
        let records = (from..=effect).filter(took_effect).filter_map(|index| {
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

    /// Resolves the history up to `last`, handing out what is asked for; counts that.
    fn resolve(
        &self,
        last: usize,
        base: Option<&Base>,
        seen: &mut BTreeMap<Revision, RevisionContent>,
    ) -> (EffectiveRevision, usize) {
        let commits = self.commits(last);
        let mut known = 2.min(commits.len());
        let mut asked = 0;
        loop {
            let view = Known {
                commits: &commits[..known],
                complete: known == commits.len(),
                seen,
            };
            match resolve(view, base) {
                Progress::Resolved(effect) => return (effect, asked),
                Progress::NeedOlder => {
                    assert!(known < commits.len(), "it asks for more than there is");
                    known += 1;
                }
                Progress::NeedText(revision) => {
                    asked += 1;
                    let text = self.revisions.iter().find(|(name, _)| *name == revision);
                    let fresh =
                        seen.insert(revision, RevisionContent::new(text.unwrap().1.clone()));
                    assert!(fresh.is_none(), "it asks for what it knows");
                }
            }
        }
    }
}

/// A history as it may come about: writers that go by what was in effect when they last looked, late
/// and repeated writes, other files' revisions, reverts, edits by hand with and without our fields.
fn random_gist(rng: &mut Rng) -> Gist {
    let mut gist = Gist::default();
    gist.push(match rng.u8(..4) {
        0 => Text::Missing,
        1 => Text::Whole("".into()),
        2 => plain(0, 30),
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
            1 => plain(writer, lease),
            2 => gist.text(rng.usize(..=last)).clone(),
            3 => Text::Missing,
            4 => Text::Whole("not json".into()),
            _ => {
                let looked_at = if rng.f64() < honesty {
                    last
                } else {
                    rng.usize(..=last)
                };
                ours(writer, lease, gist.revisions[gist.in_effect(looked_at)].0)
            }
        };
        gist.push(text);
    }
    gist
}

#[test]
fn a_walk_agrees_with_the_rule_applied_to_everything() {
    for seed in 0..HISTORIES {
        let mut rng = Rng::with_seed(seed);
        let gist = random_gist(&mut rng);
        let last = gist.revisions.len() - 1;
        let (effect, _) = gist.resolve(last, None, &mut BTreeMap::new());
        let expected = gist.in_effect(last);
        assert_eq!(effect.commit.revision, name(expected), "seed {seed}");
        if effect.stored.origin().is_none() {
            assert_eq!(effect.longest_lease, gist.backlog(last), "seed {seed}");
        }
    }
}

#[test]
fn going_on_from_what_was_known_agrees_with_the_rule_applied_to_everything() {
    for seed in 0..HISTORIES {
        let mut rng = Rng::with_seed(seed);
        let gist = random_gist(&mut rng);
        let mut seen = BTreeMap::new();
        let mut base: Option<Base> = None;
        let mut at = 0;
        while at < gist.revisions.len() {
            let (effect, _) = gist.resolve(at, base.as_ref(), &mut seen);
            let expected = gist.in_effect(at);
            assert_eq!(
                effect.commit.revision,
                name(expected),
                "seed {seed} at {at}"
            );
            if effect.stored.origin().is_none() {
                assert_eq!(
                    effect.longest_lease,
                    gist.backlog(at),
                    "seed {seed} at {at}"
                );
            }
            base = Some(Base {
                at: gist.revisions[at].0,
                effect,
            });
            at += rng.usize(1..6);
        }
    }
}

#[test]
fn a_head_on_top_of_what_it_supersedes_needs_nothing_more() {
    let mut gist = Gist::default();
    gist.push(plain(0, 30));
    gist.push(ours(1, 30, name(0)));
    gist.push(ours(2, 30, name(1)));
    let head = RevisionContent::new(gist.text(2).clone());
    let mut seen = BTreeMap::from([(name(2), head)]);
    let (effect, asked) = gist.resolve(2, None, &mut seen);
    assert_eq!(effect.commit.revision, name(2));
    assert_eq!(asked, 0);
}

#[test]
fn another_files_revisions_do_not_take_the_name_over() {
    let mut gist = Gist::default();
    gist.push(Text::Missing);
    gist.push(ours(1, 30, name(0)));
    for _ in 0..5 {
        gist.push(gist.text(1).clone());
    }
    let (effect, _) = gist.resolve(6, None, &mut BTreeMap::new());
    assert_eq!(effect.commit.revision, name(1));
    gist.push(ours(2, 30, name(1)));
    let (effect, _) = gist.resolve(7, None, &mut BTreeMap::new());
    assert_eq!(effect.commit.revision, name(7));
}

#[test]
fn locks_that_share_a_gist_do_not_make_each_other_read_everything() {
    let mut gist = Gist::default();
    gist.push(Text::Missing);
    let mut last = 0;
    // Two other locks renew between any two writes of this one.
    for writer in 1..200 {
        gist.push(ours(writer, 30, name(last)));
        last = gist.revisions.len() - 1;
        gist.push(gist.text(last).clone());
        gist.push(gist.text(last).clone());
    }
    let newest = gist.revisions.len() - 1;
    let (effect, asked) = gist.resolve(newest, None, &mut BTreeMap::new());
    assert_eq!(effect.commit.revision, name(last));
    assert!(asked <= 6, "{asked}");
}

#[test]
fn a_late_write_by_an_old_leader_cannot_depose_a_new_one() {
    let mut gist = Gist::default();
    gist.push(plain(0, 30));
    gist.push(ours(1, 30, name(0)));
    gist.push(ours(2, 30, name(1)));
    gist.push(ours(3, 30, name(1)));
    let (effect, _) = gist.resolve(3, None, &mut BTreeMap::new());
    assert_eq!(effect.commit.revision, name(2));
}

#[test]
fn an_edit_by_hand_that_keeps_our_fields_does_not_take_effect() {
    let mut gist = Gist::default();
    gist.push(plain(0, 30));
    gist.push(ours(1, 30, name(0)));
    let Text::Whole(text) = gist.text(1).clone() else {
        unreachable!()
    };
    gist.push(Text::Whole(
        text.replace("\"1\"", "\"somebody else\"").into(),
    ));
    let (effect, _) = gist.resolve(2, None, &mut BTreeMap::new());
    assert_eq!(effect.commit.revision, name(1));
}

#[test]
fn a_look_back_ends_at_a_floor() {
    let mut gist = Gist::default();
    for number in 0..50 {
        gist.push(plain(number, 1));
    }
    gist.push(Text::Whole(
        r#"{"holderIdentity":"","leaseDurationSeconds":7,"leaderTransitions":99,"checkpoint":true}"#
            .into(),
    ));
    gist.push(plain(51, 3));
    let mut seen = BTreeMap::new();
    let (effect, asked) = gist.resolve(51, None, &mut seen);
    assert_eq!(
        asked, 3,
        "the head, the floor, and that it changed what was below it"
    );
    assert_eq!(effect.longest_lease, Some(Duration::from_secs(7)));
}

#[test]
fn a_newer_rule_is_noticed_until_a_plain_overwrite_settles_it() {
    let newer = |supersedes: Revision| {
        Text::Whole(
            format!(
                r#"{{"holderIdentity":"x","protocol":2,"writeId":"w-9","supersedes":"{supersedes}"}}"#
            )
            .into(),
        )
    };
    let mut gist = Gist::default();
    gist.push(plain(0, 30));
    gist.push(ours(1, 30, name(0)));
    gist.push(newer(name(1)));
    let (effect, _) = gist.resolve(2, None, &mut BTreeMap::new());
    assert_eq!(effect.newer_protocol, Some(2));
    gist.push(ours(3, 30, name(1)));
    let (effect, _) = gist.resolve(3, None, &mut BTreeMap::new());
    assert_eq!(
        effect.newer_protocol,
        Some(2),
        "who knows what it means to them"
    );
    gist.push(plain(4, 30));
    let (effect, _) = gist.resolve(4, None, &mut BTreeMap::new());
    assert_eq!(effect.newer_protocol, None);
}

#[test]
fn a_newer_rule_ends_with_a_write_of_who_understood_it() {
    let mut gist = Gist::default();
    gist.push(plain(0, 30));
    gist.push(Text::Whole(
        format!(
            r#"{{"holderIdentity":"","protocol":2,"writeId":"w-9","supersedes":"{}"}}"#,
            name(0)
        )
        .into(),
    ));
    let mut seen = BTreeMap::new();
    let (effect, _) = gist.resolve(1, None, &mut seen);
    assert_eq!(effect.newer_protocol, Some(2));
    let base = Base {
        at: name(1),
        effect,
    };
    gist.push(ours(2, 30, name(1)));
    // Whoever saw all of it agrees with whoever comes later.
    for base in [Some(&base), None] {
        let (effect, _) = gist.resolve(2, base, &mut seen.clone());
        assert_eq!(effect.commit.revision, name(2));
        assert_eq!(effect.newer_protocol, None);
    }
}
