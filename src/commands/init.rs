//! `elector init`.

use std::ffi::OsString;
use std::process::ExitCode;

/// What is to be known of it, for the help.
pub(super) const DETAILS: &str = "";

/// Runs it; `args` is what follows the subcommand's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    drop(args.into_iter());
    eprintln!("elector init: not built yet");
    ExitCode::FAILURE
}
