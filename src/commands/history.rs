//! `elector history`: shows who led when.
//!
//! This file owns the arguments; the other files of the folder scan and display.

mod json;
mod scan;
mod table;
mod timeline;
mod words;

use std::process::ExitCode;

use self::scan::{MOST_REQUESTS, scan};
use super::command::{
    Arguments, Command, CommandError, CommandOption, CommandResult, Operands, UsageError, print,
};
use super::settings::Settings;

/// The command.
pub const COMMAND: Command = Command {
    name: "history",
    summary: "show who led from when to when",
    details: "\
Shows the terms, the gaps between them, and a timeline. Times are in UTC, by the
store's clock. A term begins with its claim, and ends when the lease was released, or
a lease after its last renewal.

The command searches for the borders between terms, so that it reads few of the
revisions. Terms that it could not settle with its requests are shown as such.",
    options: &[
        CommandOption::value(
            REQUESTS,
            "N",
            "make at most N requests, 2 to 5000 [default: 100]",
        ),
        CommandOption::flag(JSON, "print a JSON object on one line, for scripts"),
    ],
    operands: Operands::None,
    notes: "\
The JSON object holds:
  terms       in order of time, each with
                leader, fencingToken
                from, to        null if unknown or not yet
                fromSettled     false: it began before `from`
                renewedAt       time of the last renewal
                end             alive, released, expired, claimedAgain, deposed,
                                overwritten, newerProtocol, notSettled
                elected         false: a foreign write
                confirmed       false: a claim that never led
                assumed         true: not all of it was read
                leaseSeconds, firstVersion, lastVersion
  gaps        nobody held the lease: from, to (null: until now)
  unsettled   leader unknown: from, to, revisions
  revisions, complete (false: older ones are not listed), from, to
  now, lock, requests, stopped (reason, or null)

Exit codes: 0 done, even if terms are not settled; 1 stopped early (the known terms
are shown); 2 wrong usage or settings.",
    run,
};

const JSON: &str = "--json";
const REQUESTS: &str = "--requests";

/// Default number of requests: two percent of the largest one, because the electors need the rest.
const DEFAULT_REQUESTS: u32 = 100;

fn run(args: &Arguments) -> CommandResult {
    let requests = args.parsed(REQUESTS)?.unwrap_or(DEFAULT_REQUESTS);
    if !(2..=MOST_REQUESTS).contains(&requests) {
        let why = format!("{REQUESTS}: {requests} is not from 2 to {MOST_REQUESTS}");
        return Err(UsageError::Value(why).into());
    }
    let settings = Settings::from_environment(false)?;
    let mut admin = settings.lock.backend().admin(&settings.election)?;
    let scanned = scan(&mut *admin, requests);
    let scanned = scanned
        .map_err(|error| CommandError::failed(format!("signals cannot be caught: {error}")))?;
    let text = match args.has(JSON) {
        _ if scanned.history.revisions == 0 => String::new(),
        true => json::text(&scanned),
        false => table::text(&scanned) + &timeline::text(&scanned.history),
    };
    print(&text)?;
    match scanned.stopped {
        Some(why) => Err(CommandError::failed(why)),
        None => Ok(ExitCode::SUCCESS),
    }
}
