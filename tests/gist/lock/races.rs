//! Concurrent writes: simultaneous, late, duplicate, or on the same head so that one of them is lost.

use crate::support::eventually;
use std::thread;

use elector::election::lock::LockError;

use crate::lock::rule;
use crate::lock::support::{Lock, Rig, assert_unknown, create, get, held, try_update, update};

/// Returns two locks that observed the same effective revision.
fn pair() -> (Rig, Lock, Lock) {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.lock("a"), rig.lock("b"));
    create(&mut a, "first", 1);
    get(&mut b);
    (rig, a, b)
}

/// Makes both locks write, the second within the first one's race window.
fn race(rig: &Rig, mode: &str, a: Lock, b: Lock, token: u64) -> [(Lock, Result<(), LockError>); 2] {
    rig.faults(&format!(
        r#"{{"race":"{mode}","race_window_ms":[200,300]}}"#
    ));
    let both = [(a, "a"), (b, "b")].map(|(mut lock, holder)| {
        thread::spawn(move || {
            let result = try_update(&mut lock, holder, token);
            (lock, result)
        })
    });
    let both = both.map(|thread| thread.join().unwrap());
    rig.heal();
    both
}

#[test]
fn refused_racer_has_unknown_outcome() {
    let (rig, a, b) = pair();
    let racers = race(&rig, "conflict", a, b, 2);
    let won = racers.iter().filter(|(_, result)| result.is_ok()).count();
    assert_eq!(won, 1);
    let [winner, loser] = sorted(racers);
    assert_unknown(loser.1);
    let (mut winner, mut loser) = (winner.0, loser.0);
    let observed = get(&mut loser);
    assert_eq!((held(&observed).1, observed.mine), (2, None));
    update(&mut winner, "w", 2);
    assert_eq!(try_update(&mut loser, "l", 3), Err(LockError::Conflict));
}

/// Sorts the results, the winner first.
fn sorted<const N: usize>(
    mut racers: [(Lock, Result<(), LockError>); N],
) -> [(Lock, Result<(), LockError>); N] {
    racers.sort_by_key(|(_, result)| result.is_err());
    racers
}

#[test]
fn one_of_two_stacked_writes_wins() {
    let (rig, mut a, mut b) = pair();
    for round in 2..8 {
        let racers = race(&rig, "stack", a, b, round);
        let [winner, loser] = sorted(racers);
        assert_eq!(winner.1, Ok(()));
        assert_eq!(loser.1, Err(LockError::Conflict));
        let mut loser = loser.0;
        let (observed, requests) = rig.counting(|| get(&mut loser));
        assert_eq!(requests, 0, "the answer to the write suffices");
        let effective = rule::effective_holder(&rig);
        assert_eq!(held(&observed), (effective.as_str(), round));
        assert_eq!(observed.mine, None);
        (a, b) = (winner.0, loser);
        update(&mut a, "first", round);
        get(&mut b);
    }
}

#[test]
fn sequential_writes_leave_one_winner() {
    let (rig, a, b) = pair();
    let [winner, loser] = sorted(race(&rig, "serial", a, b, 2));
    assert_eq!((winner.1, loser.1), (Ok(()), Err(LockError::Conflict)));
}

#[test]
fn lost_write_is_never_confirmed() {
    for survivor_first in [true, false] {
        let (rig, a, b) = pair();
        let racers = race(&rig, "lose", a, b, 2);
        assert!(racers.iter().all(|(_, result)| result.is_ok()));
        let survivor = rule::effective_holder(&rig);
        let mut racers = racers.map(|(lock, _)| lock);
        if (survivor == "a") != survivor_first {
            racers.reverse();
        }
        let names = match (survivor == "a") == survivor_first {
            true => ["a", "b"],
            false => ["b", "a"],
        };
        let mut confirmed = Vec::new();
        for (mut lock, name) in racers.into_iter().zip(names) {
            match try_update(&mut lock, name, 2) {
                Ok(()) => confirmed.push(name),
                Err(LockError::Conflict) => {
                    let observed = get(&mut lock);
                    assert!(observed.record_lost, "its write is lost");
                    assert_eq!(held(&observed), (survivor.as_str(), 2));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(confirmed, [survivor]);
    }
}

#[test]
fn late_write_cannot_replace_newer_one() {
    let (rig, mut a, mut b) = pair();
    rig.faults(r#"{"late_writes":1,"late_ms":700}"#);
    assert_unknown(try_update(&mut a, "late", 1));
    rig.heal();
    assert_eq!(get(&mut a).mine, Some(1));
    update(&mut a, "newer", 1);
    assert_eq!(rig.depth(), 3, "the late one is still on its way");
    eventually("the late write lands", || rig.depth() == 4);
    for lock in [&mut a, &mut b] {
        assert_eq!(held(&get(lock)), ("newer", 1));
    }
    let observed = get(&mut a);
    assert_eq!((observed.mine, observed.foreign_wait), (Some(3), None));
    update(&mut a, "newest", 1);
    assert_eq!(held(&get(&mut b)), ("newest", 1));
}

#[test]
fn late_write_cannot_depose_new_leader() {
    let (rig, mut old, mut new) = pair();
    rig.faults(r#"{"late_writes":1,"late_ms":700}"#);
    assert_unknown(try_update(&mut old, "old", 1));
    rig.heal();
    update(&mut new, "new", 2);
    eventually("the late write lands", || rig.depth() == 4);
    let mut bystander = rig.lock("c");
    for lock in [&mut new, &mut old, &mut bystander] {
        assert_eq!(held(&get(lock)), ("new", 2));
    }
    let ((), requests) = rig.counting(|| update(&mut new, "new", 2));
    assert!(requests <= 2, "{requests}");
    assert_eq!(held(&get(&mut old)), ("new", 2));
}

#[test]
fn late_write_without_rival_is_effective() {
    let (rig, mut a, mut b) = pair();
    rig.faults(r#"{"late_writes":1,"late_ms":400}"#);
    assert_unknown(try_update(&mut a, "late", 2));
    rig.heal();
    eventually("the late write lands", || rig.depth() == 3);
    let observed = get(&mut a);
    assert_eq!((held(&observed), observed.mine), (("late", 2), Some(2)));
    assert_eq!(try_update(&mut b, "b", 2), Err(LockError::Conflict));
}

#[test]
fn duplicate_write_counts_once() {
    let (rig, mut a, mut b) = pair();
    rig.faults(r#"{"duplicate_writes":1}"#);
    for round in 2..5 {
        update(&mut a, "twice", round);
        let (mine, theirs) = (get(&mut a), get(&mut b));
        assert_eq!(mine.mine, Some(round));
        assert_eq!(held(&theirs), ("twice", round));
        let fresh = rig.read_afresh();
        assert_eq!((held(&fresh), fresh.foreign_wait), (("twice", round), None));
    }
    rig.heal();
    update(&mut a, "once", 5);
    read_then_update(&mut b, 6);
}

/// Reads the record, then updates it.
fn read_then_update(lock: &mut Lock, token: u64) {
    get(lock);
    update(lock, "over", token);
}

#[test]
fn late_duplicate_is_harmless() {
    let (rig, mut a, mut b) = pair();
    rig.faults(r#"{"duplicate_writes":1,"duplicate_ms":500}"#);
    update(&mut a, "twice", 2);
    rig.heal();
    read_then_update(&mut b, 3);
    assert_eq!(rig.depth(), 4, "the second time is still to come");
    eventually("the second time", || rig.depth() == 5);
    for lock in [&mut a, &mut b] {
        assert_eq!(held(&get(lock)), ("over", 3));
    }
    update(&mut b, "over", 3);
    assert_eq!(rule::effective_holder(&rig), "over");
}

#[test]
fn overtaken_write_observes_effective_record() {
    let (rig, mut a, mut b) = pair();
    rig.faults(r#"{"lost_answers":1}"#);
    assert_unknown(try_update(&mut a, "a", 2));
    rig.heal();
    read_then_update(&mut b, 3);
    let observed = get(&mut a);
    assert_eq!((held(&observed), observed.mine), (("over", 3), None));
    assert_eq!(observed.highest_fencing_token, Some(3));
}
