//! Reads of a gist outside of an election.

use std::sync::Arc;
use std::time::Duration;

use super::client::GistClient;
use super::look::{LookStep, Looked, Looker};
use super::options::GistOptions;
use super::stored::{PROTOCOL, Stored};
use super::wire::{Answer, Request};
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::{Content, LockError};
use crate::lock::backend::OpenError;
use crate::lock::inspection::{InspectedRecord, Refusal};
use crate::system::clock::{self, BootClock};

/// Time limit of a request: GitHub itself gives up after 10 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Times around an answer: this machine's clock in milliseconds and the service's date in seconds, both
/// since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clocks {
    pub(super) sent: i64,
    pub(super) answered: i64,
    pub(super) date: i64,
}

/// Requests to a gist outside of an election.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) options: GistOptions,
    pub(super) election: LeaderElectionConfig,
    pub(super) client: GistClient,
    pub(super) looker: Looker,
    /// Times around the last answer that had a date.
    pub(super) clocks: Option<Clocks>,
    /// Number of requests sent.
    pub(super) requests: u32,
}

impl Session {
    pub(super) fn open(
        options: &GistOptions,
        election: &LeaderElectionConfig,
    ) -> Result<Session, OpenError> {
        Ok(Session {
            client: options.client(election)?,
            looker: Looker::new(options.file.clone()),
            options: options.clone(),
            election: election.clone(),
            clocks: None,
            requests: 0,
        })
    }

    /// Reads the effective revision.
    pub(super) fn read(&mut self) -> Result<Looked, LockError> {
        let mut step = self.looker.start();
        loop {
            let request = match step {
                LookStep::Done(looked) => return looked,
                LookStep::Ask(request) => request,
            };
            let sent = clock::unix_millis();
            let answer = self.call(&request);
            let answered = clock::unix_millis();
            let clocks = answer.date.map(|date| Clocks {
                sent,
                answered,
                date,
            });
            self.clocks = clocks.or(self.clocks);
            step = self.looker.handle_answer(BootClock::now(), answer);
            if let Some(file) = self.looker.file() {
                // The name was checked when it was read.
                let _ = self.client.set_file(file);
            }
        }
    }

    /// Sends a request.
    pub(super) fn call(&mut self, request: &Request) -> Answer {
        self.requests += 1;
        self.client.call(request, REQUEST_TIMEOUT)
    }
}

/// Converts the effective revision to the neutral form.
pub(super) fn inspected(looked: &Looked) -> InspectedRecord {
    let effect = &looked.effect;
    let (content, refusal) = match &*effect.stored {
        Stored::Record(stored) => (Content::Record(Arc::clone(&stored.record)), None),
        Stored::Corrupt { why, .. } => (Content::Corrupt(Arc::clone(why)), None),
        Stored::Unrelated(why) => (Content::Corrupt(Arc::clone(why)), Some(Refusal::NotARecord)),
        // Only a history that was read to its end shows that there never was a record.
        Stored::Blank | Stored::Empty(_) if effect.settled && effect.longest_lease.is_none() => {
            (Content::NeverWritten, None)
        }
        Stored::Blank | Stored::Empty(_) => (Content::Deleted, None),
    };
    let newer = effect.newer_protocol.map(|record| Refusal::NewerProtocol {
        record,
        supported: PROTOCOL,
    });
    InspectedRecord {
        content,
        refusal: newer.or(refusal),
        foreign: effect.stored.origin().is_none(),
        checkpoint: effect
            .stored
            .record()
            .is_some_and(|stored| stored.checkpoint),
        fencing_token: effect.stored.token(),
        version: effect.commit.revision.to_string(),
        written_at: effect.commit.committed_at,
        read_at: looked.date,
        longest_lease: effect.longest_lease.unwrap_or_default(),
        complete: effect.settled,
    }
}
