//! `elector depose`, with real electors where it matters.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::Instant;

use nix::pty::openpty;
use serde_json::{Value, json};

use crate::operating::command::{Ran, Run, TROUBLES, ours, revisions};
use crate::support::process::{Fixture, LEASE, await_one_leading};
use crate::support::{eventually, for_each};

fn depose(fixture: &Fixture) -> Run {
    Run::on(fixture, &["depose", "--yes"])
}

/// Returns a gist whose lease is held by a leader that does not run.
fn held() -> Fixture {
    let fixture = Fixture::new();
    let mut record = ours(&fixture, "napoleon", 3);
    record["strategy"] = "OldestEmulationVersion".into();
    fixture.put(&record.to_string());
    fixture
}

fn is_deposed(record: &Value) -> bool {
    record["holderIdentity"] == "" && record["writeId"].is_null() && record["supersedes"].is_null()
}

#[test]
fn standby_leads_a_lease_after_deposition() {
    let fixture = Fixture::with_files(&[("leader.json", r#"{"strategy":"x"}"#)]);
    let first = fixture.start_leader("first");
    let second = fixture.start("second");
    second.await_observed("first");
    let before = Instant::now();
    let printed = depose(&fixture).ran().well();
    assert!(
        printed.starts_with("first is deposed (fencing token 0)."),
        "{printed}"
    );
    assert!(
        printed.contains("A candidate leads about 5s to 7s after the write"),
        "{printed}"
    );
    let record = fixture.records().into_iter().rfind(is_deposed).unwrap();
    assert_eq!(record["leaderTransitions"], 0, "{record}");
    assert_eq!(record["leaseDurationSeconds"], LEASE.as_secs(), "{record}");
    assert_eq!(record["strategy"], "x", "{record}");
    first.await_logged("workload_stopped");
    let electors = [&first, &second];
    let leader = await_one_leading(&electors);
    assert!(before.elapsed() >= LEASE, "{:?}", before.elapsed());
    assert_eq!(electors[leader].leads(), Some(1));
    assert_eq!(fixture.record()["strategy"], "x");
    assert_eq!(fixture.record()["leaderTransitions"], 1);
    // Dropping the fixture checks that no terms overlapped.
}

/// Makes the content of the file.
type Text = fn(&Fixture) -> String;

#[test]
fn lease_without_holder_is_not_written() {
    let cases: [(&str, Text); 6] = [
        ("nobody yet: no record was ever written", |_| "{}".into()),
        ("nobody: the lease was released", |fixture| {
            ours(fixture, "", 3).to_string()
        }),
        ("nobody: the record is corrupt", |_| {
            r#"{"holderIdentity":7}"#.into()
        }),
        ("nobody: a foreign write cleared the holder", |_| {
            r#"{"holderIdentity":""}"#.into()
        }),
        ("nobody: the record was deleted", |fixture| {
            fixture.put(&ours(fixture, "me", 3).to_string());
            "\n".into()
        }),
        ("nobody: the lease of napoleon expired", |fixture| {
            let record = ours(fixture, "napoleon", 3).to_string();
            fixture.put(&record);
            fixture.set_faults(r#"{"clock_offset_s": 300}"#);
            record
        }),
    ];
    for_each(&cases, |(clause, text)| {
        let fixture = Fixture::new();
        let text = text(&fixture);
        if fixture.content() != text {
            fixture.put(&text);
        }
        let before = revisions(&fixture);
        let printed = depose(&fixture).ran().well();
        assert!(printed.starts_with(clause), "{printed}");
        assert!(printed.contains("Nothing was written."), "{printed}");
        assert_eq!(revisions(&fixture), before, "{clause}");
    });
}

#[test]
fn foreign_content_is_left_unchanged() {
    for (part, text) in [
        ("not a lease record", "dear diary".to_owned()),
        (
            "protocol 99",
            r#"{"holderIdentity":"me","protocol":99}"#.to_owned(),
        ),
    ] {
        let fixture = Fixture::new();
        fixture.put(&text);
        let printed = depose(&fixture).ran().failed(1);
        assert!(
            printed.contains(part) && printed.contains("left unchanged"),
            "{printed}"
        );
        assert_eq!(fixture.content(), text);
    }
}

#[test]
fn foreign_holder_is_deposed_with_warning() {
    let fixture = Fixture::new();
    fixture.put(
        &json!({"holderIdentity": "me", "leaseDurationSeconds": 40, "leaderTransitions": 9})
            .to_string(),
    );
    let printed = depose(&fixture).ran().well();
    assert!(
        printed.contains("leads about 40s to 42s after the write"),
        "{printed}"
    );
    assert!(printed.contains("client-go"), "{printed}");
    assert_eq!(fixture.record()["leaderTransitions"], 9);
    assert!(is_deposed(&fixture.record()));
}

#[test]
fn overwritten_lease_counts_in_wait() {
    let fixture = Fixture::new();
    let mut record = ours(&fixture, "napoleon", 3);
    record["leaseDurationSeconds"] = 60.into();
    fixture.put(&record.to_string());
    fixture.put(&json!({"holderIdentity": "me", "leaseDurationSeconds": 1}).to_string());
    let printed = depose(&fixture).ran().well();
    assert!(
        printed.contains("leads about 1m to 1m 2s after the write"),
        "{printed}"
    );
}

// ---- failures ----

#[test]
fn failed_read_writes_nothing() {
    for_each(&TROUBLES, |trouble| {
        let fixture = held();
        let run = trouble.make(&fixture, depose(&fixture));
        let before = revisions(&fixture);
        let printed = run.ran().failed(1);
        for part in trouble.parts.iter().chain(&["nothing was written"]) {
            assert!(
                printed.contains(part),
                "{}: {part} in {printed}",
                trouble.name
            );
        }
        assert_eq!(revisions(&fixture), before, "{}", trouble.name);
    });
}

#[test]
fn refused_write_names_fix() {
    for_each(
        &[
            (r#"{"forbidden_writes": 1}"#, "lacks the permission"),
            (
                r#"{"not_found_writes": 1}"#,
                "must belong to the gist's owner",
            ),
            (
                r#"{"secondary_per_minute": 0, "retry_after_s": 77}"#,
                "retry in 77s",
            ),
        ],
        |(faults, part)| {
            let fixture = held();
            fixture.set_faults(faults);
            let printed = depose(&fixture).ran().failed(1);
            assert!(printed.contains(part), "{printed}");
            assert!(printed.contains("nothing was written"), "{printed}");
            assert_eq!(fixture.holder(), "napoleon");
        },
    );
}

#[test]
fn lost_answer_is_followed_by_read() {
    let fixture = held();
    fixture.set_faults(r#"{"lost_answers": 1}"#);
    let printed = depose(&fixture).ran().well();
    assert!(
        printed.starts_with("napoleon is deposed (fencing token 3)."),
        "{printed}"
    );
    assert!(is_deposed(&fixture.record()));
}

#[test]
fn unknown_outcome_is_reported() {
    let fixture = held();
    fixture.set_faults(r#"{"late_writes": 1, "late_ms": 600000}"#);
    let printed = depose(&fixture).ran().failed(1);
    for part in [
        "may have landed",
        "The record now: napoleon",
        "elector status",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

#[test]
fn lost_write_is_reported() {
    let fixture = held();
    let times = [
        ("LEASE_DURATION", "30s"),
        ("RENEW_DEADLINE", "16s"),
        ("RETRY_PERIOD", "6s"),
        // Time for the test to remove the write.
        ("CONFIRM_DELAY", "3s"),
    ];
    let run = times
        .iter()
        .fold(depose(&fixture), |run, (name, value)| run.with(name, value));
    let before = revisions(&fixture);
    let child = run
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it is written", || revisions(&fixture) > before);
    fixture.service.remove_newest(&fixture.gist, 1).unwrap();
    let printed = Ran::of(child.wait_with_output().unwrap()).failed(1);
    for part in ["accepted but is not effective", "The record now: napoleon"] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

// ---- confirmation ----

#[test]
fn yes_is_required_without_terminal() {
    let fixture = held();
    let printed = Run::on(&fixture, &["depose"]).ran().failed(2);
    assert!(printed.contains("--yes"), "{printed}");
    assert_eq!(fixture.service.requests().total(), 0);
}

/// A command on a terminal.
struct Asking {
    child: Child,
    terminal: File,
    asked: String,
}

impl Asking {
    /// Runs it, and waits for its question.
    fn start(fixture: &Fixture) -> Asking {
        let terminal = openpty(None, None).unwrap();
        let mut child = Run::on(fixture, &["depose"])
            .command()
            .stdin(terminal.slave)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"[y/N] ") {
            let read = child.stderr.as_mut().unwrap().read(&mut byte).unwrap();
            assert_eq!(read, 1, "{}", String::from_utf8_lossy(&asked));
            asked.push(byte[0]);
        }
        Asking {
            child,
            terminal: File::from(terminal.master),
            asked: String::from_utf8(asked).unwrap(),
        }
    }

    fn answer(mut self, line: &str) -> Ran {
        self.terminal.write_all(line.as_bytes()).unwrap();
        Ran::of(self.child.wait_with_output().unwrap())
    }
}

#[test]
fn terminal_shows_holder_and_asks() {
    for (answer, yes) in [
        ("y\n", true),
        (" YES \n", true),
        ("n\n", false),
        ("\n", false),
        ("\u{4}", false),
    ] {
        let fixture = held();
        let asking = Asking::start(&fixture);
        for part in [
            "napoleon holds the lease: fencing token 3, renewed ",
            "lease 30s",
            &fixture.gist,
        ] {
            assert!(asking.asked.contains(part), "{part} in {}", asking.asked);
        }
        assert_eq!(fixture.holder(), "napoleon", "it waits for the answer");
        let ran = asking.answer(answer);
        if yes {
            assert!(ran.well().starts_with("napoleon is deposed"), "{answer:?}");
            assert!(is_deposed(&fixture.record()), "{answer:?}");
        } else {
            assert!(ran.failed(1).contains("nothing was written"), "{answer:?}");
            assert_eq!(fixture.holder(), "napoleon", "{answer:?}");
        }
    }
}

#[test]
fn new_holder_is_not_deposed() {
    let fixture = held();
    let asking = Asking::start(&fixture);
    fixture.put(&ours(&fixture, "hannibal", 4).to_string());
    let printed = asking.answer("y\n").failed(1);
    assert!(printed.contains("changed hands (hannibal)"), "{printed}");
    assert!(printed.contains("nothing was written"), "{printed}");
    assert_eq!(fixture.holder(), "hannibal");
}

#[test]
fn renewal_during_question_is_ignored() {
    let fixture = held();
    let asking = Asking::start(&fixture);
    let mut renewal = ours(&fixture, "napoleon", 3);
    renewal["note"] = "new".into();
    fixture.put(&renewal.to_string());
    assert!(
        asking
            .answer("y\n")
            .well()
            .starts_with("napoleon is deposed")
    );
    assert_eq!(fixture.record()["note"], "new");
}
