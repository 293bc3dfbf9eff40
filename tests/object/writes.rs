//! Deleted, restored and foreign objects; servers that ignore conditions; old versions.

use std::time::Duration;

use elector::election::lock::{Content, LockError};

use crate::client::{AMPLE, Bucket, kind};
use crate::objects::{ALL, Kind};
use crate::support::record;

#[test]
fn deleted_object_is_not_created_again() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        bucket.with(|objects| objects.delete());
        let error = lock.update(&record("napoleon", 7), AMPLE).unwrap_err();
        assert_eq!(kind(&error), "conflict", "{error}");
        assert_eq!(bucket.record(), serde_json::Value::Null);
        assert_eq!(lock.get(AMPLE).unwrap().content, Content::Deleted);
        lock.create(&record("napoleon", 8), AMPLE).unwrap();
    }
}

#[test]
fn same_bytes_are_same_record() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        // Deleted, and restored in time.
        bucket.with(|objects| {
            let value = objects.value();
            objects.delete();
            objects.put(&value);
        });
        lock.update(&record("napoleon", 7), AMPLE).unwrap();
    }
}

#[test]
fn restored_record_is_noticed() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        let old = bucket.with(|objects| objects.value());
        lock.update(&record("napoleon", 7), AMPLE).unwrap();
        bucket.with(|objects| objects.put(&old));
        let error = lock.get(AMPLE).unwrap_err();
        assert_eq!(kind(&error), "unavailable", "{error}");
        assert!(error.to_string().contains("backup"), "{error}");
        let error = lock.update(&record("napoleon", 7), AMPLE).unwrap_err();
        assert_eq!(kind(&error), "unfinished", "{error}");
        // Not written over, although S3 gives the old version to the old bytes.
        assert_eq!(bucket.with(|objects| objects.value()), old);
    }
}

#[test]
fn restored_record_refuses_renewal() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        let old = bucket.with(|objects| objects.value());
        lock.update(&record("napoleon", 7), AMPLE).unwrap();
        bucket.with(|objects| objects.put(&old));
        let error = lock.update(&record("napoleon", 7), AMPLE).unwrap_err();
        assert_eq!(kind(&error), "conflict", "{error}");
        assert_eq!(bucket.with(|objects| objects.value()), old);
    }
}

#[test]
fn returned_record_is_not_current() {
    for service in ALL {
        for gone in [None, Some("{}"), Some("[")] {
            let (bucket, mut lock) = Bucket::held(service);
            let old = bucket.with(|objects| objects.value());
            match gone {
                None => bucket.with(|objects| objects.delete()),
                Some(value) => bucket.with(|objects| objects.put(value)),
            }
            lock.get(AMPLE).unwrap();
            bucket.with(|objects| objects.put(&old));
            // Another candidate may have acquired in between.
            let observed = lock.get(AMPLE).unwrap();
            assert_eq!((observed.mine, observed.age), (None, None));
            assert!(observed.record_lost);
            assert_eq!(observed.foreign_wait, Some(Duration::from_secs(15)));
            for observed in [observed, lock.get(AMPLE).unwrap()] {
                assert!(observed.highest_fencing_token > Some(1_700_000_000));
            }
            lock.update(&record("napoleon", 8), AMPLE).unwrap();
            assert_eq!(lock.get(AMPLE).unwrap().mine, Some(2));
        }
    }
}

#[test]
fn edited_record_is_foreign() {
    for service in ALL {
        let (bucket, mut lock) = Bucket::held(service);
        bucket.with(|objects| {
            let edited = objects.value().replace("napoleon", "cleopatra");
            objects.put(&edited);
        });
        let observed = lock.get(AMPLE).unwrap();
        assert_eq!(observed.content.holder(), "cleopatra");
        assert_eq!((observed.mine, observed.age), (None, None));
        assert_eq!(observed.foreign_wait, Some(Duration::from_secs(15)));
        assert!(observed.highest_fencing_token > Some(1_700_000_000));
        lock.update(&record("napoleon", 9), AMPLE).unwrap();
    }
}

#[test]
fn other_content_is_left_unchanged() {
    for service in ALL {
        for content in ["a,b\n1,2\n".to_owned(), " ".repeat(3_000_000) + "x"] {
            let bucket = Bucket::new(service);
            bucket.with(|objects| objects.put(&content));
            let mut lock = bucket.open();
            let error = lock.get(AMPLE).unwrap_err();
            assert_eq!(kind(&error), "refused", "{error}");
            assert!(error.to_string().contains("use another place"), "{error}");
            lock.update(&record("napoleon", 9), AMPLE).unwrap_err();
            assert!(bucket.with(|objects| objects.value()) == content);
        }
    }
}

#[test]
fn ignoring_server_is_refused() {
    for service in ALL {
        let (bucket, _lock) = Bucket::held(service);
        bucket.with(|objects| objects.ignores_conditions = true);
        let mut second = bucket.open();
        for _ in 0..2 {
            let error = second.get(AMPLE).unwrap_err();
            assert!(matches!(error, LockError::Refused(_)), "{error}");
        }
        // What the probe left behind is foreign.
        bucket.with(|objects| objects.ignores_conditions = false);
        let observed = bucket.open().get(AMPLE).unwrap();
        assert!(observed.foreign_wait.is_some());
    }
}

#[test]
fn probe_changes_nothing() {
    for service in ALL {
        let (bucket, _lock) = Bucket::held(service);
        let before = bucket.with(|objects| objects.changes());
        let writes = bucket.count(bucket.writes());
        bucket.open().get(AMPLE).unwrap();
        assert_eq!(bucket.count(bucket.writes()), writes + 2);
        assert_eq!(bucket.with(|objects| objects.changes()), before);
    }
}

#[test]
fn delete_marker_is_not_retried_forever() {
    // After a deletion, versitygw answers 404 to reads and 412 to creations, if it keeps versions.
    let (bucket, _) = Bucket::held(Kind::S3);
    bucket.with(|objects| {
        objects.versioned = true;
        objects.keeps_markers = true;
        objects.delete();
    });
    let mut lock = bucket.open();
    assert_eq!(lock.get(AMPLE).unwrap().content, Content::Deleted);
    let before = bucket.received().len();
    let error = lock.create(&record("napoleon", 7), AMPLE).unwrap_err();
    assert_eq!(kind(&error), "unknown", "{error}");
    let text = error.to_string();
    assert!(
        text.contains("jobs/nightly") && text.contains("refused 3 times"),
        "{text}"
    );
    assert_eq!(bucket.received().len(), before + 6);
}
