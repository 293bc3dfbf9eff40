//! Variants of the history in answers: cut short, in small pages, and rewritten.

use std::time::Duration;

use elector::election::lock::{Content, LockError};

use crate::lock::rule;
use crate::lock::support::{
    Lock, RENEW_DEADLINE, Rig, assert_unavailable, assert_unfinished, create, get, held, plain,
    put_clock_forward, settled, try_get, try_update, update,
};

/// Writes as two leaders in turn, with foreign, other files' and ineffective writes between.
fn a_lively_history(rig: &Rig, a: &mut Lock, b: &mut Lock) {
    let observer = &mut rig.lock("observer");
    for round in 0..6 {
        let token = 10 * round + 1;
        settled(a);
        update(a, "a", token);
        settled(b);
        update(b, "b", token + 1);
        assert_eq!(try_update(a, "a", token), Err(LockError::Conflict));
        for n in 0..round {
            rig.service
                .edit(&rig.id, |files| {
                    files.insert("other".into(), format!("{round} {n}"));
                })
                .unwrap();
        }
        if round % 2 == 1 {
            rig.paste(&plain("person", 20, token + 2));
            rig.paste(&plain("person", 10, token + 3));
        }
        // The first read after a conflict shows the conflicting record.
        settled(a);
        let expected = rule::effective_holder(rig);
        for lock in [&mut *a, &mut *b, &mut *observer, &mut rig.lock("fresh")] {
            assert_eq!(held(&settled(lock)).0, expected, "round {round}");
        }
    }
}

#[test]
fn short_histories_give_same_effective_record() {
    for cap in [1, 2, 5, 30] {
        for page in [1, 2, 7, 100] {
            let rig = Rig::new();
            rig.faults(&format!(
                r#"{{"history_cap":{cap},"per_page_cap":{page},"no_etag":{}}}"#,
                page == 7
            ));
            let (mut a, mut b) = (rig.lock("a"), rig.lock("b"));
            a_lively_history(&rig, &mut a, &mut b);
        }
    }
}

#[test]
fn missing_history_is_unavailable() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    create(&mut lock, "baz", 1);
    rig.faults(r#"{"history_cap":0}"#);
    rig.paste(&plain("x", 15, 2));
    assert_unavailable(try_get(&mut lock));
    assert_unavailable(try_get(&mut rig.lock("fresh")));
}

#[test]
fn small_pages_do_not_stop_scan() {
    for page in [3, 30] {
        let rig = Rig::new();
        let mut lock = rig.lock("a");
        create(&mut lock, "baz", 9);
        for n in 0..1000 {
            rig.paste(&plain("p", 15, n % 5));
        }
        rig.faults(&format!(r#"{{"history_cap":5,"per_page_cap":{page}}}"#));
        let mut fresh = rig.lock("fresh");
        let mut calls = 0;
        let observed = loop {
            calls += 1;
            match try_get(&mut fresh) {
                Ok(observed) => break observed,
                Err(error) => assert!(calls < 200, "{error}"),
            }
        };
        assert_eq!(
            (held(&observed), observed.highest_fencing_token),
            (("p", 4), Some(9))
        );
    }
}

/// Returns a leader after four writes, and a candidate that observed the last one.
fn with_candidate() -> (Rig, Lock, Lock) {
    let rig = Rig::new();
    let (mut leader, mut candidate) = (rig.lock("a"), rig.lock("b"));
    create(&mut leader, "baz", 1);
    for token in 2..5 {
        update(&mut leader, "baz", token);
    }
    get(&mut candidate);
    (rig, leader, candidate)
}

#[test]
fn leader_notices_lost_write_at_next() {
    let (rig, mut leader, _) = with_candidate();
    rig.service.remove_newest(&rig.id, 1).unwrap();
    assert_eq!(try_update(&mut leader, "baz", 5), Err(LockError::Conflict));
    let (observed, requests) = rig.counting(|| get(&mut leader));
    assert_eq!(requests, 0);
    assert_eq!((held(&observed), observed.mine), (("baz", 3), Some(3)));
    assert!(observed.record_lost);
    assert_eq!(
        observed.highest_fencing_token,
        Some(5),
        "observed, although ineffective"
    );
    update(&mut leader, "baz", 5);
    assert!(!get(&mut leader).record_lost);
}

#[test]
fn lost_record_reported_after_stale_time() {
    let (rig, mut leader, mut candidate) = with_candidate();
    rig.service.remove_newest(&rig.id, 1).unwrap();
    assert_unavailable(try_get(&mut candidate));
    put_clock_forward(RENEW_DEADLINE / 2 + Duration::from_secs(1));
    let observed = get(&mut candidate);
    assert!(observed.record_lost);
    assert_eq!(
        (held(&observed), observed.highest_fencing_token),
        (("baz", 3), Some(4))
    );
    assert!(!get(&mut candidate).record_lost, "it is reported once");
    assert_eq!(try_update(&mut leader, "baz", 4), Err(LockError::Conflict));
}

#[test]
fn delayed_report_of_lost_record_arrives() {
    let (rig, _, mut candidate) = with_candidate();
    rig.service.remove_newest(&rig.id, 1).unwrap();
    for n in 0..50 {
        rig.paste(&plain("p", 15, n % 2));
    }
    put_clock_forward(RENEW_DEADLINE);
    assert_unfinished(try_get(&mut candidate));
    assert!(settled(&mut candidate).record_lost);
}

#[test]
fn losing_other_files_writes_is_harmless() {
    let (rig, mut leader, mut candidate) = with_candidate();
    for n in 0..3 {
        rig.service
            .edit(&rig.id, |files| {
                files.insert("other".into(), n.to_string());
            })
            .unwrap();
        get(&mut leader);
    }
    let before = get(&mut candidate);
    rig.service.remove_newest(&rig.id, 2).unwrap();
    let after = get(&mut candidate);
    assert!(!after.record_lost);
    assert_eq!(before.resource_version, after.resource_version);
    update(&mut leader, "baz", 5);
    assert_eq!(held(&get(&mut candidate)), ("baz", 5));
}

#[test]
fn truncated_history_keeps_fencing_token() {
    let (rig, _, mut candidate) = with_candidate();
    rig.service.remove_newest(&rig.id, 100).unwrap();
    put_clock_forward(RENEW_DEADLINE);
    let observed = get(&mut candidate);
    assert_eq!(observed.content, Content::NeverWritten);
    assert_eq!(
        (observed.record_lost, observed.highest_fencing_token),
        (true, Some(4))
    );
}

#[test]
fn lost_revision_cannot_return() {
    let (rig, mut leader, mut candidate) = with_candidate();
    rig.service.remove_newest(&rig.id, 1).unwrap();
    // The candidate still knows the lost one.
    assert_eq!(try_update(&mut candidate, "b", 5), Err(LockError::Conflict));
    let observed = get(&mut candidate);
    assert_eq!((held(&observed), observed.record_lost), (("baz", 3), true));
    assert_eq!(try_update(&mut leader, "baz", 4), Err(LockError::Conflict));
    update(&mut leader, "baz", 6);
    assert_eq!(rule::effective_holder(&rig), "baz");
}
