//! State in which the program starts, and errors if it cannot be started.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use nix::sys::signal::Signal;
use nix::unistd::getpid;

use crate::trial::{ELECTOR, Folder, LONG, SHORT_GRACE, Setup, from_now, output};

/// Returns the output of a shell script without a guard.
fn without_guard(script: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdin(Stdio::null());
    String::from_utf8(output(&mut shell).stdout).unwrap()
}

/// Returns the output of a shell script under a guard.
fn below_guard(script: &str) -> String {
    let mut trial = Setup::sh(&format!("exec >output\n{script}")).run();
    assert_eq!(trial.await_end(), 0);
    trial.folder.read("output")
}

#[test]
fn program_starts_with_default_signals() {
    let script = "exec cat /proc/self/status";
    let field = |status: &str, name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    let (expected, status) = (without_guard(script), below_guard(script));
    assert_eq!(field(&status, "SigBlk"), 0);
    assert_eq!(field(&status, "SigPnd") | field(&status, "ShdPnd"), 0);
    assert_eq!(field(&status, "SigCgt"), 0);
    // The program inherits the signals that this test ignores, for example because of `nohup`.
    assert_eq!(field(&status, "SigIgn"), field(&expected, "SigIgn"));
    let pipe = 1 << (Signal::SIGPIPE as u64 - 1);
    let child = 1 << (Signal::SIGCHLD as u64 - 1);
    assert_eq!(field(&status, "SigIgn") & (pipe | child), 0);
}

#[test]
fn program_inherits_no_extra_descriptors() {
    // The listing is itself an open file.
    let script = "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done";
    let numbers = |text: String| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let below = numbers(below_guard(script));
    let without = numbers(without_guard(script));
    // The shell does not keep the descriptor that `exec >output` replaced, so that both have the same ones.
    assert_eq!(below, without);
    assert!(below.contains("0") && below.contains("1") && below.contains("2"));
}

#[test]
fn program_gets_environment_and_arguments_unchanged() {
    let mut setup = Setup::of(&[
        "sh",
        "-c",
        "env -0 > \"$DIR/output\"; printf '%s|' \"$@\" >> \"$DIR/output\"",
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
    let output = trial.folder.read("output");
    let (variables, arguments) = output.rsplit_once('\0').unwrap();
    assert_eq!(arguments, "--help||a b|--|-h|'\"$x\n|");
    let variables: BTreeSet<&str> = variables.split('\0').collect();
    assert!(variables.contains("ADDED=a b\n=c"), "{variables:?}");
    assert!(
        !variables
            .iter()
            .any(|variable| variable.starts_with("HOME="))
    );
    // Besides, only variables of the shell and of the trial.
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
fn program_gets_standard_input() {
    let folder = Folder::new();
    fs::write(folder.file("input"), "some input\n").unwrap();
    let mut setup = Setup::sh("cat > output");
    setup.stdin = File::open(folder.file("input")).unwrap().into();
    let mut trial = setup.run();
    assert_eq!(trial.await_end(), 0);
    assert_eq!(trial.folder.read("output"), "some input\n");
}

#[test]
fn ignored_sigchld_keeps_exit_codes() {
    let folder = Folder::new();
    let setup =
        Setup::sh("sleep 0.1 & exit 5").through(&folder, "exec env --ignore-signal=CHLD \"$@\"");
    let mut trial = setup.spawn_in(folder);
    trial.begin(LONG);
    assert_eq!(trial.await_end(), 5);
}

/// Returns the exit code and the standard error of a command that cannot be started.
fn refused(command: &[&str], path: Option<&str>) -> (i32, String) {
    let folder = Folder::new();
    let mut setup = Setup::of(command).through(&folder, "exec \"$@\" 2>\"$DIR/output\"");
    if let Some(path) = path {
        setup.environment.push(("PATH".into(), Some(path.into())));
    }
    let mut trial = setup.spawn_in(folder);
    trial.begin(LONG);
    (trial.await_end(), trial.folder.read("output"))
}

#[track_caller]
fn assert_refused(command: &[&str], path: Option<&str>, code: i32, part: &str) {
    let (exit_code, output) = refused(command, path);
    assert_eq!(exit_code, code, "{command:?}: {output}");
    assert!(
        output.starts_with("elector: ") && output.ends_with('\n'),
        "{output}"
    );
    assert_eq!(output.lines().count(), 1, "{output}");
    assert!(output.contains(part), "{command:?}: {output}");
}

#[test]
fn missing_program_exits_127() {
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
fn unexecutable_program_exits_126() {
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

/// Runs `exec-workload` directly.
fn exec_workload(parent: i32, until: Instant) -> Output {
    let nanos = until.since_boot().as_nanos().to_string();
    let args = [
        "exec-workload",
        &parent.to_string(),
        "0",
        &nanos,
        "--",
        "echo",
        "ran",
    ];
    output(Command::new(ELECTOR).args(args))
}

#[test]
fn exec_workload_checks_deadline_and_parent() {
    let own = getpid().as_raw();
    let good = exec_workload(own, from_now(LONG));
    assert_eq!(
        (good.status.code(), &good.stdout[..]),
        (Some(0), &b"ran\n"[..])
    );
    let late = exec_workload(own, BootClock::now());
    assert_eq!(
        (late.status.code(), &late.stdout[..]),
        (Some(143), &b""[..])
    );
    let orphan = exec_workload(own + 1, from_now(LONG));
    assert_eq!(
        (orphan.status.code(), &orphan.stdout[..]),
        (Some(1), &b""[..])
    );
}

#[test]
fn hidden_commands_refuse_manual_use() {
    for args in [
        &["guard-workload"][..],
        &["guard-workload", "3", "4", "0", "5"],
        &["guard-workload", "3", "4", "0", "x", "--", "true"],
        &["guard-workload", "0", "4", "0", "5", "--", "true"],
        &["guard-workload", "3", "4", "x", "5", "--", "true"],
        &["guard-workload", "3", "4", "0", "5", "--"],
        &["exec-workload", "--help"],
        &["exec-workload", "1", "0", "2", "true", "x"],
    ] {
        let output = output(Command::new(ELECTOR).args(args));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr.contains("use `elector run -- CMD`"),
            "{args:?}: {stderr}"
        );
    }
    let args = ["guard-workload", "998", "999", "0", "5", "--", "true"];
    let output = output(Command::new(ELECTOR).args(args));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn guard_is_small_and_single_threaded() {
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
    // Memory that it does not share with other electors, in kB.
    assert!(
        field("RssAnon:").parse::<u32>().unwrap() < 1_024,
        "{status}"
    );
    trial.disconnect();
    trial.await_end();
}
