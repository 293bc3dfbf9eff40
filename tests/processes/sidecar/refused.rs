//! Tests what may be at the path of the leader file when the elector starts.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::support::file_names;
use crate::support::for_each;
use crate::support::process::Fixture;

/// Runs an elector that must refuse to start, and returns its output.
fn refused(path: &Path) -> String {
    let fixture = Fixture::new();
    let mut elector = fixture.spawn(fixture.elector("me").with("LEADER_FILE", path));
    assert_eq!(elector.await_exit(), Some(2), "{}", elector.text());
    assert_eq!(fixture.service.requests().total(), 0);
    let text = elector.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("LEADER_FILE"), "{text}");
    assert!(text.contains(&*path.to_string_lossy()), "{text}");
    text
}

#[test]
fn unwritable_path_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let long = folder.path().join("x".repeat(300));
    let cases = [
        (folder.path().join("nowhere/leader"), "No such file"),
        (folder.path().join("file/leader"), "Not a directory"),
        (folder.path().join("leader/"), "not the path of a file"),
        ("/".into(), "not the path of a file"),
        ("/proc/leader".into(), "cannot be written"),
        (folder.path().to_owned(), "not a regular file"),
        (long, "too long"),
    ];
    for_each(&cases, |(path, why)| {
        let printed = refused(path);
        assert!(printed.contains(why), "{why} in {printed}");
    });
    assert_eq!(file_names(&folder), ["file"], "nothing was left");
}

#[test]
fn foreign_file_is_left_alone() {
    let ours = r#"{"identity":"me","fencingToken":1,"validUntil":1.00}"#;
    let cases: Vec<Vec<u8>> = [
        "precious",
        "\n",
        "{}",
        "null",
        "[1]",
        r#"{"identity":"me","fencingToken":1}"#,
        r#"{"identity":"me","fencingToken":-1,"validUntil":1.00}"#,
        r#"{"identity":7,"fencingToken":1,"validUntil":1.00}"#,
        r#"{"identity":"me","fencingToken":1,"validUntil":"1"}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([
        format!("{ours}\n{ours}\n").into_bytes(),
        format!("{ours} {}", "x".repeat(100_000)).into_bytes(),
        b"\xff\xfe".to_vec(),
    ])
    .collect();
    for_each(&cases, |content| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leader");
        fs::write(&path, content).unwrap();
        let printed = refused(&path);
        assert!(printed.contains("is not a leader file"), "{printed}");
        assert_eq!(&fs::read(&path).unwrap(), content);
        assert_eq!(file_names(&folder), ["leader"]);
    });
}

#[test]
fn link_or_pipe_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let ours = "{\"identity\":\"me\",\"fencingToken\":1,\"validUntil\":1.00}\n";
    fs::write(&target, ours).unwrap();
    let (link, dangling, pipe) = (
        folder.path().join("link"),
        folder.path().join("dangling"),
        folder.path().join("pipe"),
    );
    std::os::unix::fs::symlink(&target, &link).unwrap();
    std::os::unix::fs::symlink(folder.path().join("none"), &dangling).unwrap();
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [&link, &dangling, &pipe] {
        assert!(refused(path).contains("not a regular file"));
    }
    assert_eq!(file_names(&folder), ["dangling", "link", "pipe", "target"]);
    assert_eq!(fs::read_to_string(&target).unwrap(), ours);
}

#[test]
fn file_of_crashed_process_is_removed() {
    let ours = "{\"identity\":\"me\",\"fencingToken\":1,\"validUntil\":1.00}\n";
    let others = "{\"validUntil\":99999999.5,\"fencingToken\":1,\"identity\":\"you\"}";
    let empty = "";
    for_each(&[ours, others, empty], |left| {
        let fixture = Fixture::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leader");
        fs::write(&path, left).unwrap();
        // Another candidate leads, so that no file is written.
        let other = fixture.start_leader("other");
        let me = fixture.spawn(fixture.elector("me").with("LEADER_FILE", &path));
        me.await_observed("other");
        assert_eq!(file_names(&folder), [""; 0]);
        let log = me.log();
        let warned = log
            .iter()
            .any(|line| line.level() == "warn" && line.text("holder") == "you");
        assert_eq!(warned, *left == others, "{}", me.text());
        drop(other);
    });
}

#[test]
fn path_without_utf8_works() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"l\xff"));
    let mut file = fs::File::create(&path).unwrap();
    file.flush().unwrap();
    let mut me = fixture.spawn(fixture.elector("me").with("LEADER_FILE", &path));
    me.await_leading();
    crate::support::eventually("the file is written", || {
        fs::read_to_string(&path).is_ok_and(|text| text.contains("\"fencingToken\":0"))
    });
    me.leave();
    assert!(!path.exists());
}
