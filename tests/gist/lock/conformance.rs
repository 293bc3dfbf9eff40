//! The checks of client-go's tests for its `LeaseLock`, applied to the gist lock.

use std::time::Duration;

use elector::election::lock::{Content, LockError, ResourceLock};
use elector::election::record::{HIGHEST_TOKEN, LeaderElectionRecord};

use crate::lock::support::{
    FILE, PATIENCE, Rig, create, get, held, plain, record, try_update, update,
};

#[test]
fn missing_record_was_never_written() {
    let rig = Rig::new();
    let observed = get(&mut rig.lock("a"));
    assert_eq!(observed.content, Content::NeverWritten);
    assert_eq!((observed.mine, observed.age), (None, None));
    assert_eq!(observed.highest_fencing_token, None);
    assert!(!observed.record_lost);
}

#[test]
fn unknown_fields_survive_rewrite() {
    let rig = Rig::new();
    rig.paste(
        r#"{"holderIdentity":"bing","leaseDurationSeconds":7,"acquireTime":"2026-11-22T10:00:00Z","renewTime":"2026-11-22T10:04:08Z","leaderTransitions":3,"preferredHolder":"cleo","strategy":"OldestEmulationVersion","x":{"y":[1,null,"z"]}}"#,
    );
    let mut lock = rig.lock("a");
    let observed = get(&mut lock);
    let Content::Record(seen) = &observed.content else {
        panic!("{observed:?}");
    };
    assert_eq!(seen.holder_identity, "bing");
    assert_eq!(seen.lease_duration_seconds, 7);
    assert_eq!(seen.acquire_time, "2026-11-22T10:00:00Z");
    assert_eq!(seen.renew_time, "2026-11-22T10:04:08Z");
    assert_eq!(seen.leader_transitions, 3);
    let next = LeaderElectionRecord {
        holder_identity: "baz".into(),
        ..(**seen).clone()
    };
    lock.update(&next, PATIENCE).unwrap();
    let stored = rig.json();
    assert_eq!(stored["preferredHolder"], "cleo");
    assert_eq!(stored["strategy"], "OldestEmulationVersion");
    assert_eq!(
        stored["x"],
        serde_json::json!({"y": [1, null, "z"]}),
        "{stored}"
    );
    assert_eq!(stored["holderIdentity"], "baz");
}

#[test]
fn record_round_trips() {
    let rig = Rig::new();
    let mut written = record("nap/\"oleon\"\n皇帝", HIGHEST_TOKEN);
    written.acquire_time = "2026-11-22T10:00:00Z".into();
    written.renew_time = "2026-11-22T10:04:08.123456Z".into();
    written
        .other
        .insert("preferredHolder".into(), "cleo".into());
    written.other.insert("strategy".into(), "x".into());
    let mut lock = rig.lock("a");
    lock.create(&written, PATIENCE).unwrap();
    for observed in [get(&mut lock), rig.read_afresh()] {
        assert_eq!(observed.content.record(), Some(&written));
        assert_eq!(observed.highest_fencing_token, Some(HIGHEST_TOKEN));
    }
}

#[test]
fn create_over_record_conflicts() {
    let rig = Rig::new();
    rig.paste(&plain("bing", 15, 1));
    for looked_before in [true, false] {
        let mut lock = rig.lock("a");
        if looked_before {
            get(&mut lock);
        }
        let result = lock.create(&record("baz", 2), PATIENCE);
        assert_eq!(result, Err(LockError::Conflict));
        let (observed, requests) = rig.counting(|| get(&mut lock));
        assert_eq!((held(&observed), requests), (("bing", 1), 0));
    }
    assert_eq!(rig.patches(), 0);
}

#[test]
fn update_before_read_sends_nothing() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    let (result, requests) = rig.counting(|| try_update(&mut lock, "baz", 1));
    let Err(LockError::Unfinished(why)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(why, "the gist has not been read yet; read it first");
    assert_eq!(requests, 0);
}

#[test]
fn create_needs_no_earlier_read() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    create(&mut lock, "baz", 0);
    let (_, requests) = rig.counting(|| update(&mut lock, "baz", 0));
    assert_eq!(requests, 1);
    let observed = get(&mut lock);
    assert_eq!((held(&observed), observed.mine), (("baz", 0), Some(2)));
    assert_eq!(observed.foreign_wait, None);
}

#[test]
fn failed_calls_count_as_writes() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    assert!(try_update(&mut lock, "baz", 0).is_err());
    create(&mut lock, "baz", 0);
    assert!(lock.create(&record("baz", 0), PATIENCE).is_err());
    assert_eq!(get(&mut lock).mine, Some(2));
    update(&mut lock, "baz", 0);
    assert_eq!(get(&mut lock).mine, Some(4));
}

#[test]
fn same_name_is_another_writer() {
    let rig = Rig::new();
    let (mut one, mut other) = (rig.lock("a"), rig.lock("aa"));
    create(&mut one, "baz", 0);
    let observed = get(&mut other);
    assert_eq!((held(&observed), observed.mine), (("baz", 0), None));
    assert!(observed.age.is_some_and(|age| age < PATIENCE));
}

#[test]
fn describe_names_the_gist() {
    let rig = Rig::new();
    let mut lock = rig.lock_on("a", None);
    lock.record_event("baz became leader");
    assert_eq!(lock.identity(), "a/identity");
    assert_eq!(lock.confirm_delay(), Some(Duration::from_secs(2)));
    let host = rig.service.url();
    for _ in 0..2 {
        let place = lock.describe();
        assert!(place.contains(&rig.id) && place.contains(&host), "{place}");
        get(&mut lock);
    }
    assert!(lock.describe().contains(FILE), "{}", lock.describe());
}

#[test]
fn highest_fencing_token_ends_claims() {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    get(&mut lock);
    let result = try_update(&mut lock, "baz", HIGHEST_TOKEN + 1);
    assert!(matches!(result, Err(LockError::Refused(_))), "{result:?}");
    assert_eq!(rig.patches(), 0);
}
