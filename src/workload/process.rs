//! Processes: the start of a guard, reaping, and the end of everything below this process.
//!
//! This file owns the elector's way to a guard: its start, and the two pipes. What both need, the
//! elector and the guard, is below it: [`reaping`] and [`descendants`].
//!
//! ```text
//!   elector ──► guard ──► exec-workload, which becomes CMD ──► what CMD starts
//!      ▲          ▲                                                  │
//!      │          └───────────── orphans, while the guard lives ─────┤
//!      └──────────────────────── orphans, when it is dead ───────────┘
//! ```
//!
//! Both are subreapers: whose parent dies becomes the child of the nearest one above, so that
//! nothing gets out from below.

pub mod descendants;
pub mod reaping;

use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::prctl;

use super::message::ToGuard;

/// This program itself, also when its file was moved or replaced since.
pub const SELF: &str = "/proc/self/exe";

/// The hidden command that is a guard: `guard-workload CONTROL_FD REPORT_FD GRACE_NANOS -- CMD`.
pub const GUARD_COMMAND: &str = "guard-workload";

/// The hidden command that becomes CMD: `exec-workload GUARD_PID UNTIL_NANOS -- CMD`.
pub const EXEC_COMMAND: &str = "exec-workload";

/// What a list of processes shows for a guard, in place of the program's path.
const GUARD_NAME: &str = "elector-guard";

/// A command that becomes `program`, and that the kernel kills when the thread which started it ends.
#[must_use]
pub fn dies_with_parent(program: &Path) -> Command {
    let mut command = Command::new(SELF);
    command
        .arg(EXEC_COMMAND)
        .arg(std::process::id().to_string())
        // No time limits it.
        .arg(u64::MAX.to_string())
        .arg("--")
        .arg(program);
    command
}

/// The guard reads 64 bits of nanoseconds.
const LONGEST_GRACE: Duration = Duration::from_nanos(u64::MAX);

/// A guard that was started.
#[derive(Debug)]
pub struct GuardProcess {
    /// Its process, a child of this one. It is to be reaped by [`reaping::reap_all`].
    pub pid: i32,
    /// Where it is told what to do. Dropping it ends the workload.
    pub control: Control,
    /// Where it says what happened: lines, see [`FromGuard`](super::message::FromGuard). The end of
    /// it is the guard's end. Reading blocks.
    pub report: PipeReader,
}

/// The pipe to a guard.
#[derive(Debug)]
pub struct Control(PipeWriter);

impl Control {
    /// Tells it that. Never blocks.
    ///
    /// # Errors
    /// `BrokenPipe` when the guard is gone; `WouldBlock` when it has not read for thousands of
    /// messages.
    pub fn send(&mut self, message: ToGuard) -> io::Result<()> {
        // A line is far shorter than what a pipe takes whole or not at all.
        (&self.0).write_all(message.to_line().as_bytes())
    }
}

/// For a poll: writable unless the guard has not read for long.
impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes this process the one that orphans below it fall to.
///
/// # Errors
/// When the system knows no such thing (Linux does since 3.4).
pub fn become_subreaper() -> io::Result<()> {
    prctl::set_child_subreaper(true)
        .map_err(|error| refused("adopt what the program leaves behind", error))
}

/// Keeps this process's environment and memory, and the token in them, from others of its user: the
/// program is one.
///
/// # Errors
/// When the system knows no such thing.
pub fn become_undumpable() -> io::Result<()> {
    prctl::set_dumpable(false).map_err(|error| refused("keep its memory from the program", error))
}

/// Emulators of other processors, for one, know not all that may be asked.
fn refused(what: &str, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    let told = format!("the system does not let the elector {what}: {error}");
    io::Error::new(error.kind(), told)
}

/// Starts a guard for `command`, which runs once the guard is told until when.
///
/// `program` is this program ([`SELF`]). `environment` is what changes in the environment that this
/// process has: set, or removed. `stdin` is CMD's; standard output and error are this process's.
/// Between TERM and KILL there is `grace`, when the time is up or this process is gone.
///
/// Start it on the thread that reaps, while no other thread starts processes: they would inherit the
/// guard's ends of the pipes.
///
/// # Errors
/// When there are no pipes or processes left, or `/proc` is not there.
pub fn spawn_guard(
    program: &Path,
    command: &[OsString],
    environment: &[(OsString, Option<OsString>)],
    stdin: Stdio,
    grace: Duration,
) -> io::Result<GuardProcess> {
    let (control_end, control) = io::pipe()?;
    let (report, report_end) = io::pipe()?;
    // A guard that is stopped must not stop this process.
    fcntl(&control, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut guard = Command::new(program);
    guard
        .arg0(GUARD_NAME)
        .arg(GUARD_COMMAND)
        .arg(control_end.as_raw_fd().to_string())
        .arg(report_end.as_raw_fd().to_string())
        .arg(grace.min(LONGEST_GRACE).as_nanos().to_string())
        .arg("--")
        .args(command)
        .stdin(stdin)
        // What a terminal sends to all in front of it is this process's to pass on.
        .process_group(0);
    for (name, value) in environment {
        match value {
            Some(value) => guard.env(name, value),
            None => guard.env_remove(name),
        };
    }
    leave_open(&control_end)?;
    leave_open(&report_end)?;
    let child = guard.spawn()?;
    Ok(GuardProcess {
        pid: child.id().cast_signed(),
        control: Control(control),
        report,
    })
}

/// Lets what is started next inherit it. It is closed here right after.
fn leave_open(end: &impl AsFd) -> io::Result<()> {
    fcntl(end, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}
