//! A small file that is read again when it changes, as Kubernetes swaps a mounted secret.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, and the state in which it was last read.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    /// Greatest size that is read, in bytes.
    max_size: u64,
    /// State at the last read; `None` if there was no file.
    last_read: Option<FileState>,
}

/// Distinguishes one state of a file from another. A swapped symbolic link leads to another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> Option<FileState> {
        let file = fs::metadata(path).ok()?;
        Some(FileState {
            inode: (file.dev(), file.ino()),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

impl WatchedFile {
    /// Names a file of at most `max_size` bytes, without reading it.
    pub(super) fn new(path: &Path, max_size: u64) -> Self {
        WatchedFile {
            path: path.to_owned(),
            max_size,
            last_read: None,
        }
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the file differs from what was last read, or failed to be read.
    pub(super) fn has_changed(&self) -> bool {
        FileState::of(&self.path) != self.last_read
    }

    /// Reads the whole file.
    ///
    /// # Errors
    /// Returns the problem and its fix if the file cannot be read or is too long.
    pub(super) fn read(&mut self) -> Result<Vec<u8>, String> {
        // Before the content: if the file changes in between, it counts as changed afterwards.
        self.last_read = FileState::of(&self.path);
        let content = self.try_read().map_err(|error| {
            format!("cannot be read ({error}); check the path and its permissions")
        })?;
        if content.len() as u64 > self.max_size {
            let max_size = self.max_size;
            return Err(format!("is longer than {max_size} bytes; check the path"));
        }
        Ok(content)
    }

    fn try_read(&self) -> io::Result<Vec<u8>> {
        // Opening a pipe could block forever.
        if !fs::metadata(&self.path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut content = Vec::new();
        let file = File::open(&self.path)?;
        file.take(self.max_size + 1).read_to_end(&mut content)?;
        Ok(content)
    }
}
