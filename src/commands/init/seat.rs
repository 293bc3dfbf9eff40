//! A lock as `init` sees it: what stands there, and writes in its place and no other.

use std::time::Duration;

use super::say::wait_until;
use super::{Trouble, failed};
use crate::commands::settings::Settings;
use crate::election::lock::{Content, LockError, Observed, ResourceLock, Written};
use crate::election::record::LeaderElectionRecord;
use crate::lock::gist::GistLock;
use crate::lock::gist::client::GistClient;
use crate::lock::gist::stored::{Mark, Moved, Place};
use crate::runtime::gist::GistOptions;
use crate::system::clock::{self, BootClock};

/// How long a call may take: several requests where the history has to be read.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How often a call that got no good answer is made again, and how long after.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

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
    pub(super) rewound: bool,
    /// Since when the newest revision is known.
    pub(super) newest_since: Option<crate::election::time::Instant>,
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
        let plain = observed.overwritten.is_some();
        let record = observed.content.record();
        let lease = record.map_or(Duration::ZERO, LeaderElectionRecord::lease_duration);
        let lease = match observed.overwritten {
            Some(longest) => longest.max(self.own_lease).max(lease),
            None if record.is_some() => lease,
            None => self.own_lease,
        };
        let state = match (&observed.content, stored) {
            (Content::Record(record), Some(stored)) => match &stored.moved {
                Some(moved) => State::Moved(moved.clone()),
                None if stored.protocol > crate::lock::gist::stored::PROTOCOL => {
                    return failed(format!(
                        "the record there goes by protocol {}, which this elector does not \
                         understand: upgrade it",
                        stored.protocol
                    ));
                }
                None => State::Lock {
                    holder: record.holder_identity.clone(),
                    plain,
                },
            },
            (Content::Absent, _) => State::Empty,
            (Content::Unreadable(why), _) => State::Broken(why.to_string()),
            _ => State::Broken("the record is gone".to_owned()),
        };
        Ok(Look {
            state,
            token: observed.highest_token.unwrap_or_default(),
            lease,
            rewound: observed.rewound,
            newest_since: observed.newest_since,
        })
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

/// A record that nobody leads by.
pub(super) fn free_record(token: u64, lease: Duration) -> LeaderElectionRecord {
    let now = clock::wall();
    LeaderElectionRecord {
        holder_identity: String::new(),
        lease_duration_seconds: lease.as_secs().max(1),
        acquire_time: now.clone(),
        renew_time: now,
        leader_transitions: token,
        ..LeaderElectionRecord::default()
    }
}
