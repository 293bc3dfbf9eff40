//! Probe of a server that may ignore conditions.

use elector::election::lock::LockError;
use elector::lock::cas::origin::Stored;

use super::{NOW, Process, held_by};
use crate::support::cell::{CellServer, Fate};
use crate::support::record;

#[test]
fn first_read_probes_once() {
    let mut server = held_by(&mut Process::new("a"));
    let text = server.text();
    let mut process = Process::new("b");
    process.get(&mut server).unwrap();
    let conditions: Vec<_> = process
        .sent
        .iter()
        .flat_map(|request| &request.headers)
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(conditions, [("if-match", "never"), ("if-none-match", "*")]);
    for request in &process.sent[1..] {
        let copy = Stored::parse(std::str::from_utf8(request.body.as_ref().unwrap()).unwrap());
        assert_eq!(copy.origin(), None);
        assert_eq!(copy.record().unwrap().record.holder_identity, "napoleon");
    }
    process.get(&mut server).unwrap();
    assert_eq!(process.sent.len(), 4);
    assert_eq!(server.text(), text);
}

#[test]
fn server_without_conditions_is_refused() {
    let mut server = held_by(&mut Process::new("a"));
    server.ignores_conditions = true;
    let mut process = Process::new("b");
    for _ in 0..2 {
        let error = process.get(&mut server).unwrap_err();
        assert!(matches!(error, LockError::Refused(_)), "{error:?}");
    }
    let error = process.update(&mut server, &record("b", 9)).unwrap_err();
    assert!(matches!(error, LockError::Refused(_)), "{error:?}");
    // The copy is foreign, so every candidate waits.
    assert_eq!(Stored::parse(&server.text()).origin(), None);
}

#[test]
fn server_without_creation_condition_is_refused() {
    let mut server = held_by(&mut Process::new("a"));
    server.ignores_if_none_match = true;
    let error = Process::new("b").get(&mut server).unwrap_err();
    assert!(matches!(error, LockError::Refused(_)), "{error:?}");
}

/// The creation of the probe lands rightly.
#[test]
fn deletion_during_probe_is_tolerated() {
    let mut server = held_by(&mut Process::new("a"));
    let mut process = Process::new("b");
    process
        .fates
        .extend([Fate::Answered, Fate::Answered, Fate::Deleted]);
    process.get(&mut server).unwrap();
    assert_eq!(process.sent.len(), 4);
    assert_eq!(Stored::parse(&server.text()).origin(), None);
    let observed = process.get(&mut server).unwrap();
    assert!(observed.foreign_wait.is_some());
}

#[test]
fn creation_is_probed_before_success() {
    let mut server = CellServer::new(NOW);
    let mut process = Process::new("a");
    process.get(&mut server).unwrap();
    assert_eq!(process.sent.len(), 1);
    server.ignores_conditions = true;
    let error = process.update(&mut server, &record("a", 1)).unwrap_err();
    assert!(matches!(error, LockError::Refused(_)), "{error:?}");
    assert_eq!(Stored::parse(&server.text()).origin(), None);
}

#[test]
fn unanswered_probe_is_repeated() {
    let mut server = held_by(&mut Process::new("a"));
    let mut process = Process::new("b");
    for fate in [Fate::Lost, Fate::Status(500)] {
        process.fates.extend([Fate::Answered, fate]);
        let error = process.get(&mut server).unwrap_err();
        assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    }
    process.get(&mut server).unwrap();
    assert_eq!(process.sent.len(), 7);
}

#[test]
fn refused_probe_is_repeated() {
    // The server did not understand the probe, which says nothing about its conditions.
    let mut server = held_by(&mut Process::new("a"));
    let mut process = Process::new("b");
    process.fates.extend([Fate::Answered, Fate::Status(422)]);
    let error = process.get(&mut server).unwrap_err();
    assert!(matches!(error, LockError::Refused(_)), "{error:?}");
    process.get(&mut server).unwrap();
}

#[test]
fn creation_with_refused_probe_is_unknown() {
    let mut server = CellServer::new(NOW);
    let mut process = Process::new("a");
    process.get(&mut server).unwrap();
    process.fates.extend([Fate::Answered, Fate::Status(422)]);
    let error = process.update(&mut server, &record("a", 1)).unwrap_err();
    assert!(matches!(error, LockError::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(process.get(&mut server).unwrap().mine, Some(1));
}
