//! A world in which electors run programs, and the journal that the programs keep.
//!
//! Every program of a test writes lines to one file: what it is, and what happens to it. From them it
//! is seen that no two ran at once: the tokens in the journal never fall.

use std::cell::Cell;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::eventually;
use crate::support::process::World;
use crate::support::process::program::Start;
use tempfile::TempDir;

/// What programs of the tests begin with: `note WORD` writes a line with the token to the journal,
/// and `idle` waits for a moment that a signal cuts short.
const PRELUDE: &str = r#"
note() { echo "$LEADER_ELECTION_FENCING_TOKEN $1 $$" >>"$JOURNAL"; }
idle() { sleep 0.05 & wait $!; }
"#;

/// A program that works until it is told to end.
pub(crate) const WORKS: &str = r#"
trap 'note termed; exit 0' TERM
note began
while true; do note works; idle; done
"#;

/// A program that does not end when it is told to.
pub(crate) const IGNORES_TERM: &str = r#"
trap 'note ignored' TERM
note began
while true; do note works; idle; done
"#;

/// The service answers nothing.
pub(crate) const HANGS: &str = r#"{"hang_reads": 1.0, "hang_writes": 1.0}"#;

/// It answers again.
pub(crate) const NO_FAULTS: &str = "{}";

/// A world with a journal in a folder of its own.
pub(crate) struct Scene {
    // Dropped first: no elector outlives the folder.
    world: World,
    folder: TempDir,
    /// The journal is expected to show programs side by side.
    pub(crate) overlaps: Cell<bool>,
}

impl Deref for Scene {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) token: u64,
    pub(crate) word: String,
    pub(crate) pid: i32,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        Scene::of(World::new())
    }

    pub(crate) fn of(world: World) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal"), "").unwrap();
        Scene {
            world,
            folder,
            overlaps: Cell::new(false),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An elector in front of a shell script, which has `note` and `idle`.
    pub(crate) fn with_script(&self, name: &str, script: &str) -> Start {
        self.with_options(name, &[], script)
    }

    pub(crate) fn with_options(&self, name: &str, options: &[&str], script: &str) -> Start {
        let script = format!("{PRELUDE}{script}");
        self.world
            .elector(name)
            .with("PATH", std::env::var_os("PATH").unwrap())
            .with("JOURNAL", self.path("journal"))
            // Enough for a shell on a busy machine to say that it ends.
            .with("TERMINATION_GRACE", "1s")
            .args(options)
            .running(&["sh", "-c", &script])
    }

    pub(crate) fn journal(&self) -> Vec<Line> {
        let text = read(&self.path("journal"));
        let lines = text.lines().map(|line| {
            let mut words = line.split(' ');
            Line {
                token: words.next().unwrap().parse().unwrap(),
                word: words.next().unwrap().to_owned(),
                pid: words.next().unwrap().parse().unwrap(),
            }
        });
        lines.collect()
    }

    pub(crate) fn count(&self, word: &str) -> usize {
        self.journal()
            .iter()
            .filter(|line| line.word == word)
            .count()
    }

    pub(crate) fn await_noted(&self, word: &str) -> Line {
        self.await_noted_times(word, 1)
    }

    /// Waits for the line, and gives the last of its kind.
    pub(crate) fn await_noted_times(&self, word: &str, times: usize) -> Line {
        eventually(&format!("the journal says {word} {times} times"), || {
            self.count(word) >= times
        });
        let journal = self.journal();
        let mut of_kind = journal.into_iter().filter(|line| line.word == word);
        of_kind.next_back().unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let journal = self.journal();
        // Whatever a failed test left.
        for line in &journal {
            if is_running(line.pid) && stat(line.pid).is_some_and(|stat| stat.contains("(sh)")) {
                let _ = kill(Pid::from_raw(line.pid), Signal::SIGKILL);
            }
        }
        if std::thread::panicking() {
            let tail = journal.len().saturating_sub(20);
            eprintln!("the journal ends: {:#?}", &journal[tail..]);
            return;
        }
        let fell = journal
            .windows(2)
            .find(|pair| pair[1].token < pair[0].token);
        assert!(
            self.overlaps.get() || fell.is_none(),
            "two programs ran at once: {fell:?}"
        );
    }
}

fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// The letter of its state, and its parent.
fn state_and_parent(pid: i32) -> Option<(char, i32)> {
    let stat = stat(pid)?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// Whether it runs, or could: a zombie does not.
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

/// The guard of an elector that runs a program.
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

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
