//! Requests of operators to an election: pause, resume, and handover to another candidate.
//!
//! ```text
//!   read ─▶ may it be annotated? ─▶ annotate ─▶ read: is it permanent? ─▶ pause: does nobody lead? ─▶ done
//!     ▲            │ not yet                          │ not yet                     │ not yet
//!     └────────────┴──────────────────────────────────┴─────────────────────────────┘
//! ```
//!
//! All decisions are made here, without I/O and without a clock. A command or a simulation makes the calls.

use std::time::Duration;

use serde_json::Value;

use crate::election::annotation::{Annotation, HANDOVER, MOVED_TO, PAUSED, PREFERRED_HOLDER};
use crate::election::lock::{LeaseId, LockError, Observed, Written};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;
use crate::fmt::one_line;

/// Request to an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nobody may lead. `field` is [`PAUSED`] or [`MOVED_TO`].
    Pause {
        /// Field to set.
        field: &'static str,
        /// Its value.
        value: Value,
    },
    /// Candidates may lead again.
    Resume,
    /// The leader must hand over.
    HandOver {
        /// Name of the candidate that must lead next; empty for any other than the leader.
        to: String,
        /// Who asked, and when.
        asked: Value,
    },
}

/// Next step of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read the record at this time.
    ReadAt(Instant),
    /// Annotate the record that was read.
    Annotate(Annotation),
    /// The request has been followed, or handed to the leader.
    Done(Done),
}

/// Result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nobody leads, and nobody can until the election is resumed.
    Paused,
    /// Candidates may lead again.
    Resumed,
    /// The leader of this name has been asked.
    Asked(String),
    /// There was nothing to do, for this reason.
    Nothing(String),
}

/// Request under way.
#[derive(Clone, Debug)]
pub struct Steering {
    request: Request,
    confirm_delay: Duration,
    /// Whether the store may lose an acknowledged write.
    loses_writes: bool,
    poll_period: Duration,
    own_lease: Duration,
    /// Observed lease, and when it was first observed.
    lease: Option<(LeaseId, Instant)>,
    /// Leader that has been asked.
    asked: Option<String>,
    /// Whether the pause cannot be lost any more.
    confirmed: bool,
    annotating: Option<Annotating>,
    written: bool,
}

/// Annotation under way.
#[derive(Clone, Copy, Debug)]
struct Annotating {
    sent_at: Instant,
    /// Whether the record below it is paused.
    confirms: bool,
    /// Whether it shows that nobody leads.
    proves: bool,
}

impl Steering {
    /// Begins a request. `confirm_delay` is the lock's, `poll_period` the time between two reads. The lease of
    /// `own_lease` is waited for after a foreign write, as a candidate does.
    #[must_use]
    pub fn new(
        request: Request,
        confirm_delay: Option<Duration>,
        poll_period: Duration,
        own_lease: Duration,
    ) -> Self {
        Steering {
            request,
            confirm_delay: confirm_delay.unwrap_or_default(),
            loses_writes: confirm_delay.is_some(),
            poll_period,
            own_lease,
            lease: None,
            asked: None,
            confirmed: false,
            annotating: None,
            written: false,
        }
    }

    /// Takes in the result of a read, sent at `sent_at` and answered `now`.
    ///
    /// # Errors
    /// Returns why the request cannot be followed.
    pub fn handle_got(
        &mut self,
        now: Instant,
        sent_at: Instant,
        result: Result<Observed, LockError>,
    ) -> Result<Next, String> {
        let observed = match result {
            Ok(observed) => observed,
            Err(error) => return self.retry(now, &error),
        };
        let id = observed.lease_id();
        if self.lease.as_ref().is_none_or(|(known, _)| *known != id) {
            self.lease = Some((id, now));
        }
        let Some(record) = observed.content.record() else {
            return Err(
                "there is no readable record; wait until a candidate leads, or create one with elector init"
                    .to_owned(),
            );
        };
        match self.request.clone() {
            Request::Pause { field, value } => {
                self.pause(now, sent_at, &observed, record, (field, value))
            }
            Request::Resume => self.resume(now, &observed, record),
            Request::HandOver { to, asked } => self.hand_over(now, &observed, record, (to, asked)),
        }
    }

    /// Takes in the result of an annotation.
    ///
    /// # Errors
    /// As [`handle_got`](Self::handle_got).
    pub fn handle_annotated(
        &mut self,
        now: Instant,
        result: Result<Written, LockError>,
    ) -> Result<Next, String> {
        let annotating = self.annotating.take();
        match result {
            Ok(written) => {
                self.written = true;
                if let Some(annotating) = annotating {
                    let known = written.head_known_since;
                    let permanent =
                        known.is_some_and(|since| since + self.confirm_delay <= annotating.sent_at);
                    self.confirmed |= annotating.confirms && permanent;
                    if annotating.proves {
                        return Ok(Next::Done(Done::Paused));
                    }
                }
                Ok(Next::ReadAt(now))
            }
            // It may have landed, which the next read shows.
            Err(LockError::Conflict) => Ok(Next::ReadAt(now)),
            Err(error) => self.retry(now, &error),
        }
    }

    fn retry(&self, now: Instant, error: &LockError) -> Result<Next, String> {
        let delay = match error {
            error if error.is_permanent() => return Err(error.to_string()),
            LockError::Unfinished(_) => Duration::ZERO,
            LockError::RateLimited { retry_after, .. } => *retry_after,
            _ => self.poll_period,
        };
        Ok(Next::ReadAt(now + delay))
    }

    fn pause(
        &mut self,
        now: Instant,
        sent_at: Instant,
        observed: &Observed,
        record: &LeaderElectionRecord,
        (field, value): (&'static str, Value),
    ) -> Result<Next, String> {
        if let (PAUSED, Some(lock)) = (field, moved_to(record)) {
            return Err(format!(
                "the election moved to {lock}, so it is not paused here"
            ));
        }
        // What was known for the confirm delay cannot be lost, and neither can what is written over it.
        let settled_at = observed.head_known_since.unwrap_or(now) + self.confirm_delay;
        let settled = now >= settled_at;
        let Some(current) = record.annotation(field) else {
            self.confirmed = false;
            return Ok(match settled {
                true => self.annotate(now, field, value, false, false),
                false => Next::ReadAt(settled_at),
            });
        };
        let current = current.clone();
        self.confirmed |= !self.loses_writes;
        if !self.confirmed {
            return Ok(match settled {
                true => self.annotate(now, field, current, true, false),
                false => Next::ReadAt(settled_at),
            });
        }
        let wait = match observed.foreign_wait {
            None if record.holder_identity.is_empty() => return Ok(Next::Done(Done::Paused)),
            None => record.lease_duration(),
            Some(longest) => longest.max(self.own_lease),
        };
        let expires_at = self.lease.as_ref().map_or(now, |(_, since)| *since) + wait;
        // The read must show that the leader had not renewed by then. Where an answer may be outdated, a
        // write must.
        match sent_at >= expires_at {
            true if self.loses_writes => Ok(self.annotate(now, field, current, true, true)),
            true => Ok(Next::Done(Done::Paused)),
            false => Ok(Next::ReadAt(expires_at.min(now + self.poll_period))),
        }
    }

    fn resume(
        &mut self,
        now: Instant,
        observed: &Observed,
        record: &LeaderElectionRecord,
    ) -> Result<Next, String> {
        if let Some(lock) = moved_to(record) {
            return Err(format!(
                "the election moved to {lock}, so it is not resumed here"
            ));
        }
        if record.annotation(PAUSED).is_some() {
            return Ok(self.annotate(now, PAUSED, Value::Null, false, false));
        }
        let settled_at = observed.head_known_since.unwrap_or(now) + self.confirm_delay;
        Ok(match self.written {
            false => Next::Done(Done::Nothing("the election is not paused".to_owned())),
            true if now < settled_at => Next::ReadAt(settled_at),
            true => Next::Done(Done::Resumed),
        })
    }

    fn hand_over(
        &mut self,
        now: Instant,
        observed: &Observed,
        record: &LeaderElectionRecord,
        (to, asked): (String, Value),
    ) -> Result<Next, String> {
        let holder = &record.holder_identity;
        if let Some(leader) = self.asked.clone().filter(|_| self.written) {
            let settled_at = observed.head_known_since.unwrap_or(now) + self.confirm_delay;
            let follows = *holder != leader || record.asks_for_handover();
            match follows {
                true if now >= settled_at => return Ok(Next::Done(Done::Asked(leader))),
                true => return Ok(Next::ReadAt(settled_at)),
                // The annotation was lost.
                false => self.written = false,
            }
        }
        if let Some(pause) = record.pause() {
            return Err(format!(
                "nobody leads, because the election was {}",
                one_line(&pause)
            ));
        }
        if holder.is_empty() {
            return Err("nobody leads, so nobody can hand over".to_owned());
        }
        if *holder == to {
            let holder = one_line(holder);
            return Ok(Next::Done(Done::Nothing(format!("{holder} leads already"))));
        }
        // A foreign write is passed on, so that the lock says why it cannot be annotated.
        if !observed.renewed && observed.foreign_wait.is_none() {
            return Ok(Next::ReadAt(now + self.poll_period));
        }
        self.asked = Some(holder.clone());
        let mut annotation = Annotation::new();
        let to = match to.as_str() {
            "" => Value::Null,
            to => to.into(),
        };
        annotation.insert(PREFERRED_HOLDER.to_owned(), to);
        annotation.insert(HANDOVER.to_owned(), asked);
        Ok(Next::Annotate(annotation))
    }

    fn annotate(
        &mut self,
        now: Instant,
        field: &str,
        value: Value,
        confirms: bool,
        proves: bool,
    ) -> Next {
        self.annotating = Some(Annotating {
            sent_at: now,
            confirms,
            proves,
        });
        let mut annotation = Annotation::new();
        annotation.insert(field.to_owned(), value);
        Next::Annotate(annotation)
    }
}

/// Returns the lock to which the election moved, for display.
fn moved_to(record: &LeaderElectionRecord) -> Option<String> {
    let lock = record.annotation(MOVED_TO)?;
    Some(one_line(lock.as_str().unwrap_or("another lock")))
}

#[cfg(test)]
mod tests;
