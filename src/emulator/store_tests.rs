//! Tests of the store: one writer, racing writers, lost revisions, replay.

use super::*;
use crate::emulator::history::Commit;

const T: Timestamp = Timestamp(1_000_000_000);

fn store() -> (Store, String) {
    store_of(1)
}

fn store_of(seed: u64) -> (Store, String) {
    let mut store = Store::new(seed);
    let files = [("leader.json", "{}")].into_iter().collect();
    let id = store
        .create(
            None,
            NewGist {
                files,
                ..NewGist::default()
            },
            T,
        )
        .unwrap();
    (store, id)
}

fn at(seconds: i64) -> Timestamp {
    T.plus_ms(seconds * 1000)
}

fn write(store: &mut Store, id: &str, content: &str, now: Timestamp) -> Revision {
    let pending = store
        .begin_write(id, Edit::put("leader.json", content))
        .unwrap();
    store.finish_write(&pending, Race::Conflict, now).unwrap()
}

fn contents(view: View<'_>) -> Vec<String> {
    view.history()
        .map(|commit| commit.files().get("leader.json").unwrap().to_string())
        .collect()
}

/// Makes two writes with the same base, both finished with `race`.
fn race(store: &mut Store, id: &str, race: Race) -> Result<Revision, WriteError> {
    let first = store
        .begin_write(id, Edit::put("leader.json", "first"))
        .unwrap();
    let second = store
        .begin_write(id, Edit::put("leader.json", "second"))
        .unwrap();
    assert_eq!(first.base(), second.base());
    store.finish_write(&first, race, at(1)).unwrap();
    store.finish_write(&second, race, at(2))
}

#[test]
fn write_adds_revision_to_head() {
    let (mut store, id) = store();
    let one = write(&mut store, &id, "1", at(1));
    let two = write(&mut store, &id, "2", at(2));
    let view = store.read(&id).unwrap();
    assert_eq!(contents(view), ["2", "1", "{}"]);
    assert_eq!(view.head().revision(), two);
    assert_eq!(view.depth(), 3);
    assert_eq!(view.head().committed_at(), at(2).seconds());
    assert_eq!(contents(view.at(one).unwrap()), ["1", "{}"]);
    assert_eq!(view.commits(2, 2).count(), 1);
    assert_eq!(view.commits(3, 2).count(), 0);
}

#[test]
fn race_loser_gets_conflict() {
    let (mut store, id) = store();
    assert_eq!(
        race(&mut store, &id, Race::Conflict),
        Err(WriteError::Conflict)
    );
    assert_eq!(contents(store.read(&id).unwrap()), ["first", "{}"]);
}

#[test]
fn stacked_racing_writes_both_stay() {
    let (mut store, id) = store();
    race(&mut store, &id, Race::Stack).unwrap();
    assert_eq!(
        contents(store.read(&id).unwrap()),
        ["second", "first", "{}"]
    );
}

#[test]
fn losing_race_loses_first_write() {
    let (mut store, id) = store();
    race(&mut store, &id, Race::Lose).unwrap();
    assert_eq!(contents(store.read(&id).unwrap()), ["second", "{}"]);
    let then = store.read_as_of(&id, at(1)).unwrap();
    assert_eq!(contents(then), ["first", "{}"]);
    let lost = then.head().revision();
    assert!(store.read(&id).unwrap().at(lost).is_none());
    assert!(store.read(&id).unwrap().at_any(lost).is_some());
}

#[test]
fn stacked_edit_keeps_other_files() {
    let (mut store, id) = store();
    let mine = store.begin_write(&id, Edit::put("mine", "m")).unwrap();
    write(&mut store, &id, "theirs", at(1));
    store.finish_write(&mine, Race::Stack, at(2)).unwrap();
    let files = store.read(&id).unwrap().head().files().clone();
    assert_eq!(&**files.get("leader.json").unwrap(), "theirs");
    assert_eq!(&**files.get("mine").unwrap(), "m");
}

#[test]
fn stale_read_shows_earlier_head() {
    let (mut store, id) = store();
    write(&mut store, &id, "1", at(10));
    write(&mut store, &id, "2", at(20));
    for (seconds, expected) in [(-5, 1), (9, 1), (10, 2), (19, 2), (20, 3)] {
        assert_eq!(
            store.read_as_of(&id, at(seconds)).unwrap().depth(),
            expected,
            "at {seconds}"
        );
    }
}

#[test]
fn identical_write_adds_no_revision() {
    let (mut store, id) = store();
    let head = store.read(&id).unwrap().head().revision();
    assert_eq!(write(&mut store, &id, "{}", at(1)), head);
    let pending = store
        .begin_write(&id, Edit::put("leader.json", "{}"))
        .unwrap()
        .forced();
    assert_ne!(
        store.finish_write(&pending, Race::Conflict, at(2)).unwrap(),
        head
    );
    store.set_rules(Rules {
        identical_makes_revision: true,
        ..Rules::default()
    });
    write(&mut store, &id, "{}", at(3));
    assert_eq!(store.read(&id).unwrap().depth(), 3);
}

#[test]
fn write_to_deleted_gist_fails() {
    let (mut store, id) = store();
    let pending = store
        .begin_write(&id, Edit::put("leader.json", "late"))
        .unwrap();
    store.delete(&id).unwrap();
    assert_eq!(
        store.finish_write(&pending, Race::Stack, at(1)),
        Err(WriteError::NotFound)
    );
    assert!(store.read(&id).is_none());
}

#[test]
fn newest_revisions_can_be_removed() {
    let (mut store, id) = store();
    write(&mut store, &id, "1", at(1));
    write(&mut store, &id, "2", at(2));
    store.remove_newest(&id, 1, at(3)).unwrap();
    assert_eq!(contents(store.read(&id).unwrap()), ["1", "{}"]);
    store.remove_newest(&id, usize::MAX, at(4)).unwrap();
    assert_eq!(contents(store.read(&id).unwrap()), ["{}"]);
}

#[test]
fn seed_determines_revisions() {
    let run = |seed| {
        let (store, id) = store_of(seed);
        (store.read(&id).unwrap().head().revision(), id)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn landing_time_ignores_clock_offset() {
    let (mut store, id) = store();
    store.set_rules(Rules {
        clock_offset_ms: -7_200_000,
        ..Rules::default()
    });
    write(&mut store, &id, "first", T.plus_ms(1234));
    let head = store.read(&id).unwrap().head();
    assert_eq!(head.landed, T.plus_ms(1234));
    assert_eq!(head.committed_at(), T.seconds() - 7200 + 1);
}

#[test]
fn changes_rebuild_the_same_store() {
    let mut store = Store::new(1);
    store.record_changes();
    let files = [("leader.json", "{}")].into_iter().collect();
    let id = store
        .create(
            Some("abc"),
            NewGist {
                files,
                ..NewGist::default()
            },
            T,
        )
        .unwrap();
    race(&mut store, &id, Race::Lose).unwrap();
    write(&mut store, &id, "third", at(3));
    store.remove_newest(&id, 1, at(4)).unwrap();
    write(&mut store, &id, "fourth", at(5));
    let mut again = Store::new(1);
    for change in store.take_changes() {
        again.replay(change).unwrap();
    }
    let revisions = |store: &Store| {
        store
            .read("abc")
            .unwrap()
            .history()
            .map(Commit::revision)
            .collect::<Vec<_>>()
    };
    assert_eq!(revisions(&again), revisions(&store));
    assert_eq!(
        contents(again.read("abc").unwrap()),
        ["fourth", "second", "{}"]
    );
    // The seed is the same, but names stay unique.
    write(&mut again, "abc", "fifth", at(6));
    assert_eq!(again.read("abc").unwrap().depth(), 4);
}

#[test]
fn store_holds_many_revisions() {
    let (mut store, id) = store();
    let pad = "x".repeat(300);
    for n in 0..20_000 {
        write(&mut store, &id, &format!("{n}{pad}"), at(n));
    }
    let view = store.read(&id).unwrap();
    assert_eq!(view.history().count(), 20_001);
    assert_eq!(view.commits(201, 100).count(), 1);
}
