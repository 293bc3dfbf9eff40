//! Table of all commands. Help, dispatch and suggestions come from it.

use super::command::{Command, CommandOption, Operands};
use super::{demo, depose, doctor, gist_server, history, init, install, run, status, step_down};

/// Every command, in the order of the help.
pub const COMMANDS: &[&Command] = &[
    &run::COMMAND,
    &demo::COMMAND,
    &gist_server::COMMAND,
    &STATUS,
    &HISTORY,
    &INIT,
    &DOCTOR,
    &STEP_DOWN,
    &DEPOSE,
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

const STATUS: Command = Command {
    name: "status",
    summary: "who leads, and how long ago that was renewed",
    details: status::DETAILS,
    options: &[CommandOption::flag("--json", "")],
    operands: Operands::None,
    notes: "",
    run: |args| Ok(status::run(args.raw.clone())),
};

const HISTORY: Command = Command {
    name: "history",
    summary: "who led from when to when, by the gist's revisions",
    details: history::DETAILS,
    options: &[
        CommandOption::flag("--json", ""),
        CommandOption::value("--requests", "N", ""),
    ],
    operands: Operands::None,
    notes: "",
    run: |args| Ok(history::run(args.raw.clone())),
};

const INIT: Command = Command {
    name: "init",
    summary: "make the gist or the file, or move a lock to a new gist",
    details: init::DETAILS,
    options: &[
        CommandOption::value("--from", "OLD", ""),
        CommandOption::value("--from-file", "NAME", ""),
        CommandOption::flag("--quiet", ""),
    ],
    operands: Operands::None,
    notes: "",
    run: |args| Ok(init::run(args.raw.clone())),
};

const DOCTOR: Command = Command {
    name: "doctor",
    summary: "check token, gist, record, limits and clock, and say what to do",
    details: doctor::DETAILS,
    options: &[],
    operands: Operands::None,
    notes: "",
    run: |args| Ok(doctor::run(args.raw.clone())),
};

const STEP_DOWN: Command = Command {
    name: "step-down",
    summary: "have the elector on this machine give the lease to another",
    details: step_down::DETAILS,
    options: &[CommandOption::value("--port", "N", "")],
    operands: Operands::None,
    notes: "",
    run: |args| Ok(step_down::run(args.raw.clone())),
};

const DEPOSE: Command = Command {
    name: "depose",
    summary: "depose the leader by hand, the safe way",
    details: depose::DETAILS,
    options: &[CommandOption {
        short: Some('y'),
        ..CommandOption::flag("--yes", "")
    }],
    operands: Operands::None,
    notes: "",
    run: |args| Ok(depose::run(args.raw.clone())),
};
