//! Wrong clocks, and the age of a record.

use std::time::{Duration, Instant};

use crate::answers::answer;
use crate::client::{AMPLE, Bucket, kind};
use crate::objects::{ALL, Kind, Unmodified};
use crate::support::process::check;
use crate::support::record;
use crate::support::server::Fault;

/// Seconds by which the server's clock differs: too much for a signature.
const WRONG: [i64; 2] = [20 * 60, -20 * 60];

#[test]
fn age_follows_store_clock() {
    for service in ALL {
        for ahead in [0, WRONG[0], WRONG[1]] {
            for mode in [Unmodified::Full, Unmodified::Bare, Unmodified::Never] {
                let bucket = Bucket::new(service);
                bucket.with(|objects| {
                    objects.ahead = ahead;
                    objects.unmodified = mode;
                });
                bucket.hold();
                bucket.with(|objects| objects.grow_older(Duration::from_secs(100)));
                let mut lock = bucket.open();
                // The second answer may be 304.
                for _ in 0..2 {
                    let age = lock.get(AMPLE).unwrap().age.unwrap().as_secs();
                    assert!((100..130).contains(&age), "{service:?}, {ahead}: {age}");
                }
            }
        }
    }
}

#[test]
fn write_after_date_has_no_age() {
    for service in ALL {
        let bucket = Bucket::new(service);
        bucket.with(|objects| objects.written_ahead = 2);
        bucket.hold();
        let observed = bucket.open().get(AMPLE).unwrap();
        assert_eq!(observed.age, Some(Duration::ZERO));
    }
}

#[test]
fn wrong_clock_costs_one_request() {
    for ahead in WRONG {
        let bucket = Bucket::new(Kind::S3);
        bucket.with(|objects| objects.ahead = ahead);
        let mut lock = bucket.open();
        lock.get(AMPLE).unwrap();
        assert_eq!(bucket.count("GET"), 2);
        lock.get(AMPLE).unwrap();
        assert_eq!(bucket.count("GET"), 3);
        lock.update(&record("napoleon", 7), AMPLE).unwrap();
        // The write, and the two of the probe.
        assert_eq!(bucket.count("PUT"), 3);
        // A clock is set while the lock is in use.
        bucket.with(|objects| objects.ahead = 0);
        lock.update(&record("napoleon", 7), AMPLE).unwrap();
        assert_eq!(bucket.count("PUT"), 5);
        lock.update(&record("napoleon", 7), AMPLE).unwrap();
        assert_eq!(bucket.count("PUT"), 6);
    }
}

#[test]
fn close_clocks_cost_no_request() {
    for ahead in [14 * 60, -14 * 60] {
        let bucket = Bucket::new(Kind::S3);
        bucket.with(|objects| objects.ahead = ahead);
        bucket.open().get(AMPLE).unwrap();
        assert_eq!(bucket.count("GET"), 1);
    }
}

#[test]
fn lasting_skew_is_not_repeated() {
    let (bucket, mut lock) = Bucket::held(Kind::S3);
    let skewed = answer(Kind::S3, 403, "RequestTimeTooSkewed", "too large");
    bucket.always("GET", Fault::Answer(skewed));
    let before = bucket.count("GET");
    let error = lock.get(AMPLE).unwrap_err();
    assert_eq!(kind(&error), "unauthorized", "{error}");
    assert!(error.to_string().contains("(NTP)"), "{error}");
    assert_eq!(bucket.count("GET"), before + 2);
}

#[test]
fn cold_start_takes_old_record() {
    for service in ALL {
        for ahead in [0, WRONG[1]] {
            let bucket = Bucket::new(service);
            bucket.with(|objects| objects.ahead = ahead);
            bucket.hold();
            bucket.with(|objects| objects.grow_older(Duration::from_secs(700)));
            // The lease of the record has 15 s, longer than this may take.
            let began = Instant::now();
            let first = bucket.start("first");
            let token = first.await_leading();
            let took = began.elapsed();
            assert!(took < Duration::from_secs(10), "{took:?}: {}", first.text());
            assert_eq!(token, 8);
            check(&[&first]);
        }
    }
}
