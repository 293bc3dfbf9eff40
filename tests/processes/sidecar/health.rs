//! The prober: answers that make a program fail, and servers that try to block the prober.

use crate::support::{PATIENCE, eventually, for_each, never_for};
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Queue, channel};
use std::time::Duration;

use elector::runtime::health::Prober;
use elector::workload::health::HealthConfig;

use crate::sidecar::receiver::{Manner, Receiver};

/// Returns settings with a short period and timeout.
fn config() -> HealthConfig {
    HealthConfig {
        period: Duration::from_millis(200),
        timeout: Duration::from_millis(500),
        ..HealthConfig::default()
    }
}

/// Starts a prober, and returns the queue that gets its failure.
fn probe(url: &str) -> (Prober, Queue<String>) {
    let (sender, failed) = channel();
    let tell = move |reason| sender.send(reason).unwrap();
    let counts = Arc::default();
    let prober = Prober::start(url.parse().unwrap(), config(), counts, tell).unwrap();
    (prober, failed)
}

#[test]
fn three_bad_answers_fail_healthy_workload() {
    let cases: [(Manner, &str); 8] = [
        (Manner::Answer(500), "status 500"),
        (Manner::Answer(404), "status 404"),
        (Manner::Answer(429), "status 429"),
        (Manner::Hang, "did not answer within 500ms"),
        (Manner::Trickle, "did not answer within 500ms"),
        (Manner::Close, "closed the connection without an answer"),
        (Manner::Nonsense, "not speak valid HTTP"),
        (Manner::Answer(400), "status 400"),
    ];
    for_each(&cases, |(manner, why)| {
        let workload = Receiver::start(Manner::Answer(200));
        let (_prober, failed) = probe(&workload.url("/s3cr3t"));
        eventually("healthy", || workload.count() > 1);
        workload.set(manner.clone());
        let printed = failed.recv_timeout(PATIENCE).unwrap();
        assert!(printed.contains("3 times in a row"), "{printed}");
        assert!(printed.contains(why), "{why} in {printed}");
        assert!(!printed.contains("s3cr3t"), "{printed}");
        let asked = workload.count();
        never_for(Duration::from_millis(600), "another check", || {
            workload.count() > asked
        });
    });
}

#[test]
fn closed_port_fails_healthy_workload() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", free.local_addr().unwrap());
    let (_prober, failed) = probe(&url);
    // One answer, without a server.
    let (mut stream, _) = free.accept().unwrap();
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 204 X\r\n\r\n").unwrap();
    drop((stream, free));
    let printed = failed.recv_timeout(PATIENCE).unwrap();
    assert!(printed.contains("Connection refused"), "{printed}");
}

#[test]
fn failures_before_first_success_are_ignored() {
    for_each(&[Manner::Answer(503), Manner::Hang], |manner| {
        let workload = Receiver::start(manner.clone());
        let (_prober, failed) = probe(&workload.url("/"));
        eventually("enough checks", || workload.count() > 4);
        assert!(failed.try_recv().is_err());
        workload.set(Manner::Answer(200));
        let asked = workload.count();
        eventually("healthy", || workload.count() > asked + 2);
        workload.set(Manner::Answer(503));
        failed.recv_timeout(PATIENCE).unwrap();
    });
}

#[test]
fn scattered_bad_answers_are_forgiven() {
    let workload = Receiver::start(Manner::Answer(200));
    let (_prober, failed) = probe(&workload.url("/"));
    for _ in 0..3 {
        let asked = workload.count();
        eventually("healthy", || workload.count() > asked + 1);
        workload.set(Manner::Close);
        let asked = workload.count();
        eventually("a check fails", || workload.count() > asked);
        workload.set(Manner::Answer(200));
    }
    assert!(failed.try_recv().is_err());
}

#[test]
fn redirect_is_healthy_and_not_followed() {
    let elsewhere = Receiver::start(Manner::Answer(500));
    let workload = Receiver::start(Manner::Redirect(elsewhere.url("/")));
    let (_prober, failed) = probe(&workload.url("/"));
    eventually("repeated checks", || workload.count() > 5);
    assert_eq!(elsewhere.count(), 0);
    assert!(failed.try_recv().is_err());
}

#[test]
fn long_answer_is_not_read() {
    let workload = Receiver::start(Manner::Huge);
    let (_prober, failed) = probe(&workload.url("/"));
    eventually("repeated checks", || workload.count() > 5);
    assert!(failed.try_recv().is_err());
    // Each answer has a gigabyte; some of it is in socket buffers.
    assert!(workload.sent_bytes() < 500_000_000);
}

#[test]
fn each_check_is_plain_request() {
    let workload = Receiver::start(Manner::Answer(200));
    let (_prober, _failed) = probe(&workload.url("/healthz?deep=1"));
    eventually("a check", || workload.count() > 1);
    let asked = workload.received().remove(0);
    assert_eq!(asked.line, "GET /healthz?deep=1 HTTP/1.1");
    assert!(asked.head.contains("connection: close"), "{}", asked.head);
    assert!(!asked.head.contains("authorization"), "{}", asked.head);
}

#[test]
fn dropped_prober_stays_silent() {
    let workload = Receiver::start(Manner::Answer(200));
    let (prober, failed) = probe(&workload.url("/"));
    eventually("healthy", || workload.count() > 1);
    workload.set(Manner::Hang);
    let asked = workload.count();
    eventually("a check is under way", || workload.count() > asked);
    let dropping = std::time::Instant::now();
    drop(prober);
    assert!(dropping.elapsed() < config().timeout, "dropping waited");
    let asked = workload.count();
    // Disconnected, because the failure function was dropped.
    assert!(failed.recv_timeout(PATIENCE).is_err());
    never_for(Duration::from_millis(600), "another check", || {
        workload.count() > asked
    });
}
