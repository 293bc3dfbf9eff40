//! Content of the leader file, and its path on the disk.
//!
//! `validUntil` is the leadership deadline in seconds since boot (`CLOCK_BOOTTIME`), as the first number
//! of `/proc/uptime`. Both advance while the machine is suspended, and both are cut to hundredths, never
//! rounded up. Readers must compare the two, because a crash leaves the file behind. A crash of the
//! machine does too and restarts that count, so `bootId` names the boot
//! (`/proc/sys/kernel/random/boot_id`).
//!
//! Each line is written to a temporary file in the same directory, which is then renamed. Nothing is
//! synced, because a line that a crash of the machine loses or restores belongs to another boot.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::election::time::Instant;
use crate::fmt::brief;
use crate::system::clock::BootClock;
use crate::system::random::random_seed;

/// Mode of the file: readable for all, because a program beside the elector is often another user's.
const MODE: u32 = 0o644;

/// Length of the longest file that is read, in bytes: far more than a leader file has.
pub(super) const MAX_LENGTH: u64 = 16 * 1024;

/// Text of a trial at start, which never appears under the path.
const TRIAL: &str = "{}\n";

/// Largest difference between `/proc/uptime` and the boot clock that reading one after the other can
/// cause.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// A place for the line.
pub(super) trait Disk: Send + 'static {
    /// Replaces the line, unless `is_wanted` returns `false` right before the last step. Returns whether
    /// it was replaced.
    fn write(&self, line: &str, is_wanted: &dyn Fn() -> bool) -> io::Result<bool>;

    /// Removes the line, if there is one.
    fn remove(&self) -> io::Result<()>;
}

/// Constant parts of the line, in JSON.
#[derive(Debug)]
pub(super) struct Line {
    identity: Value,
    /// `bootId` with the comma before it; empty if the boot is unknown.
    boot_id: String,
}

impl Line {
    /// Creates the line of a candidate on this machine.
    pub(super) fn new(identity: &str) -> Self {
        let boot_id = boot_id().map(|id| format!(",\"bootId\":\"{id}\""));
        Line {
            identity: identity.into(),
            boot_id: boot_id.unwrap_or_default(),
        }
    }

    /// Returns the line for a term.
    pub(super) fn text(&self, fencing_token: u64, valid_until: Instant) -> String {
        let Line { identity, boot_id } = self;
        let until = valid_until.since_boot();
        let (seconds, hundredths) = (until.as_secs(), until.subsec_millis() / 10);
        format!(
            "{{\"identity\":{identity},\"fencingToken\":{fencing_token},\
             \"validUntil\":{seconds}.{hundredths:02}{boot_id}}}\n"
        )
    }
}

/// Returns the id of this boot.
pub(super) fn boot_id() -> io::Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim().to_owned())
}

/// Content of a leader file.
#[derive(Debug)]
pub(super) struct Content {
    identity: String,
    /// Leadership deadline, in seconds since boot.
    pub(super) valid_until: f64,
    /// Boot that the deadline refers to, if it was known.
    pub(super) boot_id: Option<String>,
}

impl Content {
    /// Parses the text of a leader file; returns `None` if it is not one.
    pub(super) fn parse(text: &str) -> Option<Content> {
        if text.lines().count() != 1 {
            return None;
        }
        let line: Value = serde_json::from_str(text).ok()?;
        line.get("fencingToken")?.as_u64()?;
        let boot_id = line.get("bootId").map(|id| id.as_str().map(str::to_owned));
        Some(Content {
            identity: line.get("identity")?.as_str()?.to_owned(),
            valid_until: line.get("validUntil")?.as_f64()?,
            boot_id: boot_id.flatten(),
        })
    }
}

/// A path at which a leader file can be written.
#[derive(Debug)]
pub(super) struct LinePath {
    path: PathBuf,
    temporary: PathBuf,
}

impl LinePath {
    /// Checks that a file can be written at `path`, and removes the one of an earlier process.
    ///
    /// # Errors
    /// If no file can be written there, or a foreign file is there, which is left alone.
    pub(super) fn prepare(path: &Path, identity: &str) -> Result<Self, String> {
        let refuse = |why: String| format!("LEADER_FILE: {} {why}", path.display());
        let bytes = path.as_os_str().as_bytes();
        let name = path.file_name().filter(|_| !bytes.ends_with(b"/"));
        let (Some(_), Some(folder)) = (name, path.parent()) else {
            let why = "is not the path of a file; give the path of a file in a directory";
            return Err(refuse(why.to_owned()));
        };
        let random = random_seed().map_err(|error| format!("/dev/urandom: {error}"))?;
        let place = LinePath {
            path: path.to_owned(),
            // Random, so that no file of another process has the same name.
            temporary: folder.join(format!(".leader-{random:016x}.tmp")),
        };
        place.remove_remains(identity).map_err(refuse)?;
        let tried = place.write(TRIAL, &|| false);
        tried.map_err(|error| {
            refuse(format!(
                "cannot be written ({error}); give a path in an existing directory in which this \
                 program may create files"
            ))
        })?;
        warn_of_other_uptime();
        Ok(place)
    }

    /// Removes a leader file. A foreign file is an error.
    fn remove_remains(&self, identity: &str) -> Result<(), String> {
        let unusable = |error| format!("cannot be used ({error}); give another path");
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            // A missing directory shows when a file is written.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unusable(error)),
        };
        if !found.is_file() {
            return Err("is not a regular file; give another path".to_owned());
        }
        let mut text = Vec::new();
        let read =
            File::open(&self.path).and_then(|file| file.take(MAX_LENGTH).read_to_end(&mut text));
        read.map_err(unusable)?;
        // A crash of the machine may leave an empty file, because nothing is synced.
        let left = Content::parse(&String::from_utf8_lossy(&text));
        if left.is_none() && !text.is_empty() {
            return Err("is not a leader file; give another path, or remove it".to_owned());
        }
        fs::remove_file(&self.path).map_err(unusable)?;
        if let Some(left) = left {
            log_remains(identity, &left);
        }
        Ok(())
    }

    fn write_temporary(&self, line: &str) -> io::Result<()> {
        // Never into an existing file, or through a link.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&self.temporary)?;
        // The umask does not apply here.
        let written = file
            .set_permissions(fs::Permissions::from_mode(MODE))
            .and_then(|()| file.write_all(line.as_bytes()));
        written.inspect_err(|_| drop(fs::remove_file(&self.temporary)))
    }
}

impl Disk for LinePath {
    fn write(&self, line: &str, is_wanted: &dyn Fn() -> bool) -> io::Result<bool> {
        self.write_temporary(line)?;
        let wanted = is_wanted();
        let done = if wanted {
            fs::rename(&self.temporary, &self.path)
        } else {
            fs::remove_file(&self.temporary)
        };
        done.inspect_err(|_| drop(fs::remove_file(&self.temporary)))?;
        Ok(wanted)
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// Logs that a leader file was removed. A valid one of another candidate may belong to a running elector.
fn log_remains(identity: &str, left: &Content) {
    let holder = &left.identity;
    if holder != identity && left.valid_until > BootClock::now().since_boot().as_secs_f64() {
        log::warn!(
            event = "leader_file_removed", holder;
            "removed valid leader file of another candidate; give each elector its own LEADER_FILE"
        );
    } else {
        log::info!(event = "leader_file_removed"; "removed leader file of an earlier process");
    }
}

/// Warns if `/proc/uptime` does not show the boot clock, as in containers with a separate uptime.
fn warn_of_other_uptime() {
    let Ok(text) = fs::read_to_string("/proc/uptime") else {
        return;
    };
    // Parsed as JSON, because std's parser for floats would add 14 kB to the program.
    let shown = text.split(' ').next();
    let shown = shown.and_then(|first| serde_json::from_str(first).ok());
    let shown = shown.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let now = BootClock::now().since_boot();
    if let Some(shown) = shown
        && shown.abs_diff(now) > CLOCK_SLACK
    {
        log::warn!(
            event = "uptime_differs", uptime = brief(shown), boottime = brief(now);
            "/proc/uptime differs from CLOCK_BOOTTIME; compare the leader file's validUntil with CLOCK_BOOTTIME only"
        );
    }
}
