//! Tests `elector install` as a process: the files that it leaves, its output and its exit code.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use tempfile::TempDir;

const ELECTOR: &str = env!("CARGO_BIN_EXE_elector");

/// A user other than root and the one who runs the tests.
const STRANGER: u32 = 64_123;

/// A directory of one test, which every user may enter and only its owner may write.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Scratch {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        Scratch(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Creates a directory in it.
    fn folder(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }
}

struct Printed {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the program with an empty environment, because it needs no settings.
fn output_of(command: &mut Command) -> Printed {
    let command = command.env_clear().stdin(Stdio::null());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Printed {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

fn install(folder: &Path) -> Printed {
    output_of(Command::new(ELECTOR).arg("install").arg(folder))
}

/// Installs through a shell script, in which `$0` is the program and `$1` the directory.
fn install_by(script: &str, folder: &Path) -> Printed {
    let mut shell = Command::new("/bin/sh");
    output_of(shell.args(["-c", script, ELECTOR]).arg(folder))
}

/// Asserts that this directory holds the program, executable for every user, and no other file.
fn assert_installed(folder: &Path) {
    let target = folder.join("elector");
    let found = fs::symlink_metadata(&target).unwrap();
    assert!(found.is_file());
    assert_eq!(found.mode() & 0o7777, 0o755);
    assert!(fs::read(&target).unwrap() == fs::read(ELECTOR).unwrap());
    assert_eq!(names(folder), ["elector"]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn running_program_is_installed_for_all() {
    let scratch = Scratch::new();
    for umask in ["000", "022", "077", "777"] {
        let folder = scratch.folder(umask, 0o755);
        let script = format!("umask {umask}; exec \"$0\" install \"$1\"");
        let printed = install_by(&script, &folder);
        assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));
        let target = folder.join("elector");
        assert!(
            printed.out.starts_with("installed elector ") && printed.out.ends_with("/elector\n")
        );
        assert!(
            printed.out.contains(target.to_str().unwrap()),
            "{}",
            printed.out
        );
        assert_installed(&folder);
        let version = Command::new(&target).arg("--version").output().unwrap();
        assert!(version.status.success() && version.stdout.starts_with(b"elector "));
    }
}

#[test]
fn different_file_is_replaced_not_followed() {
    let scratch = Scratch::new();
    let other = scratch.path("other");
    fs::write(&other, "another file").unwrap();
    let same = fs::read(ELECTOR).unwrap();
    let mut longer = same.clone();
    longer.push(0);
    let mut changed = same.clone();
    *changed.last_mut().unwrap() ^= 1;

    type Make<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Make); 8] = [
        ("older", &|path| fs::write(path, "older").unwrap()),
        ("shorter", &|path| {
            fs::write(path, &same[..same.len() - 1]).unwrap();
        }),
        ("longer", &|path| fs::write(path, &longer).unwrap()),
        ("changed", &|path| fs::write(path, &changed).unwrap()),
        ("not-executable", &|path| {
            fs::write(path, &same).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }),
        ("setuid", &|path| {
            fs::write(path, &same).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o4755)).unwrap();
        }),
        ("link", &|path| symlink(&other, path).unwrap()),
        ("pipe", &|path| mkfifo(path, Mode::S_IRWXU).unwrap()),
    ];
    for (name, make) in cases {
        let folder = scratch.folder(name, 0o755);
        let target = folder.join("elector");
        make(&target);
        if ["older", "shorter", "longer", "changed"].contains(&name) {
            fs::set_permissions(&target, Permissions::from_mode(0o755)).unwrap();
        }
        let printed = install(&folder);
        assert_eq!(printed.code, Some(0), "{name}: {}", printed.err);
        assert!(
            printed.out.starts_with("installed"),
            "{name}: {}",
            printed.out
        );
        assert_installed(&folder);
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "another file");
}

#[test]
fn program_running_from_target_is_replaced() {
    let scratch = Scratch::new();
    let folder = scratch.folder("shared", 0o755);
    let target = folder.join("elector");
    fs::copy("/bin/sleep", &target).unwrap();
    let mut running = Command::new(&target).arg("1000").spawn().unwrap();
    let printed = install(&folder);
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    assert_installed(&folder);
}

#[test]
fn removed_program_still_installs_itself() {
    let scratch = Scratch::new();
    let folder = scratch.folder("shared", 0o755);
    let copy = scratch.path("copy");
    fs::copy(ELECTOR, &copy).unwrap();
    let script = format!(
        "exec 3<{0}; /bin/rm {0}; exec /proc/self/fd/3 install \"$1\"",
        copy.display()
    );
    let printed = install_by(&script, &folder);
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    assert!(!copy.exists());
    assert_installed(&folder);
}

#[test]
fn simultaneous_installs_leave_a_whole_file() {
    let scratch = Scratch::new();
    let folder = scratch.folder("shared", 0o755);
    let target = folder.join("elector");
    let length = fs::metadata(ELECTOR).unwrap().len();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if let Ok(found) = fs::metadata(&target) {
                    assert_eq!((found.len(), found.mode() & 0o7777), (length, 0o755));
                }
            }
        });
        let installs: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| install(&folder).code))
            .collect();
        let codes: Vec<_> = installs.into_iter().map(|i| i.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        assert_eq!(codes, [Some(0); 6]);
    });
    assert_installed(&folder);
}

#[test]
fn unusable_directory_is_named_with_fix() {
    let scratch = Scratch::new();
    let file = scratch.path("file");
    fs::write(&file, "").unwrap();
    let occupied = scratch.folder("occupied", 0o755);
    fs::create_dir(occupied.join("elector")).unwrap();
    for (folder, parts) in [
        (
            scratch.path("missing"),
            ["does not exist", "mount a volume"],
        ),
        (file.clone(), ["is not a directory", "name one"]),
        (file.join("below"), ["cannot be examined", "another"]),
        (occupied.clone(), ["elector is a directory", "remove it"]),
    ] {
        let printed = install(&folder);
        assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""));
        assert!(
            printed.err.starts_with("elector install: "),
            "{}",
            printed.err
        );
        for part in parts.iter().chain([&folder.to_str().unwrap()]) {
            assert!(printed.err.contains(part), "{part} in {}", printed.err);
        }
        assert_eq!(printed.err.lines().count(), 1);
    }
    assert_eq!(names(&occupied), ["elector"]);
}

#[test]
fn unwritable_directory_is_named_with_user() {
    let scratch = Scratch::new();
    let folder = scratch.folder("shared", 0o555);
    let mut command = Command::new(ELECTOR);
    let mut user = geteuid().as_raw();
    if user == 0 {
        // Root may write everywhere.
        user = STRANGER;
        command = as_user(&scratch, user);
    }
    let printed = output_of(command.arg("install").arg(&folder));
    assert_eq!(printed.code, Some(1), "{}", printed.out);
    for part in [&format!("user {user}"), "cannot be written", "fsGroup"] {
        assert!(printed.err.contains(part), "{part} in {}", printed.err);
    }
    assert!(names(&folder).is_empty());
}

/// Returns a copy of the program as a command of this user. Only root can do that.
fn as_user(scratch: &Scratch, user: u32) -> Command {
    let copy = scratch.path("program");
    if !copy.exists() {
        fs::copy(ELECTOR, &copy).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(copy);
    command.uid(user).gid(user);
    command
}

#[test]
fn any_user_installs_for_every_user() {
    if !geteuid().is_root() {
        eprintln!("not tested: only root can act as another user");
        return;
    }
    let scratch = Scratch::new();
    let folder = scratch.folder("shared", 0o777);
    let first = output_of(as_user(&scratch, STRANGER).arg("install").arg(&folder));
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert_installed(&folder);
    let target = folder.join("elector");
    assert_eq!(fs::metadata(&target).unwrap().uid(), STRANGER);
    let second = output_of(as_user(&scratch, STRANGER + 1).arg("install").arg(&folder));
    assert!(second.out.starts_with("installed"), "{}", second.err);
    // A file that this user cannot read is replaced.
    fs::set_permissions(&target, Permissions::from_mode(0o700)).unwrap();
    let third = output_of(as_user(&scratch, STRANGER + 2).arg("install").arg(&folder));
    assert!(third.out.starts_with("installed"), "{}", third.err);
    assert_eq!(fs::metadata(&target).unwrap().uid(), STRANGER + 2);
    assert_installed(&folder);
}

#[test]
fn failed_write_keeps_the_old_file() {
    let scratch = Scratch::new();
    let folder = scratch.folder("shared", 0o755);
    let target = folder.join("elector");
    fs::write(&target, "older").unwrap();
    // No file may grow beyond 8 blocks, and that is an error rather than a signal.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" install \"$1\"";
    let printed = install_by(script, &folder);
    assert_eq!(
        (printed.code, printed.out.as_str()),
        (Some(1), ""),
        "{}",
        printed.err
    );
    assert!(
        printed.err.contains("cannot be installed"),
        "{}",
        printed.err
    );
    assert_eq!(fs::read_to_string(&target).unwrap(), "older");
    assert_eq!(names(&folder), ["elector"]);
}

#[test]
fn wrong_usage_exits_2_help_0() {
    for args in [&["install"][..], &["install", "a", "b"], &["install", ""]] {
        let printed = output_of(Command::new(ELECTOR).args(args));
        assert_eq!((printed.code, printed.out.as_str()), (Some(2), ""));
        assert!(
            printed.err.contains("elector help install"),
            "{}",
            printed.err
        );
    }
    let help = output_of(Command::new(ELECTOR).args(["install", "--help"]));
    assert_eq!(help.code, Some(0));
    assert!(help.out.starts_with("Usage: elector install DIR\n"));
    // The word is known to the overview, and what cannot be written is a failure.
    let full = File::create("/dev/full").unwrap();
    let mut command = Command::new(ELECTOR);
    let status = command.args(["install", "-h"]).stdout(full).status();
    assert_eq!(status.unwrap().code(), Some(1));
}
