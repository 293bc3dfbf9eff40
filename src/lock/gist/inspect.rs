//! Reads of the record outside of an election. Pure: requests out, answers in, like the protocol.
//!
//! An inspection shows more than a candidate may act on, such as another program's content and records of
//! a newer protocol. So it never writes.

use std::sync::Arc;
use std::time::Duration;

use super::place::{check_exists, is_missing, only_file};
use super::reader::{Read, Reader, unavailable};
use super::rule::EffectiveRevision;
use super::stored::Stored;
use super::wire::{About, Answer, GistPage, Reply, Request};
use crate::election::lock::LockError;
use crate::election::time::Instant;

/// Most portions of the history that one inspection reads, each of about twenty requests. Why: an operator
/// waits for it, and the electors need the request budget.
const MOST_PORTIONS: u32 = 5;

/// Result of an inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// File that holds the record.
    pub file: String,
    /// Effective revision. It is not settled if the history was too long to read back to everything that
    /// it replaced.
    pub effective: EffectiveRevision,
    /// Service's clock, in seconds since the Unix epoch.
    pub date: Option<i64>,
}

/// Next step of an inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InspectStep {
    /// Send this request, and pass the answer to [`Inspector::handle_answer`].
    Ask(Request),
    /// The inspection has ended.
    Done(Result<Inspected, LockError>),
}

/// Reader of the effective revision. It can be started repeatedly and keeps what it has read.
#[derive(Clone, Debug)]
pub struct Inspector {
    reader: Reader,
    file: Option<String>,
    files: Vec<String>,
    about: About,
    date: Option<i64>,
    newest: Option<Arc<Stored>>,
    /// Whether the gist does not have the file.
    missing: bool,
    permits_new_election: bool,
    portions: u32,
}

impl Inspector {
    /// Returns an inspector that has read nothing. Without `file`, the gist's only file holds the record.
    #[must_use]
    pub fn new(file: Option<String>) -> Inspector {
        Inspector {
            // Inspections are not compared with each other, so no answer counts as stale.
            reader: Reader::new(Duration::ZERO),
            file,
            files: Vec::new(),
            about: About::default(),
            date: None,
            newest: None,
            missing: false,
            permits_new_election: false,
            portions: 0,
        }
    }

    /// Returns the file that holds the record, once it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Returns the names of the gist's files, or of a few if there are many.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// Returns advice on what to delete, if the gist is so large that GitHub truncates the record.
    #[must_use]
    pub fn too_much(&self) -> Option<&str> {
        self.reader.too_much()
    }

    /// Returns the gist's owner and visibility, as far as they are known.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Permits that the file is missing in a gist whose other files hold election records.
    pub fn permit_new_election(&mut self) {
        self.permits_new_election = true;
    }

    /// Returns the content of the newest revision, effective or not.
    #[must_use]
    pub fn newest(&self) -> Option<&Stored> {
        self.newest.as_deref()
    }

    /// Starts an inspection.
    pub fn start(&mut self) -> InspectStep {
        self.portions = 0;
        self.reader.begin(false);
        InspectStep::Ask(self.reader.current())
    }

    /// Handles the answer to the last request at `now`.
    pub fn handle_answer(&mut self, now: Instant, answer: Answer) -> InspectStep {
        self.date = answer.date.or(self.date);
        let step = match answer.reply {
            // A listed revision is missing, not the gist.
            Err(LockError::NotFound(_)) if self.reader.awaits_text() => Err(unavailable(
                "the gist service does not show a revision that it listed a moment ago",
            )),
            Err(error) => Err(error),
            Ok(reply) => self.take(now, reply).and_then(|()| self.read_on(now)),
        };
        step.unwrap_or_else(|error| InspectStep::Done(Err(error)))
    }

    fn take(&mut self, now: Instant, reply: Reply) -> Result<(), LockError> {
        match reply {
            Reply::Gist(page) => self.take_page(now, page),
            Reply::Revision(text) => {
                let stored = self.reader.take_text(text)?;
                self.newest.get_or_insert(stored);
                Ok(())
            }
            Reply::Commits(commits) => self.reader.take_older(&commits),
            // Nothing has changed.
            _ => Ok(()),
        }
    }

    fn take_page(&mut self, now: Instant, page: GistPage) -> Result<(), LockError> {
        self.about = page.about.clone();
        self.files.clone_from(&page.files);
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(only_file(&page.files)?),
        };
        if !self.permits_new_election {
            check_exists(&page, file)?;
        }
        self.missing = is_missing(&page, file);
        self.newest = self.reader.take_page(now, page)?;
        Ok(())
    }

    fn read_on(&mut self, now: Instant) -> Result<InspectStep, LockError> {
        loop {
            let effective = match self.reader.read_head(now, true) {
                Ok(Read::Ask(request)) => {
                    // The history of the gist's other files may be long.
                    let without_file = self.reader.without_file().filter(|_| self.missing);
                    return Ok(match without_file {
                        Some(effective) => self.inspected(effective),
                        None => InspectStep::Ask(request),
                    });
                }
                Ok(Read::Known(effective)) => effective,
                Err(LockError::Unfinished(why)) => match self.reader.foreign_on_top() {
                    Some(effective) => return Ok(self.inspected(effective)),
                    None if self.portions + 1 >= MOST_PORTIONS => {
                        return Err(LockError::Unfinished(why));
                    }
                    None => {
                        self.portions += 1;
                        self.reader.begin(false);
                        continue;
                    }
                },
                Err(error) => return Err(error),
            };
            self.reader.settle(now, effective.clone())?;
            return Ok(self.inspected(effective));
        }
    }

    fn inspected(&self, effective: EffectiveRevision) -> InspectStep {
        InspectStep::Done(Ok(Inspected {
            file: self.file.clone().unwrap_or_default(),
            effective,
            date: self.date,
        }))
    }
}
