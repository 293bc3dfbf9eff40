//! Table of all commands. Help, dispatch and suggestions come from it.

use super::command::{Command, CommandOption, Operands};
use super::{demo, depose, doctor, gist_server, history, init, install, run, status, step_down};

/// Every command, in the order of the help.
pub const COMMANDS: &[&Command] = &[
    &run::COMMAND,
    &demo::COMMAND,
    &gist_server::COMMAND,
    &status::COMMAND,
    &history::COMMAND,
    &init::COMMAND,
    &doctor::COMMAND,
    &STEP_DOWN,
    &depose::COMMAND,
    &install::COMMAND,
];

/// Returns the command of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .copied()
        .find(|command| command.name == name)
}

const STEP_DOWN: Command = Command {
    name: "step-down",
    summary: "have the elector on this machine give the lease to another",
    details: step_down::DETAILS,
    options: &[CommandOption::value("--port", "N", "")],
    operands: Operands::None,
    notes: "",
    run: |args| Ok(step_down::run(args.raw.clone())),
};
