//! One elector as a process: settings, signals, output.
//!
//! Other processes of a test (the gist service, another program) use the same types.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use time::OffsetDateTime;

use super::terms::LogLine;
use super::{SECRET, TIMES};
use crate::support::eventually;

/// Process groups of electors that have not been reaped, for [`kill_all_groups`].
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills every process in a separate group, because Ctrl-C does not reach it.
pub fn kill_all_groups() {
    for &group in GROUPS.lock().unwrap().iter() {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

/// Output of an elector on standard error and standard output.
#[derive(Debug)]
pub struct Output {
    name: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    /// Time at which it ended, or was killed or frozen.
    silent_since: Option<OffsetDateTime>,
}

impl Output {
    pub fn lines(&self) -> Vec<String> {
        self.lines_from(0)
    }

    /// Returns the lines after the first `read` ones.
    pub fn lines_from(&self, read: usize) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.lines.get(read..).unwrap_or_default().to_vec()
    }

    /// Returns the lines that belong to an elector's log in JSON.
    pub fn log(&self) -> Vec<LogLine> {
        let lines = self.lines();
        lines
            .iter()
            .filter_map(|line| LogLine::parse(line))
            .collect()
    }

    pub fn silent_since(&self) -> Option<OffsetDateTime> {
        self.state.lock().unwrap().silent_since
    }

    fn fall_silent(&self) {
        let mut state = self.state.lock().unwrap();
        state
            .silent_since
            .get_or_insert_with(OffsetDateTime::now_utc);
    }

    fn add(&self, line: String) {
        self.state.lock().unwrap().lines.push(line);
    }

    pub fn report(&self) -> String {
        let lines = self.lines();
        let shown = lines.iter().map(|line| {
            let shown: String = line.chars().take(400).collect();
            format!("{}> {shown}\n", self.name)
        });
        shown.collect()
    }

    /// Checks what must hold for every output.
    pub fn check(&self) {
        for line in self.lines() {
            assert!(!line.contains(SECRET), "the access token is shown: {line}");
            assert!(
                !line.contains("panicked") && !line.contains("bug of elector"),
                "{line}"
            );
        }
    }
}

/// Treatment of an elector's standard error.
#[derive(Debug, PartialEq, Eq)]
enum Stderr {
    Read,
    /// A pipe that is kept open and never read.
    Unread,
    /// A pipe without a reader.
    Closed,
}

/// Settings of an elector to start.
#[derive(Debug)]
pub struct Start {
    name: String,
    command: Command,
    stderr: Stderr,
    own_group: bool,
}

impl Start {
    /// Creates the settings of `elector run` with the timings of the tests and an empty environment.
    pub fn new(name: &str) -> Start {
        let mut command = Command::new(env!("CARGO_BIN_EXE_elector"));
        command.arg("run");
        Start::of(name, command)
            .with_all(TIMES)
            .with("LEADER_NAME", name)
            // With the prefix it also counts in front of a wrapped program.
            .with("ELECTOR_LOG_FORMAT", "json")
    }

    /// Creates the settings of another program.
    pub fn of(name: &str, mut command: Command) -> Start {
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Start {
            name: name.escape_debug().take(20).collect(),
            command,
            stderr: Stderr::Read,
            own_group: false,
        }
    }

    /// Uses a separate process group, all of which gets each signal.
    pub fn in_own_group(mut self) -> Start {
        self.command.process_group(0);
        self.own_group = true;
        self
    }

    pub fn with_all<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Start {
        let mut start = self;
        for (variable, value) in variables {
            start = start.with(variable, value);
        }
        start
    }

    pub fn with(mut self, variable: &str, value: impl AsRef<OsStr>) -> Start {
        self.command.env(variable, value);
        self
    }

    pub fn without(mut self, variable: &str) -> Start {
        self.command.env_remove(variable);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: &[&str]) -> Start {
        self.command.args(args);
        self
    }

    /// Wraps this program.
    pub fn running(self, command: &[&str]) -> Start {
        self.args(&["--"]).args(command)
    }

    /// Starts it through this launcher.
    pub fn under(mut self, launcher: &[&str]) -> Start {
        let mut command = Command::new(launcher[0]);
        command.args(&launcher[1..]).arg(self.command.get_program());
        command.args(self.command.get_args());
        command.env_clear();
        for (variable, value) in self.command.get_envs() {
            command.env(variable, value.unwrap_or_default());
        }
        self.command = command;
        self.command.stdin(Stdio::null()).stdout(Stdio::piped());
        self
    }

    /// Sets its standard input.
    pub fn reading(mut self, from: impl Into<Stdio>) -> Start {
        self.command.stdin(from);
        self
    }

    pub fn with_unread_stderr(mut self) -> Start {
        self.stderr = Stderr::Unread;
        self
    }

    pub fn with_closed_stderr(mut self) -> Start {
        self.stderr = Stderr::Closed;
        self
    }

    pub fn spawn(mut self) -> Elector {
        let (read, write) = std::io::pipe().unwrap();
        let mut child = self.command.stderr(write).spawn().unwrap();
        let own_group = self.own_group.then(|| pid(&child));
        GROUPS.lock().unwrap().extend(own_group);
        // The command keeps the writing end until it is dropped.
        drop(self.command);
        let output = Arc::new(Output {
            name: self.name,
            state: Mutex::default(),
        });
        let out = child.stdout.take().unwrap();
        let mut readers = vec![read_lines(out, Arc::clone(&output))];
        let mut unread = None;
        match self.stderr {
            Stderr::Read => readers.push(read_lines(read, Arc::clone(&output))),
            Stderr::Unread => unread = Some(read),
            Stderr::Closed => drop(read),
        }
        Elector {
            child,
            output,
            readers,
            unread,
            own_group,
        }
    }
}

fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

fn read_lines(from: impl Read + Send + 'static, output: Arc<Output>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while let Ok(1..) = from.read_until(b'\n', &mut line) {
            output.add(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    })
}

/// A running elector. It does not outlive its test.
#[derive(Debug)]
pub struct Elector {
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
    unread: Option<std::io::PipeReader>,
    own_group: Option<i32>,
}

impl Elector {
    pub fn output(&self) -> Arc<Output> {
        Arc::clone(&self.output)
    }

    // ---- its output ----

    pub fn lines(&self) -> Vec<String> {
        self.output.lines()
    }

    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    pub fn count_text(&self, text: &str) -> usize {
        let lines = self.lines();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    pub fn has_text(&self, text: &str) -> bool {
        self.count_text(text) > 0
    }

    pub fn await_text(&self, text: &str) {
        self.await_text_times(text, 1);
    }

    pub fn await_text_times(&self, text: &str, times: usize) {
        eventually(&format!("it prints {text:?} {times} times"), || {
            self.count_text(text) >= times
        });
    }

    // ---- its log ----

    pub fn log(&self) -> Vec<LogLine> {
        self.output.log()
    }

    pub fn count_logged(&self, event: &str) -> usize {
        let log = self.log();
        log.iter().filter(|line| line.event() == event).count()
    }

    pub fn has_logged(&self, event: &str) -> bool {
        self.count_logged(event) > 0
    }

    pub fn await_logged(&self, event: &str) {
        eventually(&format!("it logs {event}"), || self.has_logged(event));
    }

    /// Returns the last line with this event.
    pub fn last_logged(&self, event: &str) -> LogLine {
        let mut log = self.log();
        log.retain(|line| line.event() == event);
        log.pop()
            .unwrap_or_else(|| panic!("{event} was not logged:\n{}", self.text()))
    }

    /// Returns whether it has observed this leader.
    pub fn has_observed(&self, holder: &str) -> bool {
        let log = self.log();
        let mut leaders = log.iter().filter(|line| line.event() == "new_leader");
        leaders.any(|line| line.text("leader") == holder)
    }

    pub fn await_observed(&self, holder: &str) {
        eventually(&format!("it observes {holder:?} as leader"), || {
            self.has_observed(holder)
        });
    }

    pub fn await_observed_term(&self, holder: &str, fencing_token: u64) {
        eventually(
            &format!("it observes term {fencing_token} of {holder:?}"),
            || {
                let log = self.log();
                let mut leaders = log.iter().filter(|line| line.event() == "new_leader");
                leaders.any(|line| {
                    line.text("leader") == holder && line.fencing_token() == Some(fencing_token)
                })
            },
        );
    }

    /// Returns the fencing token of the present term, by its log.
    pub fn leads(&self) -> Option<u64> {
        let log = self.log();
        let last = log
            .iter()
            .rfind(|line| ["started_leading", "workload_stopped"].contains(&line.event()))?;
        let leads = last.event() == "started_leading";
        leads.then(|| last.fencing_token().expect("a term has a fencing token"))
    }

    pub fn await_leading(&self) -> u64 {
        let mut token = None;
        eventually("it leads", || {
            token = self.leads();
            token.is_some()
        });
        token.unwrap()
    }

    pub fn await_not_leading(&self) {
        eventually("it does not lead any more", || self.leads().is_none());
    }

    // ---- signals and exit ----

    pub fn signal(&self, signal: Signal) {
        match self.own_group {
            Some(group) => killpg(Pid::from_raw(group), signal).unwrap(),
            None => kill(Pid::from_raw(pid(&self.child)), signal).unwrap(),
        }
    }

    pub fn pid(&self) -> i32 {
        pid(&self.child)
    }

    /// Kills its processes, and reaps it.
    fn kill_all(&mut self) {
        // It may have ended already.
        if self.status().is_some() {
            return;
        }
        if let Some(group) = self.own_group {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.forget_group();
    }

    /// Returns its exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap();
        if status.is_some() {
            self.forget_group();
        }
        status
    }

    /// Forgets the group of a reaped process, because its id may be reused.
    fn forget_group(&mut self) {
        if let Some(group) = self.own_group.take() {
            GROUPS.lock().unwrap().remove(&group);
        }
    }

    /// Sends SIGSTOP.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        self.output.fall_silent();
    }

    /// Sends SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.kill_all();
        self.end();
    }

    fn end(&mut self) {
        self.output.fall_silent();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }

    /// Returns the names of its threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let names = tasks.flatten().map(|task| task.path().join("comm"));
        let names = names.filter_map(|comm| std::fs::read_to_string(comm).ok());
        names.map(|name| name.trim_end().to_owned()).collect()
    }

    pub fn is_running(&mut self) -> bool {
        self.status().is_none()
    }

    /// Waits until it has ended, and returns its exit code.
    pub fn await_exit(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("it ends", || {
            status = self.status();
            status.is_some()
        });
        self.end();
        status.unwrap().code()
    }

    /// Sends SIGTERM, and checks that it exits with 0.
    pub fn leave(&mut self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.await_exit(), Some(0), "{}", self.text());
    }

    /// Reads the pipe that was not read so far.
    pub fn read_at_last(&mut self) {
        if let Some(unread) = self.unread.take() {
            self.readers
                .push(read_lines(unread, Arc::clone(&self.output)));
        }
    }
}

impl Drop for Elector {
    fn drop(&mut self) {
        // SIGKILL ends a frozen process too.
        self.kill_all();
        self.read_at_last();
        self.output.fall_silent();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

/// Returns a setting that is not UTF-8.
pub fn bytes(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}
