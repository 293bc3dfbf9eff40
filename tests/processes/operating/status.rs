//! `elector status`.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::operating::command::{Ran, Run, TROUBLES, ours, revisions};
use crate::support::for_each;
use crate::support::process::Fixture;

fn status(fixture: &Fixture) -> Run {
    Run::on(fixture, &["status", "--json"])
}

fn shown(fixture: &Fixture) -> Value {
    status(fixture).ran().json()
}

#[test]
fn expiration_of_token_is_shown() {
    let fixture = Fixture::new();
    assert_eq!(shown(&fixture)["accessTokenExpiresAt"], Value::Null);
    fixture.set_faults(r#"{"token_expiration":"2099-12-24 18:00:00 +0100"}"#);
    assert_eq!(
        shown(&fixture)["accessTokenExpiresAt"],
        "2099-12-24T17:00:00Z"
    );
    let text = Run::on(&fixture, &["status"]).ran().well();
    assert!(text.contains("\naccess token   expires in "), "{text}");
    assert!(text.contains(", on 2099-12-24T17:00:00Z\n"), "{text}");
}

#[test]
fn leader_is_shown_with_one_request() {
    let fixture = Fixture::new();
    // Lease that does not expire before the test has read the status.
    let start = fixture.elector("napoleon/default/elector-7d4f");
    let leader = fixture.spawn(start.with("LEASE_DURATION", "5m"));
    leader.await_leading();
    leader.freeze();
    let record = fixture.record();
    fixture.service.reset_requests();
    let shown = shown(&fixture);
    assert_eq!(fixture.service.requests().total(), 1);
    assert_eq!(shown["holder"], "napoleon/default/elector-7d4f");
    assert_eq!(shown["record"]["renewTime"], record["renewTime"]);
    assert_eq!(shown["state"], "held");
    assert_eq!(shown["fencingToken"], 0);
    assert_eq!(shown["leaseSeconds"], 300);
    assert_eq!(shown["since"], record["acquireTime"]);
    let head = &fixture.service.history(&fixture.gist)[0];
    assert_eq!(shown["recordVersion"], head.revision.to_string());
    let ago = shown["renewedSecondsAgo"].as_u64().unwrap();
    assert_eq!(shown["secondsLeft"], 300 - ago);
    let lock = format!(
        "file \"leader.json\" of gist {} at {}",
        fixture.gist,
        fixture.service.url()
    );
    assert_eq!(shown["lock"], lock);
    assert_eq!(shown["rateLimit"], Value::Null);

    let text = Run::on(&fixture, &["status"]).ran().well();
    let first = text.lines().next().unwrap();
    assert_eq!(first, "leader         napoleon/default/elector-7d4f");
    for part in [
        "\nfencing token  0\n",
        "renewed ",
        "expires in ",
        &fixture.gist,
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn rate_limit_is_shown() {
    let fixture = Fixture::new();
    fixture.set_faults(r#"{"primary_limit": 5000}"#);
    fixture.put(&ours(&fixture, "napoleon", 3).to_string());
    let limit = &shown(&fixture)["rateLimit"];
    assert_eq!(
        (&limit["limit"], &limit["remaining"]),
        (&json!(5000), &json!(4999))
    );
    assert!(
        limit["resetsAt"].as_str().unwrap().ends_with('Z'),
        "{limit}"
    );
    let text = Run::on(&fixture, &["status"]).ran().well();
    assert!(
        text.contains("rate limit     4,998 of 5,000 requests left, all again in "),
        "{text}"
    );
}

/// Contents of the file, and the status that they cause.
struct Case {
    text: fn(&Fixture) -> String,
    state: &'static str,
    holder: &'static str,
    token: Value,
    /// Part of the first line of the display.
    part: &'static str,
}

fn case(
    text: fn(&Fixture) -> String,
    state: &'static str,
    holder: &'static str,
    token: impl Into<Value>,
    part: &'static str,
) -> Case {
    Case {
        text,
        state,
        holder,
        token: token.into(),
        part,
    }
}

#[test]
fn missing_leader_is_shown_with_reason() {
    let cases = [
        case(
            |_| "{}".into(),
            "neverWritten",
            "",
            (),
            "no record was ever written",
        ),
        case(
            |fixture| ours(fixture, "", 3).to_string(),
            "released",
            "",
            3,
            "was released",
        ),
        case(
            |_| json!({"holderIdentity": "me", "leaderTransitions": 4}).to_string(),
            "foreignWrite",
            "me",
            4,
            "a foreign write named me",
        ),
        case(
            |_| json!({"holderIdentity": "", "leaderTransitions": 4}).to_string(),
            "foreignWrite",
            "",
            4,
            "nobody: a foreign write cleared the holder",
        ),
        case(
            |_| {
                json!({"holderIdentity": "me", "leaseDurationSeconds": "x", "leaderTransitions": 5})
                    .to_string()
            },
            "corrupt",
            "",
            5,
            "the record is corrupt",
        ),
        case(
            |_| "dear diary".into(),
            "notARecord",
            "",
            (),
            "not a lease record",
        ),
        case(
            |fixture| {
                let mut record = ours(fixture, "me", 6);
                record["protocol"] = 99.into();
                record.to_string()
            },
            "newerProtocol",
            "me",
            6,
            "protocol 99",
        ),
        case(
            |fixture| {
                fixture.put(&ours(fixture, "me", 6).to_string());
                "\n".into()
            },
            "deleted",
            "",
            (),
            "was deleted",
        ),
    ];
    for_each(&cases, |case| {
        let fixture = Fixture::with_files(&[("leader.json", "{}"), ("other.txt", "x")]);
        let with_file = |run: Run| run.with("GIST_FILE", "leader.json");
        let text = (case.text)(&fixture);
        fixture.put(&text);
        let before = revisions(&fixture);
        let shown = with_file(status(&fixture)).ran().json();
        let holder = (case.holder.is_empty()).then_some("");
        assert_eq!(shown["holder"], json!(holder), "{shown}");
        assert_eq!(shown["state"], case.state, "{shown}");
        let named = shown["record"]["holderIdentity"].as_str();
        assert_eq!(named.unwrap_or_default(), case.holder, "{shown}");
        assert_eq!(shown["fencingToken"], case.token, "{shown}");
        assert_eq!(shown["secondsLeft"], Value::Null, "{shown}");
        let text = with_file(Run::on(&fixture, &["status"])).ran().well();
        let first = text.lines().next().unwrap();
        assert!(first.contains(case.part), "{first}");
        assert_eq!(revisions(&fixture), before);
    });
}

#[test]
fn lease_expires_by_service_clock() {
    let fixture = Fixture::new();
    fixture.put(&ours(&fixture, "napoleon", 3).to_string());
    assert_eq!(shown(&fixture)["holder"], "napoleon");
    fixture.set_faults(r#"{"clock_offset_s": 300}"#);
    let after = shown(&fixture);
    assert_eq!(after["holder"], "");
    assert_eq!(after["state"], "expired");
    assert_eq!(after["record"]["holderIdentity"], "napoleon");
    assert_eq!(after["fencingToken"], 3);
    assert!(after["renewedSecondsAgo"].as_u64() >= Some(300), "{after}");
    let text = Run::on(&fixture, &["status"]).ran().well();
    assert!(
        text.starts_with("leader         nobody: the lease of napoleon expired 4m "),
        "{text}"
    );
}

#[test]
fn late_write_does_not_lead() {
    let fixture = Fixture::new();
    fixture.put(&ours(&fixture, "napoleon", 3).to_string());
    let late = ours(&fixture, "hannibal", 4);
    fixture.put(&ours(&fixture, "cleopatra", 4).to_string());
    fixture.passed_over.set(true);
    fixture.put(&late.to_string());
    let shown = shown(&fixture);
    assert_eq!(
        (&shown["holder"], &shown["fencingToken"]),
        (&json!("cleopatra"), &json!(4))
    );
}

#[test]
fn many_foreign_writes_cost_few_requests() {
    let fixture = Fixture::new();
    for number in 0..300 {
        fixture.put(&json!({"holderIdentity": format!("client-go-{number}")}).to_string());
    }
    fixture.service.reset_requests();
    let shown = shown(&fixture);
    assert_eq!(shown["state"], "foreignWrite");
    assert_eq!(shown["record"]["holderIdentity"], "client-go-299");
    let requests = fixture.service.requests().total();
    assert!(requests <= 22, "{requests}");
}

#[test]
fn missing_dates_exit_1() {
    let fixture = Fixture::new();
    fixture.put(&ours(&fixture, "napoleon", 3).to_string());
    fixture.set_faults(r#"{"no_date": true}"#);
    let ran = status(&fixture).ran();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("no date"), "{ran:?}");
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&shown["holder"], &shown["state"]),
        (&json!(null), &json!("undated"))
    );
}

#[test]
fn failure_exits_1_without_output() {
    for_each(&TROUBLES, |trouble| {
        let fixture = Fixture::new();
        let printed = trouble.make(&fixture, status(&fixture)).ran().failed(1);
        for part in trouble.parts {
            assert!(
                printed.contains(part),
                "{}: {part} in {printed}",
                trouble.name
            );
        }
        assert_eq!(printed.lines().count(), 1, "{printed}");
    });
}

#[test]
fn control_characters_are_not_shown() {
    let fixture = Fixture::new();
    fixture.put(&ours(&fixture, "nap\n\u{1b}[31mo\u{202e}leon", 3).to_string());
    let text = Run::on(&fixture, &["status"]).ran().well();
    assert!(
        text.starts_with("leader         nap [31moleon\n"),
        "{text:?}"
    );
    assert_eq!(shown(&fixture)["holder"], "nap\n\u{1b}[31mo\u{202e}leon");
}

#[test]
fn closed_output_succeeds_full_output_fails() {
    let fixture = Fixture::new();
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let output = status(&fixture)
        .command()
        .stdout(write)
        .stderr(Stdio::piped())
        .output();
    assert_eq!(Ran::of(output.unwrap()).code, Some(0));
    let full = File::create("/dev/full").unwrap();
    let output = status(&fixture)
        .command()
        .stdout(full)
        .stderr(Stdio::piped())
        .output();
    let printed = Ran::of(output.unwrap()).failed(1);
    assert!(
        printed.contains("standard output cannot be written"),
        "{printed}"
    );
}

/// Starts `elector status --watch` with these options. Returns its lines as they come.
fn watch(fixture: &Fixture, options: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let arguments = [&["status", "--watch"], options].concat();
    let mut command = Run::on(fixture, &arguments).command();
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

#[test]
fn watch_shows_each_change_once() {
    let fixture = Fixture::new();
    let (mut child, mut lines) = watch(&fixture, &[]);
    let mut next = || lines.next().unwrap().unwrap();
    let first = next();
    assert!(
        first.ends_with("  nobody yet: no record was ever written"),
        "{first}"
    );
    let leader = fixture.start_leader("napoleon");
    let second = next();
    assert!(second.ends_with("  napoleon, fencing token 0"), "{second}");
    leader.signal(Signal::SIGTERM);
    let third = next();
    assert!(
        third.contains("  nobody: napoleon released the lease"),
        "{third}"
    );
    assert!(third.contains("(stopped), fencing token 0"), "{third}");
    fixture.set_faults(r#"{"outage":true}"#);
    let fourth = next();
    assert!(fourth.contains("  unknown: "), "{fourth}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn watch_prints_json_lines() {
    let fixture = Fixture::new();
    let (mut child, mut lines) = watch(&fixture, &["--json"]);
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["state"], "neverWritten");
    let leader = fixture.start_leader("napoleon");
    assert_eq!(next()["holder"], "napoleon");
    drop(lines);
    // Nothing reads its output any more, so the next line ends it.
    drop(leader);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
