//! Processes as `/proc` shows them.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};

use nix::errno::Errno;
use nix::unistd::getpid;

/// Bytes that hold any `/proc/PID/stat`: 52 numbers, and a name of at most 64 bytes.
const LONGEST_STAT: usize = 2_048;

/// Most bytes of a process's name, as the kernel limits it.
const LONGEST_NAME: usize = 15;

/// Name of a process: 1 to 15 printable ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessName([u8; LONGEST_NAME]);

impl ProcessName {
    /// Converts a name that may hold any bytes. Replaces all but printable ASCII characters by `?`.
    fn from_bytes(name: &[u8]) -> Self {
        let mut bytes = [0; LONGEST_NAME];
        let name = if name.is_empty() { b"?" } else { name };
        for (byte, from) in bytes.iter_mut().zip(name) {
            *byte = if from.is_ascii_graphic() { *from } else { b'?' };
        }
        ProcessName(bytes)
    }

    /// Parses what its `Display` prints.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = ProcessName::from_bytes(text.as_bytes());
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.iter().take_while(|byte| **byte != 0);
        bytes
            .map(|byte| char::from(*byte))
            .try_for_each(|char| write!(f, "{char}"))
    }
}

/// A process as `/proc` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// Name, as `ps` shows it.
    pub name: ProcessName,
    /// Process id of the parent, or 0 if the parent is in an outer namespace.
    pub parent: i32,
    /// Process group.
    pub group: i32,
    /// Whether it has ended and its parent has not reaped it.
    pub is_zombie: bool,
    /// Start time in clock ticks. It distinguishes processes that reuse an id.
    pub start_ticks: u64,
    /// Wait status of a zombie, or 0 if it belongs to another user.
    pub wait_status: i32,
}

/// Checks that `/proc` shows the processes of this process's PID namespace.
///
/// # Errors
/// Returns an error that says how to fix that.
pub fn check_mounted() -> Result<(), String> {
    let own = getpid().to_string();
    let problem = match fs::read_link("/proc/self") {
        Ok(shown) if shown.as_os_str() == own.as_str() => return Ok(()),
        Ok(_) => "shows the processes of another PID namespace",
        Err(_) => "not mounted, or without the processes of this PID namespace",
    };
    Err(format!(
        "/proc: {problem}; mount the proc file system there in this namespace (`mount -t proc proc /proc`), \
         because the guard of the wrapped program finds its processes in it"
    ))
}

/// Returns every visible process.
///
/// # Errors
/// Returns an error if `/proc` cannot be read, or no file descriptor or memory is left.
pub fn all_processes() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(parse_pid) else {
            continue;
        };
        processes.extend(read_process(pid)?);
    }
    Ok(processes)
}

/// Parses a process id, which is positive. To 0 and below, a signal would mean whole groups.
pub(super) fn parse_pid(name: &str) -> Option<i32> {
    name.parse().ok().filter(|&pid| pid > 0)
}

/// Returns the processes below `root`, parents before their children.
pub(super) fn descendants_of(root: i32, mut all: Vec<Process>) -> Vec<Process> {
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

/// Reads one process, or returns `None` if it does not exist any more.
fn read_process(pid: i32) -> io::Result<Option<Process>> {
    let mut stat = [0; LONGEST_STAT];
    let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut stat));
    match read {
        Ok(length) => Ok(parse_stat(pid, &stat[..length])),
        // Without file descriptors, every process would seem to have ended.
        Err(error) if is_shortage(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

fn is_shortage(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
}

/// Parses `/proc/PID/stat`. The name in parentheses may hold anything, parentheses and newlines too.
fn parse_stat(pid: i32, stat: &[u8]) -> Option<Process> {
    let name_start = stat.iter().position(|&byte| byte == b'(')? + 1;
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = str::from_utf8(&stat[name_end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The manual counts from 1, and the first two fields are the process id and the name.
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Process {
        pid,
        name: ProcessName::from_bytes(stat.get(name_start..name_end)?),
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        is_zombie: field(3)? == "Z",
        start_ticks: field(22)?.parse().ok()?,
        wait_status: field(52)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "0 -1 4194560 204 1310 0 0 0 0 0 1 20 0 1 0 4711 2867200 404 \
        18446744073709551615 1 1 0 0 0 0 0 0 65538 1 0 0 17 1 0 0 0 0 0 1 2 3 4 5 6 7 9\n";

    fn process(pid: i32, parent: i32) -> Process {
        Process {
            pid,
            name: ProcessName::from_bytes(b"sh"),
            parent,
            group: 7,
            is_zombie: false,
            start_ticks: 4711,
            wait_status: 9,
        }
    }

    #[test]
    fn process_may_have_any_name() {
        for (name, shown) in [
            ("sh", "sh"),
            ("a b", "a?b"),
            (")", ")"),
            (") Z 1 1 1 (", ")?Z?1?1?1?("),
            ("(\n)", "(?)"),
            ("\u{e9}", "??"),
            ("", "?"),
            ("sixteen-letters!", "sixteen-letters"),
        ] {
            let line = format!("42 ({name}) S 3 7 2 {REST}");
            let parsed = parse_stat(42, line.as_bytes()).unwrap();
            assert_eq!(parsed.name.to_string(), shown);
            let name = parsed.name;
            assert_eq!(
                parsed,
                Process {
                    name,
                    ..process(42, 3)
                }
            );
        }
        let line = [b"42 (\xff) Z 3 7 2 ", REST.as_bytes()].concat();
        let zombie = Process {
            name: ProcessName::from_bytes(b"?"),
            is_zombie: true,
            ..process(42, 3)
        };
        assert_eq!(parse_stat(42, &line), Some(zombie));
    }

    #[test]
    fn malformed_stat_is_no_process() {
        for line in [
            "",
            "42 (sh",
            "42 (sh)",
            "42 (sh) S x 7 2",
            "42 (sh) S 3 7 2 0 -1",
        ] {
            assert_eq!(parse_stat(42, line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn descendants_come_parents_first() {
        // Process ids wrap around: a child may have a smaller one than its parent.
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
            let found = descendants_of(root, all.clone());
            found.iter().map(|process| process.pid).collect()
        };
        assert_eq!(pids(9), [4, 8, 3, 2]);
        assert_eq!(pids(5), [6, 7]);
        assert!(pids(7).is_empty());
        assert_eq!(pids(1).len(), 8);
    }

    #[test]
    fn cyclic_parent_links_terminate() {
        // Links that changed during the read may form a cycle, or make a process its own parent.
        let links = [(2, 3), (3, 2), (5, 1), (1, 5), (6, 6), (0, 0)];
        let all: Vec<Process> = links.map(|(pid, parent)| process(pid, parent)).into();
        for root in 0..8 {
            assert!(descendants_of(root, all.clone()).len() < all.len());
        }
    }

    #[test]
    fn all_processes_include_this_one() {
        let own = nix::unistd::getpid().as_raw();
        let all = all_processes().unwrap();
        let this = all.iter().find(|process| process.pid == own).unwrap();
        assert!(!this.is_zombie && this.start_ticks > 0);
        assert_eq!(this.parent, nix::unistd::getppid().as_raw());
    }
}
