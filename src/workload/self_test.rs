//! Test of this system before a candidate runs for election: can a guard start a program here, and find and
//! kill its processes?
//!
//! `/proc` may be missing or show other processes, and a seccomp profile may forbid a system call. Without
//! this test, that would show only once the candidate leads, at every candidate in turn.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::message::{FromGuard, LONGEST_LINE, LineBuffer, ToGuard};
use super::process::{GuardProcess, SELF, TEST_COMMAND, procfs, spawn_guard};
use crate::election::time::Instant;
use crate::system::clock::BootClock;

/// Longest duration of the test. It takes milliseconds unless the machine is overloaded.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Argument of the process that the program of the test leaves behind.
const WAIT: &str = "wait";

/// Runs as the program of the test. Without arguments, it starts another process and leaves it behind.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    if args.first().is_some_and(|arg| arg == WAIT) {
        thread::sleep(TIMEOUT);
        return ExitCode::FAILURE;
    }
    match Command::new(SELF).args([TEST_COMMAND, WAIT]).spawn() {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Lets a guard start a program, and kill the process that it leaves behind. Call this before another child
/// starts, on the thread that starts guards.
///
/// # Errors
/// Returns an error that says what is missing.
pub fn check_guard() -> Result<(), String> {
    procfs::check_mounted()?;
    run_guard().map_err(|problem| {
        format!(
            "guard of the wrapped program: self-test failed: {problem}; check that {SELF} can be executed \
             and that the seccomp profile allows signalfd, timerfd, prctl, waitid and kill"
        )
    })
}

fn run_guard() -> Result<(), String> {
    let command = [SELF.into(), TEST_COMMAND.into()];
    let deadline = BootClock::now() + TIMEOUT;
    let guard = spawn_guard(
        Path::new(SELF),
        &command,
        &[],
        Stdio::null(),
        Duration::ZERO,
        None,
    );
    let mut guard = guard.map_err(|error| format!("cannot be started: {error}"))?;
    let result = await_end(&mut guard, deadline);
    let pid = Pid::from_raw(guard.pid);
    if result.is_err() {
        // The program dies with it.
        let _ = kill(pid, Signal::SIGKILL);
    }
    drop(guard);
    // Its exit code says no more than its last report.
    let _ = waitpid(pid, None);
    result
}

/// Lets the guard start the program, and waits until nothing of it is left.
fn await_end(guard: &mut GuardProcess, deadline: Instant) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    let start = guard.control.send(ToGuard::ValidUntil(deadline));
    start.map_err(failed)?;
    let mut lines = LineBuffer::default();
    let mut bytes = [0; LONGEST_LINE];
    let mut found = false;
    while BootClock::now() < deadline {
        while let Some(line) = lines.next_line() {
            let report = line.and_then(|line| FromGuard::parse(&line));
            match report.map_err(|error| error.to_string())? {
                FromGuard::LeftBehind { .. } => found = true,
                FromGuard::WorkloadStopped(Some(0)) if found => return Ok(()),
                FromGuard::WorkloadStopped(Some(0)) => {
                    return Err("a process of its program is not visible in /proc".to_owned());
                }
                FromGuard::Exited(code) if code != 0 => {
                    return Err(format!("its program exited with code {code}"));
                }
                _ => {}
            }
        }
        let left = deadline.since(BootClock::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(guard.report.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, timeout).map_err(|error| failed(error.into()))? == 1 {
            match guard.report.read(&mut bytes).map_err(failed)? {
                0 => return Err("the guard has ended".to_owned()),
                read => lines.push(&bytes[..read]),
            }
        }
    }
    Err(format!("no answer within {TIMEOUT:?}"))
}
