//! What the commands for people share that look at the gist or write to it: the way there, and how
//! counts, spans, times and errors are written.
//!
//! What is looked for, and what it means, is each command's business.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::settings::Settings;
use super::usage::USAGE;
use crate::election::lock::LockError;
use crate::fmt::{count, span};
use crate::lock::gist::client::{ClientError, GistClient, RateLimit};
use crate::lock::gist::look::{LookStep, Looked, Looker};
use crate::lock::gist::revision::Revision;
use crate::lock::gist::wire::{Commit, Reply, Request};
use crate::lock::stats::StoreStats;
use crate::system::clock::{self, BootClock};

/// How long a request may take: GitHub itself gives one up after 10 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A gist that is looked at, and perhaps written, outside of an election.
#[derive(Debug)]
pub(super) struct Gist {
    client: GistClient,
    looker: Looker,
    /// The service's clock and this machine's, as of the last answer that had a date.
    clocks: Option<Clocks>,
    requests: u32,
}

/// When an answer came by this machine's clock, in milliseconds since the Unix epoch, and what date it
/// had, in seconds. For people alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clocks {
    pub(super) sent: i64,
    pub(super) answered: i64,
    pub(super) date: i64,
}

impl Gist {
    /// The gist of the settings. Nothing is sent yet.
    pub(super) fn open(settings: &Settings) -> Result<Gist, ClientError> {
        Ok(Gist {
            client: settings.gist.client(&settings.election)?,
            looker: Looker::new(settings.gist.file.clone()),
            clocks: None,
            requests: 0,
        })
    }

    /// Looks at what is in effect.
    pub(super) fn look(&mut self) -> Result<Looked, LockError> {
        let mut step = self.looker.start();
        loop {
            let request = match step {
                LookStep::Done(looked) => return looked,
                LookStep::Ask(request) => request,
            };
            let sent = clock::unix_millis();
            let answer = self.client.call(&request, REQUEST_TIMEOUT);
            let answered = clock::unix_millis();
            let clocks = answer.date.map(|date| Clocks {
                sent,
                answered,
                date,
            });
            self.clocks = clocks.or(self.clocks);
            self.requests += 1;
            step = self.looker.handle_answer(BootClock::now(), answer);
            if let Some(file) = self.looker.file() {
                // Its name was checked where it was read.
                let _ = self.client.set_file(file);
            }
        }
    }

    /// Writes the file over what is in effect, whatever that is by then.
    pub(super) fn overwrite(&mut self, content: String, known: Revision) -> Result<(), LockError> {
        let request = Request::Write {
            content,
            until: known,
        };
        self.requests += 1;
        self.client
            .call(&request, REQUEST_TIMEOUT)
            .reply
            .map(|_| ())
    }

    /// A page of the history, the first has number 1.
    pub(super) fn commits(&mut self, page: u32, per_page: usize) -> Result<Vec<Commit>, LockError> {
        let request = Request::Commits { page, per_page };
        self.requests += 1;
        match self.client.call(&request, REQUEST_TIMEOUT).reply? {
            Reply::Commits(commits) => Ok(commits),
            _ => Err(LockError::Unavailable(
                "the gist service gave another answer than it was asked for".into(),
            )),
        }
    }

    pub(super) fn looker(&self) -> &Looker {
        &self.looker
    }

    pub(super) fn client(&self) -> &GistClient {
        &self.client
    }

    pub(super) fn stats(&self) -> StoreStats {
        self.client.stats()
    }

    /// The service's clock and this machine's, if an answer had a date.
    pub(super) fn clocks(&self) -> Option<Clocks> {
        self.clocks
    }

    /// How many requests were made.
    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    /// The gist and the file in it, for people.
    pub(super) fn describe(&self) -> String {
        self.client.describe()
    }
}

/// The time until all requests are there again, by the server's own clock.
pub(super) fn resets_in(rate: &RateLimit) -> Option<Duration> {
    let seconds = rate.reset.checked_sub(rate.date?)?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// What is left of the hour's requests, for people.
pub(super) fn limit_text(rate: &RateLimit) -> String {
    let again = match resets_in(rate) {
        Some(time) => format!(", all again in {}", span(time)),
        None => String::new(),
    };
    format!(
        "{} of {} requests left{again}",
        count(rate.remaining),
        count(rate.limit)
    )
}

/// The settings of this process, or the exit code after having said what is wrong with them.
pub(super) fn settings(command: &str) -> Result<Settings, ExitCode> {
    Settings::from_environment(false).map_err(|error| wrong_settings(command, &error))
}

/// Says what is wrong with the settings; the exit code for that.
pub(super) fn wrong_settings(command: &str, error: &dyn fmt::Display) -> ExitCode {
    complain(command, error);
    ExitCode::from(USAGE)
}

/// Says why a command failed; the exit code for that.
pub(super) fn failed(command: &str, error: &dyn fmt::Display) -> ExitCode {
    complain(command, error);
    ExitCode::FAILURE
}

/// Says something on standard error. If even that is impossible, the exit code has to do.
pub(super) fn complain(command: &str, what: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "elector {command}: {what}");
}

/// Prints to standard output, and returns `code`, unless it cannot be printed. Whoever closed the
/// output has read enough.
pub(super) fn print(command: &str, text: &str, code: ExitCode) -> ExitCode {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => code,
        Err(error) => {
            let why = format!("standard output cannot be written: {error}");
            failed(command, &why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_with_when_it_is_whole_again() {
        let rate = RateLimit {
            limit: 5_000,
            remaining: 4_893,
            reset: 1_588_010_945,
            date: Some(1_588_008_246),
        };
        assert_eq!(
            limit_text(&rate),
            "4,893 of 5,000 requests left, all again in 44m 59s"
        );
        let undated = RateLimit { date: None, ..rate };
        assert_eq!(limit_text(&undated), "4,893 of 5,000 requests left");
        let past = RateLimit { reset: 0, ..rate };
        assert_eq!(resets_in(&past), Some(Duration::ZERO));
    }
}
