//! Output and exit codes of commands that still parse their arguments themselves.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use super::usage::USAGE;

/// Says what is wrong with the settings, and returns the exit code for that.
pub(super) fn wrong_settings(command: &str, error: &dyn fmt::Display) -> ExitCode {
    complain(command, error);
    ExitCode::from(USAGE)
}

/// Says why a command failed, and returns the exit code for that.
pub(super) fn failed(command: &str, error: &dyn fmt::Display) -> ExitCode {
    complain(command, error);
    ExitCode::FAILURE
}

/// Writes a line to standard error. If that fails, only the exit code is left.
pub(super) fn complain(command: &str, message: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "elector {command}: {message}");
}

/// Prints to standard output and returns `code`, or the code for a failure if it cannot be written. A
/// reader that closed the output has read enough.
pub(super) fn print(command: &str, text: &str, code: ExitCode) -> ExitCode {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => code,
        Err(error) => failed(
            command,
            &format!("standard output cannot be written: {error}"),
        ),
    }
}
