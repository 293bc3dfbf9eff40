//! Slow and hostile clients do not disturb the election.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::endpoints::watched::{Watched, spawn, watch};
use crate::support::process::program::Start;
use crate::support::process::{Fixture, LEASE, TIMES, TOKEN};
use crate::support::wire::request;
use crate::support::{PATIENCE, eventually};

/// Asserts that the first term lasts, with renewals, and that probes are answered.
fn assert_undisturbed(fixture: &Fixture, elector: &Watched, during: Duration) {
    let deadline = Instant::now() + during;
    let renewals = fixture.records().len();
    while Instant::now() < deadline || fixture.records().len() < renewals + 4 {
        assert_eq!(elector.leads(), Some(0), "{}", elector.text());
        // Probes are retried.
        assert!(
            (0..3).any(|_| elector.is_healthy()),
            "no probe was answered"
        );
    }
}

fn memory_kb(elector: &Watched) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", elector.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.unwrap().trim_end_matches("kB").trim();
    kb.parse().unwrap()
}

#[test]
fn ten_thousand_idle_connections_disturb_nothing() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    let held: Vec<TcpStream> = (0..10_000)
        .map(|n| {
            let mut stream = TcpStream::connect_timeout(&first.addr, PATIENCE).unwrap();
            if n % 2 == 0 {
                // Half a request. The server may have closed the connection before.
                let _ = stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\nX: ");
            }
            stream
        })
        .collect();
    assert_undisturbed(&fixture, &first, LEASE);
    assert_eq!(held.len(), 10_000);
    let threads = first.threads().len();
    assert!(threads < 100, "{threads} threads");
    assert!(memory_kb(&first) < 100_000, "{} kB", memory_kb(&first));
}

#[test]
fn gigabyte_request_is_rejected_early() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    let before = memory_kb(&first);
    let head = "POST /step-down HTTP/1.1\r\nHost: localhost\r\n";
    for (request, status) in [
        (format!("{head}Content-Length: 1073741824\r\n\r\n"), 413),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n40000000\r\n"),
            411,
        ),
        (format!("{head}X: "), 431),
        ("GET /".to_owned(), 431),
    ] {
        let mut wire = first.connect();
        wire.send(&request);
        let mut stream = wire.stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            let piece = vec![b'x'; 64 * 1024];
            // Until the server stops reading.
            (0..16 * 1024)
                .take_while(|_| stream.write_all(&piece).is_ok())
                .count()
        });
        assert_eq!(
            wire.answer().map(|answer| answer.status),
            Some(status),
            "{request}"
        );
        let pieces = sender.join().unwrap();
        assert!(pieces < 1024, "{pieces} pieces of 64 kB were taken");
    }
    let grown = memory_kb(&first) - before;
    assert!(grown < 20_000, "{grown} kB more");
    assert_undisturbed(&fixture, &first, Duration::ZERO);
}

#[test]
fn clients_that_never_read_disturb_nothing() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    let asked = request("GET", "/status", &[], "").repeat(2000);
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect_timeout(&first.addr, PATIENCE).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        // As much as the server accepts.
        let _ = stream.write_all(asked.as_bytes());
        clients.push(stream);
    }
    assert_undisturbed(&fixture, &first, LEASE);
    assert_eq!(clients.len(), 200);
    assert!(memory_kb(&first) < 150_000, "{} kB", memory_kb(&first));
}

#[test]
fn scarce_descriptors_are_reserved_for_election() {
    let fixture = Fixture::new();
    // Makes the client open many connections to the store.
    fixture.set_faults(r#"{"drop":0.3}"#);
    let mut shell = Command::new("sh");
    let elector = env!("CARGO_BIN_EXE_elector");
    shell.args(["-c", "ulimit -n 48; exec \"$0\" run", elector]);
    let start = Start::of("poor", shell)
        .with_all(TIMES)
        .with("LOG_FORMAT", "json")
        .with("LEADER_NAME", "poor")
        .with("LOG_FORMAT", "json")
        .with("GIST_ID", &fixture.gist)
        .with("GITHUB_API_URL", fixture.service.url())
        .with("GITHUB_API_TOKEN", TOKEN)
        .with("RENEW_DEADLINE", "10s")
        .with("LEASE_DURATION", "15s");
    let poor = spawn(&fixture, start);
    poor.await_leading();
    let held: Vec<TcpStream> = (0..1000)
        .map(|_| TcpStream::connect_timeout(&poor.addr, PATIENCE).unwrap())
        .collect();
    assert_undisturbed(&fixture, &poor, LEASE);
    assert_eq!(held.len(), 1000);
    eventually("a call fails", || {
        poor.metric("elector_failed_calls_total") > Some(0.0)
    });
}
