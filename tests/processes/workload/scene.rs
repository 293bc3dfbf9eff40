//! Electors that run programs, and the journal of the programs.
//!
//! All programs of a test append their events to one file. No two ran simultaneously if the fencing tokens
//! in it never decrease.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::process::Fixture;
use crate::support::process::program::Start;

/// Functions for the scripts: `note WORD` appends an entry with the fencing token to the journal, and `idle`
/// waits for 50 ms or until a signal.
const PRELUDE: &str = r#"
note() { echo "$LEADER_ELECTION_FENCING_TOKEN $1 $$" >>"$JOURNAL"; }
idle() { sleep 0.05 & wait $!; }
"#;

/// A program that works until TERM.
pub(crate) const WORKS: &str = r#"
trap 'note termed; exit 0' TERM
note began
while true; do note works; idle; done
"#;

/// A program that ignores TERM.
pub(crate) const IGNORES_TERM: &str = r#"
trap 'note ignored' TERM
note began
while true; do note works; idle; done
"#;

/// Fault settings: the gist service answers no request.
pub(crate) const HANGS: &str = r#"{"hang_reads": 1.0, "hang_writes": 1.0}"#;

/// Fault settings: the gist service works.
pub(crate) const NO_FAULTS: &str = "{}";

/// A fixture with a journal in a temporary folder.
pub(crate) struct Scene {
    // Dropped first, so that no elector outlives the folder.
    fixture: Fixture,
    folder: TempDir,
}

impl Deref for Scene {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

/// An entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) fencing_token: u64,
    pub(crate) word: String,
    pub(crate) pid: i32,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        Scene::of(Fixture::new())
    }

    pub(crate) fn of(fixture: Fixture) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal"), "").unwrap();
        Scene { fixture, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns an elector whose program is a shell script with `note` and `idle`.
    pub(crate) fn with_script(&self, name: &str, script: &str) -> Start {
        self.with_options(name, &[], script)
    }

    pub(crate) fn with_options(&self, name: &str, options: &[&str], script: &str) -> Start {
        let script = format!("{PRELUDE}{script}");
        self.fixture
            .elector(name)
            .with("PATH", std::env::var_os("PATH").unwrap())
            .with("JOURNAL", self.path("journal"))
            // Enough for a shell on a busy machine to note its end.
            .with("TERMINATION_GRACE", "1s")
            .args(options)
            .running(&["sh", "-c", &script])
    }

    pub(crate) fn journal(&self) -> Vec<Entry> {
        let text = read(&self.path("journal"));
        let lines = text.lines().map(|line| {
            let mut words = line.split(' ');
            Entry {
                fencing_token: words.next().unwrap().parse().unwrap(),
                word: words.next().unwrap().to_owned(),
                pid: words.next().unwrap().parse().unwrap(),
            }
        });
        lines.collect()
    }

    pub(crate) fn count(&self, word: &str) -> usize {
        self.journal()
            .iter()
            .filter(|entry| entry.word == word)
            .count()
    }

    pub(crate) fn await_noted(&self, word: &str) -> Entry {
        self.await_noted_times(word, 1)
    }

    /// Waits for this many entries of a word, and returns the last one.
    pub(crate) fn await_noted_times(&self, word: &str, times: usize) -> Entry {
        eventually(&format!("{times} entries {word} in the journal"), || {
            self.count(word) >= times
        });
        let journal = self.journal();
        let mut of_kind = journal.into_iter().filter(|entry| entry.word == word);
        of_kind.next_back().unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let journal = self.journal();
        // A failed test may leave programs behind.
        for entry in &journal {
            if is_running(entry.pid) && stat(entry.pid).is_some_and(|stat| stat.contains("(sh)")) {
                let _ = kill(Pid::from_raw(entry.pid), Signal::SIGKILL);
            }
        }
        if std::thread::panicking() {
            let tail = journal.len().saturating_sub(20);
            eprintln!("end of the journal: {:#?}", &journal[tail..]);
            return;
        }
        let fell = journal
            .windows(2)
            .find(|pair| pair[1].fencing_token < pair[0].fencing_token);
        assert!(fell.is_none(), "two programs ran simultaneously: {fell:?}");
    }
}

fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Returns the letter of a process's state, and its parent.
fn state_and_parent(pid: i32) -> Option<(char, i32)> {
    let stat = stat(pid)?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// Returns the letter of a process's state.
pub(crate) fn state_of(pid: i32) -> Option<char> {
    state_and_parent(pid).map(|(state, _)| state)
}

/// Returns whether a process runs or is suspended, and is not a zombie.
pub(crate) fn is_running(pid: i32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

pub(crate) fn children_of(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| state_and_parent(pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

pub(crate) fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Waits for the guard of an elector, and returns its process id.
pub(crate) fn guard_of(elector: i32) -> i32 {
    let mut guard = None;
    eventually("there is a guard", || {
        guard = children_of(elector)
            .into_iter()
            .find(|&pid| command_line(pid).contains("guard-workload"));
        guard.is_some()
    });
    guard.unwrap()
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Runs a command as PID 1 of a new namespace that ends with the test.
const UNSHARE: &[&str] = &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// Returns the launcher of a PID 1 as in a container; `None` if `unshare` is not permitted.
pub(crate) fn pid_1_launcher() -> Option<&'static [&'static str]> {
    is_permitted(UNSHARE, "`unshare --pid`").then_some(UNSHARE)
}

/// Returns whether a launcher works here, and prints if not.
pub(crate) fn is_permitted(launcher: &[&str], name: &str) -> bool {
    let tried = Command::new(launcher[0])
        .args(&launcher[1..])
        .arg("true")
        .output();
    let may = tried.is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("NOT TESTED: {name} is not permitted here, it takes root");
    }
    may
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
