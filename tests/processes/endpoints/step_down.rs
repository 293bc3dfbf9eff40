//! `/step-down`, and the clients that may send it.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::endpoints::watched::{watch, watch_two};
use crate::support::process::{Fixture, LEASE};
use crate::support::{eventually, never_for};

#[test]
fn step_down_lets_standby_lead() {
    let fixture = Fixture::new();
    let (first, second) = watch_two(&fixture);
    let answer = first.ask("POST", "/step-down", &[]);
    assert_eq!(answer.status, 202);
    let effect = answer.json();
    assert_eq!(
        (&effect["steppingDown"], &effect["led"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(effect["kept"], false);
    assert_eq!(second.await_leading(), 1);
    assert!(first.has_logged("stepping_down"), "{}", first.text());
}

#[test]
fn standby_shows_its_step_down() {
    let fixture = Fixture::new();
    let (_first, second) = watch_two(&fixture);
    let metric = "elector_stepped_down_until_timestamp_seconds";
    assert_eq!(second.metric(metric), Some(0.0));
    let answer = second.ask("POST", "/step-down?for=2h", &[]);
    assert_eq!(answer.status, 202);
    let effect = answer.json();
    assert_eq!(
        (&effect["steppingDown"], &effect["led"]),
        (&json!(true), &json!(false))
    );
    let until = effect["until"].as_str().unwrap();
    let until = OffsetDateTime::parse(until, &Rfc3339).unwrap();
    let left = until - OffsetDateTime::now_utc();
    assert!(
        left > Duration::from_secs(7_000) && left <= Duration::from_secs(7_200),
        "{left}"
    );
    eventually("/status says so", || {
        let shown = second.status()["steppedDownUntil"].clone();
        let shown = shown
            .as_str()
            .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        shown.is_some_and(|shown| (shown - until).abs() <= Duration::from_secs(1))
    });
    assert!(second.metric(metric) > Some(1e9));
    let page = second.ask("GET", "/", &[("Accept", "text/html")]).text();
    assert!(page.contains("because it was stepped down"), "{page}");
    let ended = second.ask("POST", "/step-down?for=0", &[]);
    assert_eq!(
        ended.json(),
        json!({ "steppingDown": false, "led": false, "until": null, "kept": true })
    );
    eventually("it may acquire again", || {
        second.metric(metric) == Some(0.0)
    });
    assert_eq!(second.status()["steppedDownUntil"], Value::Null);
}

#[test]
fn wrong_period_changes_nothing() {
    let fixture = Fixture::new();
    let first = watch(&fixture, "first");
    first.await_leading();
    for (period, part) in [
        ("", "write it like 30s"),
        ("2", "write it like 30s"),
        ("-2h", "remove the minus sign"),
        ("721h", "give at most 720h"),
        ("%32h", "write it like 30s"),
    ] {
        let refused = first.ask("POST", &format!("/step-down?for={period}"), &[]);
        assert_eq!(refused.status, 400, "{period}");
        let error = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(
            error.starts_with("for: ") && error.contains(part),
            "{error}"
        );
    }
    assert!(!first.has_logged("stepping_down"), "{}", first.text());
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
        let answer = first.ask("POST", "/step-down", &[("Host", host)]);
        assert_eq!(answer.status, 202, "{}", answer.text());
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

/// Returns an address of this machine that is not loopback.
fn own_address() -> Option<std::net::IpAddr> {
    // Sends nothing; only chooses a route.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}
