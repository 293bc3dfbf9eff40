//! Signals to the descendants of this process, and their complete end.
//!
//! `/proc` is read process by process while those processes run. A read can miss a process whose parent
//! died in that moment, or that was forked behind the reader. So it is repeated until nothing new shows.
//! A KILL that was sent cannot be outrun, because a dying process does not fork. Orphans of processes that
//! fork and exit faster than a read become children of this process, whose list is short. If the kernel
//! lacks that list (`CONFIG_PROC_CHILDREN`) and each of them also leaves its process group, they may escape
//! for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::procfs::{Process, all_processes, descendants_of, parse_pid};
use super::reaping::{ExitedChild, Remaining, reap_exited};
use crate::election::time::Instant;
use crate::system::clock::BootClock;

/// Reads of `/proc` per pass. Two suffice unless processes fork continuously. Before more reads, dead
/// processes should be reaped, because they slow each read, and the time should be checked.
const READS_PER_PASS: usize = 3;

/// Reaping rounds between two passes. They take half a second, enough for all processes that a system can
/// hold.
const REAPS_PER_PASS: usize = 10;

/// Pause between two passes, in which killed processes die.
const KILL_PAUSE: Duration = Duration::from_millis(5);

/// Returns all descendants of this process, parents before their children.
///
/// # Errors
/// Returns an error if `/proc` cannot be read, or no file descriptor or memory is left.
pub fn descendants() -> io::Result<Vec<Process>> {
    Ok(descendants_of(getpid().as_raw(), all_processes()?))
}

fn send(process: &Process, signal: Signal) {
    // It may have ended or belong to another user (setuid): nothing can be done about either.
    let _ = kill(Pid::from_raw(process.pid), signal);
}

/// Sends TERM to all descendants, and continues stopped ones. Skips those that `is_skipped` selects;
/// `signal_skipped` must send them both signals, unless they got TERM before.
///
/// # Errors
/// Returns an error if `/proc` cannot be read, or no file descriptor or memory is left. `signal_skipped`
/// was called even then.
pub fn terminate_descendants(
    is_skipped: impl Fn(&Process) -> bool,
    mut signal_skipped: impl FnMut(Signal),
) -> io::Result<()> {
    let own = getpid().as_raw();
    let mut told: BTreeMap<i32, u64> = BTreeMap::new();
    let mut found = descendants();
    // Signalled after the first read, so that processes started for cleaning up are not among `found`.
    signal_skipped(Signal::SIGTERM);
    signal_skipped(Signal::SIGCONT);
    for _ in 0..READS_PER_PASS {
        let told_before = told.clone();
        for process in found? {
            if told.insert(process.pid, process.start_ticks) == Some(process.start_ticks) {
                continue;
            }
            // A new orphan was missed before. A new child of a process that got TERM cleans up for it.
            let cleans_up = process.parent != own && told_before.contains_key(&process.parent);
            if !cleans_up && !is_skipped(&process) {
                send(&process, Signal::SIGTERM);
                send(&process, Signal::SIGCONT);
            }
        }
        if told == told_before {
            return Ok(());
        }
        found = descendants();
    }
    Ok(())
}

/// Sends KILL to all descendants. Returns whether two reads of `/proc` in a row showed the same ones. The
/// killed processes are not reaped.
///
/// `kill_group` is called before each read, because a group that forks faster than `/proc` is read cannot
/// outrun a KILL to the group.
///
/// # Errors
/// Returns an error if `/proc` cannot be read, or no file descriptor or memory is left. The group was
/// killed even then.
pub fn kill_pass(mut kill_group: impl FnMut()) -> io::Result<bool> {
    let mut killed = BTreeSet::new();
    for _ in 0..READS_PER_PASS {
        kill_group();
        kill_children();
        let before = killed.len();
        for process in descendants()? {
            send(&process, Signal::SIGKILL);
            killed.insert((process.pid, process.start_ticks));
        }
        if killed.len() == before {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Kills the children of this process, which include all orphans below it.
///
/// Why: the kernel lists them in a fraction of the time of a full read, so that processes which fork and
/// exit continuously do not escape. Without that list, the full reads must suffice.
fn kill_children() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return;
    };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for pid in children.split_ascii_whitespace().filter_map(parse_pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Kills and reaps all descendants until none is left or `deadline` has passed, but at least once. Returns
/// whether none is left. `on_exited` gets every reaped child.
///
/// The elector calls this if a guard died or must die: it kills guards too.
///
/// # Errors
/// Returns an error if `/proc` cannot be read, or no file descriptor or memory is left.
pub fn kill_descendants(
    deadline: Instant,
    mut on_exited: impl FnMut(ExitedChild),
) -> io::Result<bool> {
    loop {
        let (mut any_exited, mut remaining) = (false, Remaining::MaybeExited);
        for _ in 0..REAPS_PER_PASS {
            let reaped = reap_exited()?;
            any_exited |= !reaped.exited.is_empty();
            reaped.exited.into_iter().for_each(&mut on_exited);
            remaining = reaped.remaining;
            if remaining != Remaining::MaybeExited {
                break;
            }
        }
        if remaining == Remaining::None {
            return Ok(true);
        }
        let all = kill_pass(|| ())?;
        if BootClock::now() >= deadline {
            return Ok(false);
        }
        // A process that exited may have forked just before.
        if all && !any_exited {
            thread::sleep(KILL_PAUSE);
        }
    }
}
