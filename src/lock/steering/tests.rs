use serde_json::json;

use super::*;

const DELAY: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(500);
/// Lease of the observed records.
const LEASE: Duration = Duration::from_secs(15);
const OWN_LEASE: Duration = Duration::from_secs(30);

fn at(millis: u64) -> Instant {
    Instant::BOOT + Duration::from_secs(100) + Duration::from_millis(millis)
}

/// Returns the first observation of a record with these fields, which its holder has renewed.
fn observed(fields: &Value) -> Observed {
    let mut record = json!({"holderIdentity": "napoleon", "leaseDurationSeconds": 15});
    for (name, value) in fields.as_object().unwrap() {
        record[name] = value.clone();
    }
    let record = LeaderElectionRecord::from_json(&record.to_string()).unwrap();
    let renew_id = (!record.holder_identity.is_empty()).then(|| "p-2".into());
    Observed {
        content: crate::election::lock::Content::Record(record.into()),
        resource_version: 1,
        renewed: renew_id.is_some(),
        renew_id,
        ..Observed::default()
    }
}

fn paused() -> Observed {
    observed(&json!({"paused": {"by": "ops", "reason": "migration"}}))
}

/// Returns an observation whose state was known at this time.
fn known_since(millis: u64, observed: Observed) -> Observed {
    Observed {
        head_known_since: Some(at(millis)),
        ..observed
    }
}

fn pause() -> Request {
    Request::Pause {
        field: PAUSED,
        value: json!({"by": "ops", "reason": "migration"}),
    }
}

fn hand_over(to: &str) -> Request {
    Request::HandOver {
        to: to.to_owned(),
        asked: json!({"by": "ops"}),
    }
}

/// A request on a store that loses no write.
fn simple(request: Request) -> Steering {
    Steering::new(request, None, POLL, OWN_LEASE)
}

/// A request on a gist.
fn on_gist(request: Request) -> Steering {
    Steering::new(request, Some(DELAY), POLL, OWN_LEASE)
}

impl Steering {
    /// Takes in a read that takes no time.
    fn read(&mut self, millis: u64, observed: Observed) -> Result<Next, String> {
        self.handle_got(at(millis), at(millis), Ok(observed))
    }

    /// Takes in an annotation whose parent was known at this time.
    fn annotated(&mut self, millis: u64, known_since: Option<u64>) -> Result<Next, String> {
        let written = Written {
            head_known_since: known_since.map(at),
        };
        self.handle_annotated(at(millis), Ok(written))
    }
}

#[track_caller]
fn assert_annotates(next: Result<Next, String>, fields: &Value) {
    let Ok(Next::Annotate(annotation)) = next else {
        panic!("no annotation: {next:?}");
    };
    assert_eq!(Value::from(annotation), *fields);
}

#[track_caller]
fn assert_reads_at(next: Result<Next, String>, millis: u64) {
    assert_eq!(next.unwrap(), Next::ReadAt(at(millis)));
}

const DONE: Result<Next, String> = Ok(Next::Done(Done::Paused));

// ---- pauses ----

#[test]
fn gist_pause_is_confirmed_by_annotation() {
    let mut steering = on_gist(pause());
    let fields = json!({"paused": {"by": "ops", "reason": "migration"}});
    // What is below the pause, for example a claim, may still be lost.
    assert_reads_at(steering.read(0, observed(&json!({}))), 2000);
    let next = steering.read(2000, known_since(0, observed(&json!({}))));
    assert_annotates(next, &fields);
    assert_reads_at(steering.annotated(2000, Some(0)), 2000);
    assert_reads_at(steering.read(2100, known_since(2000, paused())), 4000);
    let next = steering.read(4000, known_since(2000, paused()));
    assert_annotates(next, &fields);
    assert_reads_at(steering.annotated(4000, Some(2000)), 4000);
    let released = observed(&json!({"holderIdentity": "", "paused": true}));
    assert_eq!(steering.read(4500, known_since(4500, released)), DONE);
}

#[test]
fn disturbed_confirmation_is_repeated() {
    for known in [None, Some(2001)] {
        let mut steering = on_gist(pause());
        let released = || known_since(0, observed(&json!({"holderIdentity": "", "paused": true})));
        let fields = json!({"paused": true});
        assert_annotates(steering.read(4000, released()), &fields);
        assert_reads_at(steering.annotated(4000, known), 4000);
        assert_annotates(steering.read(4100, released()), &fields);
        assert_reads_at(steering.annotated(4100, Some(2100)), 4100);
        assert_eq!(steering.read(4200, released()), DONE);
    }
}

#[test]
fn lost_pause_is_written_again() {
    let mut steering = on_gist(pause());
    let fields = json!({"paused": {"by": "ops", "reason": "migration"}});
    let before = || known_since(0, observed(&json!({})));
    assert_annotates(steering.read(2000, before()), &fields);
    steering.annotated(2000, Some(0)).unwrap();
    assert_annotates(steering.read(4000, known_since(2000, paused())), &fields);
    steering.annotated(4000, Some(2000)).unwrap();
    // A confirmed pause can only be removed by another operator.
    assert_annotates(steering.read(4100, before()), &fields);
    steering.annotated(4100, Some(0)).unwrap();
    let next = steering.read(6200, known_since(4100, paused()));
    assert_annotates(next, &fields);
}

#[test]
fn pause_ends_at_release() {
    let mut steering = simple(pause());
    let fields = json!({"paused": {"by": "ops", "reason": "migration"}});
    assert_annotates(steering.read(0, observed(&json!({}))), &fields);
    assert_reads_at(steering.annotated(0, None), 0);
    assert_reads_at(steering.read(10, paused()), 510);
    let released = observed(&json!({"holderIdentity": "", "paused": true}));
    assert_eq!(steering.read(510, released), DONE);
}

#[test]
fn pause_ends_when_lease_expires() {
    let mut steering = simple(pause());
    steering.read(0, observed(&json!({}))).unwrap();
    steering.annotated(0, None).unwrap();
    let annotated = || Observed {
        resource_version: 2,
        ..paused()
    };
    assert_reads_at(steering.read(100, annotated()), 600);
    assert_reads_at(steering.read(14_800, annotated()), 15_000);
    // A read that was sent before may show an old state.
    let next = steering.handle_got(at(15_100), at(14_900), Ok(annotated()));
    assert_reads_at(next, 15_000);
    assert_eq!(steering.read(15_100, annotated()), DONE);
}

#[test]
fn renewal_restarts_wait_of_pause() {
    let mut steering = simple(pause());
    steering.read(0, observed(&json!({}))).unwrap();
    steering.annotated(0, None).unwrap();
    let renewed = || Observed {
        renew_id: Some("p-3".into()),
        ..paused()
    };
    assert_reads_at(steering.read(14_000, renewed()), 14_500);
    assert_reads_at(steering.read(28_800, renewed()), 29_000);
    assert_eq!(steering.read(29_000, renewed()), DONE);
}

#[test]
fn gist_expiry_is_proven_by_write() {
    let mut steering = on_gist(pause());
    let fields = json!({"paused": {"by": "ops", "reason": "migration"}});
    let held = || known_since(0, paused());
    assert_annotates(steering.read(3000, held()), &fields);
    steering.annotated(3000, Some(0)).unwrap();
    let expired = 3000 + 15_000;
    assert_annotates(steering.read(expired, held()), &fields);
    let conflict = steering.handle_annotated(at(expired), Err(LockError::Conflict));
    assert_reads_at(conflict, expired);
    assert_annotates(steering.read(expired, held()), &fields);
    assert_eq!(steering.annotated(expired, None), DONE);
}

#[test]
fn foreign_record_is_waited_for() {
    for holder in ["client-go", ""] {
        for (wait, expected) in [(LEASE, OWN_LEASE), (2 * OWN_LEASE, 2 * OWN_LEASE)] {
            let mut steering = simple(pause());
            let foreign = || Observed {
                renew_id: None,
                renewed: false,
                foreign_wait: Some(wait),
                ..observed(&json!({"holderIdentity": holder, "paused": true}))
            };
            assert_reads_at(steering.read(0, foreign()), 500);
            let end = u64::try_from(expected.as_millis()).unwrap();
            assert_reads_at(steering.read(end - 100, foreign()), end);
            assert_eq!(steering.read(end, foreign()), DONE);
        }
    }
}

#[test]
fn earlier_pause_keeps_its_reason() {
    let mut steering = on_gist(pause());
    let earlier = observed(&json!({"paused": {"reason": "audit"}}));
    let next = steering.read(2000, known_since(0, earlier));
    assert_annotates(next, &json!({"paused": {"reason": "audit"}}));
}

#[test]
fn move_does_not_replace_pause() {
    let mut steering = simple(Request::Pause {
        field: MOVED_TO,
        value: "lease:jobs/report".into(),
    });
    let next = steering.read(0, paused());
    assert_annotates(next, &json!({"movedTo": "lease:jobs/report"}));
}

// ---- resumption ----

#[test]
fn resume_removes_pause() {
    let mut steering = on_gist(Request::Resume);
    assert_annotates(steering.read(0, paused()), &json!({"paused": null}));
    assert_reads_at(steering.annotated(0, None), 0);
    // The annotation may still be lost.
    let resumed = || known_since(0, observed(&json!({})));
    assert_reads_at(steering.read(100, resumed()), 2000);
    assert_annotates(steering.read(300, paused()), &json!({"paused": null}));
    steering.annotated(300, None).unwrap();
    let done = steering.read(2000, resumed());
    assert_eq!(done, Ok(Next::Done(Done::Resumed)));
}

#[test]
fn election_without_pause_is_not_resumed() {
    let next = simple(Request::Resume).read(0, observed(&json!({})));
    let why = "the election is not paused".to_owned();
    assert_eq!(next, Ok(Next::Done(Done::Nothing(why))));
}

#[test]
fn moved_election_is_not_resumed() {
    let moved = observed(&json!({"movedTo": "lease:jobs/\u{1b}report", "paused": true}));
    let why = simple(Request::Resume).read(0, moved).unwrap_err();
    assert!(why.contains("moved to lease:jobs/"), "{why}");
    assert!(!why.contains('\u{1b}'), "{why}");
}

// ---- handovers ----

#[test]
fn handover_waits_for_renewal() {
    for mut steering in [
        simple(hand_over("cleopatra")),
        on_gist(hand_over("cleopatra")),
    ] {
        let claim = || Observed {
            renewed: false,
            ..observed(&json!({}))
        };
        assert_reads_at(steering.read(0, claim()), 500);
        assert_reads_at(steering.read(9000, known_since(0, claim())), 9500);
        let next = steering.read(9500, observed(&json!({})));
        let fields = json!({"preferredHolder": "cleopatra", "handover": {"by": "ops"}});
        assert_annotates(next, &fields);
    }
}

#[test]
fn handover_to_anybody_removes_name() {
    let mut steering = simple(hand_over(""));
    let record = observed(&json!({"preferredHolder": "hannibal"}));
    let fields = json!({"preferredHolder": null, "handover": {"by": "ops"}});
    assert_annotates(steering.read(0, record), &fields);
}

#[test]
fn handover_ends_once_asked() {
    let mut steering = on_gist(hand_over("cleopatra"));
    let asked = || observed(&json!({"preferredHolder": "cleopatra", "handover": {"by": "ops"}}));
    let done = Ok(Next::Done(Done::Asked("napoleon".to_owned())));
    steering.read(0, observed(&json!({}))).unwrap();
    assert_reads_at(steering.annotated(0, None), 0);
    assert_reads_at(steering.read(100, known_since(50, asked())), 2050);
    let mut other = steering.clone();
    assert_eq!(steering.read(2050, known_since(50, asked())), done);
    // The leader may have followed in the meantime.
    let led = observed(&json!({"holderIdentity": "cleopatra"}));
    assert_eq!(other.read(2050, known_since(50, led)), done);
}

#[test]
fn lost_handover_is_written_again() {
    let mut steering = on_gist(hand_over("cleopatra"));
    steering.read(0, observed(&json!({}))).unwrap();
    steering.annotated(0, None).unwrap();
    let fields = json!({"preferredHolder": "cleopatra", "handover": {"by": "ops"}});
    assert_annotates(steering.read(100, observed(&json!({}))), &fields);
}

#[test]
fn handover_needs_other_leader() {
    let next = simple(hand_over("napoleon")).read(0, observed(&json!({})));
    let why = "napoleon leads already".to_owned();
    assert_eq!(next, Ok(Next::Done(Done::Nothing(why))));
    for (fields, part) in [
        (json!({"holderIdentity": ""}), "nobody leads"),
        (json!({"paused": {"reason": "migration"}}), "migration"),
        (json!({"movedTo": "lease:jobs/report"}), "lease:jobs/report"),
    ] {
        let why = simple(hand_over("")).read(0, observed(&fields));
        let why = why.unwrap_err();
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn foreign_leader_is_left_to_lock() {
    let foreign = Observed {
        renewed: false,
        foreign_wait: Some(LEASE),
        ..observed(&json!({}))
    };
    let mut steering = simple(hand_over(""));
    let next = steering.read(0, foreign);
    assert!(matches!(next, Ok(Next::Annotate(_))), "{next:?}");
    let refused = LockError::Refused("it can only be paused".to_owned());
    let why = steering.handle_annotated(at(0), Err(refused));
    assert_eq!(why, Err("it can only be paused".to_owned()));
}

// ---- failures ----

#[test]
fn failed_calls_are_repeated() {
    let text = String::new;
    let limited = LockError::RateLimited {
        retry_after: Duration::from_secs(77),
        why: text(),
    };
    for (error, millis) in [
        (LockError::Unavailable(text()), 500),
        (LockError::OutcomeUnknown(text()), 500),
        (LockError::Unfinished(text()), 0),
        (limited, 77_000),
    ] {
        let mut steering = simple(pause());
        let next = steering.handle_got(at(0), at(0), Err(error.clone()));
        assert_reads_at(next, millis);
        steering.read(0, observed(&json!({}))).unwrap();
        assert_reads_at(steering.handle_annotated(at(0), Err(error)), millis);
        // The annotation may have landed.
        assert_reads_at(steering.read(1000, paused()), 1500);
    }
}

#[test]
fn permanent_errors_end_request() {
    let text = || "fix it".to_owned();
    for error in [
        LockError::NotFound(text()),
        LockError::Unauthorized(text()),
        LockError::Refused(text()),
    ] {
        let mut steering = simple(pause());
        let why = steering.handle_got(at(0), at(0), Err(error.clone()));
        assert_eq!(why, Err(text()));
        let why = steering.handle_annotated(at(0), Err(error));
        assert_eq!(why, Err(text()));
    }
}

#[test]
fn missing_record_ends_request() {
    for request in [pause(), Request::Resume, hand_over("")] {
        let why = simple(request).read(0, Observed::default()).unwrap_err();
        assert!(why.contains("elector init"), "{why}");
    }
}
