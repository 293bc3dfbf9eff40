//! Reaping children, those that were started and orphans that fell to this process.
//!
//! Whoever uses this reaps every child of the process: nothing else may wait for one
//! (`Child::wait`), as each end is told once.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid};

use super::descendants;
use crate::system::clock::BootClock;

/// How long one go may take, so that a workload whose processes die faster than they are reaped keeps
/// nobody from looking at the time. It is enough for thousands.
const LONGEST: Duration = Duration::from_millis(50);

/// What shells answer for one that a signal killed is this and the signal's number.
const KILLED: i32 = 128;

/// The signal in a status as the kernel gives it.
const STATUS_SIGNAL: i32 = 0x7f;

/// A child that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its process, which is somebody else's number from now on.
    pub pid: i32,
    /// Its exit code; 128 + n when signal n killed it.
    pub code: i32,
}

/// What is left to be reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// There is no child, and so nothing below this process.
    Nothing,
    /// Children that run.
    Running,
    /// Perhaps more that have ended: reap again soon.
    More,
}

/// What one go brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// The children that had ended.
    pub ended: Vec<Ended>,
    /// What is left.
    pub left: Left,
}

/// Reaps what has ended, and waits for nothing.
///
/// # Errors
/// None that is known of.
pub fn reap_all() -> io::Result<Reaped> {
    let mut ended = Vec::new();
    let deadline = BootClock::now() + LONGEST;
    while BootClock::now() < deadline {
        // First looked at, then reaped: the end of one that a real-time signal killed would be lost,
        // as nix has no word for that.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = match waitid(Id::All, look) {
            Ok(WaitStatus::StillAlive) => {
                let left = Left::Running;
                return Ok(Reaped { ended, left });
            }
            Ok(status) => status,
            Err(Errno::ECHILD) => {
                let left = Left::Nothing;
                return Ok(Reaped { ended, left });
            }
            Err(Errno::EINTR) => continue,
            Err(Errno::EINVAL) => {
                let unspeakable = reap_the_unspeakable()?;
                if unspeakable.is_empty() {
                    // It is out of sight. Looking again at once would not show it.
                    let left = Left::Running;
                    return Ok(Reaped { ended, left });
                }
                ended.extend(unspeakable);
                break;
            }
            Err(error) => return Err(error.into()),
        };
        if let (Some(pid), Some(code)) = (status.pid(), exit_code(status))
            && reap(pid)
        {
            let pid = pid.as_raw();
            ended.push(Ended { pid, code });
        }
    }
    let left = Left::More;
    Ok(Reaped { ended, left })
}

/// The exit code that shells would tell: its own, or 128 + n. None of a child that has not ended.
#[must_use]
pub fn exit_code(status: WaitStatus) -> Option<i32> {
    match status {
        WaitStatus::Exited(_, code) => Some(code),
        WaitStatus::Signaled(_, signal, _) => Some(KILLED + signal as i32),
        _ => None,
    }
}

/// False when another thread was faster.
fn reap(pid: Pid) -> bool {
    // Of one that a real-time signal killed, nix says EINVAL, when it has been reaped.
    !matches!(waitpid(pid, Some(WaitPidFlag::WNOHANG)), Err(Errno::ECHILD))
}

/// Reaps children of which nix can say nothing: a real-time signal killed one of them. The kernel says
/// it in `/proc`.
fn reap_the_unspeakable() -> io::Result<Vec<Ended>> {
    let own = getpid().as_raw();
    let all = descendants::all_processes()?;
    let dead = all
        .into_iter()
        .filter(|process| process.parent == own && process.is_zombie);
    let reaped = dead.filter(|process| reap(Pid::from_raw(process.pid)));
    Ok(reaped
        .map(|process| Ended {
            pid: process.pid,
            code: match process.exit_status & STATUS_SIGNAL {
                0 => process.exit_status >> 8,
                signal => KILLED + signal,
            },
        })
        .collect())
}
