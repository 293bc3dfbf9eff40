//! A guard with its workload, where the test takes the role of the elector.
//!
//! Every process of a [`Trial`] has a mark in its environment. When the guard reports the end of the
//! workload, no process may have that mark.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use elector::workload::message::{FromGuard, LineBuffer, ToGuard};
use elector::workload::process::procfs::{Process, all_processes};
use elector::workload::process::{ControlPipe, GuardProcess, spawn_guard};
use elector::workload::state_file::StateFile;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::PATIENCE;

/// Deadline that no test reaches.
pub const LONG: Duration = Duration::from_secs(600);

/// Grace of tests that need no KILL.
pub const GRACE: Duration = Duration::from_secs(120);

/// Grace of tests that expect KILL.
pub const SHORT_GRACE: Duration = Duration::from_millis(300);

pub const ELECTOR: &str = env!("CARGO_BIN_EXE_elector");

/// Variable that marks the processes of a trial.
const MARK: &str = "ELECTOR_GUARD_TRIAL";

pub fn from_now(time: Duration) -> Instant {
    BootClock::now() + time
}

/// Asserts that `condition` does not hold until `then`.
#[track_caller]
pub fn never_until(then: Instant, what: &str, mut condition: impl FnMut() -> bool) {
    while BootClock::now() < then {
        assert!(!condition(), "unexpected: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a process. Not while another test starts a guard, because the process would inherit the guard's
/// pipes.
pub fn start(command: &mut Command) -> Child {
    let _one_at_a_time = STARTS.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap()
}

/// Runs a process until it exits.
pub fn output(command: &mut Command) -> Output {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    start(command).wait_with_output().unwrap()
}

static STARTS: Mutex<()> = Mutex::new(());

/// A temporary folder.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        // Not in /tmp, because some systems mount it noexec.
        Folder(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns the content of a file, or an empty text if it does not exist.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Creates an executable file.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        // Written by a child, because a process that another test starts could inherit the open file, which
        // then could not be executed.
        let mut write = Command::new("sh");
        write
            .args(["-c", "printf %s \"$1\" > \"$0\""])
            .arg(&path)
            .arg(text);
        assert!(start(&mut write).wait().unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// Options of a guard.
pub struct Setup {
    pub program: PathBuf,
    pub command: Vec<OsString>,
    pub environment: Vec<(OsString, Option<OsString>)>,
    pub stdin: Stdio,
    pub grace: Duration,
    pub state: Option<Arc<StateFile>>,
}

impl Setup {
    pub fn of(command: &[&str]) -> Setup {
        Setup {
            program: ELECTOR.into(),
            command: command.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            stdin: Stdio::null(),
            grace: GRACE,
            state: None,
        }
    }

    /// Runs a shell script in `$DIR`.
    pub fn sh(script: &str) -> Setup {
        let script = format!("cd \"$DIR\"\n{script}");
        Setup::of(&["sh", "-c", &script])
    }

    pub fn grace(mut self, grace: Duration) -> Setup {
        self.grace = grace;
        self
    }

    /// Starts the guard by this shell script, which must contain `exec "$@"`.
    pub fn through(mut self, folder: &Folder, script: &str) -> Setup {
        let text = format!("#!/bin/sh\nset -- '{ELECTOR}' \"$@\"\n{script}\n");
        self.program = folder.script("start-guard", &text);
        self
    }

    pub fn spawn(self) -> Trial {
        Trial::spawn(self, Folder::new())
    }

    pub fn spawn_in(self, folder: Folder) -> Trial {
        Trial::spawn(self, folder)
    }

    /// Starts the program with a deadline that no test reaches.
    pub fn run(self) -> Trial {
        let mut trial = self.spawn();
        trial.begin(LONG);
        trial
    }
}

/// Mark in the environment of a trial's processes: the path of its folder.
pub struct Mark(pub String);

impl Mark {
    /// Returns the living processes with this mark.
    pub fn living(&self) -> Vec<Process> {
        let mark = format!("{MARK}={}", self.0);
        let all = all_processes().unwrap();
        let own = |process: &Process| {
            let environment = fs::read(format!("/proc/{}/environ", process.pid));
            let environment = environment.unwrap_or_default();
            let mut variables = environment.split(|&byte| byte == 0);
            variables.any(|variable| variable == mark.as_bytes())
        };
        all.into_iter()
            .filter(|process| !process.is_zombie && own(process))
            .collect()
    }

    /// Returns how many of them are suspended.
    pub fn suspended(&self) -> usize {
        let stats = self.living().into_iter().map(|process| {
            let path = format!("/proc/{}/stat", process.pid);
            fs::read_to_string(path).unwrap_or_default()
        });
        stats.filter(|stat| stat.contains(") T ")).count()
    }

    /// Kills all processes with this mark.
    pub fn clear(&self) {
        loop {
            let left = self.living();
            if left.is_empty() {
                return;
            }
            for process in left {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
        }
    }
}

/// Returns whether a report is only for the log.
fn is_note(report: FromGuard) -> bool {
    matches!(
        report,
        FromGuard::Suspended(_) | FromGuard::Continued | FromGuard::LeftBehind { .. }
    )
}

/// A guard and its workload.
pub struct Trial {
    pub pid: i32,
    /// Process id of the program, once it was started.
    pub program: i32,
    pub folder: Folder,
    control: Option<ControlPipe>,
    report: io::PipeReader,
    lines: LineBuffer,
    /// Reports that are only for the log.
    pub notes: Vec<FromGuard>,
    pub mark: Mark,
    reaped: bool,
}

impl Trial {
    fn spawn(mut setup: Setup, folder: Folder) -> Trial {
        let mark = Mark(folder.path().display().to_string());
        let mut add = |name: &str, value: OsString| {
            setup.environment.push((name.into(), Some(value)));
        };
        add(MARK, mark.0.clone().into());
        add("DIR", folder.path().into());
        let one_at_a_time = STARTS.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = spawn_guard(
            &setup.program,
            &setup.command,
            &setup.environment,
            setup.stdin,
            setup.grace,
            setup.state.as_deref(),
        );
        drop(one_at_a_time);
        let GuardProcess {
            pid,
            control,
            report,
        } = guard.unwrap();
        Trial {
            pid,
            program: 0,
            folder,
            control: Some(control),
            report,
            lines: LineBuffer::default(),
            notes: Vec::new(),
            mark,
            reaped: false,
        }
    }

    /// Starts the program, with a deadline after `time`.
    #[track_caller]
    pub fn begin(&mut self, time: Duration) -> Instant {
        let until = from_now(time);
        self.send(ToGuard::ValidUntil(until));
        match self.next_report() {
            Some(FromGuard::Started(pid)) => self.program = pid,
            other => panic!("not started: {other:?}"),
        }
        until
    }

    #[track_caller]
    pub fn send(&mut self, message: ToGuard) {
        self.control.as_mut().unwrap().send(message).unwrap();
    }

    pub fn control(&mut self) -> &mut ControlPipe {
        self.control.as_mut().unwrap()
    }

    pub fn stop(&mut self, signal: Signal, kill_at: Instant) {
        let signal = signal as i32;
        self.send(ToGuard::Stop { signal, kill_at });
    }

    /// Returns whether [`disconnect`](Self::disconnect) has not been called.
    pub fn is_connected(&self) -> bool {
        self.control.is_some()
    }

    /// Closes the control pipe, as the end of an elector does.
    pub fn disconnect(&mut self) {
        self.control = None;
    }

    /// Waits for the guard's next report that is not a note. Returns `None` if it has exited.
    #[track_caller]
    pub fn next_report(&mut self) -> Option<FromGuard> {
        loop {
            let report = self.read_report();
            if report.is_none_or(|report| !is_note(report)) {
                return report;
            }
        }
    }

    /// Waits until this note is reported.
    #[track_caller]
    pub fn await_note(&mut self, note: FromGuard) {
        assert_eq!(self.read_report(), Some(note));
    }

    #[track_caller]
    fn read_report(&mut self) -> Option<FromGuard> {
        let deadline = from_now(PATIENCE);
        let mut bytes = [0; 100];
        loop {
            if let Some(line) = self.lines.next_line() {
                let report = FromGuard::parse(&line.unwrap()).unwrap();
                self.notes
                    .extend(Some(report).filter(|report| is_note(*report)));
                return Some(report);
            }
            let mut fds = [PollFd::new(self.report.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(1_000_u16)).unwrap();
            assert!(
                BootClock::now() < deadline,
                "timeout: no report of the guard"
            );
            if ready == 0 {
                continue;
            }
            match self.report.read(&mut bytes).unwrap() {
                0 => return None,
                read => self.lines.push(&bytes[..read]),
            }
        }
    }

    /// Waits until the program has exited, and returns its exit code.
    #[track_caller]
    pub fn await_exit(&mut self) -> i32 {
        match self.next_report() {
            Some(FromGuard::Exited(code) | FromGuard::Terminated(code)) => code,
            other => panic!("no exit: {other:?}"),
        }
    }

    /// Waits until the guard reports the end of the workload. Asserts that no process is left, and that the
    /// guard exits.
    #[track_caller]
    pub fn await_workload_stopped(&mut self) -> Option<i32> {
        let code = match self.next_report() {
            Some(FromGuard::WorkloadStopped(code)) => code,
            other => panic!("workload has not stopped: {other:?}"),
        };
        let left: Vec<Process> = self
            .living()
            .into_iter()
            .filter(|process| process.pid != self.pid)
            .collect();
        assert_eq!(left, [], "processes left");
        assert_eq!(self.next_report(), None);
        assert_eq!(self.reap(), 0, "exit code of the guard");
        code
    }

    /// Waits until the whole workload has stopped, and returns the program's exit code.
    #[track_caller]
    pub fn await_end(&mut self) -> i32 {
        let code = self.await_exit();
        assert_eq!(self.await_workload_stopped(), Some(code));
        code
    }

    /// Waits until the guard has exited, and returns its exit code, or 128+n if signal n killed it.
    #[track_caller]
    pub fn reap(&mut self) -> i32 {
        self.reaped = true;
        match waitpid(Pid::from_raw(self.pid), None).unwrap() {
            WaitStatus::Exited(_, code) => code,
            WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
            other => panic!("{other:?}"),
        }
    }

    pub fn signal_guard(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).unwrap();
    }

    /// Returns the living processes of this trial, including the guard.
    pub fn living(&self) -> Vec<Process> {
        self.mark.living()
    }

    /// Waits until a file in the folder has this content.
    #[track_caller]
    pub fn await_text(&self, name: &str, text: &str) {
        let deadline = from_now(PATIENCE);
        while self.folder.read(name) != text {
            assert!(
                BootClock::now() < deadline,
                "{name} holds {:?}, not {text:?}",
                self.folder.read(name)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Drops the trial of a guard that was reaped elsewhere.
    pub fn forget(mut self) {
        self.reaped = true;
    }

    /// Kills the guard and the workload.
    pub fn clear(&mut self) {
        if !self.reaped {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
            self.reap();
        }
        self.mark.clear();
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.clear();
            return;
        }
        assert!(self.reaped, "the guard was not reaped");
        assert_eq!(self.living(), [], "processes left");
    }
}

/// Runs a test in a separate process, where nothing else has children. Call it first, with the test's name,
/// and continue if it returns true.
pub fn alone(test: &str) -> bool {
    const ALONE: &str = "ELECTOR_GUARD_ALONE";
    if env::var(ALONE).as_deref() == Ok(test) {
        return true;
    }
    let output = output(
        Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(ALONE, test),
    );
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "no such test: {test}: {out}");
    false
}
