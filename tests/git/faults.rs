//! Requests and answers that are lost, damaged or refused.

use elector::election::lock::LockError;

use crate::repository::{Fault, Repository, record};

const PUSH: &str = "git-receive-pack";
const READ: &str = "git-upload-pack";
const ABILITIES: &str = "info/refs";

/// Returns an answer to a read.
fn answered(body: &[u8]) -> Fault {
    Fault::Answer(
        "200 OK",
        "application/x-git-upload-pack-result",
        body.to_vec(),
    )
}

fn status(status: &'static str) -> Fault {
    Fault::Answer(status, "text/html", b"<html>".to_vec())
}

#[test]
fn known_commit_is_not_fetched() {
    let repository = Repository::new();
    let mut writer = repository.client();
    writer.replace(&record("napoleon", 7, 1)).unwrap();
    let mut client = repository.client();
    client.read().unwrap();
    let before = repository.requests(READ);
    client.read().unwrap();
    writer.read().unwrap();
    assert_eq!(repository.requests(READ) - before, 2);
    assert_eq!(repository.requests(ABILITIES), 2);
}

#[test]
fn lost_answer_is_settled() {
    let repository = Repository::new();
    let mut client = repository.client();
    for (number, fault) in [
        Fault::AnswerLost,
        Fault::Truncated(0),
        Fault::Truncated(10),
        Fault::Truncated(25),
    ]
    .into_iter()
    .enumerate()
    {
        let value = record("napoleon", 7, u32::try_from(number).unwrap());
        repository.fail(PUSH, fault);
        client.replace(&value).unwrap();
        assert_eq!(repository.client().text(), value);
    }
}

#[test]
fn lost_push_is_unknown() {
    let repository = Repository::new();
    let mut client = repository.client();
    client.replace(&record("napoleon", 7, 1)).unwrap();
    for fault in [Fault::Lost, status("500 Broken"), status("504 Slow")] {
        repository.fail(PUSH, fault);
        let error = client.replace(&record("napoleon", 7, 2)).unwrap_err();
        assert!(matches!(error, LockError::OutcomeUnknown(_)), "{error:?}");
    }
    assert_eq!(repository.client().text(), record("napoleon", 7, 1));
}

#[test]
fn unreadable_branch_leaves_outcome_unknown() {
    let repository = Repository::new();
    let mut client = repository.client();
    let version = client.replace(&record("napoleon", 7, 1)).unwrap();
    repository.fail(PUSH, Fault::AnswerLost);
    repository.fail(READ, Fault::Lost);
    let value = record("napoleon", 7, 2);
    let error = client.write(Some(&version), &value).unwrap_err();
    assert!(matches!(error, LockError::OutcomeUnknown(_)), "{error:?}");
    assert_eq!(client.text(), value);
}

#[test]
fn lost_push_and_other_write_conflict() {
    let repository = Repository::new();
    let mut client = repository.client();
    let version = client.replace(&record("napoleon", 7, 1)).unwrap();
    repository
        .client()
        .replace(&record("cleopatra", 8, 2))
        .unwrap();
    repository.fail(PUSH, Fault::Lost);
    let result = client.write(Some(&version), &record("napoleon", 7, 3));
    assert_eq!(result, Err(LockError::Conflict));
}

#[test]
fn statuses_are_told_apart() {
    let repository = Repository::new();
    let mut client = repository.client();
    client.replace(&record("napoleon", 7, 1)).unwrap();
    for answer in [
        "401 No",
        "403 No",
        "404 No",
        "429 Later",
        "503 Busy",
        "301 Moved",
    ] {
        for path in [READ, PUSH] {
            repository.fail(path, status(answer));
            let error = client.replace(&record("napoleon", 7, 2)).unwrap_err();
            let fits = match (&answer[..3], path, &error) {
                ("401" | "403", _, LockError::Unauthorized(_))
                | ("404", _, LockError::NotFound(_))
                | ("429", _, LockError::RateLimited { .. })
                | ("503", READ, LockError::Unavailable(_))
                | ("503", _, LockError::OutcomeUnknown(_)) => true,
                ("301", _, LockError::Unavailable(why)) => why.contains("redirected"),
                _ => false,
            };
            assert!(fits, "{answer} {path}: {error:?}");
        }
    }
}

#[test]
fn removed_protocol_header_is_named() {
    let repository = Repository::new();
    repository
        .client()
        .replace(&record("napoleon", 7, 1))
        .unwrap();
    let named = |error: &LockError| error.to_string().contains("Git-Protocol");
    repository.fail(ABILITIES, Fault::WithoutProtocol);
    let error = repository.client().read().unwrap_err();
    assert!(named(&error), "{error}");
    let mut client = repository.client();
    client.read().unwrap();
    for fault in [Fault::WithoutProtocol, answered(b"")] {
        repository.fail(READ, fault);
        let error = client.read().unwrap_err();
        assert!(named(&error), "{error}");
    }
}

#[test]
fn damaged_answers_are_unavailable() {
    let repository = Repository::new();
    let mut writer = repository.client();
    for number in 0..8 {
        let value = record("napoleon", 7, number);
        writer.replace(&value).unwrap();
        let mut client = repository.client();
        client.read().unwrap();
        writer
            .replace(&record("napoleon", 7, 100 + number))
            .unwrap();
        if number >= 4 {
            // The fetch after it.
            repository.fail(READ, Fault::Truncated(usize::MAX));
        }
        repository.fail(
            READ,
            match number % 4 {
                0 => Fault::Truncated(20),
                1 => answered(b"<html>"),
                2 => Fault::Answer("200 OK", "text/html", b"<html>".to_vec()),
                _ => answered(b"0010packfile\n0006\x01x"),
            },
        );
        let error = client.read().unwrap_err();
        assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
        assert_eq!(client.text(), record("napoleon", 7, 100 + number));
    }
}

#[test]
fn replaced_commit_is_read_again() {
    let repository = Repository::new();
    repository
        .client()
        .replace(&record("napoleon", 7, 1))
        .unwrap();
    let gone = || answered(b"0022ERR upload-pack: not our ref 1");
    let pass = || Fault::Truncated(usize::MAX);
    for (refusals, succeeds) in [(2, true), (3, false)] {
        for _ in 0..refusals {
            repository.fail(READ, pass());
            repository.fail(READ, gone());
        }
        let result = repository.client().read();
        assert_eq!(result.is_ok(), succeeds, "{result:?}");
        if let Err(error) = result {
            assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
        }
    }
}
