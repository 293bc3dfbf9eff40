//! Where the leader file is, and what stands in it.
//!
//! `until` is the term's own limit in seconds since boot (`CLOCK_BOOTTIME`), which is what the first
//! number of `/proc/uptime` counts: both go on while the machine is suspended, and both are cut to
//! hundredths, never rounded up. Whoever reads the file goes by it, since a crash leaves the file
//! behind. So does a crash of the machine, after which that count begins anew; hence `bootId`, from
//! `/proc/sys/kernel/random/boot_id`.
//!
//! Each line is written to a temporary file beside it, which is renamed. Nothing is synced to the disk:
//! what a crash of the machine loses, or brings back, is of another boot.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use serde_json::Value;

use super::Disk;
use crate::election::time::Instant;
use crate::system::clock::BootClock;
use crate::system::random::random_seed;

/// Everybody may read it: what runs beside the elector is often another user's.
const MODE: u32 = 0o644;

/// The longest file, in bytes, that can be one of ours: an identity is far shorter.
const LONGEST: u64 = 16 * 1024;

/// `/proc/uptime` is read to hundredths, and a little before or after our own clock. What differs by
/// more counts something else.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// The line, but for what changes.
#[derive(Debug)]
pub(super) struct Line {
    /// In JSON.
    identity: String,
    /// In JSON.
    boot_id: Option<String>,
}

impl Line {
    /// For a candidate of this name on this machine.
    pub(super) fn of(identity: &str) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        Line {
            identity: json(identity),
            boot_id: boot_id.ok().map(|id| json(id.trim())),
        }
    }

    /// For a term with this limit.
    pub(super) fn tell(&self, token: u64, until: Instant) -> String {
        let Line { identity, boot_id } = self;
        let until = until.since_boot();
        let (seconds, hundredths) = (until.as_secs(), until.subsec_millis() / 10);
        let boot_id = boot_id
            .as_ref()
            .map_or(String::new(), |id| format!(",\"bootId\":{id}"));
        format!(
            "{{\"identity\":{identity},\"token\":{token},\"until\":{seconds}.{hundredths:02}\
             {boot_id}}}\n"
        )
    }
}

fn json(text: &str) -> String {
    Value::from(text).to_string()
}

/// Who led by a line of ours, and until when; `None` if it is none.
fn understand(text: &str) -> Option<(String, f64)> {
    if text.lines().count() != 1 {
        return None;
    }
    let line: Value = serde_json::from_str(text).ok()?;
    line.get("token")?.as_u64()?;
    let identity = line.get("identity")?.as_str()?;
    Some((identity.to_owned(), line.get("until")?.as_f64()?))
}

/// A path at which a leader file can be written.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    temporary: PathBuf,
}

impl Place {
    /// Makes sure that a file can be written there, and removes the one that an earlier process left.
    ///
    /// # Errors
    /// When none can be written there, or when something else is there, which is left alone.
    pub(super) fn prepare(path: &Path, identity: &str) -> Result<Self, String> {
        let refuse = |why: String| format!("LEADER_FILE is {}, {why}", path.display());
        let bytes = path.as_os_str().as_bytes();
        let name = path.file_name().filter(|_| !bytes.ends_with(b"/"));
        let (Some(_), Some(folder)) = (name, path.parent()) else {
            let why = "which names no file: give the path of a file in a directory of its own";
            return Err(refuse(why.to_owned()));
        };
        let random = random_seed().map_err(|error| format!("/dev/urandom: {error}"))?;
        let place = Place {
            path: path.to_owned(),
            // Unlike that of any other process, so that nobody else's file is in the way.
            temporary: folder.join(format!(".leader-{random:016x}.tmp")),
        };
        place.remove_remains(identity).map_err(refuse)?;
        place.try_to_write().map_err(|error| {
            refuse(format!(
                "which cannot be written ({error}): give a path in a directory that is there, and in \
                 which this program may make files"
            ))
        })?;
        warn_of_another_clock();
        Ok(place)
    }

    /// Removes a file of ours. Whatever else stands there is not ours to touch.
    fn remove_remains(&self, identity: &str) -> Result<(), String> {
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            // Whether there is a directory shows when something is written.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("which cannot be used ({error}): give another path")),
        };
        if !found.is_file() {
            return Err("which is there and no regular file: give another path".to_owned());
        }
        let text = self.read().map_err(|error| {
            format!("which is there and cannot be read ({error}): give another path")
        })?;
        // Without a sync, a crash of the machine may leave an empty one.
        let left = understand(&text);
        if left.is_none() && !text.is_empty() {
            return Err(
                "which holds something else than this program writes there: give another path, or \
                 remove it"
                    .to_owned(),
            );
        }
        fs::remove_file(&self.path).map_err(|error| {
            format!("which is there and cannot be removed ({error}): give another path")
        })?;
        if let Some((other, until)) = left {
            tell_of_remains(&self.path, identity, &other, until);
        }
        Ok(())
    }

    fn read(&self) -> io::Result<String> {
        // Something else may have taken its place by now: a link, or a pipe that nobody writes to.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(&self.path)?;
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn try_to_write(&self) -> io::Result<()> {
        self.write_temporary("{}\n")?;
        fs::remove_file(&self.temporary)
    }

    fn write_temporary(&self, line: &str) -> io::Result<()> {
        // Never into a file that is there, or through a link.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&self.temporary)?;
        let written = fill(&mut file, line);
        if written.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        written
    }
}

fn fill(file: &mut File, line: &str) -> io::Result<()> {
    // Whatever the umask is.
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    file.write_all(line.as_bytes())
}

impl Disk for Place {
    fn write(&self, line: &str, is_wanted: &dyn Fn() -> bool) -> io::Result<bool> {
        self.write_temporary(line)?;
        let wanted = is_wanted();
        let done = if wanted {
            fs::rename(&self.temporary, &self.path)
        } else {
            fs::remove_file(&self.temporary)
        };
        if done.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        done.map(|()| wanted)
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn describe(&self) -> String {
        format!("the leader file {}", self.path.display())
    }
}

/// Another candidate's file that is still good may be that of an elector that runs.
fn tell_of_remains(path: &Path, identity: &str, other: &str, until: f64) {
    let now = BootClock::now().since_boot().as_secs_f64();
    if other != identity && until > now {
        return log::warn!(
            "{} (LEADER_FILE) said that {other} leads: removed; each elector needs a file of its own",
            path.display()
        );
    }
    log::info!("removed the leader file that an earlier process left");
}

/// Containers may have an uptime of their own making.
fn warn_of_another_clock() {
    let Ok(text) = fs::read_to_string("/proc/uptime") else {
        return;
    };
    // Read as JSON: the program has no other use for std's way to read floats, which takes 14 kB.
    let shown = text.split(' ').next();
    let shown = shown.and_then(|first| serde_json::from_str(first).ok());
    let shown = shown.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let now = BootClock::now().since_boot();
    if let Some(shown) = shown
        && shown.abs_diff(now) > CLOCK_SLACK
    {
        log::warn!(
            "/proc/uptime says {shown:.0?} here, but CLOCK_BOOTTIME {now:.0?}: `until` in the leader \
             file is to be compared with the latter alone"
        );
    }
}
