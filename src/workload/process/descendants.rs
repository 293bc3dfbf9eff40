//! Everything below this process: who that is, and its end.
//!
//! `/proc` is read process by process, and what lives goes on meanwhile: one may be missed whose
//! parent died in that moment, or which was forked behind the reader. So it is read again until it
//! shows nothing new. A KILL that has been sent cannot be outrun, as a process that is to die forks no
//! more. What forks and exits faster than `/proc` is read has its orphans here, in the short list of
//! this process's own children; where the kernel has no such list (`CONFIG_PROC_CHILDREN`), and each of
//! them leaves its process group as well, it may keep ahead for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use super::reaping::{Ended, Left, reap_all};
use crate::election::time::Instant;
use crate::system::clock::BootClock;

/// How many looks are taken in a row. Two are enough for what does not flee. Before more of them, the dead
/// of a storm of forks are to be reaped, as they make each look longer, and the time is to be looked at.
const MOST_LOOKS: usize = 3;

/// How many times the dead of a storm of forks are reaped before the living are looked for again: half a
/// second, which is enough for all that a system has room for.
const MOST_REAPS: usize = 10;

/// How long the killed get to die before they are killed again.
const BREATH: Duration = Duration::from_millis(5);

/// Enough for a line of `/proc/PID/stat`: 52 numbers, and a name of at most 64 bytes.
const LONGEST_STAT: usize = 2_048;

/// A process as `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// The number of its parent, 0 if that is not to be seen from here.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// It has ended, and its parent has not reaped it.
    pub is_zombie: bool,
    /// When it began, in clock ticks: tells it from another one with its number.
    pub began: u64,
    /// As the kernel gives it, of a zombie; 0 if it is somebody else's.
    pub exit_status: i32,
}

impl Process {
    fn signal(&self, signal: Signal) {
        // It may have ended, or be somebody else's (setuid): nothing can be done about either.
        let _ = kill(Pid::from_raw(self.pid), signal);
    }
}

/// Every process that can be seen.
///
/// # Errors
/// When `/proc` cannot be read, or no file descriptor is left.
pub fn all_processes() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(number) else {
            continue;
        };
        processes.extend(look_at(pid)?);
    }
    Ok(processes)
}

/// A process's folder is named by its number. To zero and below, a signal would mean whole groups.
fn number(name: &str) -> Option<i32> {
    name.parse().ok().filter(|&pid| pid > 0)
}

/// Everything below this process, parents before their children.
///
/// # Errors
/// When `/proc` cannot be read, or no file descriptor is left.
pub fn descendants() -> io::Result<Vec<Process>> {
    Ok(below(getpid().as_raw(), all_processes()?))
}

/// Those below `root`, parents before their children.
fn below(root: i32, mut all: Vec<Process>) -> Vec<Process> {
    all.retain(|process| process.pid != root);
    all.sort_by_key(|process| process.parent);
    let mut found: Vec<Process> = Vec::new();
    let mut parent = root;
    for next in 0.. {
        let first = all.partition_point(|process| process.parent < parent);
        let children = all[first..].iter();
        found.extend(children.take_while(|process| process.parent == parent));
        let Some(process) = found.get(next) else {
            break;
        };
        parent = process.pid;
    }
    found
}

/// None if there is no such process (any more).
fn look_at(pid: i32) -> io::Result<Option<Process>> {
    let mut stat = [0; LONGEST_STAT];
    let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut stat));
    match read {
        Ok(length) => Ok(parse(pid, &stat[..length])),
        // Without file descriptors nobody would be there at all.
        Err(error) if is_shortage(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

fn is_shortage(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
}

/// The name in brackets may hold anything, brackets and newlines too; nothing behind it does.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let bracket = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = str::from_utf8(&stat[bracket + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The manual counts from 1, with the number and the name in front.
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Process {
        pid,
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        is_zombie: field(3)? == "Z",
        began: field(22)?.parse().ok()?,
        exit_status: field(52)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0),
    })
}

/// Sends a signal to those below this process that are in the process group `group`.
pub fn signal_group_below(group: i32, signal: Signal) {
    // Without a look there is nobody to send it to.
    let all = descendants().unwrap_or_default();
    for process in all.iter().filter(|process| process.group == group) {
        process.signal(signal);
    }
}

/// Sends TERM to everything below, and has what is stopped continue. The process group `group` gets
/// both at one stroke, from `signal_group`.
///
/// # Errors
/// When `/proc` cannot be read, or no file descriptor is left; the group has been told.
pub fn term_below(group: Option<i32>, mut signal_group: impl FnMut(Signal)) -> io::Result<()> {
    let own = getpid().as_raw();
    let mut told: BTreeMap<i32, u64> = BTreeMap::new();
    let mut found = descendants();
    // After the first look: what they start to clean up with is none of those that are told.
    signal_group(Signal::SIGTERM);
    signal_group(Signal::SIGCONT);
    for _ in 0..MOST_LOOKS {
        let told_before = told.clone();
        for process in found? {
            if told.insert(process.pid, process.began) == Some(process.began) {
                continue;
            }
            // Of what is new, an orphan slipped by; what has a parent that was told is what that
            // parent cleans up with.
            let is_helper = process.parent != own && told_before.contains_key(&process.parent);
            if !is_helper && group != Some(process.group) {
                process.signal(Signal::SIGTERM);
                process.signal(Signal::SIGCONT);
            }
        }
        if told == told_before {
            return Ok(());
        }
        found = descendants();
    }
    Ok(())
}

/// Sends KILL to everything below, and says whether that was all: two looks in a row showed the same.
/// What was killed has yet to be reaped.
///
/// `kill_group` comes with each look: what forks in its own group faster than `/proc` is read does not
/// outrun that.
///
/// # Errors
/// When `/proc` cannot be read, or no file descriptor is left; the group has been killed.
pub fn kill_below(mut kill_group: impl FnMut()) -> io::Result<bool> {
    let mut killed = BTreeSet::new();
    for _ in 0..MOST_LOOKS {
        kill_group();
        kill_children();
        let before = killed.len();
        for process in descendants()? {
            process.signal(Signal::SIGKILL);
            killed.insert((process.pid, process.began));
        }
        if killed.len() == before {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Kills this process's own children, to which every orphan below belongs. The list of them is had in a
/// fraction of the time that a look at all processes takes, and what forks and exits all the time is
/// hardly anybody else by then. Where there is no such list, the looks have to do.
fn kill_children() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return;
    };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for pid in children.split_ascii_whitespace().filter_map(number) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Kills everything below this process and reaps it, until nothing is left or `deadline` has come; says
/// whether nothing is left. It is killed at least once. What was reaped is handed to `on_ended`.
///
/// For the elector, when a guard died or is to die: it kills guards as well.
///
/// # Errors
/// When `/proc` cannot be read, or no file descriptor is left.
pub fn kill_all_below(deadline: Instant, mut on_ended: impl FnMut(Ended)) -> io::Result<bool> {
    loop {
        let (mut ended, mut left) = (false, Left::More);
        for _ in 0..MOST_REAPS {
            let reaped = reap_all()?;
            ended |= !reaped.ended.is_empty();
            reaped.ended.into_iter().for_each(&mut on_ended);
            left = reaped.left;
            if left != Left::More {
                break;
            }
        }
        if left == Left::Nothing {
            return Ok(true);
        }
        let all = kill_below(|| ())?;
        if BootClock::now() >= deadline {
            return Ok(false);
        }
        // Who ends may have forked just before.
        if all && !ended {
            thread::sleep(BREATH);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "0 -1 4194560 204 1310 0 0 0 0 0 1 20 0 1 0 4711 2867200 404 \
        18446744073709551615 1 1 0 0 0 0 0 0 65538 1 0 0 17 1 0 0 0 0 0 1 2 3 4 5 6 7 9\n";

    fn process(pid: i32, parent: i32) -> Process {
        Process {
            pid,
            parent,
            group: 7,
            is_zombie: false,
            began: 4711,
            exit_status: 9,
        }
    }

    #[test]
    fn a_process_may_have_any_name() {
        for name in ["sh", "a b", ")", ") Z 1 1 1 (", "(\n)", "\u{e9}"] {
            let line = format!("42 ({name}) S 3 7 2 {REST}");
            assert_eq!(parse(42, line.as_bytes()), Some(process(42, 3)), "{name}");
        }
        let line = [b"42 (\xff) Z 3 7 2 ", REST.as_bytes()].concat();
        let zombie = Process {
            is_zombie: true,
            ..process(42, 3)
        };
        assert_eq!(parse(42, &line), Some(zombie));
    }

    #[test]
    fn what_is_no_line_of_a_process_is_none() {
        for line in [
            "",
            "42 (sh",
            "42 (sh)",
            "42 (sh) S x 7 2",
            "42 (sh) S 3 7 2 0 -1",
        ] {
            assert_eq!(parse(42, line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_tree_is_found_from_its_root_down() {
        // Numbers start anew one day: a child may have a smaller one than its parent.
        let links = [
            (1, 0),
            (9, 1),
            (4, 9),
            (3, 4),
            (8, 9),
            (2, 3),
            (5, 1),
            (6, 5),
            (7, 6),
        ];
        let all: Vec<Process> = links.map(|(pid, parent)| process(pid, parent)).into();
        let pids = |root| -> Vec<i32> {
            let found = below(root, all.clone());
            found.iter().map(|process| process.pid).collect()
        };
        assert_eq!(pids(9), [4, 8, 3, 2]);
        assert_eq!(pids(5), [6, 7]);
        assert!(pids(7).is_empty());
        assert_eq!(pids(1).len(), 8);
    }

    #[test]
    fn links_that_changed_while_they_were_read_do_no_harm() {
        // Neither a circle nor one's own number as a parent is walked for ever.
        let links = [(2, 3), (3, 2), (5, 1), (1, 5), (6, 6), (0, 0)];
        let all: Vec<Process> = links.map(|(pid, parent)| process(pid, parent)).into();
        for root in 0..8 {
            assert!(below(root, all.clone()).len() < all.len());
        }
    }

    #[test]
    fn this_process_is_among_all() {
        let own = getpid().as_raw();
        let all = all_processes().unwrap();
        let this = all.iter().find(|process| process.pid == own).unwrap();
        assert!(!this.is_zombie && this.began > 0);
        assert_eq!(this.parent, nix::unistd::getppid().as_raw());
    }
}
