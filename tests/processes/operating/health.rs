//! `elector health` against electors, and against other programs at the port.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::endpoints::watched::watch_two;
use crate::operating::command::{Ran, Run, free_address};
use crate::support::eventually;
use crate::support::process::Fixture;

fn health(address: &str) -> Ran {
    Run::new(&["health"]).with("HTTP_ADDR", address).ran()
}

/// Answers one request with this response, and returns the address.
fn answering(response: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(response.as_bytes()).unwrap();
    });
    address.to_string()
}

#[test]
fn leader_and_standby_are_healthy() {
    let fixture = Fixture::new();
    let (first, second) = watch_two(&fixture);
    for elector in [&first, &second] {
        assert_eq!(health(&elector.addr.to_string()).well(), "healthy\n");
        // As in a container, where the setting may have its prefix and covers every interface.
        let all = format!(":{}", elector.addr.port());
        let run = Run::new(&["health"]).with("ELECTOR_HTTP_ADDR", all);
        assert_eq!(run.ran().well(), "healthy\n");
    }
    // An outage of the store must not restart a candidate.
    fixture.set_faults(r#"{"outage":true}"#);
    eventually("a read failed", || second.has_logged("call_failed"));
    assert_eq!(health(&second.addr.to_string()).well(), "healthy\n");
}

#[test]
fn unhealthy_elector_is_reported_with_reason() {
    for (response, part) in [
        (
            "HTTP/1.1 500 Oh\r\nContent-Length: 20\r\n\r\nrenewing is overdue\n",
            "not healthy: renewing is overdue",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "answers 200",
        ),
        (
            "HTTP/1.1 404 Oh\r\nContent-Length: 0\r\n\r\n",
            "answers 404",
        ),
        ("SSH-2.0-x\r\n", "no answer"),
    ] {
        let printed = health(&answering(response)).failed(1);
        assert!(printed.contains(part), "{printed}");
    }
    let printed = health(&free_address().to_string()).failed(1);
    assert!(
        printed.contains("nothing listens there (127.0.0.1:"),
        "{printed}"
    );
}

#[test]
fn missing_endpoint_is_reported_with_fix() {
    for (address, code, part) in [
        ("off", 1, "start it with HTTP_ADDR=:4040"),
        ("4040", 2, "not an address"),
        (":0", 2, "port 0"),
        ("example.org:80", 2, "neither an IP address nor localhost"),
    ] {
        let printed = health(address).failed(code);
        assert!(printed.contains(part), "{address}: {printed}");
    }
    let printed = Run::new(&["health", "now"]).ran().failed(2);
    assert!(printed.contains("`now`"), "{printed}");
}
