//! Tests the webhook's messages with several candidates, and its bearer token.

use std::fs;

use serde_json::Value;

use crate::sidecar::receiver::{Manner, Receiver};
use crate::support::eventually;
use crate::support::for_each;
use crate::support::process::Fixture;
use crate::support::process::program::Start;

fn start(fixture: &Fixture, name: &str, receiver: &Receiver) -> Start {
    fixture
        .elector(name)
        .with("WEBHOOK_URL", receiver.url("/hook"))
        .with("RUST_LOG", "debug,ureq=debug")
}

/// Returns event and sender of each message.
fn senders(receiver: &Receiver) -> Vec<String> {
    let text = |message: Value| {
        let field = |key: &str| message[key].as_str().unwrap().to_owned();
        format!("{} by {}", field("event"), field("identity"))
    };
    receiver.messages().into_iter().map(text).collect()
}

#[test]
fn only_new_leader_announces_itself() {
    let fixture = Fixture::new();
    let receiver = Receiver::start(Manner::Answer(204));
    let mut first = fixture.spawn(start(&fixture, "first", &receiver));
    first.await_leading();
    let second = fixture.spawn(start(&fixture, "second", &receiver).with("LOCK_NAME", "payments"));
    second.await_observed("first");
    first.leave();
    second.await_leading();
    eventually("the second announces itself", || receiver.count() >= 5);
    assert_eq!(
        senders(&receiver),
        [
            "started_leading by first",
            "new_leader by first",
            "stopped_leading by first",
            "started_leading by second",
            "new_leader by second",
        ]
    );
    let messages = receiver.messages();
    let text = |number: usize| messages[number]["text"].as_str().unwrap();
    let name = format!("first started leading {}", fixture.gist);
    assert!(text(0).starts_with(&name), "{}", text(0));
    assert!(text(2).starts_with("first stopped leading "), "{}", text(2));
    assert!(text(2).ends_with(": asked to stop"), "{}", text(2));
    assert_eq!(text(4), "second is the new leader of payments");
    assert_eq!(messages[4]["name"], "payments");
    let lock = messages[4]["lock"].as_str().unwrap();
    assert!(lock.contains(&fixture.gist), "{lock}");
}

#[test]
fn bearer_token_is_sent_and_reread() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("token");
    fs::write(&file, "s3cr3t-one\n").unwrap();
    let receiver = Receiver::start(Manner::Answer(204));
    let start = start(&fixture, "first", &receiver).with("WEBHOOK_TOKEN_FILE", &file);
    let mut first = fixture.spawn(start);
    first.await_leading();
    eventually("both were posted", || receiver.count() == 2);
    fs::write(&file, "s3cr3t-two-which-is-longer\n").unwrap();
    first.leave();
    let received = receiver.received();
    let token = |number: usize| {
        let head = &received[number].head;
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix("authorization: "));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!(token(0), "bearer s3cr3t-one");
    assert_eq!(token(2), "bearer s3cr3t-two-which-is-longer");
    assert!(!first.text().contains("s3cr3t"), "{}", first.text());
}

#[test]
fn unusable_token_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    let cases = [
        ("/nowhere/token", "cannot be read"),
        (empty.to_str().unwrap(), "empty"),
        ("xoxb-s3cr3t", "not a path"),
    ];
    for_each(&cases, |(file, part)| {
        let fixture = Fixture::new();
        let receiver = Receiver::start(Manner::Answer(204));
        let start = start(&fixture, "first", &receiver).with("WEBHOOK_TOKEN_FILE", file);
        let mut first = fixture.spawn(start);
        assert_eq!(first.await_exit(), Some(2), "{}", first.text());
        assert!(first.has_text("WEBHOOK_TOKEN_FILE"), "{}", first.text());
        assert!(first.has_text(part), "{}", first.text());
        assert!(!first.text().contains("s3cr3t"), "{}", first.text());
    });
}
