//! `exec-workload`: the last step before the wrapped program, in the program's own process.
//!
//! This file ensures that the program dies with its guard, and does not start if the guard is dead or the
//! leadership deadline has passed. It also explains why a program cannot be executed.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{AccessFlags, access, close, getppid};

use super::process::{EXEC_COMMAND, refuse_manual_use};
use crate::election::time::Instant;
use crate::system::clock::BootClock;

/// Exit code of a command that was not found, as in shells.
const NOT_FOUND: u8 = 127;

/// Exit code of a command that was found but cannot be executed, as in shells.
const NOT_EXECUTABLE: u8 = 126;

/// Exit code after the leadership deadline: that of a program killed by TERM.
const TOO_LATE: u8 = 128 + Signal::SIGTERM as u8;

/// Search path without `PATH`, as in C libraries.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Bytes of a script's first line that the kernel reads.
const LONGEST_INTERPRETER: usize = 256;

/// Replaces this process by the program. `args` are the arguments after the subcommand:
/// `GUARD_PID STATE_FD VALID_UNTIL_NANOS -- CMD ARG...`. Returns an exit code if that fails.
pub fn run(args: &[OsString]) -> ExitCode {
    let Some((guard, state, valid_until, command)) = parse(args) else {
        return refuse_manual_use(EXEC_COMMAND);
    };
    let refuse = |danger: &str, error: Errno| {
        print_error(&format!(
            "wrapped program: not started, because {danger}: {error}"
        ));
        ExitCode::from(NOT_EXECUTABLE)
    };
    // In this order: the parent check finds a guard that died before the signal was set.
    if let Err(error) = set_pdeathsig(Signal::SIGKILL) {
        return refuse("it could outlive its guard", error);
    }
    if getppid().as_raw() != guard {
        // The guard is dead, so the program must not start.
        return ExitCode::FAILURE;
    }
    if valid_until <= BootClock::now() {
        return ExitCode::from(TOO_LATE);
    }
    // With the descriptor, the program would keep the lock that only elector and guard may hold.
    if state != 0
        && let Err(error) = close(state)
    {
        return refuse("it would inherit the lock of STATE_DIR", error);
    }
    // The guard blocks all signals. Pending ones are delivered here.
    if let Err(error) = SigSet::empty().thread_set_mask() {
        return refuse("its signals cannot be unblocked", error);
    }
    // `exec` also restores the default action of SIGPIPE.
    let error = Command::new(&command[0]).args(&command[1..]).exec();
    let (code, message) = explain(&command[0], &error);
    print_error(&message);
    ExitCode::from(code)
}

/// Checks whether `program` can be executed, before this candidate runs for election.
///
/// # Errors
/// Returns the exit code that executing it would give (126 or 127), and an error message.
pub fn check_executable(program: &OsStr) -> Result<(), (u8, String)> {
    let why = match find(program) {
        None => Errno::ENOENT,
        Some(file) if file.is_dir() => Errno::EACCES,
        Some(file) => match access(&file, AccessFlags::X_OK) {
            Ok(()) => return Ok(()),
            // A later directory of PATH may hold another one.
            Err(_) if !has_path(program) => return Ok(()),
            Err(why) => why,
        },
    };
    Err(explain(program, &io::Error::from(why)))
}

fn parse(args: &[OsString]) -> Option<(i32, i32, Instant, &[OsString])> {
    let [guard, state, valid_until, dashes, command @ ..] = args else {
        return None;
    };
    let guard = guard.to_str()?.parse().ok()?;
    let state = state.to_str()?.parse().ok()?;
    let valid_until = Duration::from_nanos(valid_until.to_str()?.parse().ok()?);
    let valid_until = Instant::from_boot(valid_until);
    (dashes == "--" && !command.is_empty()).then_some((guard, state, valid_until, command))
}

fn print_error(message: &str) {
    // If nothing reads standard error, the exit code must suffice.
    let _ = writeln!(io::stderr(), "elector: {message}");
}

/// Returns the exit code that a shell would give, and an error message.
fn explain(program: &OsStr, error: &io::Error) -> (u8, String) {
    let found = find(program);
    let file = found.as_deref().unwrap_or(Path::new(program));
    let (code, problem) = match (error.raw_os_error().map(Errno::from_raw), &found) {
        _ if program.is_empty() => (NOT_FOUND, "the name is empty; name a program".to_owned()),
        // EACCES too: a directory of PATH may be unreadable, and the others do not hold the program.
        (Some(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES), None) if !has_path(program) => (
            NOT_FOUND,
            "not found; check its name, and that PATH holds its directory".to_owned(),
        ),
        (Some(Errno::ENOENT | Errno::ENOTDIR), None) => {
            (NOT_FOUND, "no such file; check its path".to_owned())
        }
        (Some(Errno::ENOENT), Some(_)) => (NOT_EXECUTABLE, missing_interpreter(file)),
        (Some(Errno::ENOEXEC), _) => (
            NOT_EXECUTABLE,
            "neither a program for this machine nor a script; begin a script with `#!`".to_owned(),
        ),
        (Some(Errno::EACCES), _) => (NOT_EXECUTABLE, missing_permission(file).to_owned()),
        _ => (NOT_EXECUTABLE, format!("cannot be executed: {error}")),
    };
    (code, format!("`{}`: {problem}", file.display()))
}

fn missing_interpreter(file: &Path) -> String {
    match interpreter(file) {
        Some(missing) => format!(
            "its interpreter `{missing}` does not exist; install it or change the first line"
        ),
        None => "its dynamic loader does not exist; use a program that was linked for this system and C \
                 library"
            .to_owned(),
    }
}

fn missing_permission(file: &Path) -> &'static str {
    match fs::metadata(file) {
        Ok(data) if data.is_dir() => "is a directory; name a program in it",
        Ok(data) if data.permissions().mode() & 0o111 == 0 => {
            "is not executable; run `chmod +x` on it"
        }
        _ => {
            "permission denied; check the permissions of the file, of its interpreter and of their \
             directories, and whether it is mounted noexec"
        }
    }
}

/// Returns the interpreter named in a script's first line.
fn interpreter(file: &Path) -> Option<String> {
    let mut start = [0; LONGEST_INTERPRETER];
    let length = File::open(file).ok()?.read(&mut start).ok()?;
    let start = String::from_utf8_lossy(&start[..length]);
    let line = start.strip_prefix("#!")?.lines().next()?;
    line.split_ascii_whitespace().next().map(str::to_owned)
}

fn has_path(program: &OsStr) -> bool {
    program.as_bytes().contains(&b'/')
}

/// Returns the file that `program` names: itself, or the first of that name in a directory of `PATH`.
fn find(program: &OsStr) -> Option<PathBuf> {
    if has_path(program) {
        let file = PathBuf::from(program);
        return file.exists().then_some(file);
    }
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut files = env::split_paths(&path).map(|directory| directory.join(program));
    files.find(|file| file.is_file())
}
