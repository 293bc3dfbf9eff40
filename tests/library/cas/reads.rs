//! What a read means.

use std::time::Duration;

use elector::election::lock::{Content, LockError};
use elector::lock::cas::protocol::CasConfig;

use super::{NOW, Process, RENEW_DEADLINE, held_by};
use crate::support::cell::{CellServer, Fate};
use crate::support::record;

#[test]
fn version_change_is_no_write() {
    let mut process = Process::new("a");
    let mut server = held_by(&mut process);
    let before = process.get(&mut server).unwrap();
    server.version += 1;
    let after = process.get(&mut server).unwrap();
    assert_eq!(after.resource_version, before.resource_version);
    assert_eq!(after.mine, Some(1));
}

/// An elector may have led in between.
#[test]
fn repeated_foreign_write_is_news() {
    for foreign in ["{}", r#"{"holderIdentity":"","leaderTransitions":3}"#] {
        let mut server = held_by(&mut Process::new("a"));
        let mut process = Process::new("b");
        process.get(&mut server).unwrap();
        server.put(foreign);
        let before = process.get(&mut server).unwrap();
        let same = process.get(&mut server).unwrap();
        assert_eq!(same.resource_version, before.resource_version);
        Process::new("c").claim(&mut server, "cleopatra", 9);
        server.put(foreign);
        let after = process.get(&mut server).unwrap();
        assert_ne!(after.resource_version, before.resource_version);
    }
}

#[test]
fn empty_place_is_waited_for() {
    let mut process = Process::new("a");
    let mut server = CellServer::new(NOW);
    let observed = process.get(&mut server).unwrap();
    assert_eq!(observed.content, Content::Deleted);
    assert_eq!(observed.foreign_wait, Some(Duration::ZERO));
}

#[test]
fn deleted_record_keeps_its_lease() {
    let mut process = Process::new("a");
    let mut server = held_by(&mut process);
    let mut other = Process::new("b");
    other.get(&mut server).unwrap();
    server.value = None;
    let observed = other.get(&mut server).unwrap();
    assert_eq!(observed.content, Content::Deleted);
    assert_eq!(observed.foreign_wait, Some(Duration::from_secs(15)));
}

#[test]
fn foreign_record_waits_longest_lease() {
    let edits: [fn(&str) -> String; 4] = [
        |_| r#"{"holderIdentity":"x","leaseDurationSeconds":5,"leaderTransitions":7}"#.to_owned(),
        |text| text.replace("napoleon", "cleopatra"),
        |text| text.replace("writeId", "writtenId"),
        |_| r#"{"holderIdentity":7,"leaderTransitions":7}"#.to_owned(),
    ];
    for edit in edits {
        let mut process = Process::new("a");
        let mut server = held_by(&mut process);
        let mut other = Process::new("b");
        let observed = other.get(&mut server).unwrap();
        assert_eq!(observed.foreign_wait, None);
        let foreign = edit(&server.text());
        server.put(&foreign);
        let observed = other.get(&mut server).unwrap();
        let wait = Some(Duration::from_secs(15));
        assert_eq!(observed.foreign_wait, wait, "{foreign}");
        assert_eq!((observed.mine, observed.record_lost), (None, false));
        server.put(r#"{"holderIdentity":"x","leaseDurationSeconds":60,"leaderTransitions":9}"#);
        let observed = other.get(&mut server).unwrap();
        assert_eq!(observed.foreign_wait, Some(Duration::from_secs(60)));
    }
}

#[test]
fn token_over_unknown_follows_date() {
    let mut process = Process::new("a");
    let mut server = CellServer::new(NOW);
    let date = u64::try_from(NOW).unwrap();
    let observed = process.get(&mut server).unwrap();
    assert_eq!(observed.highest_fencing_token, Some(date - 1));
    server.put(r#"{"holderIdentity":"x","leaderTransitions":9}"#);
    let observed = process.get(&mut server).unwrap();
    assert_eq!(observed.highest_fencing_token, Some(date - 1));
    server.put(r#"{"holderIdentity":7}"#);
    let observed = process.get(&mut server).unwrap();
    assert_eq!(observed.highest_fencing_token, Some(date - 1));
    let beyond = format!(
        r#"{{"holderIdentity":"x","leaderTransitions":{}}}"#,
        date + 5
    );
    server.put(&beyond);
    let observed = process.get(&mut server).unwrap();
    assert_eq!(observed.highest_fencing_token, Some(date + 5));
}

#[test]
fn token_over_electors_record_continues() {
    let mut server = held_by(&mut Process::new("a"));
    let observed = Process::new("b").get(&mut server).unwrap();
    assert_eq!(observed.highest_fencing_token, Some(7));
}

#[test]
fn wrong_date_is_not_used() {
    for date in [None, Some(NOW + 86_401), Some(NOW - 86_401)] {
        let mut server = CellServer::new(NOW);
        server.date = date;
        let error = Process::new("a").get(&mut server).unwrap_err();
        assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
        let mut held = held_by(&mut Process::new("a"));
        held.date = date;
        Process::new("b").get(&mut held).unwrap();
    }
}

#[test]
fn date_above_highest_token_is_refused() {
    let config = CasConfig {
        process: "a".to_owned(),
        renew_deadline: RENEW_DEADLINE,
        highest_token: i32::MAX as u64,
        confirms: false,
    };
    let after_2038 = i64::from(i32::MAX) + 1;
    let mut process = Process::with(config);
    process.wall = after_2038;
    let error = process.get(&mut CellServer::new(after_2038)).unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
}

#[test]
fn newer_protocol_is_refused() {
    for text in [
        r#"{"holderIdentity":"x","protocol":3}"#,
        r#"{"holderIdentity":{"name":"x"},"protocol":3}"#,
    ] {
        let mut server = CellServer::new(NOW);
        server.put(text);
        let mut process = Process::new("a");
        let error = process.get(&mut server).unwrap_err();
        assert!(
            matches!(&error, LockError::Refused(why) if why.contains("upgrade")),
            "{error}"
        );
        assert_eq!(server.text(), text);
        assert_eq!(process.sent.len(), 1);
    }
}

#[test]
fn unrelated_content_is_left_unchanged() {
    for text in ["hello", "[1]", r#"{"name":"app"}"#] {
        let mut server = CellServer::new(NOW);
        server.put(text);
        let mut process = Process::new("a");
        let error = process.get(&mut server).unwrap_err();
        assert!(matches!(error, LockError::Refused(_)), "{error:?}");
        assert_eq!((server.text().as_str(), process.sent.len()), (text, 1));
    }
}

#[test]
fn leader_does_not_trust_older_record() {
    let mut process = Process::new("a");
    let mut server = held_by(&mut process);
    let old = server.text();
    process.update(&mut server, &record("napoleon", 7)).unwrap();
    server.put(&old);
    let error = process.get(&mut server).unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    let error = process
        .update(&mut server, &record("napoleon", 7))
        .unwrap_err();
    assert!(matches!(error, LockError::Unfinished(_)), "{error:?}");
    assert_eq!(server.text(), old);
    process.wait(RENEW_DEADLINE);
    let observed = process.get(&mut server).unwrap();
    assert!(observed.record_lost);
    assert_eq!(observed.mine, None);
    // It stays foreign, and is reported once.
    let observed = process.get(&mut server).unwrap();
    assert_eq!((observed.record_lost, observed.mine), (false, None));
}

#[test]
fn own_write_found_by_read_counts() {
    let mut process = Process::new("a");
    let mut server = held_by(&mut process);
    let old = server.text();
    process.fates.extend([Fate::AnswerLost, Fate::Lost]);
    process
        .update(&mut server, &record("napoleon", 7))
        .unwrap_err();
    assert_eq!(process.get(&mut server).unwrap().mine, Some(2));
    server.put(&old);
    let error = process.get(&mut server).unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
}

#[test]
fn candidate_reports_lower_token_as_lost() {
    let mut server = held_by(&mut Process::new("a"));
    let old = server.text();
    Process::new("b").claim(&mut server, "cleopatra", 8);
    let mut candidate = Process::new("c");
    candidate.get(&mut server).unwrap();
    server.put(&old);
    let observed = candidate.get(&mut server).unwrap();
    assert!(observed.record_lost);
    // The server's clock, because there may have been terms that no candidate observed.
    assert!(observed.highest_fencing_token > Some(1_700_000_000));
    // The newer record's leader may have a longer lease than the older one's.
    assert_eq!(observed.foreign_wait, Some(Duration::from_secs(15)));
    assert!(!candidate.get(&mut server).unwrap().record_lost);
}

#[test]
fn returned_record_is_not_current() {
    let foreign = r#"{"holderIdentity":"kubectl","leaderTransitions":7}"#;
    for gone in [None, Some("{}"), Some(foreign)] {
        let mut process = Process::new("a");
        let mut server = held_by(&mut process);
        let old = server.text();
        match gone {
            None => server.delete(),
            Some(text) => server.put(text),
        }
        process.get(&mut server).unwrap();
        // Another candidate may have acquired in between.
        server.put(&old);
        let observed = process.get(&mut server).unwrap();
        assert!(observed.record_lost);
        assert_eq!((observed.mine, observed.age), (None, None));
        assert_eq!(observed.foreign_wait, Some(Duration::from_secs(15)));
        for observed in [observed, process.get(&mut server).unwrap()] {
            assert!(observed.highest_fencing_token > Some(1_700_000_000));
        }
        process.update(&mut server, &record("napoleon", 8)).unwrap();
        assert_eq!(process.get(&mut server).unwrap().mine, Some(2));
    }
}

#[test]
fn lost_write_leaves_earlier_one_mine() {
    let mut process = Process::with(CasConfig {
        process: "a".to_owned(),
        renew_deadline: RENEW_DEADLINE,
        highest_token: 1 << 53,
        confirms: true,
    });
    let mut server = held_by(&mut process);
    let old = server.text();
    process.update(&mut server, &record("napoleon", 7)).unwrap();
    // Another writer read the first write, and replaced the second one without a condition.
    server.put(&old);
    let observed = process.get(&mut server).unwrap();
    assert_eq!((observed.mine, observed.record_lost), (Some(1), false));
    process.update(&mut server, &record("napoleon", 7)).unwrap();
}
