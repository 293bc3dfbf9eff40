//! A look at the record by somebody who does not stand for election: who holds it, by which revision,
//! and what else the answers tell. Pure: requests out, answers in, like the protocol.
//!
//! It shows more than a candidate may act on (a file with other people's text in it, a record by a
//! newer rule), and so it never writes: that is left to who asked for it.

use std::sync::Arc;
use std::time::Duration;

use super::protocol::only_file;
use super::reader::{Read, Reader, unavailable};
use super::rule::EffectiveRevision;
use super::stored::Stored;
use super::wire::{About, Answer, GistPage, Reply, Request};
use crate::election::lock::LockError;
use crate::election::time::Instant;

/// How many portions of the history a look reads at the most, each of some twenty requests: a person
/// waits for it, and it must take no large part of the hour's requests.
const MOST_PORTIONS: u32 = 5;

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The file that holds the record.
    pub file: String,
    /// What is in effect. It is not settled where the history was too long to be read as far back as
    /// to what was overwritten.
    pub effect: EffectiveRevision,
    /// The server's clock, in seconds since the Unix epoch.
    pub date: Option<i64>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookStep {
    /// Send this, and hand in the answer.
    Ask(Request),
    /// The look is over.
    Done(Result<Looked, LockError>),
}

/// One who looks, as often as is wished; what was read before is not read again.
#[derive(Clone, Debug)]
pub struct Looker {
    reader: Reader,
    file: Option<String>,
    files: Vec<String>,
    about: About,
    date: Option<i64>,
    newest: Option<Arc<Stored>>,
    portions: u32,
}

impl Looker {
    /// Nothing was seen yet. Without a file, it is the gist's only one.
    #[must_use]
    pub fn new(file: Option<String>) -> Looker {
        Looker {
            // Nothing is decided by comparing one look with another, so none counts as stale.
            reader: Reader::new(Duration::ZERO),
            file,
            files: Vec::new(),
            about: About::default(),
            date: None,
            newest: None,
            portions: 0,
        }
    }

    /// The file that holds the record, once it is known.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The names of the gist's files, a few of them where there are many, as far as they were read.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// Whose gist it is, as far as that was read.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What the file holds in the newest revision, in effect or not.
    #[must_use]
    pub fn newest(&self) -> Option<&Stored> {
        self.newest.as_deref()
    }

    /// Begins a look.
    pub fn start(&mut self) -> LookStep {
        self.portions = 0;
        self.reader.begin(false);
        LookStep::Ask(self.reader.current())
    }

    /// Takes the answer to the request asked for last, handled at `now`.
    pub fn handle_answer(&mut self, now: Instant, answer: Answer) -> LookStep {
        self.date = answer.date.or(self.date);
        let step = match answer.reply {
            // Not the gist is missing, but a revision that it listed.
            Err(LockError::NotFound(_)) if self.reader.awaits_text() => Err(unavailable(
                "the gist service does not show a revision that it listed a moment ago",
            )),
            Err(error) => Err(error),
            Ok(reply) => self.take(now, reply).and_then(|()| self.read_on(now)),
        };
        step.unwrap_or_else(|error| LookStep::Done(Err(error)))
    }

    fn take(&mut self, now: Instant, reply: Reply) -> Result<(), LockError> {
        match reply {
            Reply::Gist(page) => self.take_page(now, page),
            Reply::Revision(text) => self.reader.take_text(text).map(drop),
            Reply::Commits(commits) => self.reader.take_older(&commits),
            // What is known holds.
            _ => Ok(()),
        }
    }

    fn take_page(&mut self, now: Instant, page: GistPage) -> Result<(), LockError> {
        self.about = page.about.clone();
        self.files.clone_from(&page.files);
        if self.file.is_none() {
            self.file = Some(only_file(&page.files)?);
        }
        self.newest = Some(self.reader.take_page(now, page)?);
        Ok(())
    }

    fn read_on(&mut self, now: Instant) -> Result<LookStep, LockError> {
        loop {
            let effect = match self.reader.read_head(now, true) {
                Ok(Read::Ask(request)) => return Ok(LookStep::Ask(request)),
                Ok(Read::Known(effect)) => effect,
                Err(LockError::Unfinished(why)) => match self.reader.foreign_on_top() {
                    Some(effect) => return Ok(self.looked(effect)),
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
            self.reader.settle(now, effect.clone())?;
            return Ok(self.looked(effect));
        }
    }

    fn looked(&self, effect: EffectiveRevision) -> LookStep {
        LookStep::Done(Ok(Looked {
            file: self.file.clone().unwrap_or_default(),
            effect,
            date: self.date,
        }))
    }
}
