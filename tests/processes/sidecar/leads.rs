//! Tests `elector leads`: exit code 0 only while the leader file says that its elector leads.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::operating::command::{Ran, Run};
use crate::support::eventually;
use crate::support::process::Fixture;

fn leads(path: &Path) -> Ran {
    Run::new(&["leads"]).with("LEADER_FILE", path).ran()
}

#[test]
fn leads_while_the_elector_leads() {
    let (fixture, folder) = (Fixture::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("leader");
    let printed = leads(&path).failed(1);
    assert!(printed.contains("leader: does not exist"), "{printed}");
    let mut first = fixture.spawn(fixture.elector("first").with("LEADER_FILE", &path));
    first.await_leading();
    eventually("the file is there", || path.exists());
    assert_eq!(leads(&path).well(), "");
    let file = path.to_str().unwrap();
    assert_eq!(Run::new(&["leads", "--file", file]).ran().well(), "");
    let prefixed = Run::new(&["leads"]).with("ELECTOR_LEADER_FILE", file);
    assert_eq!(prefixed.ran().well(), "");
    // The option outranks the setting.
    let run = Run::new(&["leads", "--file", file]).with("LEADER_FILE", "/nowhere");
    assert_eq!(run.ran().well(), "");
    let text = fs::read_to_string(&path).unwrap();
    let copy = folder.path().join("copy");
    let (before, boot) = text.split_once("\"bootId\":\"").unwrap();
    fs::write(
        &copy,
        format!("{before}\"bootId\":\"00000000{}", &boot[8..]),
    )
    .unwrap();
    let printed = leads(&copy).failed(1);
    assert!(printed.contains("from another boot"), "{printed}");
    // A crash leaves the file, which then expires.
    first.kill();
    eventually("it has expired", || {
        let ran = leads(&path);
        ran.code == Some(1) && ran.err.contains("expired ")
    });
}

#[test]
fn unusable_file_does_not_lead() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty"), "").unwrap();
    fs::write(path("binary"), [0xff, 0xfe]).unwrap();
    fs::write(path("file"), "x").unwrap();
    mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
    let started = Instant::now();
    for (name, part) in [
        ("none", "does not exist"),
        ("none/leader", "does not exist"),
        ("empty", "not a leader file"),
        ("binary", "not a leader file"),
        ("file", "not a leader file"),
        ("file/leader", "cannot be read (Not a directory"),
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
    ] {
        let printed = leads(&path(name)).failed(1);
        assert!(printed.contains(part), "{name}: {printed}");
    }
    assert!(started.elapsed() < Duration::from_secs(60), "a pipe blocks");
    let printed = leads(Path::new("/dev/zero")).failed(1);
    assert!(printed.contains("not a regular file"), "{printed}");
}

#[test]
fn wrong_usage_exits_2() {
    for (args, part) in [
        (&["leads"][..], "set LEADER_FILE"),
        (&["leads", "--file", ""], "give --file F"),
        (&["leads", "--file"], "--file: no value"),
        (&["leads", "/run/leader"], "`/run/leader`"),
        (&["leads", "--fiel", "x"], "did you mean `--file`?"),
    ] {
        let printed = Run::new(args).ran().failed(2);
        assert!(printed.contains(part), "{args:?}: {printed}");
    }
    let printed = Run::new(&["leads"]).with("LEADER_FILE", "").ran().failed(2);
    assert!(printed.contains("set LEADER_FILE"), "{printed}");
    let help = Run::new(&["leads", "--help"]).ran().well();
    assert!(help.contains("Exit codes: 0 leads; 1 "), "{help}");
}
