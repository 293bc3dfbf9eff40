//! `elector completions SHELL`: prints a script by which a shell completes commands, options and values.
//!
//! Everything in a script comes from the commands' own descriptions. Each shell's file is one function
//! from them to its script.

mod bash;
mod fish;
mod zsh;

use std::process::ExitCode;

use super::command::{Arguments, Command, CommandResult, Operands, UsageError, Values, print};
use crate::fmt::quoted;

/// Shells with completions.
const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// Returns the command, which does `run`.
pub(super) const fn command(run: fn(&Arguments) -> CommandResult) -> Command {
    Command {
        name: "completions",
        summary: "print completions for bash, zsh or fish",
        details: "\
Prints a script for the shell SHELL, which then completes commands, options and
values:
  bash  source <(elector completions bash)
  zsh   source <(elector completions zsh), after compinit
  fish  elector completions fish | source",
        options: &[],
        operands: Operands::One("SHELL", Values::Words(SHELLS)),
        notes: "Exit codes: 0 printed; 1 failed; 2 wrong usage.",
        run,
    }
}

/// Prints the completions of these commands for the shell that the arguments name.
///
/// # Errors
/// Returns a usage error if the shell is missing or unknown.
pub(super) fn run(args: &Arguments, commands: &[&Command]) -> CommandResult {
    let shell = args.operand().map(|shell| shell.to_string_lossy());
    let script = match shell.as_deref() {
        Some("bash") => bash::script(commands),
        Some("zsh") => zsh::script(commands),
        Some("fish") => fish::script(commands),
        other => {
            let shells = SHELLS.join(", ");
            return Err(UsageError::new(match other {
                Some(shell) => format!("unknown shell {}; name one of {shells}", quoted(shell)),
                None => format!("SHELL is missing; name one of {shells}"),
            })
            .into());
        }
    };
    print(&script)?;
    Ok(ExitCode::SUCCESS)
}
