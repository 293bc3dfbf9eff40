//! The prober: which answers of a workload make it fail, and that nothing it does holds the prober up.

use crate::support::{PATIENCE, eventually, for_each, never_for};
use std::sync::mpsc::{Receiver as Queue, channel};
use std::time::Duration;

use elector::runtime::health::Prober;
use elector::workload::health::HealthConfig;

use crate::sidecar::receiver::{Manner, Receiver};

/// Ten times as fast as the default.
fn config() -> HealthConfig {
    HealthConfig {
        period: Duration::from_millis(200),
        timeout: Duration::from_millis(500),
        ..HealthConfig::default()
    }
}

/// A prober, and what it says of a workload that failed.
fn probe(url: &str) -> (Prober, Queue<String>) {
    let (sender, failed) = channel();
    let tell = move |why| sender.send(why).unwrap();
    let prober = Prober::start(url.parse().unwrap(), config(), tell).unwrap();
    (prober, failed)
}

#[test]
fn a_workload_that_was_healthy_fails_after_three_bad_answers() {
    let cases: [(Manner, &str); 8] = [
        (Manner::Answer(500), "it answered 500"),
        (Manner::Answer(404), "it answered 404"),
        (Manner::Answer(429), "it answered 429"),
        (Manner::Hang, "did not answer within 500ms"),
        (Manner::Trickle, "did not answer within 500ms"),
        (Manner::Close, "closed the connection without an answer"),
        (Manner::Nonsense, "not speak valid HTTP"),
        (Manner::Answer(400), "it answered 400"),
    ];
    for_each(&cases, |(manner, why)| {
        let workload = Receiver::start(Manner::Answer(200));
        let (_prober, failed) = probe(&workload.url("/s3cr3t"));
        eventually("it was healthy", || workload.count() > 1);
        workload.set(manner.clone());
        let said = failed.recv_timeout(PATIENCE).unwrap();
        assert!(said.contains("3 times in a row"), "{said}");
        assert!(said.contains(why), "{why} in {said}");
        assert!(!said.contains("s3cr3t"), "{said}");
        let asked = workload.count();
        never_for(Duration::from_millis(600), "it is asked again", || {
            workload.count() > asked
        });
    });
}

#[test]
fn a_workload_whose_port_is_closed_fails_once_it_had_been_healthy() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", free.local_addr().unwrap());
    let (_prober, failed) = probe(&url);
    // One answer, by hand.
    let (mut stream, _) = free.accept().unwrap();
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 204 X\r\n\r\n").unwrap();
    drop((stream, free));
    let said = failed.recv_timeout(PATIENCE).unwrap();
    assert!(said.contains("Connection refused"), "{said}");
}

#[test]
fn what_fails_before_the_first_good_answer_counts_for_nothing() {
    for_each(&[Manner::Answer(503), Manner::Hang], |manner| {
        let workload = Receiver::start(manner.clone());
        let (_prober, failed) = probe(&workload.url("/"));
        eventually("it was asked often enough", || workload.count() > 4);
        assert!(failed.try_recv().is_err());
        workload.set(Manner::Answer(200));
        let asked = workload.count();
        eventually("it was healthy", || workload.count() > asked + 2);
        workload.set(Manner::Answer(503));
        failed.recv_timeout(PATIENCE).unwrap();
    });
}

#[test]
fn bad_answers_that_are_not_in_a_row_are_forgiven() {
    let workload = Receiver::start(Manner::Answer(200));
    let (_prober, failed) = probe(&workload.url("/"));
    for _ in 0..3 {
        let asked = workload.count();
        eventually("it is healthy", || workload.count() > asked + 1);
        workload.set(Manner::Close);
        let asked = workload.count();
        eventually("it fails", || workload.count() > asked);
        workload.set(Manner::Answer(200));
    }
    assert!(failed.try_recv().is_err());
}

#[test]
fn a_redirect_is_good_and_not_followed() {
    let elsewhere = Receiver::start(Manner::Answer(500));
    let workload = Receiver::start(Manner::Redirect(elsewhere.url("/")));
    let (_prober, failed) = probe(&workload.url("/"));
    eventually("it is asked again and again", || workload.count() > 5);
    assert_eq!(elsewhere.count(), 0);
    assert!(failed.try_recv().is_err());
}

#[test]
fn a_long_answer_is_not_read() {
    let workload = Receiver::start(Manner::Huge);
    let (_prober, failed) = probe(&workload.url("/"));
    eventually("it is asked again and again", || workload.count() > 5);
    assert!(failed.try_recv().is_err());
    // What lies in the buffers of sockets, of a gigabyte each.
    assert!(workload.sent_bytes() < 500_000_000);
}

#[test]
fn it_asks_as_a_plain_client_with_a_connection_each_time() {
    let workload = Receiver::start(Manner::Answer(200));
    let (_prober, _failed) = probe(&workload.url("/healthz?deep=1"));
    eventually("it is asked", || workload.count() > 1);
    let asked = workload.received().remove(0);
    assert_eq!(asked.line, "GET /healthz?deep=1 HTTP/1.1");
    assert!(asked.head.contains("connection: close"), "{}", asked.head);
    assert!(!asked.head.contains("authorization"), "{}", asked.head);
}

#[test]
fn nothing_is_asked_or_said_once_it_is_dropped() {
    let workload = Receiver::start(Manner::Answer(200));
    let (prober, failed) = probe(&workload.url("/"));
    eventually("it was healthy", || workload.count() > 1);
    workload.set(Manner::Hang);
    let asked = workload.count();
    eventually("a question is under way", || workload.count() > asked);
    let dropping = std::time::Instant::now();
    drop(prober);
    assert!(dropping.elapsed() < config().timeout, "it does not wait");
    let asked = workload.count();
    // Disconnected: what would say so is gone.
    assert!(failed.recv_timeout(PATIENCE).is_err());
    never_for(Duration::from_millis(600), "it is asked again", || {
        workload.count() > asked
    });
}
