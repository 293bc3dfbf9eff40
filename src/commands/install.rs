//! `elector install DIR`: copies the running binary to where another container finds it.
//!
//! An image that holds only this program has no `cp`. An init container of it runs this command with a
//! volume, and the container beside it starts the program from there.
//!
//! ```text
//!   /proc/self/exe ──▶ DIR/.elector-<random>.tmp ──sync, rename──▶ DIR/elector
//! ```
//!
//! A reader sees the old file or the whole new one, whenever this command is killed, and however many
//! of them run simultaneously. A killed one leaves its temporary file, which nothing uses.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::command::{
    Arguments, Command, CommandError, CommandResult, Operands, UsageError, Values, print,
};
use crate::system::random::random_seed;

/// The command.
pub const COMMAND: Command = Command {
    name: "install",
    summary: "copy this program into DIR, for a container of another image",
    details: "\
For an init container that shares the volume DIR with a container of another image,
which then runs `DIR/elector run -- PROGRAM`. The file appears as a whole or not at
all, and every user may read and execute it. The command needs no settings, and no
rights except to write in DIR.",
    options: &[],
    operands: Operands::One("DIR", Values::Directories),
    notes: "Exit codes: 0 installed; 1 failed; 2 wrong usage.",
    run,
};

/// Name of the installed file.
const BINARY: &str = "elector";

/// This program's file, even if it was replaced or removed since it started.
const RUNNING: &str = "/proc/self/exe";

/// Mode of the installed file. Why: the program beside often runs as another user.
const MODE: u32 = 0o755;

fn run(args: &Arguments) -> CommandResult {
    let folder = folder(args)?;
    let target = folder.join(BINARY);
    let version = env!("CARGO_PKG_VERSION");
    let shown = target.display();
    install(&folder, &target).map_err(CommandError::failed)?;
    print(&format!("installed elector {version} as {shown}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn folder(args: &Arguments) -> Result<PathBuf, UsageError> {
    match args.operand() {
        Some(folder) if !folder.is_empty() => Ok(PathBuf::from(folder)),
        _ => Err(UsageError::new(
            "DIR is missing; name the directory to install in",
        )),
    }
}

fn install(folder: &Path, target: &Path) -> Result<(), String> {
    check_folder(folder)?;
    if fs::symlink_metadata(target).is_ok_and(|found| found.is_dir()) {
        return Err(format!(
            "{} is a directory; remove it, or name another DIR",
            target.display()
        ));
    }
    let running = File::open(RUNNING);
    let mut running =
        running.map_err(|error| format!("this program's own file cannot be read: {error}"))?;
    put(&mut running, folder, target).map_err(|error| explain(folder, &error))
}

fn check_folder(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{shown} is not a directory; name one")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(format!(
            "{shown} does not exist; create the directory, or mount a volume there"
        )),
        Err(error) => Err(format!(
            "{shown} cannot be examined: {error}; give this user access, or name another directory"
        )),
    }
}

/// Replaces the file at `target`.
fn put(content: &mut File, folder: &Path, target: &Path) -> io::Result<()> {
    // Not the process id: in containers, processes often have the same one.
    let random = random_seed()?;
    let temporary = folder.join(format!(".{BINARY}-{random:016x}.tmp"));
    let written = write(content, &temporary).and_then(|()| fs::rename(&temporary, target));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    // So that the name survives a crash of the machine. Not every file system supports it, and not every
    // user may open the directory; the file is installed anyway.
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
    // Not at creation, because of the umask, and because the file was incomplete.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.sync_all()
}

fn explain(folder: &Path, error: &io::Error) -> String {
    let shown = folder.display();
    if error.kind() == ErrorKind::PermissionDenied {
        let user = nix::unistd::geteuid();
        return format!(
            "{shown} cannot be written by user {user}; let this user write there (in a pod, set \
             fsGroup), or name another directory"
        );
    }
    format!(
        "{shown}: the program cannot be installed: {error}; name a directory that can be written and \
         has enough space"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<PathBuf, CommandError> {
        let args = args.iter().map(Into::into).collect();
        Ok(folder(&Arguments::parse(&COMMAND, args)?)?)
    }

    #[test]
    fn directory_is_the_operand() {
        assert_eq!(parsed(&["/shared"]).unwrap(), Path::new("/shared"));
        assert_eq!(parsed(&["--", "-odd"]).unwrap(), Path::new("-odd"));
    }

    #[test]
    fn wrong_arguments_are_named() {
        for (args, part) in [
            (&[][..], "DIR is missing"),
            (&[""], "DIR is missing"),
            (&["a", "b"], "`b`"),
            (&["--hlep", "a"], "did you mean `--help`?"),
        ] {
            let Err(CommandError::Usage(error)) = parsed(args) else {
                panic!("{args:?}");
            };
            let error = error.to_string();
            assert!(error.contains(part), "{args:?}: {error}");
        }
    }
}
