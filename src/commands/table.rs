//! Table of all commands. Help, dispatch, suggestions, completions and manual pages come from it.

use super::command::Command;
use super::{
    completions, demo, depose, doctor, gist_server, health, history, init, install, leads, pause,
    run, status, step_down, switchover, version,
};

/// Every command, in the order of the help.
pub const COMMANDS: &[&Command] = &[
    &run::COMMAND,
    &demo::COMMAND,
    &gist_server::COMMAND,
    &status::COMMAND,
    &history::COMMAND,
    &init::COMMAND,
    &doctor::COMMAND,
    &switchover::COMMAND,
    &step_down::COMMAND,
    &pause::PAUSE,
    &pause::RESUME,
    &depose::COMMAND,
    &leads::COMMAND,
    &health::COMMAND,
    &install::COMMAND,
    &COMPLETIONS,
    &version::COMMAND,
];

/// The command that prints completions of all commands.
const COMPLETIONS: Command = completions::command(|args| completions::run(args, COMMANDS));

/// Returns the command of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .copied()
        .find(|command| command.name == name)
}
