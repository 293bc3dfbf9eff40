//! Tests `WEBHOOK_URL`: the messages, and that no receiver delays the election, costs memory or leaks the URL.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustls::{ServerConnection, StreamOwned};
use serde_json::Value;

use crate::sidecar::receiver::{Manner, Receiver};
use crate::support::authority::Authority;
use crate::support::process::program::Start;
use crate::support::process::{Elector, Fixture, TOKEN};
use crate::support::{eventually, for_each, never_for};

/// Secret path, which no output may contain.
const PATH: &str = "/hooks/s3cr3t?key=s3cr3t";

fn start(fixture: &Fixture, receiver: &Receiver) -> Start {
    fixture
        .elector("first")
        .with("WEBHOOK_URL", receiver.url(PATH))
        .with("RUST_LOG", "debug,ureq=debug")
}

/// Starts an elector with `receiver` as webhook, and waits until it leads.
fn leader(fixture: &Fixture, receiver: &Receiver) -> Elector {
    let first = fixture.spawn(start(fixture, receiver));
    first.await_leading();
    first
}

fn assert_secret(elector: &Elector) {
    assert!(!elector.text().contains("s3cr3t"), "{}", elector.text());
}

fn events(receiver: &Receiver) -> Vec<String> {
    let messages = receiver.messages();
    let text = |message: &Value| {
        let name = message["event"].as_str().unwrap();
        let leader = message["holder"].as_str().unwrap_or("-");
        format!("{name} {leader} {}", message["fencingToken"])
    };
    messages.iter().map(text).collect()
}

#[test]
fn transitions_are_posted_in_order() {
    let fixture = Fixture::new();
    let receiver = Receiver::start(Manner::Answer(204));
    let mut first = leader(&fixture, &receiver);
    let renewals = fixture.records().len();
    eventually("it renews", || fixture.records().len() > renewals + 3);
    let second = fixture.start("second");
    second.await_observed("first");
    fixture.put(r#"{"holderIdentity":"operator","leaseDurationSeconds":5}"#);
    first.await_observed("operator");
    first.leave();
    assert_eq!(
        events(&receiver),
        [
            "started_leading first 0",
            "new_leader first 0",
            "stopped_leading - 0",
        ]
    );
    let post = receiver.received().remove(2);
    assert_eq!(post.line, format!("POST {PATH} HTTP/1.1"));
    assert!(post.head.contains("content-type: application/json"));
    assert!(!post.head.contains("authorization") && !post.head.contains(&TOKEN.to_lowercase()));
    let message: Value = serde_json::from_str(&post.body).unwrap();
    assert_eq!(message["identity"], "first");
    assert_eq!(message["reason"], "deposed");
    assert_eq!(message["detail"], "the lease is held by operator");
    let text = message["text"].as_str().unwrap();
    assert!(text.ends_with(": the lease is held by operator"), "{text}");
    let time = message["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == 24, "{time}");
    let first_key = post.body.starts_with("{\"event\":");
    assert!(first_key, "the event comes first: {}", post.body);
    assert_secret(&first);
}

#[test]
fn messages_of_graceful_stop_arrive() {
    let fixture = Fixture::new();
    let receiver = Receiver::start(Manner::Answer(200));
    let mut first = leader(&fixture, &receiver);
    first.leave();
    assert_eq!(events(&receiver)[2..], ["stopped_leading - 0"]);
    assert_eq!(receiver.messages()[2]["reason"], "stopped");
    assert!(!first.has_text(r#""level":"warn""#), "{}", first.text());
}

#[test]
fn passing_failure_is_retried() {
    for_each(
        &[
            Manner::Answer(500),
            Manner::Answer(429),
            Manner::Close,
            Manner::Hang,
        ],
        |manner| {
            let fixture = Fixture::new();
            let receiver = Receiver::start(manner.clone());
            let mut first = fixture.spawn(start(&fixture, &receiver));
            eventually("it was posted", || receiver.count() > 0);
            receiver.set(Manner::Answer(200));
            eventually("the next one is posted too", || {
                events(&receiver).contains(&"new_leader first 0".to_owned())
            });
            let events = events(&receiver);
            let tries = events
                .iter()
                .take_while(|one| **one == "started_leading first 0");
            let tries = tries.count();
            assert!((2..=3).contains(&tries), "{events:?}");
            assert!(!first.has_logged("webhook_failed"), "{}", first.text());
            first.leave();
            assert_secret(&first);
        },
    );
}

#[test]
fn lasting_failure_is_warned_about_once() {
    let fixture = Fixture::new();
    let receiver = Receiver::start(Manner::Answer(503));
    let mut first = leader(&fixture, &receiver);
    eventually("both are given up", || receiver.count() == 6);
    eventually("both are lost", || {
        first.count_logged("webhook_failed") == 2
    });
    let failed = first.last_logged("webhook_failed");
    assert_eq!(failed.text("error"), "answered 503");
    assert_eq!(warnings(&first), 1, "{}", first.text());
    receiver.set(Manner::Answer(200));
    fixture.put(r#"{"holderIdentity":"operator","leaseDurationSeconds":5}"#);
    first.await_logged("webhook_recovered");
    assert_eq!(first.last_logged("webhook_recovered").get("lost"), 2);
    first.leave();
    assert_secret(&first);
}

fn warnings(elector: &Elector) -> usize {
    let log = elector.log();
    let warnings = log.iter().filter(|line| line.level() == "warn");
    warnings
        .filter(|line| line.event().starts_with("webhook"))
        .count()
}

#[test]
fn permanent_refusal_is_not_retried() {
    let elsewhere = Receiver::start(Manner::Answer(200));
    let cases = [
        (Manner::Answer(404), "answered 404"),
        (Manner::Answer(401), "answered 401"),
        (
            Manner::Redirect(elsewhere.url("/")),
            "answered 307; redirects are not followed",
        ),
    ];
    for_each(&cases, |(manner, why)| {
        let fixture = Fixture::new();
        let receiver = Receiver::start(manner.clone());
        let first = leader(&fixture, &receiver);
        first.await_text(why);
        eventually("both were posted", || receiver.count() == 2);
        never_for(Duration::from_secs(2), "it is tried again", || {
            receiver.count() > 2
        });
        assert_secret(&first);
    });
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn hanging_receiver_does_not_delay_election() {
    for_each(&[Manner::Hang, Manner::Trickle], |manner| {
        let fixture = Fixture::new();
        let receiver = Receiver::start(manner.clone());
        let mut first = leader(&fixture, &receiver);
        let renewals = fixture.records().len();
        eventually("it renews", || fixture.records().len() > renewals + 5);
        assert_eq!(first.leads(), Some(0));
        first.signal(Signal::SIGTERM);
        first.await_logged("released");
        let released = Instant::now();
        assert_eq!(first.await_exit(), Some(0));
        assert!(released.elapsed() < Duration::from_secs(8));
        first.await_logged("webhook_failed");
        assert_secret(&first);
    });
}

#[test]
fn unreachable_receiver_does_not_affect_election() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/s3cr3t", closed.local_addr().unwrap());
    drop(closed);
    let cases = [
        (address.as_str(), "Connection refused"),
        ("http://nowhere.invalid/s3cr3t", "cannot resolve"),
        ("https://me:s3cr3t@nowhere.invalid/s3cr3t", "cannot resolve"),
    ];
    for_each(&cases, |(url, why)| {
        let fixture = Fixture::new();
        let start = fixture.elector("first").with("WEBHOOK_URL", url);
        let mut first = fixture.spawn(start.with("RUST_LOG", "debug,ureq=debug"));
        first.await_leading();
        first.await_logged("webhook_failed");
        assert!(first.has_text(why), "{}", first.text());
        first.leave();
        assert_secret(&first);
    });
}

#[test]
fn huge_answer_is_not_read() {
    let fixture = Fixture::new();
    let receiver = Receiver::start(Manner::Huge);
    let mut first = leader(&fixture, &receiver);
    eventually("both were posted", || receiver.count() == 2);
    first.leave();
    assert_eq!(warnings(&first), 0, "it was a good answer");
    // Some of it is in socket buffers.
    assert!(receiver.sent_bytes() < 500_000_000);
}

#[test]
fn webhook_uses_proxy_of_environment() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let (sender, asked) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in proxy.incoming() {
            let mut stream = stream.unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(&stream);
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
            sender.send(head).unwrap();
        }
    });
    let fixture = Fixture::new();
    let start = fixture
        .elector("first")
        .with("WEBHOOK_URL", "https://hooks.invalid/s3cr3t")
        .with("HTTPS_PROXY", format!("http://{address}"));
    let first = fixture.spawn(start);
    first.await_leading();
    first.await_text(&format!(
        "HTTPS_PROXY: the proxy {address} does not connect to hooks.invalid"
    ));
    let asked = asked.recv().unwrap();
    assert!(asked.starts_with("CONNECT hooks.invalid:443 "), "{asked}");
    assert_secret(&first);
}

#[test]
fn receiver_needs_trusted_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let authority = Authority::for_name("localhost");
    std::fs::write(&file, authority.pem).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "https://localhost:{}/s3cr3t",
        listener.local_addr().unwrap().port()
    );
    let (sender, bodies) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&authority.server)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut request = [0; 2000];
            let Ok(length) = stream.read(&mut request) else {
                continue;
            };
            let _ = stream.write_all(b"HTTP/1.1 204 X\r\n\r\n");
            stream.conn.send_close_notify();
            let _ = stream.flush();
            let request = String::from_utf8_lossy(&request[..length]);
            sender.send(request.into_owned()).unwrap();
        }
    });
    let fixture = Fixture::new();
    let start = fixture.elector("first").with("WEBHOOK_URL", &url);
    let mut distrustful = fixture.spawn(start);
    distrustful.await_text("SSL_CERT_FILE");
    distrustful.leave();
    assert!(
        bodies.try_recv().is_err(),
        "nothing was printed to a stranger"
    );
    let start = fixture.elector("second").with("WEBHOOK_URL", &url);
    let mut trustful = fixture.spawn(start.with("SSL_CERT_FILE", &file));
    let post = bodies.recv_timeout(crate::support::PATIENCE).unwrap();
    assert!(post.starts_with("POST /s3cr3t "), "{post}");
    trustful.leave();
    assert_secret(&trustful);
    assert_secret(&distrustful);
}

#[test]
fn unusable_proxy_or_certificate_is_refused() {
    let cases = [
        ("HTTPS_PROXY", "socks5://me:s3cr3t@proxy:1", "SOCKS"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem", "SSL_CERT_FILE"),
    ];
    for_each(&cases, |(variable, value, why)| {
        let fixture = Fixture::new();
        let start = fixture
            .elector("first")
            .with("WEBHOOK_URL", "https://hooks.invalid/s3cr3t")
            .with(variable, value);
        let mut first = fixture.spawn(start);
        assert_eq!(first.await_exit(), Some(2), "{}", first.text());
        assert!(first.has_text(why), "{}", first.text());
        assert_eq!(first.lines().len(), 1, "{}", first.text());
        assert_secret(&first);
    });
}
