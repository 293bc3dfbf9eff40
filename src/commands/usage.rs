//! Helpers of commands that still parse their arguments themselves.

use std::io::{self, Write};
use std::process::ExitCode;

use lexopt::Arg;

use super::command::nearest;
pub use super::command::{USAGE, UsageError};

/// Returns the error for an argument that a command does not take.
#[must_use]
pub fn unexpected(argument: &Arg<'_>, known: &[&'static str]) -> UsageError {
    let option = match argument {
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Long(name) => format!("--{name}"),
        Arg::Value(value) => return UsageError::Stray(value.to_string_lossy().into_owned()),
    };
    let nearest = nearest(&option, known.iter().copied());
    UsageError::UnknownOption { option, nearest }
}

/// Reports a usage error and returns its exit code.
pub fn refuse(command: &str, error: &UsageError) -> ExitCode {
    let _ = writeln!(
        io::stderr(),
        "elector {command}: {error}\nSee `elector help {command}`."
    );
    ExitCode::from(USAGE)
}
