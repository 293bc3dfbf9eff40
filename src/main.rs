//! The program `elector`. All of it is in the library; this file hands over the command line, and
//! the exit code back.

use std::env::args_os;
use std::process::ExitCode;

fn main() -> ExitCode {
    elector::cli::main(args_os().skip(1))
}
