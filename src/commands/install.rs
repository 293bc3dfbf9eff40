//! `elector install DIR`: puts the running binary where another container finds it.
//!
//! An image that is nothing but this program has no `cp`. An init container of it runs this with a
//! volume, and the container beside it starts the program from there.
//!
//! ```text
//!   /proc/self/exe ──▶ DIR/.elector-<random>.tmp ──sync, rename──▶ DIR/elector
//! ```
//!
//! Whoever looks sees the old file or the whole new one, whenever this is killed, and however many run
//! at once. One that is killed half-way leaves its temporary file, which nobody uses.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use nix::fcntl::OFlag;

use super::gist::{failed, print};
use super::help;
use super::usage::{self, UsageError};
use crate::runtime::gist::random_seed;

/// What is to be known of it, for the help.
pub(super) const DETAILS: &str = "\
For an init container, which shares the volume DIR with a container of another image:
that one then runs `DIR/elector run -- PROGRAM`. The file is there as a whole or not
at all, everybody may read and execute it, and where it is there already nothing is
done. It needs no rights but to write in DIR, whoever runs it, and no settings.

Options:
  --help  this text

Exit codes: 0 it is there; 1 failed; 2 wrong usage.";

const NAME: &str = "install";

const OPTIONS: &[&str] = &["--help"];

/// The name of what is installed.
const BINARY: &str = "elector";

/// This program, also when its file was replaced or removed since it started.
const RUNNING: &str = "/proc/self/exe";

/// Everybody may execute it: what runs beside is often another user's.
const MODE: u32 = 0o755;

/// What is compared at a time, in bytes.
const CHUNK: u64 = 64 * 1024;

/// How it went well.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Installed,
    WasThere,
}

/// Runs it; `args` is what follows the subcommand's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let folder = match parse(args) {
        Ok(Some(folder)) => folder,
        Ok(None) => return print(NAME, &help::text(help::topic(NAME)), ExitCode::SUCCESS),
        Err(error) => return usage::refuse(NAME, &error),
    };
    let target = folder.join(BINARY);
    let version = env!("CARGO_PKG_VERSION");
    let said = match install(&folder, &target) {
        Ok(Done::Installed) => format!("installed elector {version} as {}\n", target.display()),
        Ok(Done::WasThere) => format!(
            "elector {version} is there already as {}: nothing to do\n",
            target.display()
        ),
        Err(why) => return failed(NAME, &why),
    };
    print(NAME, &said, ExitCode::SUCCESS)
}

/// The directory; `None` is a wish for help.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<PathBuf>, UsageError> {
    let mut folder = None;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Value(path) if folder.is_none() => folder = Some(PathBuf::from(path)),
            arg => return Err(usage::unexpected(&arg, OPTIONS)),
        }
    }
    match folder {
        Some(folder) if !folder.as_os_str().is_empty() => Ok(Some(folder)),
        _ => Err(UsageError::Value(
            "name the directory in which the program is to be put".to_owned(),
        )),
    }
}

fn install(folder: &Path, target: &Path) -> Result<Done, String> {
    check_folder(folder)?;
    let unreadable = |error| format!("this program's own file cannot be read: {error}");
    let mut running = File::open(RUNNING).map_err(unreadable)?;
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() => {
            return Err(format!(
                "{} is a directory: remove it, or name another one to install in",
                target.display()
            ));
        }
        Ok(found) if found.is_file() && is_same(target, &mut running) => return Ok(Done::WasThere),
        // Whatever else stands there is replaced; what cannot be looked at shows when it is.
        _ => {}
    }
    // What was compared has been read.
    let mut running = File::open(RUNNING).map_err(unreadable)?;
    put(&mut running, folder, target).map_err(|error| explain(folder, &error))?;
    Ok(Done::Installed)
}

fn check_folder(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{shown} is no directory: name one")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!(
            "{shown} does not exist: make the directory, or mount a volume there"
        )),
        Err(error) => Err(format!(
            "{shown} cannot be looked at: {error}: give this user the right to, or name another \
             directory"
        )),
    }
}

/// Whether the file at `path` has this content, and the right mode. What cannot be read is not the same.
fn is_same(path: &Path, content: &mut File) -> bool {
    // Something else may have taken its place by now: a link, or a pipe that nobody writes to.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    opened.is_ok_and(|mut file| {
        has_mode(&file).unwrap_or(false) && same_bytes(&mut file, content).unwrap_or(false)
    })
}

fn has_mode(file: &File) -> io::Result<bool> {
    let found = file.metadata()?;
    Ok(found.is_file() && found.permissions().mode() & 0o7777 == MODE)
}

fn same_bytes(one: &mut impl Read, other: &mut impl Read) -> io::Result<bool> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    loop {
        ours.clear();
        theirs.clear();
        one.by_ref().take(CHUNK).read_to_end(&mut ours)?;
        other.by_ref().take(CHUNK).read_to_end(&mut theirs)?;
        if ours != theirs {
            return Ok(false);
        }
        if ours.is_empty() {
            return Ok(true);
        }
    }
}

/// Puts the content in place of what stands at `target`.
fn put(content: &mut File, folder: &Path, target: &Path) -> io::Result<()> {
    // Unlike that of any other process: in containers all have the same number.
    let random = random_seed()?;
    let temporary = folder.join(format!(".{BINARY}-{random:016x}.tmp"));
    let written = write(content, &temporary).and_then(|()| fs::rename(&temporary, target));
    if written.is_err() {
        // What cannot be removed is left; the error to be told is the one before.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    // The name, too, is to outlive a crash of the machine. Not every file system can do that, nor may
    // everybody open the directory; the file is there all the same.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

fn write(content: &mut File, path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::copy(content, &mut file)?;
    // Only now, and whatever the umask.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.sync_all()
}

fn explain(folder: &Path, error: &io::Error) -> String {
    let shown = folder.display();
    match error.kind() {
        ErrorKind::PermissionDenied => {
            let user = nix::unistd::geteuid();
            format!(
                "{shown} cannot be written by user {user}: let this user write there (in a pod, set \
                 fsGroup), or name another directory"
            )
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!("{shown} is on a read-only file system: name a directory in a writable volume")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("{shown} has no room for the program: {error}: give the volume more")
        }
        _ => format!("the program cannot be put in {shown}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Option<PathBuf>, UsageError> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn one_directory_is_understood() {
        assert_eq!(parsed(&["/shared"]).unwrap(), Some("/shared".into()));
        assert_eq!(parsed(&["--", "-odd"]).unwrap(), Some("-odd".into()));
        assert_eq!(parsed(&["/shared", "--help"]).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (args, part) in [
            (&[][..], "name the directory"),
            (&[""], "name the directory"),
            (&["a", "b"], "`b`"),
            (&["--hlep", "a"], "did you mean `--help`?"),
        ] {
            let error = parsed(args).unwrap_err().to_string();
            assert!(error.contains(part), "{args:?}: {error}");
        }
    }

    #[test]
    fn bytes_are_compared_to_the_end() {
        let long = vec![7; 3 * CHUNK as usize];
        let mut other_end = long.clone();
        *other_end.last_mut().unwrap() = 8;
        let same = |one: &[u8], other: &[u8]| same_bytes(&mut &*one, &mut &*other).unwrap();
        assert!(same(&long, &long) && same(&[], &[]));
        assert!(!same(&long, &other_end));
        assert!(!same(&long, &long[1..]) && !same(&long[1..], &long));
        assert!(!same(&[], &[0]) && !same(&[0], &[]));
    }
}
