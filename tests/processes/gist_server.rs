//! Tests `elector gist-server` as a process: its first line, its state file and its exit codes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::support::wire::{exchange, request};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A server process that does not outlive its test.
struct Process {
    child: Child,
    addr: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
    command
        .arg("gist-server")
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn start(args: &[&str]) -> Process {
    let mut child = command(args)
        .args(["--listen", "127.0.0.1:0"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let addr = line
        .trim()
        .strip_prefix("listening on http://")
        .unwrap_or_else(|| panic!("{line:?}"));
    Process {
        addr: addr.parse().unwrap(),
        child,
    }
}

impl Process {
    fn ends_by(&mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
        self.child.wait().unwrap().code()
    }

    fn put(&self, content: &str) -> u16 {
        let body = serde_json::json!({"files": {"leader.json": {"content": content}}}).to_string();
        exchange(self.addr, request("PATCH", "/gists/demo", &[], &body))
            .unwrap()
            .status
    }

    fn history(&self) -> Vec<String> {
        let answer = exchange(self.addr, request("GET", "/gists/demo", &[], "")).unwrap();
        assert_eq!(answer.status, 200);
        let json = answer.json();
        json["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["version"].to_string())
            .collect()
    }
}

/// Returns the exit code and standard error.
fn fails(args: &[&str]) -> (Option<i32>, String) {
    let output = command(args).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn acknowledged_writes_survive_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let state = state.to_str().unwrap();
    let args = ["--state", state, "--gist", "demo"];
    let mut first = start(&args);
    for n in 0..20 {
        assert_eq!(first.put(&n.to_string()), 200);
    }
    let before = first.history();
    assert_eq!(before.len(), 21);
    assert_eq!(first.ends_by(Signal::SIGKILL), None);
    let second = start(&args);
    assert_eq!(second.history(), before);
    assert_eq!(second.put("more"), 200);
    let (code, printed) = fails(&["--listen", "127.0.0.1:0", "--state", state]);
    assert_eq!(code, Some(1));
    assert!(printed.contains("in use by another service"), "{printed}");
}

#[test]
fn foreign_state_file_is_kept() {
    let foreign = tempfile::NamedTempFile::new().unwrap();
    let path = foreign.path().to_str().unwrap();
    fs::write(path, "precious\n").unwrap();
    let (code, printed) = fails(&["--listen", "127.0.0.1:0", "--state", path]);
    assert_eq!(code, Some(1));
    assert!(
        printed.contains("not a state file of a gist service"),
        "{printed}"
    );
    assert_eq!(fs::read_to_string(path).unwrap(), "precious\n");
}

#[test]
fn stop_signal_exits_0() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut server = start(&[
            "--gist",
            "demo:leader.json=hello",
            "--faults",
            r#"{"hang_reads":1}"#,
        ]);
        assert_eq!(server.put("x"), 200);
        assert_eq!(server.ends_by(signal), Some(0), "{signal}");
    }
}

#[test]
fn taken_port_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, printed) = fails(&["--listen", &addr]);
    assert_eq!(code, Some(1));
    assert!(
        printed.contains(&format!("cannot listen on {addr}")),
        "{printed}"
    );
}

#[test]
fn wrong_usage_exits_2_help_0() {
    let (code, printed) = fails(&["--lisen", ":0"]);
    assert_eq!(code, Some(2));
    assert!(printed.contains("--lisen"), "{printed}");
    let mut help = command(&["--help"]).spawn().unwrap();
    let mut text = String::new();
    help.stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(help.wait().unwrap().success());
    assert!(text.contains("--state FILE"));
}
