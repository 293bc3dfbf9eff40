//! A guard with its workload, where the test plays the elector.
//!
//! Every process of a [`Trial`] has a mark in its environment, wherever it hides. When the guard says
//! that nothing is left, there must be no process with that mark.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use elector::election::time::Instant;
use elector::system::clock::BootClock;
use elector::workload::message::{FromGuard, LineBuffer, ToGuard};
use elector::workload::process::procfs::{Process, all_processes};
use elector::workload::process::{ControlPipe, GuardProcess, spawn_guard};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::PATIENCE;

/// A time that no test lives to see.
pub const LONG: Duration = Duration::from_secs(600);

/// Between TERM and KILL, where nothing should need a KILL.
pub const GRACE: Duration = Duration::from_secs(120);

/// Between TERM and KILL, where a KILL is to come.
pub const SHORT_GRACE: Duration = Duration::from_millis(300);

pub const ELECTOR: &str = env!("CARGO_BIN_EXE_elector");

/// What marks the processes of a trial.
const MARK: &str = "ELECTOR_GUARD_TRIAL";

pub fn in_time(time: Duration) -> Instant {
    BootClock::now() + time
}

/// Looks again and again until then: something must not happen.
#[track_caller]
pub fn never_until(then: Instant, what: &str, mut is_so: impl FnMut() -> bool) {
    while BootClock::now() < then {
        assert!(!is_so(), "it came to be: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a process, but not while a guard is being started by another test: it would inherit the pipes
/// of that.
pub fn start(command: &mut Command) -> Child {
    let _one_at_a_time = STARTS.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap()
}

/// Runs a process to its end.
pub fn output(command: &mut Command) -> Output {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    start(command).wait_with_output().unwrap()
}

static STARTS: Mutex<()> = Mutex::new(());

/// A folder of a test's own, removed with it.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        // Not in /tmp, from which some systems execute nothing.
        Folder(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What stands in a file; nothing if there is none.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// A file that can be executed.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        // Not held open by a process that another test starts in this moment: it would be busy.
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

/// What a guard is to be started with.
pub struct Setup {
    pub program: PathBuf,
    pub command: Vec<OsString>,
    pub environment: Vec<(OsString, Option<OsString>)>,
    pub stdin: Stdio,
    pub grace: Duration,
}

impl Setup {
    pub fn of(command: &[&str]) -> Setup {
        Setup {
            program: ELECTOR.into(),
            command: command.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            stdin: Stdio::null(),
            grace: GRACE,
        }
    }

    /// A shell script, which runs in `$DIR`.
    pub fn sh(script: &str) -> Setup {
        let script = format!("cd \"$DIR\"\n{script}");
        Setup::of(&["sh", "-c", &script])
    }

    pub fn grace(mut self, grace: Duration) -> Setup {
        self.grace = grace;
        self
    }

    /// The guard is started by this shell script, with `exec "$@"` in it.
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

    /// Starts it with a long time.
    pub fn run(self) -> Trial {
        let mut trial = self.spawn();
        trial.begin(LONG);
        trial
    }
}

/// What all processes of a trial have in their environment: the path of its folder.
pub struct Mark(pub String);

impl Mark {
    /// The processes that live.
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

    /// How many of them are stopped.
    pub fn stopped(&self) -> usize {
        let stats = self.living().into_iter().map(|process| {
            let path = format!("/proc/{}/stat", process.pid);
            fs::read_to_string(path).unwrap_or_default()
        });
        stats.filter(|stat| stat.contains(") T ")).count()
    }

    /// Kills what is left.
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

/// A guard and its workload.
pub struct Trial {
    pub pid: i32,
    /// CMD, once it was started.
    pub command: i32,
    pub folder: Folder,
    control: Option<ControlPipe>,
    report: io::PipeReader,
    lines: LineBuffer,
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
        );
        drop(one_at_a_time);
        let GuardProcess {
            pid,
            control,
            report,
        } = guard.unwrap();
        Trial {
            pid,
            command: 0,
            folder,
            control: Some(control),
            report,
            lines: LineBuffer::new(),
            mark,
            reaped: false,
        }
    }

    /// Starts CMD.
    #[track_caller]
    pub fn begin(&mut self, time: Duration) -> Instant {
        let until = in_time(time);
        self.send(ToGuard::ValidUntil(until));
        match self.next_report() {
            Some(FromGuard::Started(pid)) => self.command = pid,
            other => panic!("it was not started: {other:?}"),
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

    /// As the end of an elector does.
    pub fn disconnect(&mut self) {
        self.control = None;
    }

    /// What the guard says next; none at the end of it.
    #[track_caller]
    pub fn next_report(&mut self) -> Option<FromGuard> {
        let deadline = in_time(PATIENCE);
        let mut bytes = [0; 100];
        loop {
            if let Some(line) = self.lines.next_line() {
                return Some(FromGuard::parse(&line.unwrap()).unwrap());
            }
            let mut fds = [PollFd::new(self.report.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(1_000_u16)).unwrap();
            assert!(BootClock::now() < deadline, "the guard says nothing");
            if ready == 0 {
                continue;
            }
            match self.report.read(&mut bytes).unwrap() {
                0 => return None,
                read => self.lines.push(&bytes[..read]),
            }
        }
    }

    /// Waits until CMD itself has ended, by itself or because it was told to.
    #[track_caller]
    pub fn await_exit(&mut self) -> i32 {
        match self.next_report() {
            Some(FromGuard::Exited(code) | FromGuard::Terminated(code)) => code,
            other => panic!("it did not end: {other:?}"),
        }
    }

    /// Waits until the guard says that nothing is left, looks whether that is so, and sees the guard's
    /// own end.
    #[track_caller]
    pub fn await_gone(&mut self) -> Option<i32> {
        let code = match self.next_report() {
            Some(FromGuard::WorkloadStopped(code)) => code,
            other => panic!("it is not gone: {other:?}"),
        };
        let left: Vec<Process> = self
            .living()
            .into_iter()
            .filter(|process| process.pid != self.pid)
            .collect();
        assert_eq!(left, [], "it said that nothing was left");
        assert_eq!(self.next_report(), None);
        assert_eq!(self.reap(), 0, "the guard's own exit code");
        code
    }

    /// Waits until CMD has ended and nothing is left, and says with which code.
    #[track_caller]
    pub fn await_end(&mut self) -> i32 {
        let code = self.await_exit();
        assert_eq!(self.await_gone(), Some(code));
        code
    }

    /// Waits until the guard itself has ended; 128 + n when a signal killed it.
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

    /// The processes of this trial that live, with the guard.
    pub fn living(&self) -> Vec<Process> {
        self.mark.living()
    }

    /// Waits until a file of the folder holds this.
    #[track_caller]
    pub fn await_text(&self, name: &str, text: &str) {
        let deadline = in_time(PATIENCE);
        while self.folder.read(name) != text {
            assert!(
                BootClock::now() < deadline,
                "{name} holds {:?}, not {text:?}",
                self.folder.read(name)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// There was a guard, and it has been reaped by somebody else.
    pub fn forget(mut self) {
        self.reaped = true;
    }

    /// Kills whatever is left, for a test that has failed or has no more use for it.
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
        assert!(self.reaped, "the test leaves its guard behind");
        assert_eq!(self.living(), [], "the test leaves processes behind");
    }
}

/// Runs the rest of a test in a process of its own, where nothing else has children: call it first,
/// with the test's own name, and go on if it returns true.
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
    assert!(out.contains("1 passed"), "there is no test {test}: {out}");
    false
}
