//! Calls of one or two processes, step by step.

use elector::election::lock::LockError;
use elector::lock::quorum::state::State;
use elector::lock::store::{Store as _, Version};

use super::network::{Network, REPAIR_AFTER, seed};

const NOBODY: &[usize] = &[];

fn text(snapshot: &elector::lock::store::Snapshot) -> &str {
    std::str::from_utf8(snapshot.value.as_deref().unwrap_or_default()).unwrap()
}

fn stored(network: &Network, member: usize) -> State {
    State::parse(network.servers[member].text().as_bytes()).unwrap()
}

/// Returns a network whose first process has read and written `a`.
fn written(size: usize, processes: usize) -> (Network, Version) {
    let mut network = Network::new(size, processes);
    let empty = network.read(0, NOBODY).unwrap();
    assert_eq!((empty.value, empty.version), (None, None));
    network.deliver();
    let version = network.write(0, None, "a", NOBODY).unwrap();
    network.deliver();
    (network, version)
}

#[test]
fn written_value_is_read_by_others() {
    for size in [3, 5] {
        let (mut network, version) = written(size, 2);
        let snapshot = network.read(1, NOBODY).unwrap();
        assert_eq!(text(&snapshot), "a");
        assert_eq!(snapshot.version, Some(version));
    }
}

#[test]
fn renewal_is_one_write_per_member() {
    let (mut network, version) = written(3, 1);
    let versions = |network: &Network| {
        network
            .servers
            .iter()
            .map(|server| server.version)
            .sum::<u64>()
    };
    let before = versions(&network);
    let step = network.stores[0].write(Some(&version), b"b");
    network.follow(0, step);
    assert_eq!(network.flights.len(), 3);
    assert!(network.flights.iter().all(|flight| flight.request.writes));
    network.deliver();
    assert_eq!(versions(&network), before + 3);
    assert!(network.flights.is_empty());
}

#[test]
fn stale_write_is_conflict() {
    let (mut network, version) = written(3, 2);
    network.read(1, NOBODY).unwrap();
    let newer = network.write(1, Some(&version), "b", NOBODY).unwrap();
    network.time_out();
    let stale = network.write(0, Some(&version), "c", NOBODY).unwrap_err();
    // Each member accepted another value since, perhaps over this one.
    assert!(matches!(stale, LockError::OutcomeUnknown(_)), "{stale}");
    network.time_out();
    let snapshot = network.read(0, NOBODY).unwrap();
    assert_eq!((text(&snapshot), &snapshot.version), ("b", &Some(newer)));
    let created = network.write(0, None, "d", NOBODY);
    assert_eq!(created, Err(LockError::Conflict));
}

#[test]
fn lost_ballot_is_conflict() {
    let (mut network, version) = written(3, 2);
    network.read(1, NOBODY).unwrap();
    network.deliver();
    // The other process prepares a ballot, and accepts nothing yet.
    let step = network.stores[1].write(Some(&version), b"b");
    network.follow(1, step);
    for flight in std::mem::take(&mut network.flights) {
        network.respond(&flight);
    }
    let refused = network.write(0, Some(&version), "c", NOBODY);
    assert_eq!(refused, Err(LockError::Conflict));
}

#[test]
fn one_member_away_changes_nothing() {
    for away in 0..3 {
        let (mut network, version) = written(3, 2);
        let version = network.write(0, Some(&version), "b", &[away]).unwrap();
        let version = network.write(0, Some(&version), "c", &[away]).unwrap();
        let snapshot = network.read(1, &[away]).unwrap();
        assert_eq!((text(&snapshot), &snapshot.version), ("c", &Some(version)));
    }
}

#[test]
fn two_members_away_mean_no_answer() {
    let (mut network, _) = written(3, 1);
    let step = network.stores[0].read();
    network.follow(0, step);
    network.flights.retain(|flight| flight.request.member == 0);
    let flight = network.flights.remove(0);
    let response = network.respond(&flight);
    let ended = network.answer(super::network::Reply {
        process: 0,
        member: 0,
        reply: Ok(response),
    });
    assert!(ended.is_none());
}

#[test]
fn missing_and_foreign_members_never_vote() {
    let strangers = [
        None,
        Some(seed("other", 2, 3).to_text()),
        Some(seed("q", 1, 3).to_text()),
        Some(seed("q", 2, 5).to_text()),
        Some("{}".to_owned()),
    ];
    for stranger in strangers {
        let mut network = Network::new(3, 1);
        match &stranger {
            None => network.servers[1].delete(),
            Some(text) => network.servers[1].put(text),
        }
        network.read(0, NOBODY).unwrap();
        network.time_out();
        network.write(0, None, "a", NOBODY).unwrap();
        network.time_out();
        let untouched = stranger.unwrap_or_default();
        assert_eq!(network.servers[1].text(), untouched);
        // Without one more member there is no majority.
        network.servers[2].delete();
        let error = network.read(0, NOBODY).unwrap_err();
        assert!(matches!(error, LockError::Unavailable(_)), "{error}");
    }
}

#[test]
fn empty_members_are_not_initialized() {
    let mut network = Network::new(3, 1);
    for server in &mut network.servers {
        server.delete();
    }
    let error = network.read(0, NOBODY).unwrap_err();
    assert!(matches!(error, LockError::NotFound(_)), "{error}");
    assert!(error.to_string().contains("run elector init"), "{error}");
}

#[test]
fn server_without_conditions_is_excluded() {
    let mut network = Network::new(3, 1);
    network.servers[0].ignores_conditions = true;
    network.read(0, NOBODY).unwrap();
    assert_eq!(network.servers[0].text(), "{}", "it never votes again");
}

#[test]
fn restored_member_is_excluded() {
    let (mut network, version) = written(3, 1);
    let backup = network.servers[0].text();
    let version = network.write(0, Some(&version), "b", NOBODY).unwrap();
    network.deliver();
    network.servers[0].put(&backup);
    network.write(0, Some(&version), "c", NOBODY).unwrap();
    network.deliver();
    assert_eq!(network.servers[0].text(), backup, "it takes no part");
    // It counts as away.
    network.servers[1].delete();
    let error = network.read(0, NOBODY).unwrap_err().to_string();
    assert!(error.contains("run elector init --repair 1"), "{error}");
}

#[test]
fn unfinished_write_is_finished_later() {
    let (mut network, version) = written(3, 3);
    network.read(1, NOBODY).unwrap();
    network.deliver();
    // A write that reaches one member.
    let step = network.stores[0].write(Some(&version), b"b");
    network.follow(0, step);
    let index = network
        .flights
        .iter()
        .position(|flight| flight.request.member == 0);
    let flight = network.flights.remove(index.unwrap());
    network.respond(&flight);
    network.time_out();
    assert!(stored(&network, 0).acceptor.value.as_deref() == Some("b"));
    // With the others, the value before counts.
    assert_eq!(text(&network.read(1, &[0]).unwrap()), "a");
    // With that member, no value has a majority. After a while it is finished.
    let error = network.read(2, &[1]).unwrap_err();
    assert!(matches!(error, LockError::Unfinished(_)), "{error}");
    network.now = network.now + REPAIR_AFTER;
    let snapshot = network.read(2, &[1]).unwrap();
    assert_eq!(text(&snapshot), "b");
}
