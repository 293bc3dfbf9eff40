//! `elector leads`: tells a program beside an elector whether that leads, by its leader file.

use std::path::PathBuf;
use std::process::ExitCode;

use super::command::{
    Arguments, Command, CommandError, CommandOption, CommandResult, Operands, UsageError, Values,
};
use crate::lock::settings::Reader;
use crate::runtime::leader_file::check_leading;

/// The command.
pub const COMMAND: Command = Command {
    name: "leads",
    summary: "exit with 0 if the elector on this machine leads",
    details: "\
Reads the leader file of an elector on this machine, for scripts and probes: the
deadline in it must not have passed by the clock since boot, and it must be of this
boot. It needs no other setting, and makes no request.",
    options: &[CommandOption::value(
        FILE,
        "F",
        "the leader file [default: the setting LEADER_FILE]",
    )
    .of(Values::Files)],
    operands: Operands::None,
    notes: "\
Exit codes: 0 leads; 1 does not lead, or the file does not tell (standard error says
why); 2 wrong usage.",
    run,
};

const FILE: &str = "--file";

fn run(args: &Arguments) -> CommandResult {
    check_leading(&file(args)?).map_err(CommandError::failed)?;
    Ok(ExitCode::SUCCESS)
}

fn file(args: &Arguments) -> Result<PathBuf, UsageError> {
    let file = match args.value(FILE) {
        Some(file) => Some(PathBuf::from(file)),
        None => Reader::new(&|name| std::env::var_os(name)).path("LEADER_FILE"),
    };
    file.filter(|file| !file.as_os_str().is_empty())
        .ok_or_else(|| {
            UsageError::new("no leader file is named; give --file F, or set LEADER_FILE")
        })
}
