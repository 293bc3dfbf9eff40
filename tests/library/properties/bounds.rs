//! Memory and messages stay bounded, whatever the input.

use std::fs::{self, File};
use std::time::Duration;

use elector::election::config::LeaderElectionConfig;
use elector::election::lock::LockError;
use elector::election::time::Instant;
use elector::lock::gist::budget::Budget;
use elector::lock::gist::protocol::{GistProtocol, Outcome, ProtocolConfig, Step};
use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::{Answer, Commit, GistPage, Reply, Request, Text};
use elector::net::{AccessTokenReader, AccessTokenSource};

use crate::properties::checks::{self, gist_answer};

#[test]
fn endless_body_is_cut_off() {
    let sha = "7".repeat(40);
    let whole = format!("{{\"version\":\"{sha}\"}}");
    for (kind, status, body) in [
        (
            "GET leader.json",
            200,
            "{\"files\":{\"leader.json\":{\"content\":\"x",
        ),
        (
            "GET leader.json",
            200,
            "{\"files\":{\"other\":{\"content\":\"x",
        ),
        ("GET -", 200, "{\"files\":{\"x"),
        ("GET leader.json", 200, "{\"x\":["),
        ("PATCH leader.json", 200, "{\"history\":[ "),
        (
            "REVISION leader.json",
            200,
            "{\"files\":{\"leader.json\":{\"truncated\":1",
        ),
        (
            "COMMITS leader.json",
            200,
            &format!("[{whole},{{\"committed_at\":\"x"),
        ),
        ("GET leader.json", 404, "{\"message\":\"x"),
        ("PATCH leader.json", 502, "x"),
    ] {
        gist_answer::check_endless(format!("{kind}\n{status}\n\n{body}").as_bytes());
    }
}

fn revision(number: u32) -> Revision {
    let mut name = [7; 20];
    name[..4].copy_from_slice(&number.to_be_bytes());
    Revision::from_bytes(name)
}

/// Answers as a service that shows other revisions in every answer, and none of their contents.
fn unhelpful(request: &Request, number: u32) -> Result<Reply, LockError> {
    let commits = |count: u32| {
        (0..count).map(move |n| Commit {
            revision: revision(number * 1000 + n),
            committed_at: None,
        })
    };
    let ours = format!(
        r#"{{"holderIdentity":"b","writeId":"b-{number}","supersedes":"{}","x":"{}"}}"#,
        revision(u32::MAX),
        "x".repeat(1000)
    );
    match request {
        Request::Gist { .. } | Request::Write { .. } => Ok(Reply::Gist(GistPage {
            files: vec!["leader.json".to_owned()],
            text: Text::Whole(ours.into()),
            history: commits(30).collect(),
            ..GistPage::default()
        })),
        Request::Revision(_) if number.is_multiple_of(2) => {
            Ok(Reply::Revision(Text::Whole(ours.into())))
        }
        Request::Revision(_) => Err(LockError::Unavailable("not now".into())),
        Request::Commits { .. } => Ok(Reply::Commits(commits(100).collect())),
        Request::History | Request::Create { .. } => panic!("a lock does not ask for that"),
    }
}

#[test]
fn file_names_are_shortened_and_escaped() {
    let names = |names: &[&str]| {
        let page = GistPage {
            files: names.iter().map(|&name| name.to_owned()).collect(),
            history: vec![Commit {
                revision: revision(1),
                committed_at: None,
            }],
            ..GistPage::default()
        };
        let mut protocol = GistProtocol::new(ProtocolConfig {
            process: "a".into(),
            file: None,
            renew_deadline: Duration::from_secs(16),
            budget: Budget::new(&LeaderElectionConfig::new("a")),
        });
        protocol.start_get();
        let answer = Answer {
            date: None,
            rate: None,
            reply: Ok(Reply::Gist(page)),
        };
        match protocol.handle_answer(Instant::BOOT, answer) {
            Step::Done(Outcome::Got(Err(LockError::Refused(why)))) => why,
            other => panic!("{other:?}"),
        }
    };
    let tricky = "evil\u{1b}[2J\n\u{202e}name";
    for files in [
        &[tricky, "b"][..],
        &[tricky],
        &["x"; 16],
        &[&"x".repeat(300)],
    ] {
        let why = names(files);
        checks::assert_safe_line(&why);
        assert!(why.contains("GIST_FILE"), "{why}");
    }
    assert!(names(&["y".repeat(100_000).as_str(), "b"]).len() < 1000);
}

#[test]
fn endless_history_keeps_memory_bounded() {
    let mut protocol = GistProtocol::new(ProtocolConfig {
        process: "a".into(),
        file: Some("leader.json".into()),
        renew_deadline: Duration::from_secs(16),
        budget: Budget::new(&LeaderElectionConfig::new("a")),
    });
    let (mut number, mut most) = (0, 0);
    for call in 0..2_000 {
        let mut step = protocol.start_get();
        while let Step::Ask(request) = step {
            number += 1;
            let answer = Answer {
                date: None,
                rate: None,
                reply: unhelpful(&request, number),
            };
            let now = Instant::from_boot(Duration::from_secs(u64::from(number)));
            step = protocol.handle_answer(now, answer);
        }
        // The debug output shows everything that the protocol keeps.
        if call % 50 == 0 {
            most = most.max(format!("{protocol:?}").len());
        }
    }
    assert!(number > 4_000, "only {number} requests were made");
    assert!(most < 3_000_000, "{most} bytes after {number} requests");
}

#[test]
fn huge_token_file_is_refused_unread() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path();
    fs::write(path, "s3cret".repeat(10_000)).unwrap();
    // A sparse file, larger than any memory.
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let refused = AccessTokenReader::open(
        &AccessTokenSource::File(path.to_owned()),
        "GITHUB_API_TOKEN",
    );
    let printed = refused.unwrap_err().to_string();
    assert!(printed.contains("GITHUB_API_TOKEN_FILE"), "{printed}");
    assert!(!printed.contains("s3cret"), "{printed}");
}

#[test]
fn token_file_content_is_never_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path();
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..2_000 {
        let mut bytes = b"s3cret".to_vec();
        for _ in 0..rng.usize(..3) {
            let at = rng.usize(..=bytes.len());
            let byte = *rng.choice(b" \n\t\0\xff\x1b\xc3\xa9a").unwrap();
            bytes.insert(at, byte);
        }
        fs::write(path, &bytes).unwrap();
        let read = AccessTokenReader::open(
            &AccessTokenSource::File(path.to_owned()),
            "GITHUB_API_TOKEN",
        );
        let printed = match &read {
            Ok(store) => format!("{store:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(
            !printed.contains("cret") && !printed.contains("s3"),
            "{printed}"
        );
        let text = std::str::from_utf8(&bytes).map(str::trim);
        let good = text.is_ok_and(|text| text.bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(read.is_ok(), good, "{}", bytes.escape_ascii());
    }
}
