//! Tests `elector demo`: to its end, interrupted, and killed.

use crate::support::eventually;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
    command
        .arg("demo")
        .env("GIST_ID", "other")
        .env("ELECTOR_LEASE_DURATION", "nonsense")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// Returns the child processes of `parent`.
fn children(parent: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        rest.split(' ').nth(1) == Some(&parent.to_string())
    };
    pids.filter(is_child).map(Pid::from_raw).collect()
}

fn have_ended(pids: &[Pid]) {
    eventually("the candidates have ended", || {
        pids.iter().all(|pid| kill(*pid, None).is_err())
    });
}

/// Returns the standard error of an ended process.
fn errors_of(child: &mut Child) -> String {
    let mut errors = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    errors
}

#[test]
fn demo_shows_three_terms() {
    let output = demo().output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), errors.as_str()),
        (Some(0), ""),
        "{text}"
    );
    assert!(text.contains("leader     fencing token      from        to       gap  end"));
    assert!(text.contains("No two terms overlapped, and every fencing token rose."));
    let table: Vec<_> = text
        .lines()
        .rev()
        .take_while(|line| !line.contains("leader "))
        .collect();
    for (token, end) in [("0", "killed"), ("1", "released"), ("2", "released")] {
        let row = table
            .iter()
            .find(|line| line.split_whitespace().nth(1) == Some(token));
        assert!(row.is_some_and(|row| row.ends_with(end)), "{text}");
    }
    for line in text.lines() {
        assert!(
            !line.contains('\x1b'),
            "no colours without a terminal: {line:?}"
        );
    }
}

#[test]
fn interrupt_stops_all_candidates() {
    let mut child = demo().spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("I will lead you") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0);
    }
    let candidates = children(pid(&child));
    assert_eq!(candidates.len(), 3);
    kill(pid(&child), Signal::SIGINT).unwrap();
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let errors = errors_of(&mut child);
    assert_eq!(
        errors,
        "elector demo: interrupted; the candidates are stopped\n"
    );
    have_ended(&candidates);
}

#[test]
fn closed_output_stops_all_candidates() {
    let mut child = demo().spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    let mut candidates = Vec::new();
    eventually("three candidates run", || {
        candidates = children(pid(&child));
        candidates.len() == 3
    });
    drop(out);
    eventually("the demonstration ends", || {
        child.try_wait().unwrap().is_some()
    });
    let errors = errors_of(&mut child);
    assert_eq!(errors, "");
    have_ended(&candidates);
}

#[test]
fn kill_stops_all_candidates() {
    let mut child = demo().spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("I will lead you") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0);
    }
    let candidates = children(pid(&child));
    assert_eq!(candidates.len(), 3);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("only zombies are left, which init reaps", || {
        candidates.iter().all(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ")
                .is_none_or(|(_, rest)| rest.starts_with('Z'))
        })
    });
}
