//! `elector history`: shows who led when.
//!
//! This file owns the arguments; the other files of the folder scan and display.

mod json;
mod table;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use super::command::{
    Arguments, Command, CommandError, CommandOption, CommandResult, Operands, UsageError, print,
};
use super::settings::Settings;
use crate::election::lock::LockError;
use crate::lock::term_history::TermHistory;
use crate::system::clock;

/// The command.
pub const COMMAND: Command = Command {
    name: "history",
    summary: "show who led from when to when",
    details: "\
Shows the terms and the gaps between them. Times are in UTC, by the store's clock.
A term begins with its claim, and ends when the lease was released, or a lease after
its last renewal.

The command reads only the revisions near the borders between terms. It marks terms
that it could not settle with its requests.",
    options: &[
        CommandOption::value(
            REQUESTS,
            "N",
            "make at most N requests, 2 to 5000 [default: 100]",
        ),
        CommandOption::value(
            SINCE,
            "DURATION",
            "leave out terms and gaps that ended more than DURATION ago, such as 24h",
        ),
        CommandOption::flag(JSON, "print a JSON object on one line, for scripts"),
    ],
    operands: Operands::None,
    notes: "\
The JSON object holds:
  terms       in order of time, each with
                holder, fencingToken
                from, to        null if unknown or not yet
                fromSettled     false: it began before `from`
                renewedAt       time of the last renewal
                endReason       released, expired, claimedAgain, deposed,
                                overwritten, newerProtocol, notSettled;
                                null if it lasts
                stopReason      reason in the release's record; null if unknown
                elected         false: a foreign write
                confirmed       false: a claim that never led
                assumed         true: not all of it was read
                leaseSeconds, firstVersion, lastVersion
  gaps        nobody held the lease: from, to (null: until now)
  unsettled   leader unknown: from, to, revisions
  revisions, complete (false: older ones are left out), from, to
  since       terms and gaps that ended before are left out; null: none
  time, lock, requests, stopped (reason, or null)

Exit codes: 0 done, even if terms are not settled; 1 stopped early (the known terms
are shown); 2 wrong usage or settings.",
    run,
};

const JSON: &str = "--json";
const REQUESTS: &str = "--requests";
const SINCE: &str = "--since";

/// Largest number of requests: stores with a rate limit grant no more per hour.
const MOST_REQUESTS: u32 = 5_000;

/// Default number of requests: two percent of the largest one, because the electors need the rest.
const DEFAULT_REQUESTS: u32 = 100;

fn run(args: &Arguments) -> CommandResult {
    let requests = args.parsed(REQUESTS)?.unwrap_or(DEFAULT_REQUESTS);
    if !(2..=MOST_REQUESTS).contains(&requests) {
        let why = format!("{REQUESTS}: {requests} is not from 2 to {MOST_REQUESTS}");
        return Err(UsageError::new(why).into());
    }
    let since = args.period(SINCE)?;
    let settings = Settings::from_environment(false)?;
    let mut admin = settings.lock.backend().admin(&settings.election)?;
    let mut history = admin.history(requests, since);
    if let Some(since) = since {
        history.cut(since);
    }
    let scanned = Scanned {
        lock: admin.describe(),
        stopped: history.error.as_ref().map(reason),
        history,
        since,
    };
    let text = match args.has(JSON) {
        _ if scanned.history.revisions == 0 => String::new(),
        true => json::text(&scanned),
        false => table::text(&scanned),
    };
    print(&text)?;
    match scanned.stopped {
        Some(why) => Err(CommandError::failed(why)),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// History as far as it was read.
#[derive(Debug)]
struct Scanned {
    /// Place of the record, for messages.
    lock: String,
    history: TermHistory,
    /// Reason why the scan ended early.
    stopped: Option<String>,
    /// Period before the newest read that is shown; `None` for the whole history.
    since: Option<Duration>,
}

/// Returns the reason for display, with the time at which a rate limit ends.
fn reason(error: &LockError) -> String {
    match error {
        LockError::RateLimited { retry_after, .. } => {
            let when = words::short(&clock::utc_timestamp_after(*retry_after));
            format!("{error}, at {when} UTC")
        }
        error => error.to_string(),
    }
}
