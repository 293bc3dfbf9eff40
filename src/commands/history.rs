//! `elector history`: who led from when to when, by the gist's revisions.
//!
//! This file owns the requests, the progress while they are made, and what ends them; what to ask for
//! and what it means is [`terms`](crate::lock::gist::terms)' business, how it looks that of `table`,
//! `timeline` and `json`.

mod json;
mod table;
mod timeline;
mod words;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lexopt::prelude::*;
use nix::sys::signal::Signal;

use super::gist;
use super::help;
use super::usage::{self, UsageError};
use crate::election::lock::LockError;
use crate::fmt::{count, quoted};
use crate::lock::gist::client::GistClient;
use crate::lock::gist::terms::{Report, Survey, USUAL_REQUESTS};
use crate::runtime::signals::{STOP_SIGNALS, SignalThread};
use crate::system::clock;

/// What is to be known of it, for the help.
pub(super) const DETAILS: &str = "\
Shows the terms, the gaps between them, and a timeline. Times are in UTC, by the
service's clock: a term begins with its claim, and ends when the lease was given
back, or a lease after it was last renewed.

The borders between terms are looked for, so that few of the revisions have to be
read. What is not settled when the requests are used up is shown as such.

Options:
  --requests N   make at most N requests, 2 to 5000 [default: 100]
  --help         this text
  --json         for scripts, an object on one line:
                   terms       in order of time, each with
                                 leader, token
                                 from, to        null for not (yet) or not known
                                 fromSettled     false: it began before that
                                 renewedAt       when it was renewed last
                                 end             alive, released, ranOut,
                                                 claimedAgain, deposed, overwritten,
                                                 moved, notSettled
                                 elected         false: from client-go, or by hand
                                 confirmed       false: a claim that never led
                                 assumed         true: not all of it was read
                                 leaseSeconds, firstRevision, lastRevision
                   gaps        when nobody had the lease: from, to (null: until now)
                   unsettled   what is left open: from, to, revisions
                   revisions, complete (false: older ones are not listed), from, to
                   now, gist, file, requests, movedTo, stopped (why, or null)

Exit codes: 0 done, even if something is left open; 1 it was stopped (what is known
by then is shown); 2 wrong usage or settings.";

const NAME: &str = "history";

const OPTIONS: &[&str] = &["--json", "--requests", "--help"];

/// GitHub grants no more in an hour.
const MOST_REQUESTS: u32 = 5_000;

/// How long a request may take: GitHub itself gives one up after 10 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a request that got no good answer is made again, and after how long.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// The exit code of a second Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    json: bool,
    requests: u32,
}

/// Runs it; `args` is what follows the subcommand's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let wanted = match parse(args) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => {
            return gist::print(NAME, &help::text(help::topic(NAME)), ExitCode::SUCCESS);
        }
        Err(error) => return usage::refuse(NAME, &error),
    };
    let settings = match gist::settings(NAME) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let client = match settings.gist.client(&settings.election) {
        Ok(client) => client,
        Err(error) => return gist::wrong_settings(NAME, &error),
    };
    match Reading::new(client, settings.gist.file.clone(), wanted.requests) {
        Ok(reading) => show(reading, wanted.json),
        Err(error) => gist::failed(NAME, &format!("signals cannot be caught: {error}")),
    }
}

/// `None` is a wish for help.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Wanted>, UsageError> {
    let mut wanted = Wanted {
        json: false,
        requests: USUAL_REQUESTS,
    };
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("json") => wanted.json = true,
            Long("requests") => wanted.requests = requests(&parser.value()?.string()?)?,
            arg => return Err(usage::unexpected(&arg, OPTIONS)),
        }
    }
    Ok(Some(wanted))
}

fn requests(text: &str) -> Result<u32, UsageError> {
    let number = text.parse().ok();
    number
        .filter(|number| (2..=MOST_REQUESTS).contains(number))
        .ok_or_else(|| {
            UsageError::Value(format!(
                "--requests is {}: give a number from 2 to {MOST_REQUESTS}",
                quoted(text)
            ))
        })
}

/// Reads, and shows what came of it.
fn show(mut reading: Reading, json: bool) -> ExitCode {
    let stopped = reading.read().err().map(|stopped| stopped.to_string());
    let code = match stopped {
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    };
    let found = reading.found(stopped);
    let text = match json {
        _ if found.report.revisions == 0 => String::new(),
        true => json::text(&found),
        false => table::text(&found) + &timeline::text(&found.report),
    };
    let code = gist::print(NAME, &text, code);
    if let Some(why) = &found.stopped {
        gist::complain(NAME, why);
    }
    code
}

/// What was found out, and about what.
#[derive(Debug)]
struct Found {
    gist: String,
    file: Option<String>,
    report: Report,
    requests: u32,
    /// The requests that were allowed are used up.
    spent: bool,
    /// What ended it early.
    stopped: Option<String>,
}

impl Found {
    /// Whether there is more to be found out.
    fn is_open(&self) -> bool {
        !self.report.complete || self.report.unsettled().next().is_some()
    }
}

/// Why it was ended early.
#[derive(Debug)]
enum Stopped {
    Interrupted,
    Failed(LockError),
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stopped::Interrupted => f.write_str("interrupted"),
            Stopped::Failed(error @ LockError::RateLimited { retry_after, .. }) => {
                write!(
                    f,
                    "{error}, at {} UTC",
                    words::short(&clock::utc_timestamp_after(*retry_after))
                )
            }
            Stopped::Failed(error) => error.fmt(f),
        }
    }
}

/// The history being read.
struct Reading {
    client: GistClient,
    survey: Survey,
    progress: bool,
    interrupted: Arc<AtomicBool>,
    _signals: SignalThread,
}

impl Reading {
    fn new(client: GistClient, file: Option<String>, requests: u32) -> io::Result<Reading> {
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        let signals = SignalThread::start(STOP_SIGNALS, move |_: Signal| {
            if flag.swap(true, Ordering::SeqCst) {
                signal_hook::low_level::exit(INTERRUPTED);
            }
        })?;
        Ok(Reading {
            client,
            survey: Survey::new(file, requests),
            progress: io::stderr().is_terminal(),
            interrupted,
            _signals: signals,
        })
    }

    /// Reads all that there is to be read, or as much as it may.
    fn read(&mut self) -> Result<(), Stopped> {
        let read = self.read_on();
        self.say("");
        read
    }

    fn read_on(&mut self) -> Result<(), Stopped> {
        let mut failures = 0;
        while let Some(request) = self.survey.poll_request() {
            self.say_how_far();
            let answer = self.client.call(&request, REQUEST_TIMEOUT);
            let taken = self.survey.handle_answer(answer);
            if let Some(file) = self.survey.file() {
                // Its name was checked where it was read.
                let _ = self.client.set_file(file);
            }
            if self.interrupted.load(Ordering::SeqCst) {
                return Err(Stopped::Interrupted);
            }
            match taken {
                Ok(()) => failures = 0,
                Err(LockError::Unavailable(_)) if failures + 1 < TRIES => {
                    failures += 1;
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(Stopped::Failed(error)),
            }
        }
        Ok(())
    }

    fn say_how_far(&self) {
        let far = self.survey.far();
        let (made, most) = far.requests;
        self.say(&format!(
            "reading: request {made} of at most {most}, {} revisions listed, {} read",
            count(far.listed as u64),
            far.read
        ));
    }

    /// One line that is written anew each time.
    fn say(&self, text: &str) {
        if self.progress {
            let mut out = io::stderr();
            let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
        }
    }

    fn found(&self, stopped: Option<String>) -> Found {
        Found {
            gist: self.client.target().gist.to_string(),
            file: self.survey.file().map(str::to_owned),
            report: self.survey.report(),
            requests: self.survey.far().requests.0,
            spent: self.survey.is_spent(),
            stopped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Wanted>, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_are_understood() {
        let wanted = parsed("").unwrap().unwrap();
        assert_eq!((wanted.json, wanted.requests), (false, USUAL_REQUESTS));
        let wanted = parsed("--json --requests=5000").unwrap().unwrap();
        assert_eq!((wanted.json, wanted.requests), (true, 5_000));
        assert_eq!(parsed("--json -h").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (line, part) in [
            ("--jsno", "did you mean `--json`?"),
            ("--requests 1", "2 to 5000"),
            ("--requests 5001", "`5001`"),
            ("--requests x", "`x`"),
            ("--requests", "--requests"),
            ("stray", "`stray`"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
