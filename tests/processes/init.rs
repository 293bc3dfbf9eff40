//! `elector init` as a process: what it creates, leaves unchanged, and prints.

use std::process::{Command, Output, Stdio};

use crate::support::process::{Fixture, TIMES, TOKEN};
use crate::support::{eventually, for_each};
use elector::emulator::Options;
use serde_json::Value;

struct Printed {
    code: Option<i32>,
    out: String,
    err: String,
}

fn command(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
    command
        .arg("init")
        .args(args)
        .env_clear()
        .envs(TIMES)
        .env("GITHUB_API_URL", fixture.service.url())
        .env("GITHUB_API_TOKEN", TOKEN)
        .stdin(Stdio::null());
    command
}

fn output_of(command: &mut Command) -> Printed {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let printed = Printed {
        code: status.code(),
        out: text(stdout),
        err: text(stderr),
    };
    assert!(!printed.out.contains(TOKEN) && !printed.err.contains(TOKEN));
    printed
}

fn init(fixture: &Fixture, args: &[&str], gist: &str) -> Printed {
    output_of(command(fixture, args).env("GIST_ID", gist))
}

fn record(fixture: &Fixture, gist: &str, file: &str) -> Value {
    let head = &fixture.service.history(gist)[0];
    serde_json::from_str(&head.files[file]).unwrap()
}

#[test]
fn new_gist_is_printed_for_shell() {
    let fixture = Fixture::new();
    let made = output_of(&mut command(&fixture, &[]));
    assert_eq!(made.code, Some(0), "{}", made.err);
    let lines: Vec<&str> = made.out.lines().collect();
    let gist = lines[0].strip_prefix("export GIST_ID=").unwrap();
    assert_eq!(lines[1..], ["export GIST_FILE=leader.json"]);
    assert!(made.err.contains("secret gist") && made.err.contains("name: GIST_ID"));
    let record = record(&fixture, gist, "leader.json");
    assert_eq!(record["holderIdentity"], "");
    assert_eq!(record["checkpoint"], true);
    // The first candidate leads immediately.
    let elector = fixture.spawn(fixture.elector("napoleon").with("GIST_ID", gist));
    elector.await_leading();

    let quoted = output_of(command(&fixture, &[]).env("GIST_FILE", "it's a lease"));
    let script = format!("{}\necho \"$GIST_FILE\"", quoted.out);
    let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), "it's a lease\n");

    let quiet = output_of(&mut command(&fixture, &["--quiet"]));
    assert_eq!((quiet.code, quiet.err.as_str()), (Some(0), ""));
    assert!(!fixture.service.history(quiet.out.trim()).is_empty());
}

#[test]
fn file_is_created_beside_others() {
    let cases = [("missing", ""), ("blank", "\n"), ("empty", "{}")];
    for_each(&cases, |(name, content)| {
        let fixture = Fixture::with_files(&[("other.txt", "something else")]);
        if *name != "missing" {
            fixture.put(content);
        }
        let made = output_of(
            command(&fixture, &[])
                .env("GIST_ID", &fixture.gist)
                .env("GIST_FILE", "leader.json"),
        );
        assert_eq!(made.code, Some(0), "{name}: {}", made.err);
        assert!(made.err.starts_with("created file"), "{}", made.err);
        let record = record(&fixture, &fixture.gist, "leader.json");
        assert_eq!(record["checkpoint"], true, "{name}");
        let head = &fixture.service.history(&fixture.gist)[0];
        assert_eq!(head.files["other.txt"], "something else");
        let start = fixture.elector("napoleon").with("GIST_FILE", "leader.json");
        fixture.spawn(start).await_leading();
    });
}

#[test]
fn second_run_changes_nothing() {
    let fixture = Fixture::new();
    assert_eq!(init(&fixture, &[], &fixture.gist).code, Some(0));
    let revisions = fixture.service.history(&fixture.gist).len();
    let again = init(&fixture, &[], &fixture.gist);
    assert_eq!(again.code, Some(0));
    assert!(again.err.contains("nothing to do"), "{}", again.err);
    assert!(again.out.contains(&fixture.gist), "{}", again.out);
    assert_eq!(fixture.service.history(&fixture.gist).len(), revisions);

    let mut leader = fixture.start_leader("napoleon");
    leader.kill();
    let content = fixture.content();
    let held = init(&fixture, &[], &fixture.gist);
    assert_eq!(held.code, Some(0));
    assert!(held.err.contains("held by napoleon"), "{}", held.err);
    assert_eq!(fixture.content(), content);

    // Candidates wait for an existing lease, but `init` does not.
    fixture.put("{}");
    let gone = init(&fixture, &[], &fixture.gist);
    assert_eq!(gone.code, Some(0));
    assert!(gone.err.contains("candidates wait"), "{}", gone.err);
    assert_eq!(fixture.content(), "{}");
}

#[test]
fn foreign_content_is_left_unchanged() {
    for_each(&["dear diary", "[1]", r#"{"name":"x"}"#], |text| {
        let fixture = Fixture::with_files(&[("leader.json", text)]);
        let refused = init(&fixture, &[], &fixture.gist);
        assert_eq!(refused.code, Some(1), "{}", refused.err);
        for part in ["leader.json", "GIST_FILE"] {
            assert!(refused.err.contains(part), "{part} in {}", refused.err);
        }
        assert_eq!(refused.out, "");
        assert_eq!(fixture.content(), *text);
    });
}

#[test]
fn init_may_race_with_candidates() {
    for_each(&[1, 2, 3], |_| {
        let fixture = Fixture::new();
        // One of the racing writes becomes effective.
        fixture.passed_over.set(true);
        let electors = [fixture.start("napoleon"), fixture.start("cleopatra")];
        let start = || {
            let mut init = command(&fixture, &["--quiet"]);
            init.env("GIST_ID", &fixture.gist).stdout(Stdio::null());
            init.spawn().unwrap()
        };
        let mut inits = [start(), start()];
        for init in &mut inits {
            assert!(init.wait().unwrap().success());
        }
        eventually("one of them leads", || {
            electors.iter().any(|elector| elector.leads().is_some())
        });
    });
}

#[test]
fn errors_name_fix() {
    let fixture = Fixture::new();
    let newer = fixture
        .service
        .create_gist(&[("leader.json", r#"{"holderIdentity":"","protocol":3}"#)])
        .unwrap();
    let cases: [(&[&str], &str, i32, &str); 3] = [
        (&[], "gone", 1, "GIST_ID"),
        (&[], &newer, 1, "protocol 3"),
        (&["--queit"], "", 2, "did you mean `--quiet`?"),
    ];
    for (args, gist, code, part) in cases {
        let wrong = init(&fixture, args, gist);
        assert_eq!(wrong.code, Some(code), "{args:?} {gist}: {}", wrong.err);
        assert!(wrong.err.contains(part), "{args:?} {gist}: {}", wrong.err);
        assert_eq!(wrong.out, "");
    }
}

#[test]
fn missing_rights_and_limits_are_reported() {
    let options = Options {
        tokens: vec![format!("{TOKEN}:repo").parse().unwrap()],
        ..Options::default()
    };
    let fixture = Fixture::on(options, "");
    let refused = output_of(&mut command(&fixture, &[]));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("may not create gists"),
        "{}",
        refused.err
    );

    let fixture = Fixture::new();
    fixture.set_faults(r#"{"secondary_per_minute":0,"retry_after_s":77}"#);
    let limited = output_of(&mut command(&fixture, &[]));
    assert_eq!(limited.code, Some(1));
    assert!(limited.err.contains("77s"), "{}", limited.err);

    fixture.set_faults(r#"{"lost_answers":1}"#);
    let lost = output_of(&mut command(&fixture, &[]));
    assert_eq!(lost.code, Some(1));
    assert!(
        lost.err.contains("the gist may have been created"),
        "{}",
        lost.err
    );
}
