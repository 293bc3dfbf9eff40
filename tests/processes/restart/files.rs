//! State files that are missing, copied, torn or foreign: the candidate waits, and logs the reason once.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use crate::restart::stage::{LONG, Stage, assert_waits, await_reason, reasons, state_file};
use crate::support::{for_each, never_for};
use crate::workload::scene::WORKS;

/// What happens to a state file between two processes, and the reason that the second one logs.
type Case = (fn(&Stage), &'static str);

/// Files that belong to the candidate.
const OWN: [Case; 10] = [
    (|stage| fs::remove_file(stage.file()).unwrap(), "is new"),
    (|stage| write(stage, b""), "is new"),
    (recreate, "it is a copy"),
    (|stage| truncate(stage, 100), "its content cannot be read"),
    (
        |stage| write(stage, b"\xFF\x00{garbage"),
        "its content cannot be read",
    ),
    (|stage| write(stage, b"{}"), "its content cannot be read"),
    (
        |stage| stage.edit(|state| state["format"] = 2.into()),
        "another version of elector",
    ),
    (
        |stage| stage.edit(|state| state["bootId"] = "b".into()),
        "was booted since",
    ),
    (
        |stage| stage.edit(|state| state["lock"] = "x".into()),
        "another lock",
    ),
    (
        |stage| stage.edit(|state| state["stopped"] = false.into()),
        "did not report its end",
    ),
];

/// Files that this candidate must not write.
const FOREIGN: [Case; 7] = [
    (link, "not a plain file"),
    (
        |stage| fs::hard_link(stage.file(), stage.file().with_extension("kept")).unwrap(),
        "not a plain file",
    ),
    (|stage| permit(stage, 0o644), "others may open it"),
    (|stage| permit(stage, 0o620), "others may open it"),
    (give_away, "belongs to another user"),
    (
        |stage| replace(stage, |file| fs::create_dir(file).unwrap()),
        "not a plain file",
    ),
    (
        |stage| replace(stage, |file| mkfifo(file, Mode::S_IRWXU).unwrap()),
        "not a plain file",
    ),
];

fn write(stage: &Stage, content: &[u8]) {
    fs::write(stage.file(), content).unwrap();
}

fn truncate(stage: &Stage, length: usize) {
    let content = fs::read(stage.file()).unwrap();
    write(stage, &content[..length]);
}

/// Replaces the file by one with the same content, as an editor or a backup does.
fn recreate(stage: &Stage) {
    let file = stage.file();
    let new = file.with_extension("new");
    fs::copy(&file, &new).unwrap();
    assert_ne!(
        fs::metadata(&new).unwrap().ino(),
        fs::metadata(&file).unwrap().ino()
    );
    fs::rename(new, file).unwrap();
}

/// Moves the file away, and creates something else there.
fn replace(stage: &Stage, create: impl FnOnce(&Path)) {
    let file = stage.file();
    fs::rename(&file, file.with_extension("kept")).unwrap();
    create(&file);
}

fn link(stage: &Stage) {
    replace(stage, |file| {
        symlink(file.with_extension("kept"), file).unwrap();
    });
}

fn permit(stage: &Stage, mode: u32) {
    fs::set_permissions(stage.file(), Permissions::from_mode(mode)).unwrap();
}

fn give_away(stage: &Stage) {
    if geteuid().is_root() {
        chown(stage.file(), Some(65_534), None).unwrap();
    } else {
        eprintln!("NOT TESTED: another user's file takes root");
        permit(stage, 0o604);
    }
}

#[test]
fn doubtful_file_leads_to_waiting() {
    for_each(&OWN, |(change, reason)| {
        let stage = Stage::new();
        stage.leader(stage.sidecar()).kill();
        let lease_end = stage.lease_end();
        let before = stage.state()["processes"].clone();
        change(&stage);
        let second = stage.spawn(stage.sidecar());
        assert_waits(&second, lease_end, reason);
        // The list begins anew.
        let state = stage.state();
        assert_eq!(state["processes"].as_array().unwrap().len(), 1, "{state}");
        assert_ne!(state["processes"], before);
    });
}

#[test]
fn copied_directory_leads_to_waiting() {
    let stage = Stage::new();
    stage.leader(stage.sidecar()).kill();
    let lease_end = stage.lease_end();
    let copy = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = stage.file();
    let name = file.file_name().unwrap();
    fs::copy(&file, copy.path().join(name)).unwrap();
    let start = stage.sidecar().with("STATE_DIR", copy.path());
    assert_waits(&stage.spawn(start), lease_end, "it is a copy");
    assert!(state_file(copy.path()).is_some());
}

/// The lock on another file says nothing of a living process.
#[test]
fn recreated_file_leads_to_waiting() {
    let cases: [Case; 2] = [
        (|stage| fs::remove_file(stage.file()).unwrap(), "is new"),
        (recreate, "it is a copy"),
    ];
    for_each(&cases, |(change, reason)| {
        let stage = Stage::new();
        let start = || stage.wrapping(WORKS).with_all(LONG);
        let mut first = stage.spawn(start());
        stage.await_noted("works");
        change(&stage);
        let second = stage.spawn(start());
        await_reason(&second, reason);
        let waits = || {
            never_for(Duration::from_secs(1), "it leads", || {
                second.leads().is_some()
            });
        };
        waits();
        // Its guard notes the end in the file without a name.
        first.kill();
        waits();
        assert_eq!(reasons(&second).len(), 1, "{}", second.text());
        stage.assert_alone();
    });
}

/// Returns everything in the state directory, except directories and pipes.
fn contents(stage: &Stage) -> Vec<(PathBuf, u64, u32, Vec<u8>)> {
    let entries = fs::read_dir(stage.directory()).unwrap();
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let data = fs::symlink_metadata(&path).unwrap();
            let content = match fs::metadata(&path).unwrap().is_file() {
                true => fs::read(&path).unwrap(),
                false => Vec::new(),
            };
            (path, data.ino(), data.mode(), content)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn foreign_file_is_not_written() {
    for_each(&FOREIGN, |(change, reason)| {
        let stage = Stage::new();
        stage.leader(stage.sidecar()).kill();
        let lease_end = stage.lease_end();
        change(&stage);
        let before = contents(&stage);
        assert!(!before.is_empty());
        let second = stage.spawn(stage.sidecar());
        assert_waits(&second, lease_end, reason);
        assert_eq!(contents(&stage), before, "{reason}");
    });
}
