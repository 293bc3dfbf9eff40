//! Conditions under which a candidate acquires the lease.

use std::time::Duration;

use elector::election::action::{Notice, StopReason};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::Content;
use elector::election::record::{LeaderElectionRecord, RELEASED_BY, STOP_REASON};

use crate::conformance::rig::{
    CallOutcome, Rig, START, SharedStore, config, millis, record, seconds, unavailable,
};
use crate::conformance::{assert_leads, rig, rig_with, rig_with_record};

#[test]
fn expired_lease_is_claimed_after_read() {
    let mut rig = Rig::new(
        LeaderElectionConfig {
            poll_period: seconds(4),
            ..config()
        },
        None,
    );
    rig.store.borrow_mut().put(record("bing", 9, 0));
    rig.run_to(|rig| !rig.started.is_empty());
    assert_eq!(rig.now, START + seconds(9));
    assert_eq!(rig.ops[rig.ops.len() - 2..], ["get", "update"]);
}

#[test]
fn wait_counts_from_answer() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.outcomes.push_back(CallOutcome::After(seconds(2)));
    rig.run_for(millis(11_999));
    assert!(rig.started.is_empty());
    rig.run_for(millis(1));
    assert_eq!(rig.started.len(), 1);
}

#[test]
fn poll_jitter_is_at_most_tenth() {
    let mut rig = rig_with_record("bing", 3600, 0);
    rig.run_for(seconds(600));
    let gaps: Vec<Duration> = rig
        .times
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    assert!(
        gaps.iter()
            .all(|gap| (millis(900)..=millis(1100)).contains(gap))
    );
    assert!(gaps.iter().any(|gap| *gap < millis(950)));
    assert!(gaps.iter().any(|gap| *gap > millis(1050)));
}

#[test]
fn observed_renewal_restarts_wait() {
    let mut rig = rig_with_record("bing", 5, 0);
    for _ in 0..10 {
        rig.run_for(seconds(3));
        rig.store.borrow_mut().put(record("bing", 5, 0));
    }
    assert!(rig.started.is_empty());
    rig.run_to(|rig| !rig.started.is_empty());
    assert!(rig.now.since(START) >= seconds(35));
}

#[test]
fn overwritten_lease_is_always_awaited() {
    for content in [
        Content::Record(record("", 0, 0).into()),
        Content::Record(record("bing", 1, 0).into()),
        Content::Deleted,
        Content::Corrupt("it is not a JSON object".into()),
    ] {
        let mut rig = rig_with(content);
        rig.store.borrow_mut().foreign_wait = Some(seconds(30));
        rig.run_for(millis(29_999));
        assert!(rig.started.is_empty());
        rig.run_for(millis(1));
        assert_eq!(rig.started.len(), 1);
        assert!(matches!(rig.notices[0], Notice::ForeignWrite { .. }));
    }
}

#[test]
fn overwritten_lease_lasts_own_duration() {
    let mut rig = rig_with(Content::Deleted);
    rig.store.borrow_mut().foreign_wait = Some(Duration::ZERO);
    rig.run_for(millis(9_999));
    assert!(rig.started.is_empty());
    rig.run_for(millis(1));
    assert_eq!(rig.started.len(), 1);
}

#[test]
fn lost_record_delays_claim() {
    let mut rig = rig_with_record("bing", 10, 0);
    rig.run_for(Duration::ZERO);
    let free = record("", 10, 1);
    rig.store.borrow_mut().put(free);
    rig.store.borrow_mut().record_lost = true;
    rig.run_for(config().lease_duration);
    assert!(rig.ops.iter().all(|op| *op == "get"), "{:?}", rig.ops);
    rig.run_for(seconds(3));
    assert_leads(&rig, 2);
}

#[test]
fn token_exceeds_every_observed_token() {
    let mut rig = rig_with_record("", 10, 3);
    rig.store.borrow_mut().highest_fencing_token = Some(41);
    rig.run_for(Duration::ZERO);
    assert_leads(&rig, 42);
}

#[test]
fn first_read_claims_old_record() {
    let old = |age| {
        let rig = rig_with_record("bing", 100, 0);
        rig.store.borrow_mut().age = Some(age);
        rig
    };
    let mut gone = old(seconds(1001));
    gone.run_for(Duration::ZERO);
    assert_eq!(gone.started.len(), 1);

    let mut young = old(seconds(1000));
    young.run_for(seconds(99));
    assert!(young.started.is_empty(), "ten leases, not more");

    let mut later = rig_with_record("bing", 100, 0);
    later.run_for(Duration::ZERO);
    later.store.borrow_mut().put(record("bong", 100, 0));
    later.store.borrow_mut().age = Some(seconds(100_000));
    later.run_for(seconds(99));
    assert!(later.started.is_empty(), "not the first read");
}

#[test]
fn unavailable_store_is_polled_less_often() {
    let mut rig = rig();
    rig.outcomes
        .extend(vec![CallOutcome::Fails(unavailable()); 100]);
    rig.run_for(seconds(3600));
    assert!(
        rig.elector.is_leader(),
        "the store returned after a hundred failures"
    );
    let gaps: Vec<Duration> = rig.times[..100]
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    assert_eq!(gaps[0], seconds(1));
    assert!(gaps.iter().all(|gap| *gap <= seconds(4)));
}

#[test]
fn two_candidates_never_lead_together() {
    let store = SharedStore::default();
    let mut baz = Rig::join(config(), Some(seconds(1)), store.clone(), 1);
    let other = LeaderElectionConfig {
        identity: "bing".into(),
        seed: 7,
        ..config()
    };
    let mut bing = Rig::join(other, Some(seconds(1)), store.clone(), 2);
    let mut last_token = None;
    for turn in 0..200 {
        // One of the two cannot reach the store for a while.
        let away = if turn % 2 == 0 { &mut baz } else { &mut bing };
        away.outcomes
            .extend(vec![CallOutcome::Fails(unavailable()); 20]);
        for _ in 0..300 {
            baz.run_for(millis(100));
            bing.run_for(millis(100));
            assert!(!(baz.elector.is_leader() && bing.elector.is_leader()));
        }
        baz.outcomes.clear();
        bing.outcomes.clear();
        let token = [&baz, &bing]
            .iter()
            .filter_map(|rig| rig.started.last())
            .map(|start| start.1)
            .max();
        assert!(token >= last_token);
        last_token = token;
    }
    assert!(baz.started.len() + bing.started.len() > 100);
}

#[test]
fn unknown_fields_survive_rewrites() {
    let mut held = record("", 10, 3);
    held.other.insert("note".into(), "cleopatra".into());
    held.other.insert("strategy".into(), "x".into());
    let mut rig = rig();
    rig.store.borrow_mut().put(held.clone());
    rig.run_for(seconds(5));
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(seconds(1));
    let mut released: LeaderElectionRecord = rig.store.borrow().record();
    assert_eq!(released.released_by(), "baz");
    released.other.remove(RELEASED_BY);
    released.other.remove(STOP_REASON);
    assert_eq!(released.other, held.other);
}

#[test]
fn release_says_why_until_next_claim() {
    let mut rig = rig();
    rig.run_for(seconds(5));
    rig.elector.handle_step_down(rig.now, None);
    rig.run_for(seconds(1));
    let released = rig.store.borrow().record();
    assert_eq!(released.other[STOP_REASON], "stepped_down");
    assert_eq!(released.released_by(), "baz");
    rig.run_to(|rig| rig.elector.is_leader());
    rig.run_for(seconds(5));
    assert!(rig.store.borrow().record().other.is_empty());
}
