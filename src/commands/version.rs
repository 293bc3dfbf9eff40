//! `elector version`: prints the version.

use std::process::ExitCode;

use super::command::{Arguments, Command, CommandResult, Operands, print};

/// The command.
pub const COMMAND: Command = Command {
    name: "version",
    summary: "print the version",
    details: "",
    options: &[],
    operands: Operands::None,
    notes: "",
    run,
};

fn run(_args: &Arguments) -> CommandResult {
    print(concat!("elector ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(ExitCode::SUCCESS)
}
