//! The gist service as a process with a state file, and edits of the gist.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::faults::FAULTS;
use crate::schedule::Edit;
use crate::support::eventually;
use crate::support::process::TOKEN;
use crate::support::process::program::{Elector, Start};
use crate::support::wire::request;

/// Id of the gist.
pub(crate) const GIST: &str = "chaos";

/// File of the record, and another file.
pub(crate) const FILE: &str = "leader.json";
const OTHER_FILE: &str = "notes.txt";

/// Time limit of an edit, because the service may be stopped, frozen or hanging.
const TIMEOUT: Duration = Duration::from_millis(700);

/// Age of a pasted record.
const OLD: Duration = Duration::from_secs(4);

/// The service, across restarts.
pub(crate) struct Service {
    process: Elector,
    addr: SocketAddr,
    state: PathBuf,
    frozen: bool,
    /// Whether it was signalled to end and has not been restarted.
    ending: bool,
    faults: Option<usize>,
    /// Whether `faults` must still be sent to the service.
    faults_due: bool,
    starts: u64,
}

impl Service {
    pub(crate) fn start(folder: &Path) -> Service {
        let state = folder.join("gists");
        let (process, addr) = spawn(&state, None, 1);
        tell(addr, "PATCH", &file(OTHER_FILE, "something else")).expect("the service works");
        Service {
            process,
            addr,
            state,
            frozen: false,
            ending: false,
            faults: None,
            faults_due: false,
            starts: 1,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.process.lines()
    }

    /// Sends SIGTERM or SIGKILL. Returns false if the service was already ending.
    pub(crate) fn end(&mut self, signal: Signal) -> bool {
        let ends = !self.ending && self.is_running();
        if ends {
            self.process.signal(signal);
            self.ending = true;
        }
        ends
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending
    }

    /// Returns whether it ended by itself.
    pub(crate) fn has_failed(&mut self) -> bool {
        !self.ending && !self.is_running()
    }

    pub(crate) fn freeze(&mut self) -> bool {
        let freezing = self.is_running() && !self.frozen;
        if freezing {
            self.process.signal(Signal::SIGSTOP);
            self.frozen = true;
        }
        freezing
    }

    pub(crate) fn thaw(&mut self) {
        if self.is_running() && self.frozen {
            self.process.signal(Signal::SIGCONT);
        }
        self.frozen = false;
    }

    /// Restarts the service on another port with its state. It must have ended.
    pub(crate) fn restart(&mut self) {
        self.starts += 1;
        (self.process, self.addr) = spawn(&self.state, self.faults, self.starts);
        (self.frozen, self.ending) = (false, false);
        self.faults_due = false;
    }

    pub(crate) fn faults(&self) -> Option<usize> {
        self.faults
    }

    pub(crate) fn set_faults(&mut self, faults: Option<usize>) {
        self.faults = faults;
        self.faults_due = true;
        self.send_faults();
    }

    /// Sends pending faults, and returns whether none are pending any more.
    pub(crate) fn send_faults(&mut self) -> bool {
        if self.faults_due && !self.frozen && self.is_running() {
            let request = request("PUT", "/_faults", &[CLOSE], faults_json(self.faults));
            self.faults_due = exchange(self.addr, &request).is_none();
        }
        !self.faults_due
    }
}

fn faults_json(faults: Option<usize>) -> &'static str {
    faults.map_or("{}", |which| FAULTS[which].1)
}

fn spawn(state: &Path, faults: Option<usize>, seed: u64) -> (Elector, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
    command
        .args(["gist-server", "--quiet", "--listen", "127.0.0.1:0"])
        .args(["--gist", &format!("{GIST}:{FILE}"), "--token", TOKEN])
        .args(["--faults", faults_json(faults)])
        .args(["--seed", &seed.to_string()])
        .arg("--state")
        .arg(state);
    let process = Start::of("service", command).in_own_group().spawn();
    let mut addr = None;
    eventually("the service listens", || {
        let lines = process.lines();
        let url = lines
            .iter()
            .find_map(|line| line.strip_prefix("listening on http://"));
        addr = url.map(|url| url.parse().unwrap());
        addr.is_some()
    });
    (process, addr.unwrap())
}

// ---- edits ----

/// Edits the gist on another thread. If the service does not answer, the edit is dropped.
pub(crate) fn edit(addr: SocketAddr, edit: Edit) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let _ = edit_now(addr, edit);
    })
}

fn edit_now(addr: SocketAddr, edit: Edit) -> Option<()> {
    match edit {
        Edit::OtherFile => {
            for n in 0..5 {
                tell(addr, "PATCH", &file(OTHER_FILE, &format!("line {n}")));
            }
        }
        Edit::Blank => drop(tell(addr, "PATCH", &file(FILE, "{}"))),
        Edit::ByHand => drop(tell(addr, "PATCH", &file(FILE, &by_hand("somebody", 0)))),
        Edit::HigherByHand => {
            let record: Value = serde_json::from_str(&content(addr)?).ok()?;
            let token = record["leaderTransitions"].as_u64()?;
            tell(addr, "PATCH", &file(FILE, &by_hand("somebody", token + 10)));
        }
        Edit::ClearedByHand => drop(tell(addr, "PATCH", &file(FILE, &by_hand("", 0)))),
        Edit::PasteOld => {
            let old = content(addr)?;
            thread::sleep(OLD);
            tell(addr, "PATCH", &file(FILE, &old));
        }
        Edit::Delete => {
            let body = json!({"files": {FILE: null}});
            tell(addr, "PATCH", &body.to_string());
        }
    }
    Some(())
}

fn file(name: &str, content: &str) -> String {
    json!({"files": {name: {"content": content}}}).to_string()
}

/// Returns a foreign record with a shorter lease than the electors'.
fn by_hand(holder: &str, token: u64) -> String {
    json!({
        "holderIdentity": holder,
        "leaseDurationSeconds": 1,
        "acquireTime": "2026-11-22T10:00:00Z",
        "renewTime": "2026-11-22T10:00:00Z",
        "leaderTransitions": token,
    })
    .to_string()
}

fn content(addr: SocketAddr) -> Option<String> {
    let gist: Value = serde_json::from_str(&tell(addr, "GET", "")?).ok()?;
    Some(gist["files"][FILE]["content"].as_str()?.to_owned())
}

const CLOSE: (&str, &str) = ("Connection", "close");

/// Returns the body of the service's answer, unless it fails or times out.
fn tell(addr: SocketAddr, method: &str, body: &str) -> Option<String> {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [CLOSE, ("Authorization", &bearer)];
    exchange(
        addr,
        &request(method, &format!("/gists/{GIST}"), &headers, body),
    )
}

fn exchange(addr: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}
