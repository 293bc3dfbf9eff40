//! A lock as `init` sees it: what stands there, and writes in its place and no other.

use std::time::Duration;

use super::say::{named, wait_until};
use super::{Trouble, failed};
use crate::commands::settings::Settings;
use crate::election::lock::{Content, LockError, Observed, ResourceLock, Written};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;
use crate::lock::gist::GistLock;
use crate::lock::gist::client::GistClient;
use crate::lock::gist::stored::{Mark, Moved, PROTOCOL, Place};
use crate::runtime::gist::GistOptions;
use crate::system::clock::{self, BootClock};

/// How long a call may take: several requests where the history has to be read.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How often a look that got no good answer is made again, and how long after: answers may be old for
/// some ten seconds after a write.
const TRIES: u32 = 15;
const PAUSE: Duration = Duration::from_secs(1);

/// How often what is to be confirmed may be disturbed.
const CONFIRMATIONS: u32 = 30;

/// What stands in the place of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is no record, and there never was.
    Empty,
    /// A record.
    Lock {
        /// Who leads by it, empty for nobody.
        holder: String,
        /// It came past the elections.
        plain: bool,
        /// It was made by `elector init`, and nobody has led by it yet.
        unused: bool,
    },
    /// There was a record, which cannot be read any more, for the reason given.
    Broken(String),
    /// The lock is being moved.
    Moved(Moved),
}

/// What a look showed.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) state: State,
    /// The highest token that was seen.
    pub(super) token: u64,
    /// How long nobody may lead by another record once this one is out of effect: the longest lease
    /// that somebody may have.
    pub(super) lease: Duration,
    /// What was seen before is gone, as if it had never been.
    pub(super) record_lost: bool,
    /// Since when the newest revision is known.
    pub(super) head_known_since: Option<Instant>,
}

/// A file of a gist.
pub(super) struct Seat {
    lock: GistLock<GistClient>,
    options: GistOptions,
    own_lease: Duration,
}

impl Seat {
    pub(super) fn new(settings: &Settings, options: GistOptions) -> Result<Seat, Trouble> {
        let lock = options.open_for_moving(&settings.election)?;
        Ok(Seat {
            lock,
            options,
            own_lease: Duration::from_secs(settings.election.lease_duration_seconds()),
        })
    }

    /// Where it is, once a look has shown which file is meant.
    pub(super) fn place(&self) -> Result<Place, Trouble> {
        match self.lock.file() {
            Some(file) => Ok(Place {
                gist: self.options.gist_id.clone(),
                file: file.into(),
            }),
            None => failed("the gist was not looked at yet"),
        }
    }

    /// What is in effect there.
    pub(super) fn look(&mut self) -> Result<Look, Trouble> {
        let mut failures = 0;
        loop {
            match self.lock.get(TIMEOUT) {
                Ok(observed) => return self.understand(&observed),
                // A long history is read in many calls.
                Err(LockError::Unfinished(_)) => failures = 0,
                Err(LockError::Unavailable(_)) if failures + 1 < TRIES => {
                    failures += 1;
                    wait_until(BootClock::now() + PAUSE)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn understand(&self, observed: &Observed) -> Result<Look, Trouble> {
        let stored = self.lock.stored().and_then(|stored| stored.record());
        let plain = observed.foreign_wait.is_some();
        let record = observed.content.record();
        let lease = record.map_or(Duration::ZERO, LeaderElectionRecord::lease_duration);
        let lease = match observed.foreign_wait {
            Some(longest) => longest.max(self.own_lease).max(lease),
            None if record.is_some() => lease,
            None => self.own_lease,
        };
        let state = match (&observed.content, stored) {
            (Content::Record(record), Some(stored)) => match &stored.moved {
                Some(moved) => State::Moved(moved.clone()),
                None if stored.protocol > PROTOCOL => {
                    return failed(format!(
                        "the record there goes by protocol {}, which this elector does not \
                         understand: upgrade it",
                        stored.protocol
                    ));
                }
                None => State::Lock {
                    holder: record.holder_identity.clone(),
                    plain,
                    unused: stored.checkpoint && record.holder_identity.is_empty() && !plain,
                },
            },
            (Content::NeverWritten, _) => State::Empty,
            (Content::Corrupt(why), _) => State::Broken(why.to_string()),
            _ => State::Broken("the record is gone".to_owned()),
        };
        Ok(Look {
            state,
            token: observed.highest_fencing_token.unwrap_or_default(),
            lease,
            record_lost: observed.record_lost,
            head_known_since: observed.head_known_since,
        })
    }

    /// Writes once more what stands there, on top of what has been the newest revision for as long as
    /// the service may take from reading a head to moving it: then what stands below stays.
    pub(super) fn confirm(&mut self, moved: &Moved, delay: Duration) -> Result<Stays, Trouble> {
        for _ in 0..CONFIRMATIONS {
            let look = self.look()?;
            if look.state != State::Moved(moved.clone()) {
                return Ok(Stays::No(look));
            }
            let sent = BootClock::now();
            let settled_at = look.head_known_since.unwrap_or(sent) + delay;
            if sent < settled_at {
                wait_until(settled_at)?;
                continue;
            }
            let written = self.write(look.token, look.lease, &Mark::Moved(moved.clone()))?;
            let since = written.and_then(|written| written.head_known_since);
            if since.is_some_and(|since| sent >= since + delay) {
                return Ok(Stays::Yes { token: look.token });
            }
        }
        failed(crowded(&self.place()?))
    }

    /// Writes a record that nobody leads by in place of what the last look showed, and only then.
    /// `None`: something else is there by now, or may be; look again.
    pub(super) fn write(
        &mut self,
        token: u64,
        lease: Duration,
        mark: &Mark,
    ) -> Result<Option<Written>, Trouble> {
        let record = free_record(token, lease);
        match self.lock.mark(&record, mark, TIMEOUT) {
            Ok(written) => Ok(Some(written)),
            Err(LockError::Conflict) => Ok(None),
            Err(LockError::OutcomeUnknown(_) | LockError::Unavailable(_)) => {
                wait_until(BootClock::now() + PAUSE)?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether what was written stays.
#[derive(Debug)]
pub(super) enum Stays {
    Yes {
        /// The highest token there.
        token: u64,
    },
    /// This is there instead.
    No(Look),
}

pub(super) fn crowded(place: &Place) -> String {
    format!(
        "{} is written so often that this does not come through: run it again later, it goes on \
         where it ended",
        named(place)
    )
}

/// A record that nobody leads by.
pub(super) fn free_record(token: u64, lease: Duration) -> LeaderElectionRecord {
    let now = clock::utc_timestamp();
    LeaderElectionRecord {
        holder_identity: String::new(),
        lease_duration_seconds: lease.as_secs().max(1),
        acquire_time: now.clone(),
        renew_time: now,
        leader_transitions: token,
        ..LeaderElectionRecord::default()
    }
}
