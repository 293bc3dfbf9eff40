//! Lost, late and repeated writes.

use std::time::{Duration, Instant};

use crate::answers::answer;
use crate::client::{AMPLE, Bucket, kind};
use crate::objects::ALL;
use crate::support::server::{Fault, unanswered};
use crate::support::{eventually, never_for, record};

/// Delay of a late write.
const LATE: Duration = Duration::from_millis(300);

/// Returns the holder of the stored record.
fn holder(bucket: &Bucket) -> serde_json::Value {
    bucket.record()["holderIdentity"].clone()
}

#[test]
fn unanswered_writes_land_once() {
    for service in ALL {
        for (case, faults) in unanswered(|status| answer(service, status, "Any", "busy")) {
            let (bucket, mut lock) = Bucket::held(service);
            let before = bucket.with(|objects| objects.changes());
            bucket.next(bucket.writes(), faults);
            lock.update(&record("napoleon", 8), AMPLE)
                .unwrap_or_else(|error| panic!("{service:?}, {case}: {error}"));
            let changes = bucket.with(|objects| objects.changes());
            assert_eq!(changes, before + 1, "{service:?}, {case}");
            assert_eq!(bucket.record()["leaderTransitions"], 8, "{case}");
            assert_eq!(lock.get(AMPLE).unwrap().mine, Some(2), "{case}");
        }
    }
}

#[test]
fn racing_refusal_is_repeated() {
    // The request came at the same time as another one, and was not carried out.
    let (bucket, mut lock) = Bucket::held(crate::objects::Kind::S3);
    let conflict = answer(bucket.kind, 409, "ConditionalRequestConflict", "again");
    bucket.answer_next("PUT", &conflict);
    lock.update(&record("napoleon", 8), AMPLE).unwrap();
    assert_eq!(bucket.record()["leaderTransitions"], 8);
}

#[test]
fn unanswered_creation_lands_once() {
    for service in ALL {
        for fault in [Fault::Lost, Fault::AnswerLost, Fault::Doubled] {
            let bucket = Bucket::new(service);
            let mut lock = bucket.open();
            lock.get(AMPLE).unwrap();
            bucket.next(bucket.writes(), [fault.clone()]);
            let result = lock.create(&record("napoleon", 1), AMPLE);
            result.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            assert_eq!(lock.get(AMPLE).unwrap().mine, Some(1), "{fault:?}");
            assert_eq!(bucket.with(|objects| objects.changes()), 1, "{fault:?}");
        }
    }
}

#[test]
fn lasting_failure_leaves_outcome_unknown() {
    for service in ALL {
        for fault in [
            Fault::Lost,
            Fault::AnswerLost,
            Fault::Answer(answer(service, 500, "Any", "oops")),
            Fault::Instead(answer(service, 504, "Any", "late")),
        ] {
            let (bucket, mut lock) = Bucket::held(service);
            bucket.always(bucket.writes(), fault.clone());
            bucket.always("GET", Fault::Lost);
            let error = lock.update(&record("napoleon", 8), AMPLE).unwrap_err();
            assert_eq!(kind(&error), "unknown", "{error}");
            bucket.without_faults();
            lock.get(AMPLE).unwrap();
            lock.update(&record("napoleon", 8), AMPLE).unwrap();
        }
    }
}

#[test]
fn late_write_cannot_replace_newer() {
    for service in ALL {
        let (bucket, mut first) = Bucket::held(service);
        bucket.next(bucket.writes(), [Fault::Late(LATE)]);
        bucket.always("GET", Fault::Lost);
        let error = first.update(&record("napoleon", 8), AMPLE).unwrap_err();
        assert_eq!(kind(&error), "unknown", "{error}");
        bucket.without_faults();
        let mut second = bucket.open();
        second.get(AMPLE).unwrap();
        // It may have landed on a slow machine.
        second.get(AMPLE).unwrap();
        second.update(&record("cleopatra", 9), AMPLE).unwrap();
        never_for(2 * LATE, "the late write lands", || {
            holder(&bucket) != "cleopatra"
        });
        let error = first.update(&record("napoleon", 8), AMPLE).unwrap_err();
        assert_eq!(kind(&error), "conflict", "{error}");
        assert_eq!(first.get(AMPLE).unwrap().content.holder(), "cleopatra");
    }
}

#[test]
fn late_write_is_recognised() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        bucket.next(bucket.writes(), [Fault::Late(LATE)]);
        bucket.always("GET", Fault::Lost);
        lock.update(&record("napoleon", 8), AMPLE).unwrap_err();
        bucket.without_faults();
        eventually("the write lands", || {
            bucket.record()["leaderTransitions"] == 8
        });
        assert_eq!(lock.get(AMPLE).unwrap().mine, Some(2));
    }
}

#[test]
fn stale_write_is_conflict() {
    for service in ALL {
        let (bucket, mut first) = Bucket::held(service);
        let mut second = bucket.open();
        second.get(AMPLE).unwrap();
        second.update(&record("cleopatra", 8), AMPLE).unwrap();
        let error = first.update(&record("napoleon", 8), AMPLE).unwrap_err();
        assert_eq!(kind(&error), "conflict", "{error}");
        assert_eq!(holder(&bucket), "cleopatra");
    }
}

#[test]
fn silent_server_costs_only_timeout() {
    let timeout = Duration::from_millis(400);
    let slow = b"HTTP/1.1 200 X\r\netag: \"1\"\r\ncontent-length: 999\r\n\r\n{".to_vec();
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        for method in ["GET", bucket.writes()] {
            bucket.always(method, Fault::Answer(slow.clone()));
        }
        let began = Instant::now();
        let error = lock.get(timeout).unwrap_err();
        assert_eq!(kind(&error), "unavailable", "{error}");
        let error = lock.update(&record("napoleon", 8), timeout).unwrap_err();
        assert_eq!(kind(&error), "unknown", "{error}");
        assert!(began.elapsed() < 6 * timeout, "{:?}", began.elapsed());
    }
}
