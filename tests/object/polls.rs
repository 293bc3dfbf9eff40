//! Reads of an object that has not changed, and of one that has.

use elector::lock::stats::StatsHandle;

use crate::client::{AMPLE, Bucket, Lock, settings};
use crate::objects::{ALL, Kind, Unmodified};
use crate::support::record;

const MODES: [Unmodified; 3] = [Unmodified::Full, Unmodified::Bare, Unmodified::Never];

/// A record of another program.
const FOREIGN: &str =
    r#"{"holderIdentity":"client-go","leaseDurationSeconds":40,"leaderTransitions":8}"#;

/// Opens a lock, with its statistics.
fn open(bucket: &Bucket) -> (Lock, StatsHandle) {
    let settings = settings(&bucket.variables()).unwrap();
    let opened = settings.lock.backend().open(&settings.election).unwrap();
    (opened.lock, opened.stats)
}

/// Calls the test for each service, and each form of its answer 304.
fn for_all(test: impl Fn(&Bucket, Unmodified)) {
    for service in ALL {
        for mode in MODES {
            let bucket = Bucket::new(service);
            bucket.with(|objects| objects.unmodified = mode);
            test(&bucket, mode);
        }
    }
}

#[test]
fn unchanged_reads_have_no_body() {
    for_all(|bucket, mode| {
        bucket.hold();
        let (mut lock, stats) = open(bucket);
        let first = lock.get(AMPLE).unwrap();
        for _ in 0..3 {
            assert_eq!(lock.get(AMPLE).unwrap().content, first.content);
        }
        let expected = match (mode, bucket.kind) {
            (Unmodified::Never, _) => 0,
            // Without a time, the answer does not tell whether the same bytes were written again.
            (Unmodified::Bare, Kind::S3) => 1,
            _ => 3,
        };
        assert_eq!(stats.snapshot().not_modified, expected, "{mode:?}");
        let reads = bucket.received().into_iter();
        let mut reads = reads.filter(|one| one.method == "GET").rev();
        let last = reads.next().unwrap();
        let conditional =
            last.header("if-none-match").is_some() || last.path.contains("ifGenerationNotMatch");
        let unconditional = mode == Unmodified::Bare && bucket.kind == Kind::S3;
        assert_eq!(conditional, !unconditional, "{mode:?}: {}", last.head);
    });
}

#[test]
fn changed_object_is_read() {
    for_all(|bucket, _| {
        let mut first = bucket.hold();
        let mut second = bucket.open();
        let version = second.get(AMPLE).unwrap().resource_version;
        for step in 1..4 {
            let token = 7 + step;
            first.update(&record("cleopatra", token), AMPLE).unwrap();
            let observed = second.get(AMPLE).unwrap();
            assert_eq!(observed.highest_fencing_token, Some(token));
            assert_eq!(observed.resource_version, version + step);
        }
    });
}

#[test]
fn repeated_foreign_record_is_noticed() {
    for_all(|bucket, mode| {
        bucket.hold();
        let mut lock = bucket.open();
        lock.get(AMPLE).unwrap();
        bucket.with(|objects| objects.put(FOREIGN));
        let mut version = 0;
        for _ in 0..3 {
            let observed = lock.get(AMPLE).unwrap();
            assert_eq!(observed.content.holder(), "client-go");
            let now = observed.resource_version;
            assert!(now > version, "{:?}, {mode:?}", bucket.kind);
            version = now;
            assert_eq!(lock.get(AMPLE).unwrap().resource_version, version);
            // The times of writes have whole seconds.
            bucket.with(|objects| {
                objects.ahead += 2;
                objects.put(FOREIGN);
            });
        }
    });
}

#[test]
fn repeated_foreign_record_is_conflict() {
    for_all(|bucket, mode| {
        bucket.hold();
        let mut lock = bucket.open();
        bucket.with(|objects| objects.put(FOREIGN));
        lock.get(AMPLE).unwrap();
        // Another candidate acquires in between.
        bucket.with(|objects| {
            objects.put("{}");
            objects.ahead += 2;
            objects.put(FOREIGN);
        });
        let result = lock.update(&record("napoleon", 9), AMPLE);
        // S3 cannot tell: its version is the same.
        if bucket.kind != Kind::S3 {
            let error = result.unwrap_err();
            assert_eq!(crate::client::kind(&error), "conflict", "{mode:?}: {error}");
        }
    });
}
