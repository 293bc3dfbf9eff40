//! `elector gist-server`: a stand-in that says so.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Runs the command with what stood behind its name.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let count = args.len();
    let _ = writeln!(
        io::stderr(),
        "elector: gist-server is not in this build ({count} arguments)"
    );
    ExitCode::FAILURE
}
