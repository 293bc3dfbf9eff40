//! Whole electors.

use std::time::{Duration, Instant};

use crate::answers::answer;
use crate::client::Bucket;
use crate::objects::{ALL, Kind};
use crate::support::process::{Elector, await_next_term, await_one_leading, check, refusal};
use crate::support::server::{Fault, http};
use crate::support::{eventually, for_each, never_for};

/// Starts a leader and a standby. Returns also the leader's fencing token.
fn pair(bucket: &Bucket) -> (Elector, Elector, u64) {
    let first = bucket.start("first");
    let token = first.await_leading();
    let second = bucket.start("second");
    second.await_observed("first");
    (first, second, token)
}

#[test]
fn killed_leader_is_replaced() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let mut electors: Vec<Elector> = ["a", "b", "c"]
            .map(|name| bucket.start(name))
            .into_iter()
            .collect();
        let leader = await_one_leading(&electors.iter().collect::<Vec<_>>());
        let token = electors[leader].leads().unwrap();
        // Lost answers change nothing.
        let faults = [Fault::AnswerLost, Fault::Lost, Fault::Doubled];
        bucket.next(bucket.writes(), faults);
        let changes = bucket.with(|objects| objects.changes());
        eventually("it renews", || {
            bucket.with(|objects| objects.changes()) >= changes + 4
        });
        assert_eq!(electors[leader].leads(), Some(token));
        let mut killed = electors.remove(leader);
        killed.kill();
        await_next_term(&electors.iter().collect::<Vec<_>>(), token);
        check(&[&killed, &electors[0], &electors[1]]);
    });
}

#[test]
fn graceful_end_hands_over_immediately() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let (mut first, mut second, token) = pair(&bucket);
        first.leave();
        let left = Instant::now();
        assert!(second.await_leading() > token);
        let took = left.elapsed();
        assert!(
            took < Duration::from_millis(2500),
            "{took:?}: {}",
            second.text()
        );
        second.leave();
        check(&[&first, &second]);
        assert_eq!(bucket.record()["holderIdentity"], "");
    });
}

#[test]
fn leader_survives_faults_of_writes() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let first = bucket.start("first");
        let token = first.await_leading();
        let busy = |status| answer(*service, status, "Any", "busy");
        for fault in [
            Fault::Lost,
            Fault::AnswerLost,
            Fault::Doubled,
            Fault::Answer(busy(500)),
            Fault::Instead(busy(504)),
        ] {
            let before = bucket.with(|objects| objects.changes());
            bucket.next(bucket.writes(), [fault]);
            eventually("it renews", || {
                bucket.with(|objects| objects.changes()) >= before + 2
            });
        }
        assert_eq!(first.leads(), Some(token), "{}", first.text());
        assert!(!first.has_logged("workload_stopped"), "{}", first.text());
        check(&[&first]);
    });
}

#[test]
fn deleted_object_ends_term() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let (first, second, token) = pair(&bucket);
        let old = bucket.with(|objects| {
            let old = objects.value();
            objects.delete();
            old
        });
        let deleted = Instant::now();
        first.await_logged("workload_stopped");
        // A leader that does not know yet may lead for its lease.
        let both = [&first, &second];
        await_next_term(&both, token);
        assert!(
            deleted.elapsed() >= Duration::from_secs(3),
            "{}",
            first.text()
        );
        let next = both.iter().find_map(|one| one.leads()).unwrap();
        assert!(next > 1_700_000_000, "{next}");
        // The old bytes come back.
        bucket.with(|objects| objects.put(&old));
        eventually("the leader stops", || {
            both.iter().all(|one| one.leads().is_none())
        });
        await_next_term(&both, next);
        check(&both);
    });
}

#[test]
fn restored_record_ends_term() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let (first, second, token) = pair(&bucket);
        let old = bucket.with(|objects| objects.value());
        eventually("it renews", || {
            bucket.with(|objects| objects.value()) != old
        });
        bucket.with(|objects| objects.put(&old));
        first.await_text("backup");
        first.await_logged("workload_stopped");
        await_next_term(&[&first, &second], token);
        check(&[&first, &second]);
    });
}

#[test]
fn foreign_record_is_waited_for() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let foreign =
            r#"{"holderIdentity":"client-go","leaseDurationSeconds":3,"leaderTransitions":5}"#;
        bucket.with(|objects| objects.put(foreign));
        let first = bucket.start("first");
        first.await_observed("client-go");
        // Written again, so that the wait begins anew.
        std::thread::sleep(Duration::from_millis(1100));
        bucket.with(|objects| objects.put(foreign));
        let written = Instant::now();
        let token = first.await_leading();
        assert!(
            written.elapsed() >= Duration::from_secs(3),
            "{}",
            first.text()
        );
        assert!(token > 1_700_000_000, "{token}");
        check(&[&first]);
    });
}

#[test]
fn throttled_leader_stops_in_time() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        let first = bucket.start("first");
        let token = first.await_leading();
        let busy = http(429, &[("retry-after", "2")], b"");
        for method in ["GET", bucket.writes()] {
            bucket.always(method, Fault::Answer(busy.clone()));
        }
        first.await_logged("workload_stopped");
        let requests = bucket.received().len();
        never_for(Duration::from_secs(1), "it sends requests", || {
            bucket.received().len() > requests + 1
        });
        bucket.without_faults();
        await_next_term(&[&first], token);
        check(&[&first]);
    });
}

#[test]
fn permanent_answers_end_start() {
    let own = |kind, status, code: &str| answer(kind, status, code, "words of the server");
    let cases = [
        (Kind::S3, own(Kind::S3, 403, "AccessDenied"), "s3:GetObject"),
        (Kind::S3, own(Kind::S3, 404, "NoSuchBucket"), "create it"),
        (
            Kind::S3,
            own(Kind::S3, 501, "NotImplemented"),
            "use another server",
        ),
        (
            Kind::Azure,
            own(Kind::Azure, 404, "ContainerNotFound"),
            "create it",
        ),
        (
            Kind::Azure,
            own(Kind::Azure, 403, "AuthenticationFailed"),
            "SAS token",
        ),
        (
            Kind::Google,
            own(Kind::Google, 403, ""),
            "Storage Object User",
        ),
        (
            Kind::Google,
            own(Kind::Google, 401, ""),
            "check the credentials",
        ),
    ];
    for_each(&cases, |(service, answer, part)| {
        let bucket = Bucket::new(*service);
        bucket.always("GET", Fault::Answer(answer.clone()));
        let text = refusal(&mut bucket.start("first"));
        assert!(text.contains(part), "{text}");
    });
}

#[test]
fn ignoring_server_ends_elector() {
    for_each(&ALL, |service| {
        let bucket = Bucket::new(*service);
        bucket.with(|objects| objects.ignores_conditions = true);
        // Where nothing is stored, the first write is probed.
        let mut first = bucket.start("first");
        let text = refusal(&mut first);
        assert!(text.contains("honours conditional writes"), "{text}");
        assert!(!first.has_logged("started_leading"));
    });
}

#[test]
fn delete_marker_is_reported() {
    let bucket = Bucket::new(Kind::S3);
    bucket.with(|objects| {
        objects.put("{}");
        objects.keeps_markers = true;
        objects.delete();
    });
    let mut first = bucket.start("first");
    first.await_text("refused 3 times");
    assert!(first.is_running());
    // An operator deletes the marker too.
    bucket.with(|objects| objects.keeps_markers = false);
    first.await_leading();
    check(&[&first]);
}
