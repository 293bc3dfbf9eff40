//! Long histories: every call reads a limited amount, and the scan still ends.

use elector::election::lock::{LockError, Observed, ResourceLock};

use crate::lock::support::{
    Lock, PATIENCE, Rig, assert_unfinished, create, get, held, plain, record, try_get, try_update,
    update,
};

/// Most reads of a call after its first one.
const READS: u64 = 20;

/// Reads until the scan ends, each call within the limit; returns the number of calls.
fn scan_all(rig: &Rig, lock: &mut Lock) -> (Observed, u32) {
    let mut far = String::new();
    for calls in 1..1000 {
        let (result, requests) = rig.counting(|| try_get(lock));
        assert!(requests <= READS + 1, "{requests} requests");
        match result {
            Ok(observed) => return (observed, calls),
            Err(LockError::Unavailable(why)) if far.is_empty() && why.contains("renewals") => {}
            Err(LockError::Unfinished(why)) => {
                assert!(why.contains("revisions read so far"), "{why}");
                assert_ne!(why, far, "it does not come on");
                far = why;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("{far}");
}

/// Makes foreign writes whose texts all differ.
fn paste_many(rig: &Rig, count: u64) {
    for n in 0..count {
        rig.paste(&plain(&format!("p{n}"), 15, n % 7));
    }
}

#[test]
fn thousands_of_foreign_writes_are_scanned() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    let mut first = record("baz", 50);
    first.lease_duration_seconds = 33;
    lock.create(&first, PATIENCE).unwrap();
    paste_many(&rig, 2000);
    rig.faults(r#"{"history_cap":30}"#);
    let (observed, calls) = scan_all(&rig, &mut rig.lock("fresh"));
    assert_eq!(held(&observed).0, "p1999");
    assert_eq!(observed.highest_fencing_token, Some(50));
    assert_eq!(observed.foreign_wait.unwrap().as_secs(), 33);
    assert!(calls > 90, "{calls}");
}

#[test]
fn scan_leaves_the_leaders_reserve() {
    let rig = Rig::new();
    let mut leader = rig.lock("a");
    create(&mut leader, "baz", 50);
    paste_many(&rig, 500);
    let mut fresh = rig.lock("fresh");
    rig.faults(r#"{"primary_limit":1000}"#);
    let why = (0..100).find_map(|_| match try_get(&mut fresh) {
        Err(LockError::Unavailable(why)) if why.contains("leader's reserve") => Some(why),
        Err(LockError::Unfinished(_)) => None,
        other => panic!("{other:?}"),
    });
    assert!(why.is_some_and(|why| why.contains("revisions read so far")));
    // Every additional read sends few requests, and a write still passes.
    let (_, requests) = rig.counting(|| try_get(&mut fresh));
    assert_eq!(requests, 3);
    let written = try_update(&mut leader, "baz", 50);
    let sent = matches!(
        written,
        Err(LockError::Conflict | LockError::OutcomeUnknown(_))
    );
    assert!(sent, "{written:?}");
    // After the reset the scan continues to its end.
    rig.faults("{}");
    rig.faults(r#"{"primary_limit":5000}"#);
    let (observed, _) = scan_all(&rig, &mut fresh);
    assert_eq!(observed.highest_fencing_token, Some(50));
}

#[test]
fn scan_continues_beside_new_writes() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    create(&mut lock, "baz", 50);
    paste_many(&rig, 250);
    let mut fresh = rig.lock("fresh");
    let mut calls = 0;
    let observed = loop {
        match try_get(&mut fresh) {
            Ok(observed) => break observed,
            Err(error) => assert!(calls < 100, "{error}"),
        }
        calls += 1;
        paste_many(&rig, calls % 4);
    };
    assert_eq!(observed.highest_fencing_token, Some(50));
    let (late, _) = scan_all(&rig, &mut rig.lock("late"));
    assert_eq!(observed.content, late.content);
}

#[test]
fn checkpoint_on_top_ends_every_scan() {
    let rig = Rig::new();
    paste_many(&rig, 10_000);
    let mut lock = rig.lock("a");
    let (why, requests) = rig.counting(|| assert_unfinished(try_get(&mut lock)));
    assert!(why.contains("revisions read so far"), "{why}");
    assert!(requests <= READS + 1, "{requests}");
    let (_, requests) = rig.counting(|| lock.create(&record("baz", 1), PATIENCE));
    assert!(requests <= READS + 1, "{requests}");
    assert_eq!(rig.patches(), 0);
    // A checkpoint, as `elector init` writes one.
    let floor = plain("", 1, 77).replace('}', r#","checkpoint":true}"#);
    rig.paste(&floor);
    let (observed, requests) = rig.counting(|| get(&mut lock));
    assert_eq!(
        (observed.highest_fencing_token, held(&observed)),
        (Some(77), ("", 77))
    );
    assert!(requests <= 3, "{requests}");
    let ((), requests) = rig.counting(|| update(&mut lock, "baz", 78));
    assert_eq!(requests, 1);
    let mut fresh = rig.lock("fresh");
    let (observed, requests) = rig.counting(|| get(&mut fresh));
    assert_eq!((held(&observed), requests), (("baz", 78), 1));
    let ((), requests) = rig.counting(|| update(&mut fresh, "bing", 79));
    assert_eq!(requests, 1);
    let (result, requests) = rig.counting(|| try_update(&mut lock, "baz", 78));
    assert_eq!(result, Err(LockError::Conflict));
    assert!(requests <= 3, "{requests}");
}

#[test]
fn checkpoint_below_foreign_writes_ends_scan() {
    let rig = Rig::new();
    paste_many(&rig, 300);
    rig.paste(&plain("", 25, 77).replace('}', r#","checkpoint":true}"#));
    rig.paste(&plain("x", 5, 3));
    rig.paste(&plain("y", 6, 2));
    let mut lock = rig.lock("a");
    let (observed, requests) = rig.counting(|| get(&mut lock));
    assert_eq!(
        (held(&observed), observed.highest_fencing_token),
        (("y", 2), Some(77))
    );
    assert_eq!(observed.foreign_wait.unwrap().as_secs(), 25);
    assert!(requests <= 4, "{requests}");
}

#[test]
fn long_absence_starts_over_within_bounds() {
    let rig = Rig::new();
    let (mut leader, mut away) = (rig.lock("a"), rig.lock("b"));
    create(&mut leader, "baz", 1);
    get(&mut away);
    for token in 2..700 {
        update(&mut leader, "baz", token);
    }
    crate::lock::support::put_clock_forward(std::time::Duration::from_secs(3600));
    rig.faults(r#"{"history_cap":30}"#);
    let (observed, requests) = rig.counting(|| get(&mut away));
    assert_eq!(held(&observed), ("baz", 699));
    assert!(requests <= 5, "{requests}");
    update(&mut away, "bing", 700);
}

#[test]
fn burst_between_reads_keeps_scan() {
    for faults in ["{}", r#"{"history_cap":30}"#, r#"{"history_cap":1}"#] {
        let rig = Rig::new();
        create(&mut rig.lock("a"), "baz", 50);
        paste_many(&rig, 400);
        rig.faults(faults);
        let mut fresh = rig.lock("fresh");
        let mut calls = 0;
        let (observed, requests) = rig.counting(|| {
            loop {
                calls += 1;
                match try_get(&mut fresh) {
                    Ok(observed) => return observed,
                    Err(error) => assert!(calls < 100, "{error}"),
                }
                if [3, 13, 14, 19].contains(&calls) {
                    // More than one answer shows.
                    paste_many(&rig, 40);
                }
            }
        });
        assert_eq!(observed.highest_fencing_token, Some(50));
        let revisions = rig.depth() as u64;
        let pages = 4 + 4 * 3;
        assert!(
            requests <= revisions + calls + pages,
            "{faults}: {requests} requests for {revisions} revisions in {calls} calls"
        );
    }
}
