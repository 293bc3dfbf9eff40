//! `elector history` as a process: after real elections, and with too few requests.

use std::process::{Command, Output, Stdio};

use crate::support::eventually;
use crate::support::process::{Fixture, TIMES, TOKEN};
use crate::support::wire::{exchange, request};
use serde_json::Value;

fn command(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
    command
        .arg("history")
        .args(args)
        .env_clear()
        .envs(TIMES)
        .env("GIST_ID", &fixture.gist)
        .env("GITHUB_API_URL", fixture.service.url())
        .env("GITHUB_API_TOKEN", TOKEN)
        .stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error.
fn output_of(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(stdout), text(stderr));
    assert!(!out.contains(TOKEN) && !err.contains(TOKEN));
    (status.code(), out, err)
}

fn json(fixture: &Fixture) -> Value {
    let (code, out, err) = output_of(&mut command(fixture, &["--json"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    serde_json::from_str(&out).unwrap()
}

/// Holder, fencing token and end of a term.
fn terms(history: &Value) -> Vec<(String, u64, String)> {
    let terms = history["terms"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    terms
        .map(|term| {
            let token = term["fencingToken"].as_u64().unwrap();
            let end = term["endReason"].as_str().unwrap_or_default();
            (text(&term["holder"]), token, end.to_owned())
        })
        .collect()
}

fn term(holder: &str, token: u64, end: &str) -> (String, u64, String) {
    (holder.to_owned(), token, end.to_owned())
}

#[test]
fn history_matches_real_elections() {
    let fixture = Fixture::new();
    let mut first = fixture.start_leader("napoleon");
    let mut second = fixture.start("cleopatra");
    second.await_observed("napoleon");
    first.leave();
    second.await_leading();
    let renewals = fixture.records().len() + 5;
    eventually("it renews", || fixture.records().len() >= renewals);
    second.kill();
    let third = fixture.start("hannibal");
    third.await_leading();
    eventually("it is confirmed", || {
        let last = fixture.records().into_iter().rev().take(2);
        last.filter(|record| record["holderIdentity"] == "hannibal")
            .count()
            == 2
    });

    let history = json(&fixture);
    let expected = [
        term("napoleon", 0, "released"),
        term("cleopatra", 1, "expired"),
        term("hannibal", 2, ""),
    ];
    assert_eq!(terms(&history), expected, "{history:#}");
    assert_eq!(history["complete"], true);
    assert_eq!(history["unsettled"], Value::Array(Vec::new()));
    for term in history["terms"].as_array().unwrap() {
        assert_eq!(term["confirmed"], true, "{term:#}");
        assert_eq!(term["fromSettled"], true, "{term:#}");
    }
    let (code, out, err) = output_of(&mut command(&fixture, &[]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(history["terms"][0]["stopReason"], "stopped");
    assert_eq!(history["terms"][1]["stopReason"], Value::Null);
    for part in ["released (stopped)", "expired", "still alive", "napoleon"] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert!(!out.contains('\u{1b}'), "no colours without a terminal");

    // An operator ends the term.
    drop(third);
    fixture.put(r#"{"holderIdentity":"","leaseDurationSeconds":5,"leaderTransitions":2}"#);
    let last = terms(&json(&fixture)).pop().unwrap();
    assert_eq!(last, term("hannibal", 2, "deposed"));
}

/// Returns a fixture with some renewals of a leader that was killed.
fn led() -> Fixture {
    let fixture = Fixture::new();
    let mut leader = fixture.start_leader("napoleon");
    eventually("there is a history", || fixture.records().len() > 6);
    leader.kill();
    fixture
}

#[test]
fn since_leaves_out_earlier_terms() {
    let fixture = Fixture::new();
    fixture.start_leader("napoleon").leave();
    let second = fixture.start("cleopatra");
    second.await_leading();
    let seen = |period: &str| {
        let (code, out, _) = output_of(&mut command(&fixture, &["--json", "--since", period]));
        assert_eq!(code, Some(0), "{out}");
        serde_json::from_str::<Value>(&out).unwrap()
    };
    let whole = seen("24h");
    assert_eq!(terms(&whole).len(), 2, "{whole:#}");
    assert_eq!(whole["complete"], true);
    assert!(whole["since"].is_string(), "{whole:#}");
    let napoleon = |history: &Value| terms(history).iter().any(|term| term.0 == "napoleon");
    eventually("the first term is older", || !napoleon(&seen("2s")));
    let cut = seen("2s");
    assert_eq!(terms(&cut), [term("cleopatra", 1, "")]);
    assert_eq!(cut["complete"], false);
    for (period, fix) in [
        ("1d", "--since: unknown duration `1d`; write it like 30s"),
        ("0s", "--since: 0s is zero; give a longer duration"),
    ] {
        let (code, out, err) = output_of(&mut command(&fixture, &["--since", period]));
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(err.contains(fix), "{err}");
    }
}

#[test]
fn too_few_requests_are_reported() {
    let fixture = led();
    let (code, out, err) = output_of(&mut command(&fixture, &["--requests", "2"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for part in ["Stopped after 2 requests", "--requests 6", "not settled"] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
    let (code, out, _) = output_of(&mut command(&fixture, &["--requests", "50"]));
    assert_eq!(code, Some(0));
    assert!(!out.contains("Stopped"), "{out}");
}

#[test]
fn rate_limit_ends_scan_early() {
    let fixture = led();
    // Leaves two requests of the rate limit.
    fixture.set_faults(r#"{"primary_limit":5000}"#);
    let address = fixture.service.url();
    let address = address.strip_prefix("http://").unwrap().parse().unwrap();
    let token = format!("Bearer {TOKEN}");
    let asked = request("GET", "/rate_limit", &[("Authorization", &token)], "");
    let used = exchange(address, asked).unwrap().json()["rate"]["used"].as_u64();
    let limit = used.unwrap() + 2;
    fixture.set_faults(&format!(r#"{{"primary_limit":{limit}}}"#));
    let (code, out, err) = output_of(&mut command(&fixture, &[]));
    assert_eq!(code, Some(1));
    for part in ["rate limited", "retry in", " UTC\n"] {
        assert!(err.contains(part), "{part} in {err}");
    }
    for part in ["napoleon", "Stopped after 3 requests"] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn errors_name_fix() {
    let fixture = Fixture::with_files(&[("a.json", "{}"), ("b.json", "{}")]);
    let (code, out, err) = output_of(&mut command(&fixture, &[]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("GIST_FILE"), "{err}");
    let (code, _, err) = output_of(command(&fixture, &[]).env("GIST_ID", "gone"));
    assert_eq!(code, Some(1));
    assert!(err.contains("no such gist"), "{err}");
    let (code, _, err) = output_of(command(&fixture, &[]).env_remove("GIST_ID"));
    assert_eq!(code, Some(2));
    assert!(err.contains("GIST_ID: not set"), "{err}");
    let (code, _, err) = output_of(&mut command(&fixture, &["--jsno"]));
    assert_eq!(code, Some(2));
    assert!(err.contains("did you mean `--json`?"), "{err}");
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut history = command(&fixture, &[]);
    history.env("GIST_FILE", "a.json").stdout(full);
    let status = history.stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
