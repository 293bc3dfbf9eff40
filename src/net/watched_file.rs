//! A small file that is read again when it changes, as Kubernetes swaps a mounted secret.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, and which state of it was last read.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    /// Greatest size that is read, in bytes.
    max_size: u64,
    /// State that was last read; `None` if it could not be read.
    last_read: Option<FileState>,
    /// Whether a warning about the present problem was logged.
    warned: bool,
}

/// Distinguishes one state of a file from another. A swapped symbolic link leads to another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for FileState {
    fn from(file: &Metadata) -> FileState {
        FileState {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

impl WatchedFile {
    /// Names a file of at most `max_size` bytes, without reading it.
    pub(super) fn new(path: &Path, max_size: u64) -> Self {
        WatchedFile {
            path: path.to_owned(),
            max_size,
            last_read: None,
            warned: false,
        }
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the file differs from what was last read, or could not be read then or now.
    pub(super) fn has_changed(&self) -> bool {
        let now = std::fs::metadata(&self.path);
        let now = now.as_ref().map(FileState::from).ok();
        self.last_read.is_none() || now != self.last_read
    }

    /// Reads the whole file.
    ///
    /// # Errors
    /// Returns the problem and its fix if the file cannot be read or is too long.
    pub(super) fn read(&mut self) -> Result<Vec<u8>, String> {
        self.last_read = None;
        let read = self.try_read().map_err(|error| {
            format!("cannot be read ({error}); check the path and its permissions")
        })?;
        let (content, state) = read;
        self.last_read = Some(state);
        if content.len() as u64 > self.max_size {
            return Err(format!(
                "longer than {} bytes; check the path",
                self.max_size
            ));
        }
        Ok(content)
    }

    fn try_read(&self) -> io::Result<(Vec<u8>, FileState)> {
        // Opening a pipe could block forever.
        if !std::fs::metadata(&self.path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let file = File::open(&self.path)?;
        let state = FileState::from(&file.metadata()?);
        let mut content = Vec::new();
        file.take(self.max_size + 1).read_to_end(&mut content)?;
        Ok((content, state))
    }

    /// Logs that the previous content stays in use, once until [`WatchedFile::recovered`].
    pub(super) fn keep_previous(&mut self, content: &str, problem: &str) {
        if !self.warned {
            self.warned = true;
            log::warn!(
                path:? = self.path, error = problem;
                "{content} file unusable, keeping the previous {content}"
            );
        }
    }

    /// Notes that the content is usable again.
    pub(super) fn recovered(&mut self) {
        self.warned = false;
    }
}
