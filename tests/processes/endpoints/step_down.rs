//! `/step-down`, and the clients that may send it.

use crate::endpoints::watched::{Watched, watch};
use crate::support::process::{Fixture, LEASE};
use crate::support::{eventually, never_for};

#[test]
fn step_down_lets_standby_lead() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    let second = watch(&fixture, "second");
    second.await_observed("first");
    let refused = second.ask("POST", "/step-down", &[]);
    assert_eq!(refused.status, 409);
    assert!(refused.json()["error"].is_string(), "{}", refused.text());
    let taken = first.ask("POST", "/step-down", &[]);
    assert_eq!(
        (taken.status, taken.text().as_str()),
        (202, "{\"steppingDown\":true}\n")
    );
    assert_eq!(second.await_leading(), 1);
    eventually("it does not lead any more", || {
        first.ask("POST", "/step-down", &[]).status == 409
    });
    assert!(first.has_logged("stepping_down"), "{}", first.text());
}

#[test]
fn browsers_and_proxies_are_rejected() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    for header in [
        ("Origin", "http://localhost"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Site", "none"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("Host", "evil.example"),
        ("Host", "localhost.evil.example"),
        ("Host", "10.0.0.1:4040"),
    ] {
        let refused = first.ask("POST", "/step-down", &[header]);
        assert_eq!(refused.status, 403, "{header:?}");
        assert!(refused.json()["error"].is_string());
    }
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let refused = first.ask(method, "/step-down", &[]);
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some("POST"))
        );
    }
    never_for(LEASE / 2, "it stepped down all the same", || {
        first.has_logged("stepping_down")
    });
    for host in ["localhost", "127.0.0.1:1", "[::1]:4040", "LOCALHOST:80"] {
        // It rejoins and leads again. A starved leader may lose its lease before it is asked.
        eventually("the host is accepted", || {
            let answer = first.ask("POST", "/step-down", &[("Host", host)]);
            assert!(matches!(answer.status, 202 | 409), "{}", answer.text());
            answer.status == 202
        });
    }
    eventually("it steps down", || first.has_logged("stepping_down"));
}

#[test]
fn step_down_needs_loopback_peer() {
    let Some(own) = own_address() else {
        // Without a network, this machine has no other address.
        return;
    };
    let fixture = Fixture::new();
    let start = fixture
        .elector("first")
        .with("HTTP_ADDR", format!("{own}:0"));
    let first = fixture.spawn(start);
    first.await_leading();
    let listening = first.last_logged("listening");
    let addr = listening.text("url").strip_prefix("http://").unwrap();
    let addr = addr.parse().unwrap();
    // A client of this address has the same address.
    let asked = "POST /step-down HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let refused = crate::support::wire::exchange(addr, asked).unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(
        refused.text().contains("on this machine"),
        "{}",
        refused.text()
    );
    assert!(first.leads().is_some());
}

#[test]
fn step_down_command_matches_endpoint() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    let second = watch(&fixture, "second");
    second.await_observed("first");
    let ask = |elector: &Watched| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_elector"));
        command.arg("step-down").env_clear();
        command.env("HTTP_ADDR", elector.addr.to_string());
        command.output().unwrap()
    };
    let refused = ask(&second);
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(why.contains("does not lead"), "{why}");
    assert_eq!(ask(&first).status.code(), Some(0));
    second.await_leading();
}

/// Returns an address of this machine that is not loopback.
fn own_address() -> Option<std::net::IpAddr> {
    // Sends nothing; only chooses a route.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}
