//! `elector step-down` against an endpoint of the test.

use crate::support::{PATIENCE, for_each};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use crate::operating::command::{Run, free_address};

/// Endpoint that answers one request and returns it.
struct Endpoint {
    address: SocketAddr,
    asked: JoinHandle<String>,
}

impl Endpoint {
    fn answering(ip: impl Into<IpAddr>, answer: &'static str) -> Endpoint {
        let listener = TcpListener::bind((ip.into(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = thread::spawn(move || {
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
        });
        Endpoint { address, asked }
    }

    fn on_loopback(answer: &'static str) -> Endpoint {
        Endpoint::answering(Ipv4Addr::LOCALHOST, answer)
    }

    fn asked(self) -> String {
        self.asked.join().unwrap()
    }
}

const YES: &str = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n\
    Content-Length: 34\r\n\r\n{\"steppingDown\":true,\"backOff\":30}";

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
    let endpoint = Endpoint::answering(Ipv6Addr::LOCALHOST, YES);
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
            "HTTP/1.1 409 Conflict\r\nContent-Length: 55\r\n\r\n{\"error\":\"this elector does not lead: hannibal does\"}  ",
            "does not step down: this elector does not lead: hannibal does",
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
