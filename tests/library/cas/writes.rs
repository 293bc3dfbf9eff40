//! Results of writes, with lost answers and other writers.

use elector::election::lock::LockError;
use elector::lock::cas::protocol::CasConfig;

use super::{NOW, Process, RENEW_DEADLINE, held_by};
use crate::support::cell::{CellServer, Fate};
use crate::support::record;

#[test]
fn equal_records_differ_in_bytes() {
    let mut first = Process::new("a");
    let mut server = held_by(&mut first);
    let written = server.text();
    first.update(&mut server, &record("napoleon", 7)).unwrap();
    assert_ne!(server.text(), written);
    let second = Process::new("b")
        .get(&mut held_by(&mut Process::new("c")))
        .unwrap();
    assert_eq!(second.mine, None);
}

#[test]
fn lost_answer_is_settled_by_read() {
    let mut process = Process::new("a");
    let mut server = held_by(&mut process);
    for fate in [
        Fate::AnswerLost,
        Fate::Lost,
        Fate::Doubled,
        Fate::Status(500),
        Fate::Status(504),
    ] {
        process.fates.push_back(fate);
        let version = server.version;
        process.update(&mut server, &record("napoleon", 7)).unwrap();
        assert_eq!(server.version, version + 1, "{fate:?}");
    }
    let observed = process.get(&mut server).unwrap();
    assert_eq!(observed.mine, Some(6));
}

#[test]
fn version_change_does_not_prevent_renewal() {
    let mut process = Process::new("a");
    let mut server = held_by(&mut process);
    server.version += 1;
    process.update(&mut server, &record("napoleon", 7)).unwrap();
    assert_eq!(process.get(&mut server).unwrap().mine, Some(2));
}

#[test]
fn other_write_means_conflict() {
    for fate in [Fate::Answered, Fate::Lost] {
        let mut process = Process::new("a");
        let mut server = held_by(&mut process);
        Process::new("b").claim(&mut server, "cleopatra", 8);
        let text = server.text();
        process.fates.push_back(fate);
        let error = process
            .update(&mut server, &record("napoleon", 7))
            .unwrap_err();
        assert_eq!(error, LockError::Conflict);
        assert_eq!(server.text(), text);
    }
}

/// An elector may have led in between.
#[test]
fn repeated_foreign_write_means_conflict() {
    let mut server = CellServer::new(NOW);
    server.put("{}");
    let mut process = Process::new("a");
    process.get(&mut server).unwrap();
    Process::new("b").claim(&mut server, "cleopatra", 9);
    server.put("{}");
    let error = process.update(&mut server, &record("a", 10)).unwrap_err();
    assert_eq!(error, LockError::Conflict);
    assert_eq!(server.text(), "{}");
}

#[test]
fn unread_outcome_stays_unknown() {
    let mut process = Process::new("a");
    let mut server = held_by(&mut process);
    process.fates.extend([Fate::AnswerLost, Fate::Lost]);
    let error = process
        .update(&mut server, &record("napoleon", 7))
        .unwrap_err();
    assert!(matches!(error, LockError::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(process.get(&mut server).unwrap().mine, Some(2));
}

#[test]
fn refused_write_is_repeated_thrice() {
    let mut process = Process::new("a");
    let mut server = held_by(&mut process);
    let sent = process.sent.len();
    for _ in 0..3 {
        process.fates.extend([Fate::Status(412), Fate::Answered]);
    }
    let error = process
        .update(&mut server, &record("napoleon", 7))
        .unwrap_err();
    assert!(matches!(error, LockError::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(process.sent.len() - sent, 6);
}

#[test]
fn certain_refusals_are_passed_on() {
    let mut process = Process::new("a");
    let mut server = held_by(&mut process);
    let mut fail = |status| {
        process.fates.push_back(Fate::Status(status));
        process
            .update(&mut server, &record("napoleon", 7))
            .unwrap_err()
    };
    assert!(matches!(fail(401), LockError::Unauthorized(_)));
    assert!(matches!(fail(403), LockError::Unauthorized(_)));
    assert!(matches!(fail(404), LockError::NotFound(_)));
    assert!(matches!(fail(429), LockError::RateLimited { .. }));
    assert!(matches!(fail(400), LockError::Refused(_)));
    assert!(matches!(fail(307), LockError::Unavailable(_)));
}

#[test]
fn write_before_read_is_not_sent() {
    let mut process = Process::new("a");
    let mut server = CellServer::new(NOW);
    let error = process.update(&mut server, &record("a", 1)).unwrap_err();
    assert!(matches!(error, LockError::Unfinished(_)), "{error:?}");
    assert_eq!(process.sent.len(), 0);
}

#[test]
fn token_above_highest_is_not_sent() {
    let mut process = Process::with(CasConfig {
        process: "a".to_owned(),
        renew_deadline: RENEW_DEADLINE,
        highest_token: i32::MAX as u64,
        confirms: false,
    });
    let mut server = CellServer::new(NOW);
    process.claim(&mut server, "napoleon", i32::MAX as u64);
    let sent = process.sent.len();
    let beyond = record("napoleon", i32::MAX as u64 + 1);
    let error = process.update(&mut server, &beyond).unwrap_err();
    assert!(matches!(error, LockError::Refused(_)), "{error:?}");
    assert_eq!(process.sent.len(), sent);
}

#[test]
fn unknown_fields_survive_writes() {
    let mut server = CellServer::new(NOW);
    server.put(r#"{"holderIdentity":7,"note":"keep me","checkpoint":true}"#);
    Process::new("a").claim(&mut server, "napoleon", 7);
    assert!(server.text().contains("keep me"), "{}", server.text());
    assert!(!server.text().contains("checkpoint"), "{}", server.text());
}
