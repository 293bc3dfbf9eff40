//! `elector init` as a process: what it makes, what it leaves alone, and what it prints.

use std::process::{Command, Output, Stdio};

use crate::support::process::{TIMES, TOKEN, World};
use crate::support::{eventually, for_each};
use elector::emulator::Options;
use serde_json::Value;

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn command(world: &World, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
    command
        .arg("init")
        .args(args)
        .env_clear()
        .envs(TIMES)
        .env("GITHUB_API_URL", world.service.url())
        .env("GITHUB_API_TOKEN", TOKEN)
        .stdin(Stdio::null());
    command
}

fn said(command: &mut Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = Said {
        code: status.code(),
        out: text(stdout),
        err: text(stderr),
    };
    assert!(!said.out.contains(TOKEN) && !said.err.contains(TOKEN));
    said
}

fn init(world: &World, args: &[&str], gist: &str) -> Said {
    said(command(world, args).env("GIST_ID", gist))
}

fn record(world: &World, gist: &str, file: &str) -> Value {
    let head = &world.service.history(gist)[0];
    serde_json::from_str(&head.files[file]).unwrap()
}

#[test]
fn new_gist_is_printed_for_shell() {
    let world = World::new();
    let made = said(&mut command(&world, &[]));
    assert_eq!(made.code, Some(0), "{}", made.err);
    let lines: Vec<&str> = made.out.lines().collect();
    let gist = lines[0].strip_prefix("export GIST_ID=").unwrap();
    assert_eq!(lines[1..], ["export GIST_FILE=leader.json"]);
    assert!(made.err.contains("secret gist") && made.err.contains("name: GIST_ID"));
    let record = record(&world, gist, "leader.json");
    assert_eq!(record["holderIdentity"], "");
    assert_eq!(record["checkpoint"], true);
    // Whoever comes first leads at once.
    let elector = world.spawn(world.elector("napoleon").with("GIST_ID", gist));
    elector.await_leading();

    let quoted = said(command(&world, &[]).env("GIST_FILE", "it's a lease"));
    let script = format!("{}\necho \"$GIST_FILE\"", quoted.out);
    let shell = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), "it's a lease\n");

    let quiet = said(&mut command(&world, &["--quiet"]));
    assert_eq!((quiet.code, quiet.err.as_str()), (Some(0), ""));
    assert!(!world.service.history(quiet.out.trim()).is_empty());
}

#[test]
fn file_is_created_beside_others() {
    let cases = [("missing", ""), ("blank", "\n"), ("empty", "{}")];
    for_each(&cases, |(name, content)| {
        let world = World::with_files(&[("other.txt", "something else")]);
        if *name != "missing" {
            world.put(content);
        }
        let made = said(
            command(&world, &[])
                .env("GIST_ID", &world.gist)
                .env("GIST_FILE", "leader.json"),
        );
        assert_eq!(made.code, Some(0), "{name}: {}", made.err);
        assert!(made.err.starts_with("created file"), "{}", made.err);
        let record = record(&world, &world.gist, "leader.json");
        assert_eq!(record["checkpoint"], true, "{name}");
        let head = &world.service.history(&world.gist)[0];
        assert_eq!(head.files["other.txt"], "something else");
        let start = world.elector("napoleon").with("GIST_FILE", "leader.json");
        world.spawn(start).await_leading();
    });
}

#[test]
fn second_run_changes_nothing() {
    let world = World::new();
    assert_eq!(init(&world, &[], &world.gist).code, Some(0));
    let revisions = world.service.history(&world.gist).len();
    let again = init(&world, &[], &world.gist);
    assert_eq!(again.code, Some(0));
    assert!(again.err.contains("nothing to do"), "{}", again.err);
    assert!(again.out.contains(&world.gist), "{}", again.out);
    assert_eq!(world.service.history(&world.gist).len(), revisions);

    let mut leader = world.start_leader("napoleon");
    leader.kill();
    let content = world.content();
    let held = init(&world, &[], &world.gist);
    assert_eq!(held.code, Some(0));
    assert!(held.err.contains("held by napoleon"), "{}", held.err);
    assert_eq!(world.content(), content);

    // What was there is waited for by the candidates, not by this.
    world.put("{}");
    let gone = init(&world, &[], &world.gist);
    assert_eq!(gone.code, Some(0));
    assert!(gone.err.contains("candidates wait"), "{}", gone.err);
    assert_eq!(world.content(), "{}");
}

#[test]
fn foreign_content_is_left_unchanged() {
    for_each(&["dear diary", "[1]", r#"{"name":"x"}"#], |text| {
        let world = World::with_files(&[("leader.json", text)]);
        let refused = init(&world, &[], &world.gist);
        assert_eq!(refused.code, Some(1), "{}", refused.err);
        for part in ["leader.json", "GIST_FILE"] {
            assert!(refused.err.contains(part), "{part} in {}", refused.err);
        }
        assert_eq!(refused.out, "");
        assert_eq!(world.content(), *text);
    });
}

#[test]
fn init_may_race_with_candidates() {
    for_each(&[1, 2, 3], |_| {
        let world = World::new();
        // Of those that race, one takes effect.
        world.passed_over.set(true);
        let electors = [world.start("napoleon"), world.start("cleopatra")];
        let start = || {
            let mut init = command(&world, &["--quiet"]);
            init.env("GIST_ID", &world.gist).stdout(Stdio::null());
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
    let world = World::new();
    let newer = world
        .service
        .create_gist(&[("leader.json", r#"{"holderIdentity":"","protocol":3}"#)])
        .unwrap();
    let cases: [(&[&str], &str, i32, &str); 3] = [
        (&[], "gone", 1, "GIST_ID"),
        (&[], &newer, 1, "protocol 3"),
        (&["--queit"], "", 2, "did you mean `--quiet`?"),
    ];
    for (args, gist, code, part) in cases {
        let wrong = init(&world, args, gist);
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
    let world = World::on(options, "");
    let refused = said(&mut command(&world, &[]));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("may not create gists"),
        "{}",
        refused.err
    );

    let world = World::new();
    world.set_faults(r#"{"secondary_per_minute":0,"retry_after_s":77}"#);
    let limited = said(&mut command(&world, &[]));
    assert_eq!(limited.code, Some(1));
    assert!(limited.err.contains("77s"), "{}", limited.err);

    world.set_faults(r#"{"lost_answers":1}"#);
    let lost = said(&mut command(&world, &[]));
    assert_eq!(lost.code, Some(1));
    assert!(
        lost.err.contains("the gist may have been created"),
        "{}",
        lost.err
    );
}
