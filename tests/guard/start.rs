//! What CMD starts with, and what is said when it cannot be started.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use nix::sys::signal::Signal;
use nix::unistd::getpid;

use crate::trial::{ELECTOR, Folder, LONG, SHORT_GRACE, Setup, in_time, output};

/// What a shell script says here, without any guard.
fn without_guard(script: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdin(Stdio::null());
    String::from_utf8(output(&mut shell).stdout).unwrap()
}

/// What a shell script says below a guard.
fn below_guard(script: &str) -> String {
    let mut trial = Setup::sh(&format!("exec >said\n{script}")).run();
    assert_eq!(trial.await_end(), 0);
    trial.folder.read("said")
}

#[test]
fn the_workload_begins_with_the_signals_as_they_are_by_default() {
    let script = "exec cat /proc/self/status";
    let field = |status: &str, name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    let (expected, status) = (without_guard(script), below_guard(script));
    assert_eq!(field(&status, "SigBlk"), 0);
    assert_eq!(field(&status, "SigPnd") | field(&status, "ShdPnd"), 0);
    assert_eq!(field(&status, "SigCgt"), 0);
    // What this test has to ignore itself (of a `nohup`, say), the workload ignores too.
    assert_eq!(field(&status, "SigIgn"), field(&expected, "SigIgn"));
    let pipe = 1 << (Signal::SIGPIPE as u64 - 1);
    let child = 1 << (Signal::SIGCHLD as u64 - 1);
    assert_eq!(field(&status, "SigIgn") & (pipe | child), 0);
}

#[test]
fn the_workload_inherits_no_files_of_ours() {
    // The listing itself is one of them.
    let script = "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done";
    let numbers = |text: String| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let below = numbers(below_guard(script));
    let without = numbers(without_guard(script));
    // The shell keeps what `exec >said` moved aside nowhere: both have the same.
    assert_eq!(below, without);
    assert!(below.contains("0") && below.contains("1") && below.contains("2"));
}

#[test]
fn the_workload_gets_the_environment_and_the_arguments_unchanged() {
    let mut setup = Setup::of(&[
        "sh",
        "-c",
        "env -0 > \"$DIR/said\"; printf '%s|' \"$@\" >> \"$DIR/said\"",
    ]);
    setup
        .command
        .extend(["name", "--help", "", "a b", "--", "-h", "'\"$x\n"].map(Into::into));
    setup.environment = vec![
        ("ADDED".into(), Some("a b\n=c".into())),
        ("PATH".into(), Some(std::env::var_os("PATH").unwrap())),
        ("HOME".into(), None),
    ];
    let mut trial = setup.run();
    assert_eq!(trial.await_end(), 0);
    let said = trial.folder.read("said");
    let (variables, arguments) = said.rsplit_once('\0').unwrap();
    assert_eq!(arguments, "--help||a b|--|-h|'\"$x\n|");
    let variables: BTreeSet<&str> = variables.split('\0').collect();
    assert!(variables.contains("ADDED=a b\n=c"), "{variables:?}");
    assert!(
        !variables
            .iter()
            .any(|variable| variable.starts_with("HOME="))
    );
    // Of what the shell adds itself, and of the trial's own, nothing more.
    let names = variables
        .iter()
        .map(|variable| variable.split('=').next().unwrap());
    let allowed = |name: &str| {
        std::env::var_os(name).is_some()
            || [
                "ADDED",
                "DIR",
                "PWD",
                "OLDPWD",
                "_",
                "SHLVL",
                "ELECTOR_GUARD_TRIAL",
            ]
            .contains(&name)
    };
    let more: Vec<&str> = names.filter(|name| !allowed(name)).collect();
    assert_eq!(more, [] as [&str; 0]);
}

#[test]
fn the_workload_gets_standard_input() {
    let folder = Folder::new();
    fs::write(folder.file("input"), "some input\n").unwrap();
    let mut setup = Setup::sh("cat > said");
    setup.stdin = File::open(folder.file("input")).unwrap().into();
    let mut trial = setup.run();
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.folder.read("said"), "some input\n");
}

#[test]
fn exit_codes_are_seen_where_the_ends_of_children_are_ignored() {
    let folder = Folder::new();
    let setup =
        Setup::sh("sleep 0.1 & exit 5").through(&folder, "exec env --ignore-signal=CHLD \"$@\"");
    let mut trial = setup.spawn_in(folder);
    trial.begin(LONG);
    assert_eq!(trial.await_end(), 5);
}

/// The exit code, and what was said on standard error.
fn refused(command: &[&str], path: Option<&str>) -> (i32, String) {
    let folder = Folder::new();
    let mut setup = Setup::of(command).through(&folder, "exec \"$@\" 2>\"$DIR/said\"");
    if let Some(path) = path {
        setup.environment.push(("PATH".into(), Some(path.into())));
    }
    let mut trial = setup.spawn_in(folder);
    trial.begin(LONG);
    (trial.await_end(), trial.folder.read("said"))
}

#[track_caller]
fn assert_refused(command: &[&str], path: Option<&str>, code: i32, part: &str) {
    let (told, said) = refused(command, path);
    assert_eq!(told, code, "{command:?}: {said}");
    assert!(
        said.starts_with("elector: ") && said.ends_with('\n'),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(part), "{command:?}: {said}");
}

#[test]
fn what_cannot_be_found_is_told_with_127() {
    assert_refused(
        &["no-such-program"],
        None,
        127,
        "`no-such-program`: not found",
    );
    assert_refused(
        &["/no/such/program", "x"],
        None,
        127,
        "`/no/such/program`: no such file",
    );
    assert_refused(
        &["/dev/null/program"],
        None,
        127,
        "`/dev/null/program`: no such file",
    );
    assert_refused(&[""], None, 127, "is empty");
    assert_refused(&["ls"], Some("/no/such:/dev/null"), 127, "PATH");
}

#[test]
fn what_cannot_be_executed_is_told_with_126() {
    let folder = Folder::new();
    let file = |name: &str, text: &str| folder.script(name, text).display().to_string();
    let plain = file("plain", "no program\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&plain, mode).unwrap();
    let lost = file("lost", "#! /no/such/interpreter -x\n");
    let unfit = file("unfit", "#!/dev/null\n");
    let here = folder.path().display().to_string();
    assert_refused(&[&here], None, 126, "is a directory");
    assert_refused(&[&plain], None, 126, "chmod +x");
    assert_refused(&["plain"], Some(&here), 126, "chmod +x");
    assert_refused(
        &[&lost],
        None,
        126,
        "its interpreter `/no/such/interpreter` does not exist",
    );
    assert_refused(
        &["lost"],
        Some(&here),
        126,
        "its interpreter `/no/such/interpreter` does not exist",
    );
    assert_refused(&[&unfit], None, 126, "the permissions");
    symlink("loop", folder.file("loop")).unwrap();
    let looped = folder.file("loop").display().to_string();
    assert_refused(&[&looped], None, 126, "symbolic links");
}

/// What `exec-workload` does when it is started by hand, so.
fn exec_workload(parent: i32, until: Instant) -> Output {
    let nanos = until.since_boot().as_nanos().to_string();
    let args = [
        "exec-workload",
        &parent.to_string(),
        &nanos,
        "--",
        "echo",
        "ran",
    ];
    output(Command::new(ELECTOR).args(args))
}

#[test]
fn the_last_step_before_the_workload_looks_at_time_and_parent() {
    let own = getpid().as_raw();
    let good = exec_workload(own, in_time(LONG));
    assert_eq!(
        (good.status.code(), &good.stdout[..]),
        (Some(0), &b"ran\n"[..])
    );
    let late = exec_workload(own, BootClock::now());
    assert_eq!(
        (late.status.code(), &late.stdout[..]),
        (Some(143), &b""[..])
    );
    let orphan = exec_workload(own + 1, in_time(LONG));
    assert_eq!(
        (orphan.status.code(), &orphan.stdout[..]),
        (Some(1), &b""[..])
    );
}

#[test]
fn by_hand_the_hidden_commands_say_what_is_to_be_used() {
    for args in [
        &["guard-workload"][..],
        &["guard-workload", "3", "4", "5"],
        &["guard-workload", "3", "4", "x", "--", "true"],
        &["guard-workload", "0", "4", "5", "--", "true"],
        &["guard-workload", "3", "4", "5", "--"],
        &["exec-workload", "--help"],
        &["exec-workload", "1", "2", "true", "x"],
    ] {
        let output = output(Command::new(ELECTOR).args(args));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            said.contains("use `elector run -- CMD`"),
            "{args:?}: {said}"
        );
    }
    let args = ["guard-workload", "998", "999", "5", "--", "true"];
    let output = output(Command::new(ELECTOR).args(args));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_guard_is_small_and_has_one_thread() {
    let mut trial = Setup::sh("while :; do sleep 1; done")
        .grace(SHORT_GRACE)
        .run();
    let status = fs::read_to_string(format!("/proc/{}/status", trial.pid)).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(field("Name:"), "elector-guard");
    assert_eq!(field("Threads:"), "1");
    // What it does not share with every other elector here, in kB.
    assert!(
        field("RssAnon:").parse::<u32>().unwrap() < 1_024,
        "{status}"
    );
    trial.disconnect();
    trial.await_end();
}
