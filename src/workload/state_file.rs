//! The state file: its lock, and the checks without which its lock proves nothing.
//!
//! The lock belongs to the open file, which a guard inherits. It is free once both are dead. A lock on a
//! renamed, recreated or copied file is another lock, and some file systems give two processes the same one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, Flock, FlockArg, OFlag, fcntl};
use nix::sys::statfs::fstatfs;
use nix::unistd::{AccessFlags, access, geteuid};
use ring::digest::{SHA256, digest};

use super::restart::{Place, Predecessors, SIZE, State, Taken, judge, stepped_down_until};

/// File systems with reliable locks, by the numbers of statfs(2). Not overlayfs, NFS, 9p and FUSE.
const FILE_SYSTEMS: [(i128, &str); 5] = [
    (0x0102_1994, "tmpfs"),
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0xF2F5_2010, "f2fs"),
];

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// State file of one lock in a directory, not yet opened.
#[derive(Clone, Debug)]
pub struct StatePath {
    /// The file.
    pub path: PathBuf,
    lock: String,
    name: String,
}

/// State file that this process has locked.
#[derive(Debug)]
pub struct StateFile {
    file: Flock<File>,
    /// Where it is, for its content.
    pub place: Place,
    /// Name of its file system.
    pub file_system: &'static str,
}

/// Reason why a state file is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateError {
    /// A living process holds its lock.
    Held {
        /// As [`StateFile::stepped_down_until`].
        stepped_down_until: i64,
    },
    /// There is none.
    Missing,
    /// It cannot be used. The text says why, and what to do.
    Unusable(String),
}

impl StatePath {
    /// Returns the file in `directory` for `lock`, as messages name it, and for the candidate `name`.
    #[must_use]
    pub fn new(directory: &Path, lock: &str, name: &str) -> StatePath {
        let digest = digest(&SHA256, lock.as_bytes());
        let id: String = digest.as_ref()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        StatePath {
            path: directory.join(format!("elector-{id}.state")),
            lock: lock.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Opens the file, and takes its lock without waiting. `create` permits that it is missing.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn take(&self, create: bool) -> Result<StateFile, StateError> {
        self.lock(self.open(create)?)
    }

    fn unusable(&self, why: &str) -> StateError {
        StateError::Unusable(format!("STATE_DIR: {:?} {why}", self.path))
    }

    fn open(&self, create: bool) -> Result<File, StateError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .mode(0o600)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(&self.path);
        let errno = |error: &io::Error| error.raw_os_error().map(Errno::from_raw);
        file.map_err(|error| match errno(&error) {
            Some(Errno::ENOENT) if !create => StateError::Missing,
            Some(Errno::ELOOP | Errno::EISDIR) => self.unusable("is not a plain file; delete it"),
            _ => self.unusable(&format!(
                "cannot be opened: {error}; give a writable directory"
            )),
        })
    }

    fn lock(&self, file: File) -> Result<StateFile, StateError> {
        let unusable = |why: &str| self.unusable(why);
        let file_system = file_system(&file).map_err(|why| unusable(&why))?;
        let failed = |error: io::Error| unusable(&format!("cannot be examined: {error}"));
        let opened = file.metadata().map_err(failed)?;
        if !opened.is_file() || opened.nlink() > 1 {
            return Err(unusable("is not a plain file; delete it"));
        }
        if opened.uid() != geteuid().as_raw() || opened.mode() & 0o077 != 0 {
            return Err(unusable(
                "belongs to another user, or others may open it; delete it",
            ));
        }
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((file, Errno::EWOULDBLOCK)) => {
                let text = read(&file).unwrap_or_default();
                return Err(StateError::Held {
                    stepped_down_until: stepped_down_until(&text, &self.lock, &self.name),
                });
            }
            Err((_, error)) => return Err(unusable(&format!("cannot be locked: {error}"))),
        };
        // Whatever the path leads to now is what the next process locks.
        let named = fs::symlink_metadata(&self.path).map_err(failed)?;
        if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
            return Err(unusable("was replaced while it was opened"));
        }
        let boot_id = fs::read_to_string(BOOT_ID)
            .map_err(|error| StateError::Unusable(format!("{BOOT_ID}: {error}; mount /proc")))?;
        Ok(StateFile {
            file,
            place: Place {
                lock: self.lock.clone(),
                name: self.name.clone(),
                boot_id: boot_id.trim().to_owned(),
                device: opened.dev(),
                inode: opened.ino(),
            },
            file_system,
        })
    }
}

/// Returns the name of the file system of a directory for state files.
///
/// # Errors
/// What is wrong with the directory, and the fix.
pub fn check_directory(directory: &Path) -> Result<&'static str, String> {
    let unusable = |why: &str| format!("STATE_DIR: {directory:?} {why}");
    let opened =
        File::open(directory).and_then(|opened| opened.metadata().map(|found| (opened, found)));
    match opened {
        Ok((opened, found)) if found.is_dir() => {
            let writable = access(directory, AccessFlags::W_OK | AccessFlags::X_OK);
            writable.map_err(|error| unusable(&format!("is not writable: {error}; permit it")))?;
            file_system(&opened).map_err(|why| unusable(&why))
        }
        Ok(_) => Err(unusable("is not a directory; give one")),
        Err(error) => Err(unusable(&format!("cannot be opened: {error}; create it"))),
    }
}

/// Returns the name of a file's system.
fn file_system(file: &File) -> Result<&'static str, String> {
    let info = fstatfs(file).map_err(|error| format!("has no known file system: {error}"))?;
    // The type of the number depends on the C library.
    let number = i128::from(info.filesystem_type().0);
    let known = FILE_SYSTEMS.iter().find(|(known, _)| *known == number);
    known.map(|(_, name)| *name).ok_or_else(|| {
        format!(
            "is on a file system ({number:#x}) whose locks prove nothing; use a directory on tmpfs, ext4, \
             xfs, btrfs or f2fs, such as an emptyDir"
        )
    })
}

fn read(file: &File) -> io::Result<String> {
    let mut bytes = vec![0; SIZE];
    let length = file.read_at(&mut bytes, 0)?;
    bytes.truncate(length);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl StateFile {
    /// Reads the content.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self) -> io::Result<String> {
        read(&self.file)
    }

    /// Returns until when an operator keeps this candidate from acquiring the lease, in milliseconds since
    /// 1970; 0 if the file does not say.
    #[must_use]
    pub fn stepped_down_until(&self) -> i64 {
        let text = self.read().unwrap_or_default();
        stepped_down_until(&text, &self.place.lock, &self.place.name)
    }

    /// Reads and judges the content.
    ///
    /// # Errors
    /// The reason why predecessors must be taken for alive.
    pub fn judge(&self, taken: Taken) -> Result<Option<Predecessors>, &'static str> {
        let text = self.read().map_err(|_| "it cannot be read")?;
        judge(&text, &self.place, taken)
    }

    /// Replaces the content, in place.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, state: &State) -> io::Result<()> {
        let bytes = state.to_bytes();
        let bytes = bytes.ok_or_else(|| io::Error::other("the names are too long"))?;
        self.file.write_all_at(&bytes, 0)
    }

    /// Returns the number of the descriptor, which the next started process inherits with the lock. Call
    /// [`keep_private`](Self::keep_private) afterwards.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn make_inheritable(&self) -> io::Result<i32> {
        fcntl(self.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(self.file.as_raw_fd())
    }

    /// Keeps the descriptor from other processes that are started.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn keep_private(&self) -> io::Result<()> {
        fcntl(self.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(())
    }
}

impl AsFd for StateFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Notes that nothing of the workload is left, in the file of this inherited descriptor.
///
/// # Errors
/// If the file cannot be read or written.
pub fn note_stopped(descriptor: i32) -> io::Result<()> {
    // Another open file, which has no lock and needs none: the elector is dead.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/self/fd/{descriptor}"))?;
    let stopped = State::stopped(&read(&file)?);
    let stopped = stopped.ok_or_else(|| io::Error::other("its content cannot be read"))?;
    file.write_all_at(&stopped, 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn path(directory: &Path) -> StatePath {
        StatePath::new(directory, "a lock", "napoleon")
    }

    fn problem(path: &StatePath) -> String {
        match path.take(true) {
            Err(StateError::Unusable(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lock_is_held_until_closed() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = path(directory.path());
        assert_eq!(path.take(false).unwrap_err(), StateError::Missing);
        let file = path.take(true).unwrap();
        assert_eq!(
            (file.file_system, file.read().unwrap()),
            ("tmpfs", String::new())
        );
        let held = |stepped_down_until| StateError::Held { stepped_down_until };
        assert_eq!(path.take(true).unwrap_err(), held(0));
        let other = StatePath::new(directory.path(), "another lock", "napoleon");
        assert!(other.take(true).is_ok());
        let mut state = State::new(file.place.clone(), ("p", 7), None, false);
        state.stepped_down_until = 7_000;
        file.write(&state).unwrap();
        assert_eq!(path.take(true).unwrap_err(), held(7_000));
        assert_eq!(file.stepped_down_until(), 7_000);
        note_stopped(file.file.as_raw_fd()).unwrap();
        drop(file);
        let text = path.take(true).unwrap().read().unwrap();
        assert_eq!(
            (text.len(), text.contains("\"stopped\":true")),
            (SIZE, true)
        );
    }

    #[test]
    fn replaced_file_is_refused() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = path(directory.path());
        let file = path.open(true).unwrap();
        fs::remove_file(&path.path).unwrap();
        drop(path.take(true).unwrap());
        let error = path.lock(file).unwrap_err();
        assert!(format!("{error:?}").contains("was replaced"), "{error:?}");
    }

    #[test]
    fn unusual_files_are_refused() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = path(directory.path());
        symlink("/dev/shm/elsewhere", &path.path).unwrap();
        assert!(problem(&path).contains("not a plain file"));
        fs::remove_file(&path.path).unwrap();
        drop(path.take(true).unwrap());
        fs::set_permissions(&path.path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(problem(&path).contains("another user"));
        fs::set_permissions(&path.path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&path.path, directory.path().join("second")).unwrap();
        assert!(problem(&path).contains("plain file"));
        let missing = StatePath::new(Path::new("/dev/shm/missing-folder"), "x", "y");
        assert!(problem(&missing).contains("writable directory"));
        let proc = StatePath::new(Path::new("/proc"), "x", "y");
        assert!(problem(&proc).contains("cannot be opened"));
    }
}
