//! `elector switchover`: asks the leader to hand over, from any machine.

use std::process::ExitCode;

use super::command::{
    Arguments, Command, CommandError, CommandOption, CommandResult, Operands, UsageError, print,
};
use super::settings::Settings;
use super::steering::{Operator, asked};
use crate::fmt::one_line;
use crate::lock::steering::{Done, Request};
use crate::system::clock::BootClock;

/// The command.
pub const COMMAND: Command = Command {
    name: "switchover",
    summary: "ask the leader to hand over, from any machine",
    details: "\
Writes a request into the record. The leader observes it at its next renewal, stops its
workload, releases the lease, and does not acquire it for one lease. Nobody leads from
the release until the new leader has acquired the lease, as after a graceful shutdown.

It works from any machine with the lock's settings and credentials. Leaders of
client-go refuse it. A leader that has not renewed since its claim is asked after its
first renewal.",
    options: &[
        CommandOption::value(
            TO,
            "NAME",
            "candidate that acquires the lease; the others wait for\none lease [default: any but the leader]",
        ),
        CommandOption::flag(
            WAIT,
            "wait until somebody leads, and say how long nobody did",
        ),
    ],
    operands: Operands::None,
    notes: "\
Exit codes: 0 asked, and with --wait somebody else leads; 1 failed, or not within 10
minutes; 2 wrong usage or settings.",
    run,
};

const TO: &str = "--to";
const WAIT: &str = "--wait";

fn run(args: &Arguments) -> CommandResult {
    let to: Option<String> = args.parsed(TO)?;
    if to.as_ref().is_some_and(String::is_empty) {
        return Err(UsageError::new(format!(
            "{TO}: no name; give a candidate's LEADER_NAME, or leave the option out"
        ))
        .into());
    }
    let to = to.unwrap_or_default();
    let settings = Settings::from_environment(false)?;
    let mut operator = Operator::open(&settings.lock, &settings.election)?;
    let asked = asked(&settings.election);
    let request = Request::HandOver {
        to: to.clone(),
        asked,
    };
    let leader = match operator.request(request, "for the leader to renew", |_| {})? {
        Done::Asked(leader) => leader,
        Done::Nothing(why) => {
            print(&format!("nothing to do: {why}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        other => return Err(CommandError::failed(format!("internal error: {other:?}"))),
    };
    let whom = match to.as_str() {
        "" => "another candidate".to_owned(),
        to => format!("{}, for which the others wait one lease", one_line(to)),
    };
    print(&format!(
        "asked {} to hand over to {whom}\n",
        one_line(&leader)
    ))?;
    if args.has(WAIT) {
        print(&wait(&mut operator, &leader, &to)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until another candidate leads. Returns the result as text: its name, and how long nobody led.
///
/// # Errors
/// If the leader keeps the lease, if another candidate than `to` leads, or after the longest wait.
fn wait(operator: &mut Operator, leader: &str, to: &str) -> Result<String, CommandError> {
    let mut at = BootClock::now();
    loop {
        let result = operator.read(at, "for another candidate to lead")?;
        let now = BootClock::now();
        at = now + operator.poll_period();
        if result.is_err() {
            continue;
        }
        let record = operator.observed.content.record();
        let asks = record.is_some_and(|record| record.asks_for_handover());
        let holder = operator.observed.content.holder().to_owned();
        if !(holder == leader && asks) && operator.has_leader() {
            return outcome(&holder, leader, to, &operator.gap.describe(now));
        }
    }
}

fn outcome(holder: &str, leader: &str, to: &str, gap: &str) -> Result<String, CommandError> {
    let shown = one_line(holder);
    if holder == leader {
        return Err(CommandError::failed(format!(
            "{shown} leads still, or again; check that another candidate runs, and run this again"
        )));
    }
    if !to.is_empty() && to != holder {
        return Err(CommandError::failed(format!(
            "{shown} leads, not {}, which did not acquire the lease; check that it runs under this name",
            one_line(to)
        )));
    }
    Ok(format!("{shown} leads; nobody led for {gap}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_names_leader_and_gap() {
        for to in ["", "cleopatra"] {
            assert_eq!(
                outcome("cleopatra", "napoleon", to, "about 3.0s").unwrap(),
                "cleopatra leads; nobody led for about 3.0s\n"
            );
        }
        for (holder, to) in [("napoleon", ""), ("hannibal", "cleopatra")] {
            assert!(outcome(holder, "napoleon", to, "about 3.0s").is_err());
        }
    }
}
