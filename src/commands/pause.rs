//! `elector pause` and `elector resume`: stop an election, and let it go on.

use std::process::ExitCode;

use super::command::{
    Arguments, Command, CommandOption, CommandResult, Operands, UsageError, print,
};
use super::settings::Settings;
use super::steering::{Operator, asked, tell};
use crate::election::annotation::PAUSED;
use crate::fmt::one_line;
use crate::lock::steering::{Done, Request};

/// The command that pauses.
pub const PAUSE: Command = Command {
    name: "pause",
    summary: "stop the leader, and let nobody lead until `elector resume`",
    details: "\
Writes into the record that the election is paused. The leader observes it at its next
renewal, stops its workload and releases the lease. No candidate acquires it. Returns
when nobody leads: the lease was released, or has expired. If the command is stopped
earlier, a pause that it has written stays: see `elector status`.

It works from any machine with the lock's settings and credentials. Leaders of
client-go ignore it.",
    options: &[CommandOption::value(
        REASON,
        "TEXT",
        "reason, shown to operators; required",
    )],
    operands: Operands::None,
    notes: "\
Exit codes: 0 nobody leads; 1 failed, or somebody still leads after 10 minutes; 2 wrong
usage or settings.",
    run: pause,
};

/// The command that resumes.
pub const RESUME: Command = Command {
    name: "resume",
    summary: "end a pause",
    details: "\
Removes what `elector pause` wrote into the record. A candidate acquires the lease at
its next poll.",
    options: &[],
    operands: Operands::None,
    notes: "Exit codes: 0 resumed, or not paused; 1 failed; 2 wrong usage or settings.",
    run: resume,
};

const REASON: &str = "--reason";

/// Longest reason in characters. Every write of the record carries it.
const LONGEST_REASON: usize = 500;

fn pause(args: &Arguments) -> CommandResult {
    let reason: Option<String> = args.parsed(REASON)?;
    let Some(reason) = reason.filter(|reason| !reason.trim().is_empty()) else {
        return Err(UsageError::new(format!(
            "{REASON}: required, because others will ask; give a short text"
        ))
        .into());
    };
    if reason.chars().count() > LONGEST_REASON {
        return Err(UsageError::new(format!(
            "{REASON}: more than {LONGEST_REASON} characters; give a shorter text"
        ))
        .into());
    }
    let settings = Settings::from_environment(false)?;
    let mut operator = Operator::open(&settings.lock, &settings.election)?;
    let mut value = asked(&settings.election);
    value["reason"] = reason.into();
    let field = PAUSED;
    let reason = value["reason"].clone();
    operator.request(
        Request::Pause { field, value },
        "until nobody leads, and the pause stays",
        |observed| match observed.content.holder() {
            "" => {}
            holder => tell(&format!(
                "paused; waiting until {} has stopped its workload, or its lease has expired",
                one_line(holder)
            )),
        },
    )?;
    let record = operator.observed.content.record();
    let pause = record.and_then(|record| record.pause());
    let pause = one_line(&pause.unwrap_or_else(|| "paused".to_owned()));
    let kept = record.and_then(|record| record.annotation(PAUSED)?.get("reason"));
    let note = match kept == Some(&reason) {
        true => "",
        false => "It was paused before; that reason stays.\n",
    };
    print(&format!(
        "{pause}\n{note}Nobody leads, and nobody acquires the lease until elector resume.\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn resume(_args: &Arguments) -> CommandResult {
    let settings = Settings::from_environment(false)?;
    let mut operator = Operator::open(&settings.lock, &settings.election)?;
    let done = operator.request(Request::Resume, "to resume", |_| {})?;
    print(&match done {
        Done::Nothing(why) => format!("nothing to do: {why}\n"),
        _ => "resumed; a candidate acquires the lease at its next poll\n".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}
