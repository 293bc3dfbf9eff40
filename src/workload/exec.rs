//! `exec-workload`: the last step before CMD, in CMD's own process.
//!
//! This file owns what has to be settled there: CMD dies with its guard, and does not start when its
//! guard is dead or its time is over. And it owns what is said when CMD cannot be executed.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{AccessFlags, access, getppid};

use super::guard::misused;
use super::process::EXEC_COMMAND;
use crate::election::time::Instant;
use crate::system::clock::BootClock;

/// What a shell answers for a command that it did not find.
const NOT_FOUND: u8 = 127;

/// What a shell answers for a command that it found and could not execute.
const NOT_EXECUTABLE: u8 = 126;

/// As if it had got TERM before it did anything: 128 and the signal's number.
const TOO_LATE: u8 = 128 + Signal::SIGTERM as u8;

/// Where the C libraries look without a `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The kernel reads no more of the first line of a script.
const LONGEST_INTERPRETER: usize = 256;

/// Becomes CMD; `args` is what follows the subcommand's name: `GUARD_PID UNTIL_NANOS -- CMD ARG...`.
/// Returns only if that is impossible.
pub fn run(args: &[OsString]) -> ExitCode {
    let Some((guard, until, command)) = parse(args) else {
        return misused(EXEC_COMMAND);
    };
    // In this order: a guard that died before the first is seen by the second.
    if let Err(error) = set_pdeathsig(Signal::SIGKILL) {
        complain(&format!(
            "the workload is not started, as it could outlive its guard: {error}"
        ));
        return ExitCode::from(NOT_EXECUTABLE);
    }
    if getppid().as_raw() != guard {
        // Whose guard is dead, is dead too.
        return ExitCode::FAILURE;
    }
    if until <= BootClock::now() {
        return ExitCode::from(TOO_LATE);
    }
    // The guard blocks them all. What came in the meantime acts here and now.
    if let Err(error) = SigSet::empty().thread_set_mask() {
        complain(&format!(
            "the workload is not started, as no signal would reach it: {error}"
        ));
        return ExitCode::from(NOT_EXECUTABLE);
    }
    // This also has SIGPIPE do what it does by default.
    let error = Command::new(&command[0]).args(&command[1..]).exec();
    let (code, why) = explain(&command[0], &error);
    complain(&why);
    ExitCode::from(code)
}

/// Looks whether `program` could be executed, before anybody leads for it.
///
/// # Errors
/// The exit code that it would end with (126, 127), and why, for people.
pub fn check(program: &OsStr) -> Result<(), (u8, String)> {
    let why = match find(program) {
        None => Errno::ENOENT,
        Some(file) if file.is_dir() => Errno::EACCES,
        Some(file) => match access(&file, AccessFlags::X_OK) {
            Ok(()) => return Ok(()),
            // Another one of its name, further on in PATH, may do.
            Err(_) if !has_path(program) => return Ok(()),
            Err(why) => why,
        },
    };
    Err(explain(program, &io::Error::from(why)))
}

fn parse(args: &[OsString]) -> Option<(i32, Instant, &[OsString])> {
    let [guard, until, dashes, command @ ..] = args else {
        return None;
    };
    let guard = guard.to_str()?.parse().ok()?;
    let until = Duration::from_nanos(until.to_str()?.parse().ok()?);
    (dashes == "--" && !command.is_empty()).then_some((guard, Instant::from_boot(until), command))
}

fn complain(why: &str) {
    // If nobody reads it, the exit code has to do.
    let _ = writeln!(io::stderr(), "elector: {why}");
}

/// Which exit code a shell would give, and what to tell a person.
fn explain(program: &OsStr, error: &io::Error) -> (u8, String) {
    let name = program.display();
    if program.is_empty() {
        let why = "the name of the program that is to run is empty: name one after `--`";
        return (NOT_FOUND, why.to_owned());
    }
    let found = find(program);
    match (error.raw_os_error().map(Errno::from_raw), found) {
        (Some(Errno::ENOENT), Some(file)) => (NOT_EXECUTABLE, without_interpreter(&file)),
        (Some(Errno::ENOENT | Errno::ENOTDIR), None) if has_path(program) => (
            NOT_FOUND,
            format!("there is no file `{name}` that could be executed: check its path"),
        ),
        // Also when a folder of PATH may not be looked into: it is in none of the others.
        (Some(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES), None) if !has_path(program) => (
            NOT_FOUND,
            format!("`{name}` cannot be found: check its name, and that PATH has its folder"),
        ),
        (Some(Errno::EACCES), file) => {
            let file = file.unwrap_or_else(|| program.into());
            (NOT_EXECUTABLE, without_permission(&file))
        }
        (Some(Errno::ENOEXEC), _) => (
            NOT_EXECUTABLE,
            format!(
                "`{name}` cannot be executed: it is neither a program for this machine nor a script \
                 that begins with `#!`"
            ),
        ),
        _ => (
            NOT_EXECUTABLE,
            format!("`{name}` cannot be executed: {error}"),
        ),
    }
}

fn without_interpreter(file: &Path) -> String {
    let name = file.display();
    match interpreter(file) {
        Some(missing) => format!(
            "`{name}` cannot be executed: its first line asks for `{}`, which is not there",
            missing.display()
        ),
        None => format!(
            "`{name}` cannot be executed: the loader that it was linked for is not there (it may be \
             made for another system or C library)"
        ),
    }
}

fn without_permission(file: &Path) -> String {
    let name = file.display();
    match fs::metadata(file) {
        Ok(data) if data.is_dir() => {
            format!("`{name}` cannot be executed: it is a folder; name a program in it")
        }
        Ok(data) if data.permissions().mode() & 0o111 == 0 => {
            format!("`{name}` may not be executed: allow it with `chmod +x`")
        }
        _ => format!(
            "`{name}` may not be executed: check the permissions of the file, of its interpreter and \
             of the folders above, and whether it is mounted noexec"
        ),
    }
}

/// What the first line of a script names.
fn interpreter(file: &Path) -> Option<OsString> {
    let mut start = Vec::new();
    let file = File::open(file).ok()?;
    file.take(LONGEST_INTERPRETER as u64)
        .read_to_end(&mut start)
        .ok()?;
    let line = start
        .strip_prefix(b"#!")?
        .split(|&byte| byte == b'\n')
        .next()?;
    let mut words = line.split(|byte| b" \t".contains(byte));
    let word = words.find(|word| !word.is_empty())?;
    Some(OsString::from_vec(word.to_vec()))
}

fn has_path(program: &OsStr) -> bool {
    program.as_bytes().contains(&b'/')
}

/// The file that it means: itself, or the first of that name in the folders of `PATH`.
fn find(program: &OsStr) -> Option<PathBuf> {
    if has_path(program) {
        let file = PathBuf::from(program);
        return file.exists().then_some(file);
    }
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut files = env::split_paths(&path).map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}
