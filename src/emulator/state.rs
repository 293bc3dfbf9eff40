//! The state file: the store's events as JSON lines, appended and written before a request is answered.
//!
//! It survives SIGKILL at any moment (a torn last line is dropped), not a power cut: nothing is
//! synced. It is locked while a server uses it, and a file that is not one of ours is never written to.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::files::Files;
use super::revision::{Revision, Timestamp, is_gist_id};
use super::store::Store;
use super::write::Event;

/// The first line of every state file: what tells ours from others.
const HEADER: &str = "{\"elector-gist-server\":1}\n";

/// A line holds at most the files of one request, escaped; a longer one is none of ours.
const LINE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a state file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum StateError {
    /// It cannot be opened, read or written.
    Io(PathBuf, io::Error),
    /// Another server uses it.
    InUse(PathBuf),
    /// It is a file of something else.
    NotOurs(PathBuf),
    /// A line in its middle cannot be understood.
    Corrupt(PathBuf, usize, String),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, e) => write!(f, "cannot use the state file {}: {e}", path.display()),
            Self::InUse(path) => write!(
                f,
                "another server uses the state file {}: stop it or name another file",
                path.display()
            ),
            Self::NotOurs(path) => write!(
                f,
                "{} is not a state file of a gist server, and stays as it is: name another file",
                path.display()
            ),
            Self::Corrupt(path, line, why) => write!(
                f,
                "line {line} of the state file {} is broken ({why}): repair it, or move the file away",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StateError {}

#[derive(Serialize, Deserialize)]
struct Line {
    gist: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What {
    Created {
        description: String,
        public: bool,
        at: i64,
    },
    Committed {
        revision: String,
        parent: Option<String>,
        committed_at: i64,
        at_ms: i64,
        /// What differs from the parent; `null` is a file that is gone.
        files: BTreeMap<String, Option<String>>,
    },
    HeadMoved {
        revision: String,
        at_ms: i64,
    },
    Described {
        description: String,
        at: i64,
    },
    Deleted {},
}

/// An open state file.
#[derive(Debug)]
pub(super) struct Journal {
    file: Flock<File>,
    path: PathBuf,
    /// Up to here the file holds whole lines.
    good: u64,
    /// Writing failed: what is in memory is no longer what is in the file.
    broken: bool,
}

impl Journal {
    /// Opens or makes the file and reads what it holds into the store.
    pub(super) fn open(path: &Path, store: &mut Store) -> Result<Self, StateError> {
        let io = |e| StateError::Io(path.to_owned(), e);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options.open(path).map_err(io)?;
        let file =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(
                |(_, errno)| match errno {
                    nix::errno::Errno::EWOULDBLOCK => StateError::InUse(path.to_owned()),
                    other => StateError::Io(path.to_owned(), other.into()),
                },
            )?;
        let mut journal = Self {
            file,
            path: path.to_owned(),
            good: 0,
            broken: false,
        };
        journal.load(store)?;
        journal
            .file
            .seek(SeekFrom::Start(journal.good))
            .map_err(io)?;
        if journal.good == 0 {
            journal.write(HEADER.as_bytes()).map_err(io)?;
        }
        Ok(journal)
    }

    fn load(&mut self, store: &mut Store) -> Result<(), StateError> {
        let path = self.path.clone();
        let io = |e| StateError::Io(path.clone(), e);
        let mut reader = BufReader::new(&*self.file);
        let mut number = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader)
                .take(LINE_BYTES)
                .read_until(b'\n', &mut line)
                .map_err(io)?;
            if read == 0 {
                return Ok(());
            }
            number += 1;
            let whole = line.ends_with(b"\n");
            if number == 1
                && !(line == HEADER.as_bytes() || !whole && HEADER.as_bytes().starts_with(&line))
            {
                return Err(StateError::NotOurs(path));
            }
            if !whole {
                break;
            }
            if number > 1 {
                replay(store, &line)
                    .map_err(|why| StateError::Corrupt(path.clone(), number, why))?;
            }
            self.good += read as u64;
        }
        if line.len() as u64 == LINE_BYTES {
            return Err(StateError::Corrupt(
                path,
                number,
                "it is too long".to_owned(),
            ));
        }
        log::warn!(
            "the state file {} ends in a torn line, which is dropped",
            path.display()
        );
        self.file.set_len(self.good).map_err(io)
    }

    /// Appends what happened; when this returns the kernel has it.
    pub(super) fn append(&mut self, store: &Store, events: Vec<(String, Event)>) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other(
                "an earlier write to the state file failed",
            ));
        }
        let mut text = Vec::new();
        for (gist, event) in events {
            let line = Line {
                what: what(store, &gist, event),
                gist,
            };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        self.write(&text)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes);
        if let Err(e) = written {
            log::error!(
                "cannot write the state file {}: {e}; no more writes are taken",
                self.path.display()
            );
            self.broken = true;
            // Half a line in the file would be taken for a torn one; better none.
            let _ = self.file.set_len(self.good);
            return Err(e);
        }
        self.good += bytes.len() as u64;
        Ok(())
    }
}

fn what(store: &Store, gist: &str, event: Event) -> What {
    match event {
        Event::Created {
            description,
            public,
            at,
        } => What::Created {
            description,
            public,
            at,
        },
        Event::Committed {
            revision,
            parent,
            committed_at,
            at,
        } => What::Committed {
            revision: revision.to_string(),
            parent: parent.map(|parent| parent.to_string()),
            committed_at,
            at_ms: at.0,
            files: difference(store, gist, parent, revision),
        },
        Event::HeadMoved { revision, at } => What::HeadMoved {
            revision: revision.to_string(),
            at_ms: at.0,
        },
        Event::Described { description, at } => What::Described { description, at },
        Event::Deleted => What::Deleted {},
    }
}

fn difference(
    store: &Store,
    gist: &str,
    parent: Option<Revision>,
    revision: Revision,
) -> BTreeMap<String, Option<String>> {
    let empty = Files::default();
    let old = parent
        .and_then(|parent| store.files_of(gist, parent))
        .unwrap_or(&empty);
    let new = store.files_of(gist, revision).unwrap_or(&empty);
    let gone = old
        .iter()
        .filter(|(name, _)| new.get(name).is_none())
        .map(|(name, _)| (name.to_owned(), None));
    let changed = new
        .iter()
        .filter(|(name, content)| old.get(name) != Some(content));
    gone.chain(changed.map(|(name, content)| (name.to_owned(), Some(content.to_string()))))
        .collect()
}

fn replay(store: &mut Store, line: &[u8]) -> Result<(), String> {
    let Line { gist, what } = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    if !is_gist_id(&gist) {
        return Err("a gist's id has letters, digits, `-` and `_`".to_owned());
    }
    let name = |text: &str| text.parse::<Revision>().map_err(|e| e.to_string());
    let mut files = Files::default();
    let event = match what {
        What::Created {
            description,
            public,
            at,
        } => Event::Created {
            description,
            public,
            at,
        },
        What::Committed {
            revision,
            parent,
            committed_at,
            at_ms,
            files: changes,
        } => {
            let parent = parent.as_deref().map(name).transpose()?;
            files = patched(
                parent.and_then(|parent| store.files_of(&gist, parent)),
                changes,
            );
            Event::Committed {
                revision: name(&revision)?,
                parent,
                committed_at,
                at: Timestamp(at_ms),
            }
        }
        What::HeadMoved { revision, at_ms } => Event::HeadMoved {
            revision: name(&revision)?,
            at: Timestamp(at_ms),
        },
        What::Described { description, at } => Event::Described { description, at },
        What::Deleted {} => Event::Deleted,
    };
    store.replay(&gist, event, files).map_err(|e| e.to_string())
}

fn patched(old: Option<&Files>, mut changes: BTreeMap<String, Option<String>>) -> Files {
    let empty = Files::default();
    let old = old.unwrap_or(&empty);
    let kept: Vec<_> = old
        .iter()
        .filter(|(name, _)| !changes.contains_key(*name))
        .collect();
    let mut all: BTreeMap<std::sync::Arc<str>, std::sync::Arc<str>> = kept
        .into_iter()
        .map(|(name, content)| (name.into(), std::sync::Arc::clone(content)))
        .collect();
    for (name, content) in std::mem::take(&mut changes) {
        if let Some(content) = content {
            all.insert(name.into(), content.into());
        }
    }
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::files::Edit;
    use super::super::write::{NewGist, Race};
    use super::*;
    use std::fs;

    const T: Timestamp = Timestamp(1_000_000_000);

    /// A path of its own for each test, gone when it ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("gist-state-{}-{name}", std::process::id()));
            let _ = fs::remove_file(&path);
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn filled(path: &Path) -> Store {
        let mut store = Store::new(1);
        let mut journal = Journal::open(path, &mut store).unwrap();
        store.keep_events();
        let files = [("a", "1"), ("b", "keep")].into_iter().collect();
        store
            .create(
                Some("g"),
                NewGist {
                    files,
                    ..NewGist::default()
                },
                T,
            )
            .unwrap();
        let early = store.begin_write("g", Edit::put("a", "vanishes")).unwrap();
        let late = store.begin_write("g", Edit::put("a", "stays")).unwrap();
        store
            .finish_write(&early, Race::Vanish, T.plus_ms(1))
            .unwrap();
        store
            .finish_write(&late, Race::Vanish, T.plus_ms(2))
            .unwrap();
        let events = store.take_events();
        journal.append(&store, events).unwrap();
        store
    }

    fn history(store: &Store) -> Vec<(Revision, Files)> {
        let view = store.read("g").unwrap();
        view.history()
            .map(|commit| (commit.revision(), commit.files().clone()))
            .collect()
    }

    #[test]
    fn a_store_is_read_back_as_it_was_and_what_vanished_stays_vanished() {
        let scratch = Scratch::new("whole");
        let before = filled(&scratch.0);
        let mut after = Store::new(1);
        Journal::open(&scratch.0, &mut after).unwrap();
        assert_eq!(history(&after), history(&before));
        assert_eq!(history(&after).len(), 2);
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_writing_goes_on_after_the_last_whole_one() {
        let scratch = Scratch::new("torn");
        let before = filled(&scratch.0);
        let whole = fs::read(&scratch.0).unwrap();
        // Wherever the crash cuts the last line, the revision before it is the head.
        let last = whole[..whole.len() - 1]
            .iter()
            .rposition(|b| *b == b'\n')
            .unwrap()
            + 1;
        for cut in [last, last + 1, last + 20, whole.len() - 1] {
            fs::write(&scratch.0, &whole[..cut]).unwrap();
            let mut after = Store::new(9);
            let mut journal = Journal::open(&scratch.0, &mut after).unwrap();
            assert_eq!(after.read("g").unwrap().depth(), 2);
            assert_ne!(history(&after), history(&before));
            after.keep_events();
            let write = after.begin_write("g", Edit::put("a", "again")).unwrap();
            after.finish_write(&write, Race::Conflict, T).unwrap();
            let events = after.take_events();
            journal.append(&after, events).unwrap();
            drop(journal);
            let mut again = Store::new(9);
            Journal::open(&scratch.0, &mut again).unwrap();
            assert_eq!(history(&again), history(&after));
        }
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused_and_left_alone() {
        let scratch = Scratch::new("foreign");
        for foreign in ["hello", "hello\n", "{\"a\":1}\n", "\n"] {
            fs::write(&scratch.0, foreign).unwrap();
            let refused = Journal::open(&scratch.0, &mut Store::new(1));
            assert!(
                matches!(refused, Err(StateError::NotOurs(_))),
                "{foreign:?}"
            );
            assert_eq!(fs::read_to_string(&scratch.0).unwrap(), foreign);
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_is_refused_with_its_number() {
        let scratch = Scratch::new("corrupt");
        filled(&scratch.0);
        let broken = fs::read_to_string(&scratch.0)
            .unwrap()
            .replacen("\"event\"", "\"evnt\"", 1);
        fs::write(&scratch.0, broken).unwrap();
        let refused = Journal::open(&scratch.0, &mut Store::new(1));
        assert!(
            matches!(refused, Err(StateError::Corrupt(_, 2, _))),
            "{refused:?}"
        );
    }

    #[test]
    fn an_id_that_no_path_could_name_is_refused() {
        let scratch = Scratch::new("ids");
        filled(&scratch.0);
        let whole = fs::read_to_string(&scratch.0).unwrap();
        for id in ["", "a/b", "..", "a\\\"b", "é", &"g".repeat(65)] {
            let other = whole.replace("\"gist\":\"g\"", &format!("\"gist\":\"{id}\""));
            assert_ne!(other, whole);
            fs::write(&scratch.0, other).unwrap();
            let refused = Journal::open(&scratch.0, &mut Store::new(1));
            assert!(
                matches!(refused, Err(StateError::Corrupt(_, 2, _))),
                "{id}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_second_server_on_the_same_file_is_refused() {
        let scratch = Scratch::new("locked");
        let first = Journal::open(&scratch.0, &mut Store::new(1)).unwrap();
        let second = Journal::open(&scratch.0, &mut Store::new(1));
        assert!(matches!(second, Err(StateError::InUse(_))));
        drop(first);
        Journal::open(&scratch.0, &mut Store::new(1)).unwrap();
    }
}
