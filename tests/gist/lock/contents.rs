//! Foreign writes to the record, and the highest fencing token after them.

use std::time::Duration;

use elector::election::lock::{Content, LockError, Observed, ResourceLock};

use crate::lock::support::{
    FILE, Lock, PATIENCE, Rig, create, get, held, plain, record, try_get, try_update, update,
};

/// Returns a leader with fencing token 7 and a lease of 40 s, and a candidate that observed it.
fn leader() -> (Rig, Lock, Lock) {
    let rig = Rig::new();
    let (mut a, mut b) = (rig.lock("a"), rig.lock("b"));
    let mut first = record("baz", 7);
    first.lease_duration_seconds = 40;
    a.create(&first, PATIENCE).unwrap();
    get(&mut b);
    (rig, a, b)
}

/// Returns the observations of the candidate, the leader and a new lock.
fn all_see(rig: &Rig, a: &mut Lock, b: &mut Lock) -> [Observed; 3] {
    [get(b), get(a), rig.read_afresh()]
}

#[test]
fn foreign_record_waits_for_overwritten_lease() {
    let (rig, mut a, mut b) = leader();
    rig.paste(&plain("go", 15, 8));
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(held(&observed), ("go", 8));
        assert_eq!(observed.foreign_wait, Some(Duration::from_secs(40)));
        assert_eq!((observed.mine, observed.age), (None, None));
    }
    rig.paste(&plain("go", 60, 8));
    rig.paste(&plain("go", 5, 8));
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(observed.foreign_wait, Some(Duration::from_secs(60)));
    }
    assert_eq!(try_update(&mut a, "baz", 7).err(), None, "on top of it");
    assert_eq!(rig.read_afresh().foreign_wait, None);
}

#[test]
fn overwritten_leader_notices_at_next_write() {
    let (rig, mut a, _) = leader();
    rig.paste(&plain("go", 15, 8));
    assert_eq!(try_update(&mut a, "baz", 7), Err(LockError::Conflict));
    let (observed, requests) = rig.counting(|| get(&mut a));
    assert_eq!((held(&observed), requests), (("go", 8), 0));
    assert_eq!(observed.foreign_wait, Some(Duration::from_secs(40)));
}

#[test]
fn foreign_empty_holder_releases_nothing() {
    let (rig, mut a, mut b) = leader();
    rig.paste(&plain("", 1, 7));
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(held(&observed), ("", 7));
        assert_eq!(observed.foreign_wait, Some(Duration::from_secs(40)));
    }
}

#[test]
fn edit_with_electors_fields_is_ineffective() {
    let (rig, mut a, mut b) = leader();
    let before = get(&mut b);
    rig.paste(&rig.text().replace("\"baz\"", "\"mallory\""));
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(held(&observed), ("baz", 7));
        assert_eq!(observed.foreign_wait, None);
    }
    let after = get(&mut b);
    assert_eq!(before.resource_version, after.resource_version);
    update(&mut a, "baz", 7);
}

#[test]
fn edit_without_electors_field_is_foreign() {
    for field in ["writeId", "supersedes"] {
        let (rig, mut a, mut b) = leader();
        let mut json = rig.json();
        json.as_object_mut().unwrap().remove(field);
        rig.paste(&json.to_string());
        for observed in all_see(&rig, &mut a, &mut b) {
            assert_eq!((held(&observed), observed.mine), (("baz", 7), None));
            assert_eq!(observed.foreign_wait, Some(Duration::from_secs(40)));
        }
        assert_eq!(get(&mut a).highest_fencing_token, Some(7));
    }
}

fn loses_its_record(spoil: impl Fn(&Rig), gone: bool) {
    let (rig, mut a, mut b) = leader();
    spoil(&rig);
    for observed in all_see(&rig, &mut a, &mut b) {
        match observed.content {
            Content::Deleted => assert!(gone),
            Content::Corrupt(ref why) => assert!(!gone && !why.is_empty()),
            ref other => panic!("{other:?}"),
        }
        assert_eq!(observed.highest_fencing_token, Some(7));
        assert_eq!(observed.foreign_wait, Some(Duration::from_secs(40)));
    }
    assert_eq!(try_update(&mut b, "bing", 8), Ok(()));
    assert_eq!(held(&rig.read_afresh()), ("bing", 8));
    assert_eq!(try_update(&mut a, "baz", 7), Err(LockError::Conflict));
}

#[test]
fn deleted_record_keeps_its_fencing_token() {
    loses_its_record(
        |rig| {
            rig.service
                .edit(&rig.id, |files| {
                    files.insert("other".into(), "x".into());
                    files.remove(FILE);
                })
                .unwrap();
        },
        true,
    );
}

#[test]
fn renamed_record_keeps_its_fencing_token() {
    loses_its_record(
        |rig| {
            rig.service
                .edit(&rig.id, |files| {
                    let text = files.remove(FILE).unwrap();
                    files.insert("renamed.json".into(), text);
                })
                .unwrap();
        },
        true,
    );
}

#[test]
fn blanked_record_keeps_its_fencing_token() {
    loses_its_record(|rig| rig.paste(" \n"), true);
}

#[test]
fn corrupt_record_keeps_its_fencing_token() {
    for corrupt in [
        "{}",
        r#"{"leaderTransitions":1}"#,
        r#"{"holderIdentity":7}"#,
        r#"{"holderIdentity":"x","leaderTransitions":-1}"#,
        r#"{"holderIdentity":"x","leaseDurationSeconds":"15"}"#,
        r#"{"holderIdentity":"x","leaderTransitions":4503599627370497}"#,
        r#"{"holderIdentity":"x","protocol":"two"}"#,
    ] {
        loses_its_record(|rig| rig.paste(corrupt), false);
    }
}

#[test]
fn replaced_corrupt_record_keeps_unknown_fields() {
    let (rig, _, mut b) = leader();
    rig.paste(r#"{"note":"keep me","holderIdentity":7}"#);
    get(&mut b);
    update(&mut b, "bing", 8);
    assert_eq!(rig.json()["note"], "keep me");
}

#[test]
fn fencing_token_survives_foreign_writes() {
    let (rig, mut a, mut b) = leader();
    update(&mut a, "baz", 9);
    rig.paste("{}");
    rig.paste(&plain("x", 15, 2));
    rig.paste(" ");
    rig.paste(&plain("y", 15, 1));
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(
            (held(&observed), observed.highest_fencing_token),
            (("y", 1), Some(9))
        );
    }
}

#[test]
fn pasted_record_cannot_lower_fencing_token() {
    let (rig, mut a, mut b) = leader();
    let old = rig.text();
    for token in 8..12 {
        update(&mut a, "baz", token);
    }
    rig.paste(&old);
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(held(&observed), ("baz", 11), "it is not effective");
        assert_eq!(observed.highest_fencing_token, Some(11));
    }
    let mut bare: serde_json::Value = serde_json::from_str(&old).unwrap();
    bare.as_object_mut().unwrap().remove("writeId");
    rig.paste(&bare.to_string());
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(held(&observed), ("baz", 7));
        assert_eq!(observed.highest_fencing_token, Some(11));
    }
}

#[test]
fn highest_foreign_fencing_token_counts() {
    let (rig, mut a, mut b) = leader();
    let highest = 1 << 52;
    rig.paste(&plain("x", 15, highest));
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(observed.highest_fencing_token, Some(highest));
    }
    rig.paste(&plain("x", 15, highest + 1));
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(observed.highest_fencing_token, Some(highest));
        assert!(matches!(observed.content, Content::Corrupt(_)));
    }
}

#[test]
fn century_lease_counts_as_an_hour() {
    let (rig, mut a, mut b) = leader();
    rig.paste(&plain("x", u64::MAX, 8));
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(observed.foreign_wait, Some(Duration::from_secs(3600)));
    }
}

#[test]
fn newer_protocol_is_never_overwritten() {
    let plain = plain("new", 15, 8).replace('}', r#","protocol":2}"#);
    let (rig, mut a, mut b) = leader();
    for supersedes in [None, Some(true), Some(false)] {
        let mut json: serde_json::Value = serde_json::from_str(&plain).unwrap();
        if let Some(effective) = supersedes {
            let head = rig.service.history(&rig.id)[0].revision.to_string();
            json["writeId"] = "newer-1".into();
            json["supersedes"] = if effective { head } else { "0".repeat(40) }.into();
        }
        rig.paste(&json.to_string());
        // The leader notices it at its write, the other locks at a read.
        assert_eq!(try_update(&mut a, "baz", 7), Err(LockError::Conflict));
        let depth = rig.depth();
        for lock in [&mut a, &mut b, &mut rig.lock("fresh")] {
            let result = try_get(lock);
            assert!(matches!(result, Err(LockError::Refused(_))), "{result:?}");
            assert!(
                try_update(lock, "baz", 9).is_err(),
                "it does not know what it would replace"
            );
            assert!(lock.create(&record("baz", 9), PATIENCE).is_err());
        }
        assert_eq!(rig.depth(), depth, "nothing more was written");
        return_to_protocol_1(&rig, &mut a, &mut b);
    }
}

/// Removes the newer record by a foreign write.
fn return_to_protocol_1(rig: &Rig, a: &mut Lock, b: &mut Lock) {
    rig.paste(&plain("person", 15, 8));
    for lock in [&mut *a, b] {
        // The read after a conflict of a `create` shows the conflicting record.
        assert!(try_get(lock).is_err());
        assert_eq!(held(&get(lock)).0, "person");
    }
    update(a, "baz", 9);
}

#[test]
fn ineffective_checkpoint_ends_no_scan() {
    let (rig, mut a, mut b) = leader();
    let mut floor: serde_json::Value = serde_json::from_str(&plain("x", 15, 1)).unwrap();
    floor["writeId"] = "somebody-1".into();
    floor["supersedes"] = "0".repeat(40).into();
    floor["checkpoint"] = true.into();
    rig.paste(&floor.to_string());
    rig.paste(&plain("y", 15, 2));
    for observed in all_see(&rig, &mut a, &mut b) {
        assert_eq!(
            (held(&observed), observed.highest_fencing_token),
            (("y", 2), Some(7))
        );
        assert_eq!(observed.foreign_wait, Some(Duration::from_secs(40)));
    }
}

#[test]
fn create_over_deleted_record_works() {
    let (rig, _, mut b) = leader();
    rig.paste(" ");
    assert_eq!(get(&mut b).content, Content::Deleted);
    create(&mut b, "bing", 8);
    assert_eq!(held(&rig.read_afresh()), ("bing", 8));
}
