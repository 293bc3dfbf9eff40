//! Annotations: requests to hand over, pauses and failback.

use std::time::Duration;

use elector::election::action::{Notice, StopReason};
use elector::election::annotation::{HANDOVER, HOLDER_PREFERRED, PAUSED, PREFERRED_HOLDER};
use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;
use elector::election::record::LeaderElectionRecord;
use serde_json::{Value, json};

use crate::conformance::rig::{
    CallOutcome, Rig, START, SharedStore, config, millis, outcome_unknown, record, seconds,
};
use crate::conformance::{assert_leads, rig};

/// Returns a candidate of another name on the same store.
fn join(identity: &str, store: &SharedStore, process: u64) -> Rig {
    let config = LeaderElectionConfig {
        identity: identity.into(),
        ..config()
    };
    Rig::join(config, None, store.clone(), process)
}

fn annotate(rig: &Rig, name: &str, value: Value) {
    rig.store.borrow_mut().annotate(name, value);
}

fn stored(rig: &Rig) -> LeaderElectionRecord {
    rig.store.borrow().record()
}

/// Returns a standby that observes the process 9, `bing`, which has renewed.
fn standby(config: LeaderElectionConfig) -> Rig {
    let rig = Rig::new(config, None);
    rig.store
        .borrow_mut()
        .put_by_other(record("bing", 10, 3), 2);
    rig
}

// ---- the term and its lease ----

#[test]
fn leader_keeps_term_under_annotations() {
    let mut rig = rig();
    for round in 0..20 {
        rig.run_for(seconds(2));
        annotate(&rig, "note", round.into());
    }
    assert_eq!((rig.started.len(), rig.stopped.len()), (1, 0));
    assert_leads(&rig, 0);
    rig.run_for(seconds(2));
    assert_eq!(stored(&rig).other["note"], 19, "a renewal keeps it");
}

#[test]
fn annotation_extends_no_deadline() {
    let mut rig = rig();
    rig.run_for(millis(500));
    let until = rig.until;
    // Reads follow, which show the annotations.
    rig.write_outcome = Some(CallOutcome::Fails(outcome_unknown()));
    for _ in 0..10 {
        annotate(&rig, "note", 1.into());
        rig.run_for(millis(500));
    }
    assert_eq!(rig.until, until);
    assert_eq!(rig.stopped[0].0, until.unwrap());
    assert_eq!(rig.stopped[0].1, StopReason::RenewDeadline);
}

#[test]
fn lost_renewal_extends_no_deadline() {
    let mut rig = rig();
    rig.run_for(millis(500));
    let until = rig.until;
    rig.write_outcome = Some(CallOutcome::Fails(outcome_unknown()));
    rig.run_for(seconds(5));
    assert_eq!(rig.until, until);
    assert_eq!(rig.stopped[0].0, until.unwrap());
}

#[test]
fn annotation_delays_no_takeover() {
    let mut rig = standby(config());
    for _ in 0..8 {
        rig.run_for(seconds(1));
        annotate(&rig, "note", 1.into());
    }
    rig.run_to(|rig| rig.elector.is_leader());
    assert_eq!(rig.now, START + seconds(10));
}

#[test]
fn other_token_ends_own_term() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    let mut other = stored(&rig);
    other.leader_transitions += 1;
    let writer = rig.store.borrow().writer;
    rig.store.borrow_mut().put(other);
    rig.store.borrow_mut().writer = writer;
    rig.run_for(seconds(3));
    assert_eq!(rig.stopped[0].1, StopReason::Deposed);
}

/// Another process of the same name, whose claim was as high.
#[test]
fn other_renew_id_ends_own_term() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    let same = stored(&rig);
    rig.store.borrow_mut().put_by_other(same, 5);
    rig.run_for(seconds(3));
    assert_eq!(rig.stopped[0].1, StopReason::Deposed);
}

// ---- pauses ----

#[test]
fn pause_stops_leader_until_resumed() {
    let mut rig = rig();
    let mut other = join("other", &rig.store, 2);
    rig.run_for(seconds(1));
    annotate(&rig, PAUSED, json!({"by": "ops", "reason": "migration"}));
    rig.run_for(seconds(2));
    assert_eq!(rig.stopped[0].1, StopReason::Paused);
    let released = stored(&rig);
    assert_eq!(
        (released.holder_identity.as_str(), released.stop_reason()),
        ("", "paused")
    );
    assert!(released.is_paused());
    let text = "paused by ops: migration".to_owned();
    assert!(rig.notices.contains(&Notice::Paused(text)));
    other.run_for(seconds(100));
    rig.run_for(seconds(100));
    assert_eq!((rig.started.len(), other.started.len()), (1, 0));
    annotate(&rig, PAUSED, Value::Null);
    let since = rig.now;
    rig.run_to(|rig| rig.started.len() == 2);
    assert!(rig.now <= since + config().poll_period * 2);
    assert_leads(&rig, 1);
    assert!(rig.notices.contains(&Notice::Resumed));
}

#[test]
fn paused_claim_is_released() {
    let mut rig = Rig::new(config(), Some(seconds(1)));
    rig.run_to(|rig| rig.store.borrow().content.is_some());
    annotate(&rig, PAUSED, true.into());
    rig.run_for(seconds(5));
    assert_eq!(rig.started.len(), 0);
    assert_eq!(stored(&rig).holder_identity, "");
    assert!(stored(&rig).is_paused());
}

#[test]
fn expired_lease_stays_paused() {
    let mut rig = standby(config());
    annotate(&rig, "movedTo", "lease:other".into());
    rig.run_for(seconds(1000));
    assert_eq!(stored(&rig).holder_identity, "bing");
    annotate(&rig, "movedTo", Value::Null);
    rig.run_to(|rig| rig.elector.is_leader());
    assert!(rig.now <= START + seconds(1002), "its lease had expired");
}

// ---- handovers ----

#[test]
fn handover_leads_to_preferred_holder() {
    let mut rig = rig();
    let mut next = join("next", &rig.store, 2);
    let mut other = join("other", &rig.store, 3);
    rig.run_for(seconds(1));
    annotate(&rig, PREFERRED_HOLDER, "next".into());
    annotate(&rig, HANDOVER, json!({"by": "ops"}));
    rig.run_for(seconds(2));
    assert_eq!(rig.stopped[0].1, StopReason::HandedOver);
    assert_eq!(stored(&rig).preferred_holder(), "next");
    let released_at = START + seconds(3);
    other.now = released_at;
    next.now = released_at;
    other.run_for(seconds(1));
    next.run_for(seconds(1));
    assert_eq!(next.started.len(), 1, "immediately");
    for _ in 0..24 {
        for candidate in [&mut next, &mut rig, &mut other] {
            candidate.run_for(millis(500));
        }
    }
    assert_eq!(
        (rig.started.len(), other.started.len(), next.stopped.len()),
        (1, 0, 0)
    );
    let held = stored(&next);
    assert_eq!(held.holder_identity, "next");
    assert!(held.annotation(HANDOVER).is_none(), "the claim dropped it");
    assert_eq!((held.preferred_holder(), held.stop_reason()), ("", ""));
}

#[test]
fn absent_preferred_holder_delays_one_lease() {
    let mut rig = rig();
    let mut other = join("other", &rig.store, 2);
    rig.run_for(seconds(1));
    annotate(&rig, PREFERRED_HOLDER, "nobody".into());
    rig.run_for(seconds(2));
    other.now = rig.now;
    other.run_to(|other| other.elector.is_leader());
    assert_eq!(other.now, START + seconds(3) + config().lease_duration);
}

#[test]
fn handover_to_anybody_excludes_leader() {
    let mut rig = rig();
    let mut other = join("other", &rig.store, 2);
    rig.run_for(seconds(1));
    annotate(&rig, HANDOVER, json!({"by": "ops"}));
    rig.run_for(seconds(2));
    assert_eq!(rig.stopped[0].1, StopReason::HandedOver);
    other.now = rig.now;
    other.run_for(seconds(1));
    assert!(other.elector.is_leader());
}

#[test]
fn stepped_down_preferred_holder_waits() {
    let mut rig = rig();
    let mut next = join("next", &rig.store, 2);
    rig.run_for(seconds(1));
    next.run_for(seconds(1));
    next.elector.handle_step_down(next.now, Some(seconds(60)));
    annotate(&rig, PREFERRED_HOLDER, "next".into());
    rig.run_for(seconds(2));
    next.run_for(seconds(50));
    assert_eq!(next.started.len(), 0);
}

#[test]
fn preferred_leader_drops_request() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    annotate(&rig, PREFERRED_HOLDER, "baz".into());
    annotate(&rig, HANDOVER, json!({"by": "ops"}));
    rig.run_for(seconds(2));
    assert_leads(&rig, 0);
    let record = stored(&rig);
    assert_eq!(record.preferred_holder(), "");
    assert!(record.annotation(HANDOVER).is_none());
    rig.run_for(seconds(10));
    assert_eq!(rig.stopped.len(), 0);
}

#[test]
fn request_waits_for_workload() {
    let mut rig = rig();
    rig.obedient = false;
    rig.run_for(seconds(1));
    annotate(&rig, HANDOVER, json!({"by": "ops"}));
    rig.run_for(seconds(4));
    let record = stored(&rig);
    assert_eq!(record.holder_identity, "baz", "renewed until then");
    assert!(record.annotation(HANDOVER).is_some(), "and kept");
    rig.elector.handle_workload_stopped(rig.now);
    rig.run_for(Duration::ZERO);
    assert_eq!(stored(&rig).holder_identity, "");
}

#[test]
fn expired_request_means_nothing() {
    let mut rig = standby(config());
    annotate(&rig, PREFERRED_HOLDER, "next".into());
    rig.run_to(|rig| rig.elector.is_leader());
    assert_eq!(rig.now, START + seconds(10));
    rig.run_for(seconds(5));
    assert_eq!(stored(&rig).preferred_holder(), "");
}

#[test]
fn lost_lease_is_released_on_request() {
    let mut rig = rig();
    rig.run_for(seconds(1));
    annotate(&rig, HANDOVER, json!({"by": "ops"}));
    let refused = CallOutcome::Fails(LockError::Unavailable("no answer".into()));
    rig.outcomes.extend(vec![refused; 50]);
    rig.run_to(|rig| !rig.stopped.is_empty());
    rig.outcomes.clear();
    assert_eq!(rig.stopped[0].1, StopReason::RenewDeadline);
    rig.run_to(|rig| stored(rig).holder_identity.is_empty());
    assert_eq!(stored(&rig).stop_reason(), "handed_over");
    assert_eq!(rig.started.len(), 1);
}

#[test]
fn predecessors_request_is_followed() {
    for (name, value, reason) in [
        (PREFERRED_HOLDER, json!("next"), "handed_over"),
        (PAUSED, json!(true), "paused"),
    ] {
        let mut rig = rig();
        let mut store = rig.store.borrow_mut();
        store.put_by_other(record("baz", 10, 3), 2);
        store.predecessor = Some(START + seconds(1));
        store.annotate(name, value.clone());
        drop(store);
        rig.run_for(seconds(3));
        let released = stored(&rig);
        assert_eq!(
            (released.holder_identity.as_str(), released.stop_reason()),
            ("", reason)
        );
        assert_eq!(released.other[name], value);
        assert_eq!(rig.started.len(), 0);
        assert!(rig.times.iter().all(|at| *at >= START));
    }
}

// ---- failback ----

fn preferred() -> LeaderElectionConfig {
    LeaderElectionConfig {
        preferred: true,
        failback_after: Some(seconds(30)),
        ..config()
    }
}

/// Lets the process 9 renew every 2 s for this long.
fn renew_other(rig: &mut Rig, duration: Duration) {
    let end = rig.now + duration;
    let mut number = 10;
    while rig.now < end {
        rig.run_for(seconds(2));
        let mut record = stored(rig);
        if record.holder_identity != "bing" {
            return;
        }
        record.other.remove(PREFERRED_HOLDER);
        record.other.remove(HANDOVER);
        number += 1;
        rig.store.borrow_mut().put_by_other(record, number);
    }
}

#[test]
fn preferred_candidate_asks_once_per_period() {
    let mut rig = standby(preferred());
    renew_other(&mut rig, seconds(29));
    assert_eq!(rig.annotations.len(), 0);
    renew_other(&mut rig, seconds(2));
    assert_eq!(rig.annotations.len(), 1);
    let asked = &rig.annotations[0];
    assert_eq!(asked[PREFERRED_HOLDER], "baz");
    assert_eq!(asked[HANDOVER]["by"], "baz");
    renew_other(&mut rig, seconds(28));
    assert_eq!(rig.annotations.len(), 1);
    renew_other(&mut rig, seconds(4));
    assert_eq!(rig.annotations.len(), 2);
}

#[test]
fn failback_respects_leader_and_requests() {
    for prepare in [
        (|rig| rig.store.borrow_mut().renewed = false) as fn(&Rig),
        |rig| annotate(rig, "note", 1.into()),
        |rig| {
            let mut held = stored(rig);
            held.other.insert(HOLDER_PREFERRED.into(), true.into());
            rig.store.borrow_mut().put_by_other(held, 5);
        },
        |rig| {
            let mut held = stored(rig);
            held.other.insert(HANDOVER.into(), true.into());
            rig.store.borrow_mut().put_by_other(held, 5);
        },
        |rig| {
            let mut held = stored(rig);
            held.other.insert(PAUSED.into(), true.into());
            rig.store.borrow_mut().put_by_other(held, 5);
        },
        |rig| {
            let mut held = stored(rig);
            held.lease_duration_seconds = 60;
            rig.store.borrow_mut().put(held);
        },
    ] {
        let mut rig = standby(LeaderElectionConfig {
            failback_after: Some(seconds(10)),
            ..preferred()
        });
        rig.store
            .borrow_mut()
            .put_by_other(record("bing", 60, 3), 2);
        prepare(&rig);
        rig.run_for(seconds(30));
        assert_eq!(rig.annotations.len(), 0);
    }
}

#[test]
fn preferred_leader_says_so() {
    let mut rig = Rig::new(preferred(), None);
    rig.run_for(seconds(5));
    assert!(stored(&rig).is_holder_preferred());
    rig.elector.handle_stop(rig.now, StopReason::Cancelled);
    rig.run_for(seconds(1));
    assert!(!stored(&rig).is_holder_preferred());
    let mut other = join("other", &rig.store, 2);
    other.run_for(seconds(1));
    assert!(other.elector.is_leader());
    assert!(!stored(&other).is_holder_preferred());
}

#[test]
fn overtaken_request_is_repeated() {
    for (error, asked) in [(LockError::Conflict, 3), (outcome_unknown(), 2)] {
        let mut rig = standby(preferred());
        renew_other(&mut rig, seconds(29));
        rig.write_outcome = Some(CallOutcome::Fails(error));
        renew_other(&mut rig, seconds(4));
        rig.write_outcome = None;
        renew_other(&mut rig, seconds(2));
        let after = rig.annotations.len();
        renew_other(&mut rig, seconds(32));
        assert!(rig.annotations.len() > after);
        assert!(rig.annotations.len() >= asked, "{}", rig.annotations.len());
        assert_eq!(after > 1, asked == 3);
    }
}
