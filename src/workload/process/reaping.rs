//! Reaping of children: those that this process started, and orphans that became its children.
//!
//! A process that uses this must reap all its children here, never with `Child::wait`, because the kernel
//! reports each exit once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid};

use super::procfs;
use crate::system::clock::BootClock;

/// Longest duration of one call, so that a workload whose processes exit continuously does not keep the
/// caller from its deadlines. Enough for thousands of children.
const LONGEST: Duration = Duration::from_millis(50);

/// Base of the exit code for a child that a signal killed, as in shells.
const KILLED: i32 = 128;

/// Bits of a wait status that hold the signal.
const STATUS_SIGNAL: i32 = 0x7f;

/// A child that has exited and was reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitedChild {
    /// Process id, which the kernel may assign again.
    pub pid: i32,
    /// Exit code, or 128+n if signal n killed it.
    pub code: i32,
}

/// Children that remain after reaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// None, so that this process has no descendant.
    None,
    /// Running ones only.
    Running,
    /// Perhaps some that have exited: reap again soon.
    MaybeExited,
}

/// Result of one call of [`reap_exited`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Reaped children.
    pub exited: Vec<ExitedChild>,
    /// Remaining children.
    pub remaining: Remaining,
}

/// Keeps the exit codes of children, which the kernel discards if a parent left SIGCHLD ignored. Call it once,
/// before the first child starts. Children do not inherit its effect.
///
/// # Errors
/// Returns an error if the system refuses the signal handler; no case is known.
pub fn keep_exit_codes() -> io::Result<()> {
    signal_hook::flag::register(Signal::SIGCHLD as i32, Arc::default()).map(drop)
}

/// Reaps the children that have exited, without waiting.
///
/// # Errors
/// Returns an error if a system call fails; no case is known.
pub fn reap_exited() -> io::Result<Reaped> {
    reap_exited_after(|_| ())
}

/// Like [`reap_exited`], but calls `before_reap` for each child before it is reaped. Until that returns,
/// the kernel cannot assign the child's process id again.
///
/// # Errors
/// Returns an error if a system call fails; no case is known.
pub fn reap_exited_after(mut before_reap: impl FnMut(ExitedChild)) -> io::Result<Reaped> {
    let mut exited = Vec::new();
    let deadline = BootClock::now() + LONGEST;
    let mut remaining = Remaining::MaybeExited;
    while BootClock::now() < deadline {
        // Peek before reaping, because nix cannot represent a death by a real-time signal and would lose
        // it.
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = match waitid(Id::All, peek) {
            Ok(WaitStatus::StillAlive) => {
                remaining = Remaining::Running;
                break;
            }
            Ok(status) => status,
            Err(Errno::ECHILD) => {
                remaining = Remaining::None;
                break;
            }
            Err(Errno::EINTR) => continue,
            Err(Errno::EINVAL) => {
                let zombies = reap_zombies(&mut before_reap)?;
                if zombies.is_empty() {
                    // The zombie is not visible, and reading again immediately would not help.
                    remaining = Remaining::Running;
                }
                exited.extend(zombies);
                break;
            }
            Err(error) => return Err(error.into()),
        };
        if let (Some(pid), Some(code)) = (status.pid(), exit_code(status)) {
            let pid = pid.as_raw();
            let child = ExitedChild { pid, code };
            before_reap(child);
            exited.extend(reap(pid).then_some(child));
        }
    }
    Ok(Reaped { exited, remaining })
}

/// Whether a child is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildState {
    /// Suspended by this signal.
    Suspended(i32),
    /// Continued.
    Continued,
}

/// Returns the present state of a child if that has changed since the last call.
#[must_use]
pub fn suspension_change(child: Pid) -> Option<ChildState> {
    let changes = WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG;
    match waitid(Id::Pid(child), changes) {
        Ok(WaitStatus::Stopped(_, signal)) => Some(ChildState::Suspended(signal as i32)),
        Ok(WaitStatus::Continued(_)) => Some(ChildState::Continued),
        _ => None,
    }
}

/// Returns the exit code as shells report it: the child's own, or 128+n. Returns `None` if the child has
/// not exited.
fn exit_code(status: WaitStatus) -> Option<i32> {
    match status {
        WaitStatus::Exited(_, code) => Some(code),
        WaitStatus::Signaled(_, signal, _) => Some(KILLED + signal as i32),
        _ => None,
    }
}

/// Reaps a child. Returns false if another thread did so first.
fn reap(pid: i32) -> bool {
    // After a death by a real-time signal nix returns EINVAL, but the child was reaped.
    let reaped = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    !matches!(reaped, Err(Errno::ECHILD))
}

/// Reaps zombies by their wait status in `/proc`. Needed if a real-time signal killed one of them.
fn reap_zombies(before_reap: &mut impl FnMut(ExitedChild)) -> io::Result<Vec<ExitedChild>> {
    let own = getpid().as_raw();
    let all = procfs::all_processes()?;
    let zombies = all
        .into_iter()
        .filter(|process| process.parent == own && process.is_zombie);
    let children = zombies.map(|process| ExitedChild {
        pid: process.pid,
        code: match process.wait_status & STATUS_SIGNAL {
            0 => process.wait_status >> 8,
            signal => KILLED + signal,
        },
    });
    let reaped = children.filter(|child| {
        before_reap(*child);
        reap(child.pid)
    });
    Ok(reaped.collect())
}
