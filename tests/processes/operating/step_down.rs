//! `elector step-down` against an endpoint of the test, and against electors.

use crate::endpoints::watched::{Watched, spawn, watch};
use crate::support::process::{Fixture, LEASE};
use crate::support::{PATIENCE, for_each, never_for};
use crate::workload::scene::Scene;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use crate::operating::command::{Run, free_address};

/// Endpoint that answers a request with each of its answers, and returns the requests.
struct Endpoint {
    address: SocketAddr,
    asked: JoinHandle<String>,
}

impl Endpoint {
    fn answering(ip: impl Into<IpAddr>, answers: Vec<&'static str>) -> Endpoint {
        let listener = TcpListener::bind((ip.into(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = thread::spawn(move || {
            let asked = answers.iter().map(|answer| serve(&listener, answer));
            asked.collect()
        });
        Endpoint { address, asked }
    }

    fn on_loopback(answer: &'static str) -> Endpoint {
        Endpoint::answering(Ipv4Addr::LOCALHOST, vec![answer])
    }

    fn asked(self) -> String {
        self.asked.join().unwrap()
    }
}

fn serve(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        asked.push(byte[0]);
    }
    if answer.is_empty() {
        // Waits until the client gives up.
        let _ = stream.read(&mut byte);
    }
    stream.write_all(answer.as_bytes()).unwrap();
    String::from_utf8(asked).unwrap()
}

const YES: &str = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n\
    Content-Length: 81\r\n\r\n\
    {\"steppingDown\":true,\"led\":true,\"until\":\"2026-11-22T10:00:00Z\",\"kept\":true,\"x\":7}";

fn step_down() -> Run {
    Run::new(&["step-down"])
}

#[test]
fn request_bypasses_proxies() {
    let endpoint = Endpoint::on_loopback(YES);
    let port = endpoint.address.port();
    let proxy = format!("http://{}", free_address());
    let printed = step_down()
        .with("HTTP_ADDR", format!(":{port}"))
        .with("HTTP_PROXY", &proxy)
        .with("ALL_PROXY", &proxy)
        .ran()
        .well();
    assert!(
        printed.starts_with("The elector is stepping down"),
        "{printed}"
    );
    let asked = endpoint.asked();
    assert!(asked.starts_with("POST /step-down HTTP/1."), "{asked}");
    assert!(
        asked.contains(&format!("\r\nhost: 127.0.0.1:{port}\r\n")),
        "{asked}"
    );
    for unwanted in ["origin", "sec-fetch", "authorization"] {
        assert!(!asked.to_ascii_lowercase().contains(unwanted), "{asked}");
    }
}

#[test]
fn prefixed_setting_names_endpoint() {
    let endpoint = Endpoint::on_loopback(YES);
    let port = endpoint.address.port();
    let dead = format!(":{}", free_address().port());
    let run = step_down().with("ELECTOR_HTTP_ADDR", format!("localhost:{port}"));
    run.with("HTTP_ADDR", &dead).ran().well();
    endpoint.asked();
}

#[test]
fn ipv6_only_endpoint_is_found() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let endpoint = Endpoint::answering(Ipv6Addr::LOCALHOST, vec![YES]);
    let port = endpoint.address.port();
    step_down()
        .with("HTTP_ADDR", format!(":{port}"))
        .ran()
        .well();
    let asked = endpoint.asked();
    assert!(
        asked.contains(&format!("\r\nhost: [::1]:{port}\r\n")),
        "{asked}"
    );
}

#[test]
fn refusal_or_garbage_exits_1() {
    let long: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000)).into_boxed_str());
    let cases = [
        (
            "HTTP/1.1 503 Oh\r\nContent-Length: 53\r\n\r\n{\"error\":\"this candidate has left; start it again\"}  ",
            "answers 503: this candidate has left; start it again",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n{\"error\":\"only from this machine\"}",
            "refuses it: only from this machine",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "has no /step-down",
        ),
        (
            "HTTP/1.1 405 Method Not Allowed\r\n\r\n",
            "has no /step-down",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n<html>hello",
            "another program's port",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n",
            "302",
        ),
        ("SSH-2.0-OpenSSH_9.9\r\n", "not answer like an elector"),
        ("HTTP/1.1 202 Acc", "not answer like an elector"),
        (long, "not answer like an elector"),
        ("", "did not answer within 5s"),
    ];
    for_each(&cases, |(answer, part)| {
        let endpoint = Endpoint::on_loopback(answer);
        let run = step_down().with("HTTP_ADDR", endpoint.address.to_string());
        let printed = run.ran().failed(1);
        assert!(printed.contains(part), "{part} in {printed}");
        assert_eq!(printed.lines().count(), 1, "{printed}");
    });
}

#[test]
fn refused_connection_names_address() {
    let address = free_address();
    let printed = step_down()
        .with("HTTP_ADDR", format!(":{}", address.port()))
        .ran()
        .failed(1);
    assert!(
        printed.contains(&format!("nothing listens at {address}")),
        "{printed}"
    );
}

#[test]
fn missing_endpoint_error_names_fix() {
    for run in [
        step_down(),
        step_down().with("HTTP_ADDR", "off"),
        step_down().with("HTTP_ADDR", ""),
    ] {
        let printed = run.ran().failed(1);
        assert!(printed.contains("HTTP_ADDR: off"), "{printed}");
    }
    for (setting, part) in [
        ("4040", "not an address"),
        (":0", "port 0"),
        ("192.0.2.7:4040", "only over loopback"),
    ] {
        let printed = step_down().with("HTTP_ADDR", setting).ran().failed(2);
        assert!(printed.contains(part), "{printed}");
    }
}

/// Runs `elector step-down` with this elector's endpoint.
fn step_down_at(elector: &Watched, args: &[&str]) -> Run {
    Run::new(&[&["step-down"], args].concat()).with("HTTP_ADDR", elector.addr.to_string())
}

#[test]
fn wait_ends_when_lease_is_released() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    let printed = step_down_at(&first, &["--for", "1h", "--wait"])
        .ran()
        .well();
    assert_eq!(fixture.holder(), "");
    for part in [
        "It stops its workload, releases the lease,\nand will not acquire until 2",
        "This ends with the elector's process; set STATE_DIR",
        "The elector does not hold the lease; nobody leads yet.",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    never_for(LEASE + LEASE / 2, "it leads again", || {
        first.leads().is_some()
    });
    let second = watch(&fixture, "second");
    assert_eq!(second.await_leading(), 1);
    first.await_observed("second");
    let printed = step_down_at(&first, &["--wait"]).ran().well();
    for part in ["does not lead, and will not acquire", "; second leads."] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[test]
fn standby_stays_standby_until_ended() {
    let fixture = Fixture::new();
    let mut first = watch(&fixture, "first");
    first.await_leading();
    let second = watch(&fixture, "second");
    second.await_observed("first");
    let printed = step_down_at(&second, &["--for=1h"]).ran().well();
    assert!(
        printed.starts_with("The elector does not lead, and will not acquire until 2"),
        "{printed}"
    );
    first.leave();
    never_for(LEASE, "it leads", || second.leads().is_some());
    let printed = step_down_at(&second, &["--for", "0", "--wait"]).ran();
    assert_eq!(printed.well(), "The elector may acquire the lease.\n");
    assert_eq!(second.await_leading(), 1);
    // A leader goes on leading.
    step_down_at(&second, &["--for", "0"]).ran().well();
    never_for(LEASE / 5, "it stops", || second.leads().is_none());
}

#[test]
fn wait_fails_if_elector_ends() {
    let endpoint = Endpoint::on_loopback(YES);
    let run = Run::new(&["step-down", "--wait"]).with("HTTP_ADDR", endpoint.address.to_string());
    let ran = run.ran();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("stopped answering"), "{ran:?}");
    assert!(
        ran.out.starts_with("The elector is stepping down"),
        "{ran:?}"
    );
    endpoint.asked();
}

#[test]
fn wait_fails_after_limit() {
    // Without the settings, the limit is 0.
    let holds = "HTTP/1.1 200 OK\r\n\r\n{\"identity\":\"me\",\"role\":\"leader\"}";
    let endpoint = Endpoint::answering(Ipv4Addr::LOCALHOST, vec![YES, holds]);
    let run = Run::new(&["step-down", "--wait"]).with("HTTP_ADDR", endpoint.address.to_string());
    let ran = run.ran();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("still holds the lease after 0s"),
        "{ran:?}"
    );
    assert!(endpoint.asked().contains("GET /status HTTP/1."));
}

#[test]
fn wait_includes_end_of_workload() {
    let scene = Scene::new();
    let script = "trap 'sleep 2; note termed; exit 0' TERM\nnote began\nwhile true; do idle; done";
    let start = scene.with_script("first", script);
    let first = spawn(&scene, start.with("ELECTOR_HTTP_ADDR", "127.0.0.1:0"));
    scene.await_noted("began");
    step_down_at(&first, &["--wait"]).ran().well();
    assert_eq!((scene.count("termed"), scene.holder().as_str()), (1, ""));
}

#[test]
fn wrong_period_is_usage_error() {
    for (period, part) in [
        ("2", "--for: unknown duration `2`; write it like 30s"),
        ("-1h", "--for: negative duration"),
        ("721h", "give at most 720h"),
        ("", "--for: unknown duration"),
    ] {
        let printed = Run::new(&["step-down", &format!("--for={period}")])
            .ran()
            .failed(2);
        assert!(printed.contains(part), "{period}: {printed}");
    }
}
