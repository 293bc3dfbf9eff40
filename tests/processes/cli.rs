//! Tests the command line as a process: output, its stream, and exit codes.

use std::io;
use std::process::{Command, Output, Stdio};

/// Returns the program with an empty environment.
fn elector(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program was built");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn help_and_version_go_to_stdout() {
    for args in [["help"], ["--help"], ["-h"]] {
        let (code, out, err) = output(&mut elector(&args));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.contains("Usage: elector [COMMAND]") && out.contains("GIST_ID"));
    }
    let (code, out, _) = output(&mut elector(&["help", "settings"]));
    assert!(code == Some(0) && out.contains("LEASE_DURATION (default: 30s;"));
    for args in [["version"], ["--version"], ["-V"]] {
        let (code, out, _) = output(&mut elector(&args));
        let expected = format!("elector {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((code, out), (Some(0), expected));
    }
}

#[test]
fn wrong_usage_exits_2_on_stderr() {
    let (code, out, err) = output(&mut elector(&["rnu"]));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(
        err,
        "elector: unknown command `rnu`; did you mean `run`?\nSee `elector help`.\n"
    );
}

#[test]
fn settings_problems_share_one_message() {
    let mut command = elector(&[]);
    command
        .env("GITHUB_API_TOKEN", "ghp_S3cr3t with a blank")
        .env("ELECTOR_LEASE_DURATION", "10")
        .env("LEADER_NAME", "me");
    let (code, out, err) = output(&mut command);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    for part in [
        "GIST_ID: not set",
        "GITHUB_API_TOKEN: contains",
        "ELECTOR_LEASE_DURATION",
    ] {
        assert!(err.contains(part), "{part} in {err}");
    }
    assert!(!err.contains("S3cr3t"), "{err}");
}

#[test]
fn help_into_closed_pipe_succeeds() {
    let (read, write) = io::pipe().expect("there are pipes");
    drop(read);
    let (code, _, err) = output(elector(&["help"]).stdout(write));
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[test]
fn unwritable_help_fails() {
    let full = std::fs::File::create("/dev/full").expect("Linux has it");
    let (code, _, err) = output(elector(&["help"]).stdout(full));
    assert_eq!(code, Some(1));
    assert!(
        err.starts_with("elector: standard output cannot be written"),
        "{err}"
    );
}

#[test]
fn closed_standard_error_keeps_exit_code() {
    let (read, write) = io::pipe().expect("there are pipes");
    drop(read);
    let (code, _, _) = output(elector(&["rnu"]).stderr(write));
    assert_eq!(code, Some(2));
}
