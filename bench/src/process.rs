//! Process trees: run, watched, and always killed and reaped.
//!
//! This process is a child subreaper: orphaned descendants are reparented to it, so every process
//! of a run is found below it in `/proc` and can be ended. Process groups are not enough, because a
//! guard and its workload have their own.
//!
//! ```text
//!   keeper ── waits for ──▶ bench, which measures ──▶ electors ──▶ guards ──▶ workloads
//! ```

use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Set for the process that measures, because its parent waits for it.
const KEPT: &str = "BENCH_KEPT";

/// Runs this program once more and waits for it. Returns `None` in that second process. Why: no
/// process is left if either of them is killed (SIGKILL).
///
/// # Errors
/// Returns an error if the program cannot be run.
pub fn keep() -> Result<Option<ExitCode>, String> {
    adopt_orphans()?;
    if std::env::var_os(KEPT).is_some() {
        // If the parent has already exited, nothing waits for this process.
        set_pdeathsig(Signal::SIGTERM)
            .map_err(|e| format!("cannot set the parent-death signal: {e}"))?;
        on_signal(|signal| {
            eprintln!("bench: ended by a signal; all that runs is killed");
            end_all();
            std::process::exit(128 + signal);
        })?;
        return Ok(None);
    }
    let this = std::env::current_exe().map_err(|e| format!("where am I: {e}"))?;
    let mut command = std::process::Command::new(this);
    command.args(std::env::args_os().skip(1)).env(KEPT, "1");
    let mut child = command
        .spawn()
        .map_err(|e| format!("cannot run itself: {e}"))?;
    let measures = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    on_signal(move |_| {
        let _ = kill(measures, Signal::SIGTERM);
    })?;
    let ended = child.wait().map_err(|e| format!("cannot wait: {e}"))?;
    end_all();
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok(Some(code.map_or(ExitCode::FAILURE, ExitCode::from)))
}

fn adopt_orphans() -> Result<(), String> {
    set_child_subreaper(true).map_err(|e| format!("cannot adopt orphans: {e}"))
}

/// Calls `act` on each signal that asks the process to end.
fn on_signal(act: impl Fn(i32) + Send + 'static) -> Result<(), String> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|e| format!("signals: {e}"))?;
    thread::spawn(move || signals.forever().for_each(act));
    Ok(())
}

/// Kills everything below this process, and reaps orphans, until nothing is left.
pub fn end_all() {
    // A process that forks in between is found in the next turn; one in an uninterruptible call
    // takes time.
    for _ in 0..200 {
        let below = descendants(getpid());
        let living = below.iter().filter(|process| process.lives);
        for process in living {
            let _ = kill(process.pid, Signal::SIGKILL);
        }
        if below.is_empty() {
            return;
        }
        for process in below {
            let _ = waitpid(process.pid, Some(WaitPidFlag::WNOHANG));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Kills a child and everything below it simultaneously, as a machine failure would, and reaps it.
pub fn kill_tree(root: Pid) {
    let mut below = vec![root];
    below.extend(descendants(root).iter().map(|process| process.pid));
    for pid in &below {
        let _ = kill(*pid, Signal::SIGKILL);
    }
    // Parents first: their children are then reparented to this process, which can wait for them.
    for pid in below {
        while waitpid(pid, None) == Err(Errno::EINTR) {}
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: Pid,
    parent: Pid,
    /// It is not a zombie.
    lives: bool,
}

/// Returns everything below a process, parents before children.
fn descendants(root: Pid) -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| {
        entry.file_name().to_str()?.parse::<i32>().ok()?;
        fs::read_to_string(entry.path().join("stat")).ok()
    });
    let all: Vec<Process> = stats.filter_map(|stat| parse(&stat)).collect();
    below(root, &all)
}

fn below(root: Pid, all: &[Process]) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let children = all.iter().filter(|process| process.parent == parent);
        for child in children {
            found.push(*child);
            parents.insert(0, child.pid);
        }
    }
    found
}

/// Parses `/proc/PID/stat`. The name in parentheses may itself contain parentheses.
fn parse(stat: &str) -> Option<Process> {
    let pid = stat.split_once(' ')?.0.parse().ok()?;
    let mut rest = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = rest.next()?;
    let parent = rest.next()?.parse().ok()?;
    Some(Process {
        pid: Pid::from_raw(pid),
        parent: Pid::from_raw(parent),
        lives: state != "Z" && state != "X",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        Process {
            pid: Pid::from_raw(pid),
            parent: Pid::from_raw(parent),
            lives: true,
        }
    }

    #[test]
    fn process_name_may_hold_parentheses() {
        let odd = parse("7 (a) S 1 (b)) Z 3 7 7 0").unwrap();
        assert_eq!((odd.pid, odd.parent), (Pid::from_raw(7), Pid::from_raw(3)));
        assert!(!odd.lives);
        assert_eq!(parse("7 (x) R 3 7").unwrap(), process(7, 3));
        assert_eq!(parse(""), None);
    }

    #[test]
    fn parents_come_before_children() {
        let all = [process(5, 4), process(3, 1), process(4, 3), process(9, 2)];
        let found = below(Pid::from_raw(1), &all);
        assert_eq!(found, [process(3, 1), process(4, 3), process(5, 4)]);
    }

    #[test]
    fn whole_tree_is_killed_and_reaped() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 600 & sleep 600"])
            .spawn()
            .unwrap();
        let root = Pid::from_raw(i32::try_from(child.id()).unwrap());
        while descendants(root).len() < 2 {
            thread::sleep(Duration::from_millis(5));
        }
        let before = descendants(root);
        // Without a subreaper the sleeping processes get another parent, but are killed as well.
        kill_tree(root);
        assert!(child.try_wait().is_err(), "it is reaped already");
        let gone = |process: &Process| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid));
            stat.ok()
                .and_then(|stat| parse(&stat))
                .is_none_or(|it| !it.lives)
        };
        for _ in 0..1000 {
            if before.iter().all(gone) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("some of it is left: {before:?}");
    }
}
