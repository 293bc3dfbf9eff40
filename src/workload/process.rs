//! Start of a guard, the two pipes to it, and the process tree below the elector.
//!
//! ```text
//!   elector ──► guard ──► exec-workload, which becomes the program ──► its children
//!      ▲          ▲                                                        │
//!      │          └───────────── orphans, while the guard lives ───────────┤
//!      └──────────────────────── orphans, after its death ─────────────────┘
//! ```
//!
//! Both are subreapers: an orphan becomes a child of the nearest one above it, so that no process leaves
//! the tree. Elector and guard share [`reaping`] and [`descendants`].

pub mod descendants;
pub mod procfs;
pub mod reaping;

use std::ffi::{CStr, OsStr, OsString};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::prctl;

use super::message::ToGuard;
use super::state_file::StateFile;

/// Path of this program, even if its file was moved or replaced since it started.
pub const SELF: &str = "/proc/self/exe";

/// Hidden command of a guard: `guard-workload CONTROL_FD REPORT_FD STATE_FD GRACE_NANOS -- CMD`. `STATE_FD`
/// is 0 without a state file.
pub const GUARD_COMMAND: &str = "guard-workload";

/// Hidden command that becomes the program: `exec-workload GUARD_PID STATE_FD VALID_UNTIL_NANOS -- CMD`.
pub const EXEC_COMMAND: &str = "exec-workload";

/// Hidden command of the program in the [self-test](super::self_test).
pub const TEST_COMMAND: &str = "test-workload";

/// Name of a guard in `ps` and `top`; at most 15 bytes.
pub(super) const GUARD_NAME: &CStr = c"elector-guard";

/// Exit code for wrong usage.
const USAGE: u8 = 2;

/// Longest grace that a guard accepts: 64 bits of nanoseconds.
const LONGEST_GRACE: Duration = Duration::from_nanos(u64::MAX);

/// Reports that a hidden command was called by hand, and returns the exit code.
pub(super) fn refuse_manual_use(command: &str) -> ExitCode {
    let _ = writeln!(
        io::stderr(),
        "elector: `{command}`: for internal use only; use `elector run -- CMD`"
    );
    ExitCode::from(USAGE)
}

/// Returns a command that becomes `program`, and that the kernel kills if the thread that started it ends.
#[must_use]
pub fn dies_with_parent(program: &Path) -> Command {
    let mut command = Command::new(SELF);
    command
        .arg(EXEC_COMMAND)
        .arg(std::process::id().to_string())
        // No state file.
        .arg("0")
        // No deadline.
        .arg(u64::MAX.to_string())
        .arg("--")
        .arg(program);
    command
}

/// A running guard.
#[derive(Debug)]
pub struct GuardProcess {
    /// Process id. The guard is a child of this process: reap it by [`reaping::reap_exited`].
    pub pid: i32,
    /// Pipe to the guard. Dropping it ends the workload.
    pub control: ControlPipe,
    /// Pipe from the guard, with lines of [`FromGuard`](super::message::FromGuard). It ends with the
    /// guard. Reading blocks.
    pub report: PipeReader,
}

/// Pipe from the elector to a guard.
#[derive(Debug)]
pub struct ControlPipe(PipeWriter);

impl ControlPipe {
    /// Sends a message without blocking.
    ///
    /// # Errors
    /// Returns `BrokenPipe` if the guard has ended, or `WouldBlock` if thousands of messages are unread.
    pub fn send(&mut self, message: ToGuard) -> io::Result<()> {
        // A line is shorter than what the kernel writes to a pipe atomically.
        (&self.0).write_all(message.to_line().as_bytes())
    }
}

/// For `poll`: writable unless the pipe is full.
impl AsFd for ControlPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes this process the parent of all orphans below it.
///
/// # Errors
/// Returns an error if the system does not support this (Linux does since 3.4).
pub fn become_subreaper() -> io::Result<()> {
    prctl::set_child_subreaper(true).map_err(|error| {
        refused(
            "PR_SET_CHILD_SUBREAPER",
            "cannot adopt orphaned processes of the workload",
            error,
        )
    })
}

/// Protects the environment and memory of this process, and thereby the access token, from other processes
/// of the same user, such as the wrapped program.
///
/// # Errors
/// Returns an error if the system does not support this.
pub fn become_undumpable() -> io::Result<()> {
    prctl::set_dumpable(false).map_err(|error| {
        refused(
            "PR_SET_DUMPABLE",
            "cannot hide its memory from the wrapped program",
            error,
        )
    })
}

/// Describes a refused request. Some CPU emulators do not support all of them.
fn refused(request: &str, effect: &str, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    let message =
        format!("{request}: {error}; elector {effect}: run it on Linux without emulation");
    io::Error::new(error.kind(), message)
}

/// Starts a guard for `command`, which starts the command when it gets the first leadership deadline.
///
/// `program` is this program ([`SELF`]). `environment` lists the variables to set or remove. `stdin` becomes
/// the command's; standard output and error are inherited. `grace` is the time between TERM and KILL after
/// the deadline or the end of this process. The guard holds the lock of `state` as long as it lives, and
/// notes there that nothing is left of the workload of a dead elector.
///
/// Call this on the thread that reaps, while no other thread starts processes: those would inherit the
/// guard's ends of the pipes.
///
/// # Errors
/// Returns an error if no pipe or process is left, or `/proc` is not mounted.
pub fn spawn_guard(
    program: &Path,
    command: &[OsString],
    environment: &[(OsString, Option<OsString>)],
    stdin: Stdio,
    grace: Duration,
    state: Option<&StateFile>,
) -> io::Result<GuardProcess> {
    let (control_end, control) = io::pipe()?;
    let (report, report_end) = io::pipe()?;
    // A stopped guard must not block this process.
    fcntl(&control, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let state_descriptor = match state {
        Some(state) => state.make_inheritable()?,
        None => 0,
    };
    let mut guard = Command::new(program);
    guard
        .arg0(OsStr::from_bytes(GUARD_NAME.to_bytes()))
        .arg(GUARD_COMMAND)
        .arg(control_end.as_raw_fd().to_string())
        .arg(report_end.as_raw_fd().to_string())
        .arg(state_descriptor.to_string())
        .arg(grace.min(LONGEST_GRACE).as_nanos().to_string())
        .arg("--")
        .args(command)
        .stdin(stdin)
        // A terminal signals only the elector's group. The elector passes signals on.
        .process_group(0);
    for (name, value) in environment {
        match value {
            Some(value) => guard.env(name, value),
            None => guard.env_remove(name),
        };
    }
    make_inheritable(&control_end)?;
    make_inheritable(&report_end)?;
    let child = guard.spawn();
    if let Some(state) = state {
        state.keep_private()?;
    }
    let child = child?;
    Ok(GuardProcess {
        pid: child.id().cast_signed(),
        control: ControlPipe(control),
        report,
    })
}

/// Lets the next started process inherit a descriptor. The caller closes it right after.
fn make_inheritable(end: &impl AsFd) -> io::Result<()> {
    fcntl(end, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}
