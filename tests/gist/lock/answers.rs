//! Faulty answers: statuses, limits, timeouts, incomplete bodies.

use std::time::{Duration, Instant as Monotonic};

use elector::election::lock::{Content, LockError, ResourceLock};
use elector::emulator::Options;

use crate::lock::support::{
    FILE, Lock, PATIENCE, RENEW_DEADLINE, Rig, assert_unavailable, assert_unfinished,
    assert_unknown, create, get, held, lock, put_clock_forward, record, try_get, try_update,
    update,
};

/// Returns a leader's lock after one write.
fn leader() -> (Rig, Lock) {
    let rig = Rig::new();
    let mut lock = rig.lock("a");
    create(&mut lock, "baz", 1);
    (rig, lock)
}

#[test]
fn single_401_is_a_passing_fault() {
    for write in [false, true] {
        let (rig, mut lock) = leader();
        let once = (0..200).any(|seed| {
            rig.faults(&format!(r#"{{"unauthorized":0.5,"seed":{seed}}}"#));
            rig.service.reset_requests();
            let result = match write {
                false => try_get(&mut lock).map(drop),
                true => try_update(&mut lock, "baz", 1),
            };
            let refused = rig.service.requests().of("", "", "401");
            assert_eq!(result.is_ok(), refused < 2, "{result:?}");
            refused == 1
        });
        assert!(once);
    }
}

#[test]
fn second_401_means_bad_access_token() {
    let (rig, mut lock) = leader();
    let depth = rig.depth();
    rig.faults(r#"{"unauthorized":1}"#);
    for result in [try_get(&mut lock).map(drop), try_update(&mut lock, "b", 1)] {
        assert!(
            matches!(result, Err(LockError::Unauthorized(_))),
            "{result:?}"
        );
    }
    assert_eq!(rig.depth(), depth);
    rig.heal();
    update(&mut lock, "baz", 1);
}

#[test]
fn write_without_permission_is_unauthorized() {
    let (rig, mut lock) = leader();
    rig.faults(r#"{"forbidden_writes":true}"#);
    let result = try_update(&mut lock, "baz", 1);
    assert!(
        matches!(result, Err(LockError::Unauthorized(_))),
        "{result:?}"
    );
    rig.faults(r#"{"not_found_writes":true}"#);
    let result = try_update(&mut lock, "baz", 1);
    assert!(matches!(result, Err(LockError::NotFound(_))), "{result:?}");
    assert_eq!(rig.depth(), 2);
    rig.heal();
    update(&mut lock, "baz", 1);
}

#[test]
fn missing_gist_is_not_found() {
    let rig = Rig::new();
    let mut lock = lock(&rig.service, "0123456789abcdef", "a", Some(FILE));
    let result = try_get(&mut lock);
    assert!(matches!(result, Err(LockError::NotFound(_))), "{result:?}");
    let result = lock.create(&record("baz", 0), PATIENCE);
    assert!(matches!(result, Err(LockError::NotFound(_))), "{result:?}");
    assert_eq!(rig.patches(), 0);
}

#[test]
fn token_without_gist_scope_is_refused() {
    let options = Options {
        tokens: vec!["ghp_notasecret:repo,workflow".parse().unwrap()],
        ..Options::default()
    };
    let rig = Rig::start(&[(FILE, "{}")], options);
    let result = try_get(&mut rig.lock("a"));
    let Err(LockError::Unauthorized(why)) = result else {
        panic!("{result:?}");
    };
    assert!(
        why.contains("repo, workflow") && why.contains("scope gist"),
        "{why}"
    );
}

#[test]
fn token_with_unknown_scopes_is_tried() {
    let options = Options {
        tokens: vec!["ghp_notasecret:".parse().unwrap()],
        ..Options::default()
    };
    let rig = Rig::start(&[(FILE, "{}")], options);
    let mut lock = rig.lock("a");
    assert_eq!(get(&mut lock).content, Content::NeverWritten);
    let result = try_update(&mut lock, "baz", 0);
    assert!(matches!(result, Err(LockError::NotFound(_))), "{result:?}");
}

#[test]
fn write_over_removed_file_conflicts() {
    let (rig, mut lock) = leader();
    rig.service
        .edit(&rig.id, |files| {
            files.insert("other".into(), "x".into());
            files.remove(FILE);
        })
        .unwrap();
    assert_eq!(try_update(&mut lock, "baz", 1), Err(LockError::Conflict));
    let (observed, requests) = rig.counting(|| get(&mut lock));
    assert_eq!((observed.content, requests), (Content::Deleted, 0));
}

#[test]
fn server_errors_leave_writes_unknown() {
    let (rig, mut lock) = leader();
    rig.faults(r#"{"error_5xx":1,"error_status":503}"#);
    assert_unavailable(try_get(&mut lock));
    assert_unknown(try_update(&mut lock, "baz", 1));
    rig.heal();
    let observed = get(&mut lock);
    assert_eq!(observed.mine, Some(1), "the write was not done");
    rig.faults(r#"{"error_5xx":1,"error_write_landed":1}"#);
    assert_unknown(try_update(&mut lock, "baz", 1));
    rig.heal();
    assert_eq!(get(&mut lock).mine, Some(3), "the write was done");
    update(&mut lock, "baz", 1);
}

#[test]
fn read_after_lost_answer_finds_write() {
    let (rig, mut lock) = leader();
    rig.faults(r#"{"lost_answers":1}"#);
    assert_unknown(try_update(&mut lock, "baz", 2));
    rig.heal();
    let observed = get(&mut lock);
    assert_eq!((held(&observed), observed.mine), (("baz", 2), Some(2)));
    update(&mut lock, "baz", 2);
}

#[test]
fn write_after_lost_answer_conflicts() {
    let (rig, mut lock) = leader();
    rig.faults(r#"{"lost_answers":1}"#);
    assert_unknown(try_update(&mut lock, "baz", 2));
    rig.heal();
    assert_eq!(try_update(&mut lock, "baz", 3), Err(LockError::Conflict));
    assert_eq!(get(&mut lock).mine, Some(2));
}

#[test]
fn incomplete_answer_is_a_failure() {
    let (rig, mut lock) = leader();
    rig.faults(r#"{"truncated_answers":1}"#);
    assert_unknown(try_update(&mut lock, "baz", 1));
    assert_unavailable(try_get(&mut lock));
    rig.heal();
    assert_eq!(get(&mut lock).mine, Some(2));
}

#[test]
fn dropped_connection_leaves_write_unknown() {
    let (rig, mut lock) = leader();
    rig.faults(r#"{"drop":1}"#);
    assert_unknown(try_update(&mut lock, "baz", 1));
    assert_unavailable(try_get(&mut lock));
    rig.heal();
    assert_eq!(get(&mut lock).mine, Some(1));
    update(&mut lock, "baz", 1);
}

#[test]
fn unreachable_server_wrote_nothing() {
    let (rig, mut lock) = leader();
    let Rig { service, .. } = rig;
    service.stop();
    assert_unavailable(try_get(&mut lock));
    assert_unavailable(try_update(&mut lock, "baz", 1));
}

#[test]
fn hung_request_ends_at_its_timeout() {
    let (rig, mut lock) = leader();
    rig.faults(r#"{"hang_reads":1,"hang_writes":1}"#);
    let time = Duration::from_millis(300);
    let started = Monotonic::now();
    assert_unavailable(lock.get(time));
    assert_unknown(lock.update(&record("baz", 1), time));
    let took = started.elapsed();
    assert!(took >= 2 * time && took < PATIENCE / 4, "{took:?}");
    rig.heal();
    assert_eq!(get(&mut lock).mine, Some(1));
}

#[test]
fn slow_scan_continues_in_next_call() {
    let rig = Rig::new();
    for n in 0..15 {
        rig.paste(&plain_text(n));
    }
    let (_, whole) = rig.counting(|| get(&mut rig.lock("fresh")));
    rig.faults(r#"{"read_ms":40}"#);
    let mut lock = rig.lock("a");
    let started = Monotonic::now();
    let (_, first) = rig.counting(|| assert_unfinished(lock.get(Duration::from_millis(450))));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    rig.heal();
    let (observed, requests) = rig.counting(|| get(&mut lock));
    assert_eq!(held(&observed), ("p", 14));
    // The first read and the request that timed out are repeated.
    assert!(
        requests + first <= whole + 2,
        "it began anew: {requests} after {first}, of {whole}"
    );
}

fn plain_text(token: u64) -> String {
    crate::lock::support::plain("p", 15, token)
}

#[test]
fn nothing_is_sent_without_time() {
    let (rig, mut lock) = leader();
    let (_, requests) = rig.counting(|| {
        assert_unavailable(lock.get(Duration::ZERO));
        assert_unavailable(lock.update(&record("baz", 1), Duration::ZERO));
    });
    assert_eq!(requests, 0);
    update(&mut lock, "baz", 1);
}

#[test]
fn primary_limit_holds_requests_until_reset() {
    let (rig, mut lock) = leader();
    for status in [403, 429] {
        rig.faults(&format!(
            r#"{{"primary_limit":1,"primary_window_s":500,"primary_status":{status}}}"#
        ));
        while try_update(&mut lock, "baz", 1).is_ok() {}
        let Err(LockError::RateLimited { retry_after, .. }) = try_get(&mut lock) else {
            panic!("not throttled");
        };
        assert!(
            retry_after > Duration::from_secs(60) && retry_after <= Duration::from_secs(502),
            "{retry_after:?}"
        );
        let (result, requests) = rig.counting(|| try_update(&mut lock, "baz", 1));
        assert!(
            matches!(result, Err(LockError::RateLimited { .. })),
            "{result:?}"
        );
        assert_eq!(requests, 0);
        put_clock_forward(Duration::from_secs(503));
        rig.heal();
        get(&mut lock);
    }
}

#[test]
fn every_answer_sets_poll_interval() {
    let (rig, mut lock) = leader();
    get(&mut lock);
    assert_eq!(
        lock.min_poll_interval(),
        Duration::ZERO,
        "no limits are stated"
    );
    // With renewals every 8 s the leader's reserve is larger than that.
    rig.faults(r#"{"primary_limit":100}"#);
    rig.service.reset_requests();
    get(&mut lock);
    let unchanged = rig.service.requests().of("GET", "", "304");
    assert_eq!(unchanged, 1, "a 304 says it too");
    assert_eq!(
        lock.min_poll_interval(),
        Duration::from_secs(300),
        "ten leases"
    );
    put_clock_forward(Duration::from_secs(3_500));
    assert!(
        lock.min_poll_interval() <= Duration::from_secs(102),
        "the reset"
    );
    put_clock_forward(Duration::from_secs(103));
    assert_eq!(lock.min_poll_interval(), Duration::ZERO);
    rig.faults(r#"{"primary_limit":5000}"#);
    update(&mut lock, "baz", 1);
    assert_eq!(lock.min_poll_interval(), Duration::ZERO, "ample");
}

#[test]
fn secondary_limit_obeys_header_or_doubles() {
    let (rig, mut lock) = leader();
    let wait = |lock: &mut Lock| match try_update(lock, "baz", 1) {
        Err(LockError::RateLimited { retry_after, .. }) => retry_after.as_secs(),
        other => panic!("{other:?}"),
    };
    rig.faults(r#"{"secondary_per_minute":0,"retry_after_s":7}"#);
    assert_eq!(wait(&mut lock), 7);
    put_clock_forward(Duration::from_secs(8));
    get(&mut lock);
    rig.faults(r#"{"secondary_per_hour":0,"secondary_status":429}"#);
    assert_eq!(wait(&mut lock), 60);
    put_clock_forward(Duration::from_secs(61));
    assert_eq!(wait(&mut lock), 120);
    put_clock_forward(Duration::from_secs(121));
    rig.heal();
    assert_eq!(
        get(&mut lock).mine,
        Some(1),
        "a refused write wrote nothing"
    );
    update(&mut lock, "baz", 1);
}

#[test]
fn reads_of_unchanged_gist_are_free() {
    let (rig, mut lock) = leader();
    let mut candidate = rig.lock("b");
    let first = get(&mut candidate);
    rig.service.reset_requests();
    for _ in 0..10 {
        assert_eq!(get(&mut candidate).content, first.content);
        assert_eq!(get(&mut lock).mine, Some(1));
    }
    let requests = rig.service.requests();
    assert_eq!((requests.total(), requests.of("GET", "", "304")), (20, 20));
}

#[test]
fn poll_after_renewal_costs_one_request() {
    let (rig, mut lock) = leader();
    let mut candidate = rig.lock("b");
    get(&mut candidate);
    for _ in 0..10 {
        let ((), writing) = rig.counting(|| update(&mut lock, "baz", 1));
        let (_, reading) = rig.counting(|| get(&mut candidate));
        assert_eq!((writing, reading), (1, 1));
    }
}

#[test]
fn missing_entity_tags_change_no_observation() {
    let (rig, mut lock) = leader();
    rig.faults(r#"{"no_etag":true}"#);
    let first = get(&mut lock);
    update(&mut lock, "baz", 1);
    rig.service.reset_requests();
    let second = get(&mut lock);
    let third = get(&mut lock);
    assert_eq!(rig.service.requests().of("GET", "", "200"), 2);
    assert_ne!(first.resource_version, second.resource_version);
    assert_eq!(second.resource_version, third.resource_version);
}

#[test]
fn age_uses_server_clock_only() {
    let (rig, _) = leader();
    rig.faults(r#"{"clock_offset_s":86400}"#);
    let age = rig.read_afresh().age.unwrap();
    assert!(age >= Duration::from_secs(86_400), "{age:?}");
    rig.faults(r#"{"clock_offset_s":-86400}"#);
    assert_eq!(rig.read_afresh().age, Some(Duration::ZERO));
    rig.faults(r#"{"no_date":true}"#);
    assert_eq!(rig.read_afresh().age, None);
}

#[test]
fn answer_without_acknowledged_write_is_stale() {
    let (rig, mut lock) = leader();
    update(&mut lock, "baz", 1);
    rig.faults(r#"{"stale_reads":1,"stale_age_ms":3600000}"#);
    let why = assert_unavailable(try_get(&mut lock));
    assert!(why.contains("old state"), "{why}");
    put_clock_forward(RENEW_DEADLINE / 2 - Duration::from_secs(1));
    assert_unavailable(try_get(&mut lock));
    rig.heal();
    assert_eq!(get(&mut lock).mine, Some(2), "it was not lost");
    rig.faults(r#"{"stale_reads":1,"stale_age_ms":3600000}"#);
    put_clock_forward(Duration::from_secs(2));
    let observed = get(&mut lock);
    assert_eq!(
        (observed.content, observed.record_lost),
        (Content::NeverWritten, true)
    );
    assert_eq!(observed.highest_fencing_token, Some(1));
}

#[test]
fn write_after_stale_read_conflicts() {
    let rig = Rig::new();
    let mut leader = rig.lock("a");
    create(&mut leader, "baz", 1);
    rig.faults(r#"{"stale_reads":1,"stale_age_ms":3600000}"#);
    let mut candidate = rig.lock("b");
    assert_eq!(get(&mut candidate).content, Content::NeverWritten);
    // The revision below its write is requested from a server that does not have it yet.
    let result = candidate.create(&record("bing", 1), PATIENCE);
    let Err(LockError::OutcomeUnknown(why)) = result else {
        panic!("{result:?}");
    };
    assert!(why.contains("a revision that it listed"), "{why}");
    rig.heal();
    let observed = get(&mut candidate);
    assert_eq!((held(&observed), observed.mine), (("baz", 1), None));
    update(&mut leader, "baz", 1);
}
