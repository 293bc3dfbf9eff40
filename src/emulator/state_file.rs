//! State file: the changes of the store as JSON lines, appended before a write is answered.
//!
//! It survives SIGKILL at any moment, because a torn last line is dropped. It does not survive a power
//! failure, because nothing is synced. A running service locks it. Files of another format are never
//! written to.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::change::GistChange;
use super::error::StartError;
use super::revision::is_gist_id;
use super::store::Store;

/// First line of every state file; identifies the format.
const HEADER: &str = "{\"elector-gist-server\":1}\n";

/// Longest line: far more than the files of one request, escaped.
const LINE_BYTES: u64 = 64 * 1024 * 1024;

/// Open state file.
#[derive(Debug)]
pub(super) struct StateFile {
    file: Flock<File>,
    path: PathBuf,
    /// Length in bytes of the complete lines.
    complete: u64,
    /// Whether a write has failed, so that the file lacks changes of the store.
    failed: bool,
}

impl StateFile {
    /// Opens or creates the file and replays its changes into the store.
    pub(super) fn open(path: &Path, store: &mut Store) -> Result<Self, StartError> {
        let io = |error| StartError::StateFile(path.to_owned(), error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(path).map_err(io)?;
        let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let file = locked.map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => StartError::InUse(path.to_owned()),
            other => io(other.into()),
        })?;
        let mut state = Self {
            file,
            path: path.to_owned(),
            complete: 0,
            failed: false,
        };
        state.load(store)?;
        let end = SeekFrom::Start(state.complete);
        state.file.seek(end).map_err(io)?;
        if state.complete == 0 {
            state.write(HEADER.as_bytes()).map_err(io)?;
        }
        Ok(state)
    }

    fn load(&mut self, store: &mut Store) -> Result<(), StartError> {
        let io = |error| StartError::StateFile(self.path.clone(), error);
        let corrupt = |number, why| StartError::Corrupt(self.path.clone(), number, why);
        let mut reader = BufReader::new(&*self.file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let mut limited = (&mut reader).take(LINE_BYTES);
            let read = limited.read_until(b'\n', &mut line).map_err(io)?;
            if read == 0 {
                return Ok(());
            }
            let complete = line.ends_with(b"\n");
            let is_header = match complete {
                true => line == HEADER.as_bytes(),
                false => HEADER.as_bytes().starts_with(&line),
            };
            if number == 1 && !is_header {
                return Err(StartError::Foreign(self.path.clone()));
            }
            if line.len() as u64 == LINE_BYTES {
                return Err(corrupt(number, "it is too long".to_owned()));
            }
            if !complete {
                break;
            }
            if number > 1 {
                replay(store, &line).map_err(|why| corrupt(number, why))?;
            }
            self.complete += read as u64;
        }
        log::warn!(path:% = self.path.display(); "dropped torn last line of the state file");
        self.file.set_len(self.complete).map_err(io)
    }

    /// Appends changes. On return the kernel has them.
    pub(super) fn append(&mut self, changes: &[GistChange]) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        let mut lines = Vec::new();
        for change in changes {
            serde_json::to_writer(&mut lines, change)?;
            lines.push(b'\n');
        }
        self.write(&lines)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            log::error!(
                path:% = self.path.display(), error:%;
                "cannot write state file, refusing all writes until a restart"
            );
            self.failed = true;
            // A torn line would hide that later changes are missing.
            let _ = self.file.set_len(self.complete);
            return Err(error);
        }
        self.complete += bytes.len() as u64;
        Ok(())
    }
}

fn replay(store: &mut Store, line: &[u8]) -> Result<(), String> {
    let line: GistChange = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if !is_gist_id(&line.gist) {
        return Err("a gist id has letters, digits, `-` and `_`".to_owned());
    }
    store.replay(line).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::change::{NewGist, Race};
    use super::super::files::{Edit, Files};
    use super::super::revision::{Revision, Timestamp};
    use super::*;
    use std::fs;

    const T: Timestamp = Timestamp(1_000_000_000);

    fn filled(path: &Path) -> Store {
        let mut store = Store::new(1);
        let mut state = StateFile::open(path, &mut store).unwrap();
        store.record_changes();
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
        let early = store.begin_write("g", Edit::put("a", "early")).unwrap();
        let late = store.begin_write("g", Edit::put("a", "stays")).unwrap();
        store
            .finish_write(&early, Race::Lose, T.plus_ms(1))
            .unwrap();
        store.finish_write(&late, Race::Lose, T.plus_ms(2)).unwrap();
        state.append(&store.take_changes()).unwrap();
        store
    }

    fn history(store: &Store) -> Vec<(Revision, Files)> {
        let view = store.read("g").unwrap();
        view.history()
            .map(|commit| (commit.revision(), commit.files().clone()))
            .collect()
    }

    #[test]
    fn store_is_restored_from_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("state");
        let before = filled(path);
        let mut after = Store::new(1);
        StateFile::open(path, &mut after).unwrap();
        assert_eq!(history(&after), history(&before));
        assert_eq!(history(&after).len(), 2);
    }

    #[test]
    fn deleted_gist_stays_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("state");
        filled(path);
        let mut store = Store::new(1);
        let mut state = StateFile::open(path, &mut store).unwrap();
        store.record_changes();
        store.delete("g").unwrap();
        state.append(&store.take_changes()).unwrap();
        drop(state);
        let mut again = Store::new(1);
        StateFile::open(path, &mut again).unwrap();
        assert!(again.read("g").is_none());
    }

    #[test]
    fn torn_last_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("state");
        let before = filled(path);
        let whole = fs::read(path).unwrap();
        // Wherever the crash cuts the last line, the revision before it is the head.
        let last = whole[..whole.len() - 1]
            .iter()
            .rposition(|b| *b == b'\n')
            .unwrap()
            + 1;
        for cut in [last, last + 1, last + 20, whole.len() - 1] {
            fs::write(path, &whole[..cut]).unwrap();
            let mut after = Store::new(9);
            let mut state = StateFile::open(path, &mut after).unwrap();
            assert_eq!(after.read("g").unwrap().depth(), 2);
            assert_ne!(history(&after), history(&before));
            after.record_changes();
            let write = after.begin_write("g", Edit::put("a", "again")).unwrap();
            after.finish_write(&write, Race::Conflict, T).unwrap();
            state.append(&after.take_changes()).unwrap();
            drop(state);
            let mut again = Store::new(9);
            StateFile::open(path, &mut again).unwrap();
            assert_eq!(history(&again), history(&after));
        }
    }

    #[test]
    fn foreign_file_is_refused_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("state");
        for foreign in ["hello", "hello\n", "{\"a\":1}\n", "\n"] {
            fs::write(path, foreign).unwrap();
            let refused = StateFile::open(path, &mut Store::new(1));
            assert!(
                matches!(refused, Err(StartError::Foreign(_))),
                "{foreign:?}"
            );
            assert_eq!(fs::read_to_string(path).unwrap(), foreign);
        }
    }

    #[test]
    fn corrupt_line_is_refused_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("state");
        filled(path);
        let broken = fs::read_to_string(path)
            .unwrap()
            .replacen("\"event\"", "\"evnt\"", 1);
        fs::write(path, broken).unwrap();
        let refused = StateFile::open(path, &mut Store::new(1));
        assert!(
            matches!(refused, Err(StartError::Corrupt(_, 2, _))),
            "{refused:?}"
        );
    }

    #[test]
    fn invalid_gist_id_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("state");
        filled(path);
        let whole = fs::read_to_string(path).unwrap();
        for id in ["", "a/b", "..", "a\\\"b", "é", &"g".repeat(65)] {
            let other = whole.replace("\"gist\":\"g\"", &format!("\"gist\":\"{id}\""));
            assert_ne!(other, whole);
            fs::write(path, other).unwrap();
            let refused = StateFile::open(path, &mut Store::new(1));
            assert!(
                matches!(refused, Err(StartError::Corrupt(_, 2, _))),
                "{id}: {refused:?}"
            );
        }
    }

    #[test]
    fn file_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("state");
        let first = StateFile::open(path, &mut Store::new(1)).unwrap();
        let second = StateFile::open(path, &mut Store::new(1));
        assert!(matches!(second, Err(StartError::InUse(_))));
        drop(first);
        StateFile::open(path, &mut Store::new(1)).unwrap();
    }
}
