//! What is told of an election to those who watch it from outside: its transitions, and in the log how
//! the lease of another one fares meanwhile.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use crate::election::action::StopReason;
use crate::election::lock::Observed;
use crate::election::time::Instant;
use crate::fmt::brief;

/// A lease that was not renewed for this part of it is told of: a leader that is well renews before a
/// third of it has passed.
const LATE_DIVISOR: u32 = 2;

/// A change that may interest those who watch from outside.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// This candidate leads.
    StartedLeading {
        /// The fencing token.
        token: u64,
        /// Until when, unless that is extended.
        until: Instant,
    },
    /// It still does.
    Renewed {
        /// The fencing token.
        token: u64,
        /// Until when, unless that is extended.
        until: Instant,
    },
    /// It does not lead any more: what it runs is being stopped.
    StoppedLeading {
        /// The fencing token of the term.
        token: u64,
        /// Why.
        reason: StopReason,
    },
    /// Nothing of the term counts any more: the lease was lost, or what ran has gone and the lease is
    /// about to be given back. On a polite stop this comes after
    /// [`StoppedLeading`](Transition::StoppedLeading), and renewals may come in between.
    TermOver {
        /// The fencing token of the term.
        token: u64,
    },
    /// Another holder of the lease was seen, this candidate included, or another term of the same one.
    NewLeader {
        /// Its name; empty for nobody.
        identity: String,
        /// The fencing token of its term; `None` where there is none.
        token: Option<u64>,
    },
}

/// The record in effect, as it was last seen.
#[derive(Debug)]
struct Seen {
    holder: String,
    token: u64,
    /// Names the write.
    version: u64,
    /// When it was first seen.
    since: Instant,
    lease: Duration,
    /// Nothing more is to be said of its age.
    told: bool,
}

/// Tells those who watch.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    watchers: Vec<Watcher>,
    /// The term of ours whose end was not announced yet.
    open: Option<u64>,
    /// The leader that was announced last, and its token.
    hailed: (String, Option<u64>),
    seen: Option<Seen>,
}

impl Announcer {
    /// One more watches: up to `capacity` transitions wait for it.
    pub(super) fn watch(&mut self, capacity: usize) -> Receiver<Transition> {
        let (transitions, receiver) = sync_channel(capacity);
        self.watchers.push(Watcher {
            transitions,
            missed: false,
        });
        receiver
    }

    pub(super) fn started(&mut self, token: u64, until: Instant) {
        self.open = Some(token);
        self.announce(&Transition::StartedLeading { token, until });
    }

    pub(super) fn renewed(&mut self, token: u64, until: Instant) {
        self.announce(&Transition::Renewed { token, until });
    }

    pub(super) fn stopped(&mut self, token: u64, reason: StopReason) {
        self.announce(&Transition::StoppedLeading { token, reason });
    }

    /// A look shows this.
    pub(super) fn looked(&mut self, now: Instant, observed: &Observed, leads: bool) {
        let Some(record) = observed.content.record() else {
            self.seen = None;
            return;
        };
        let known = self.seen.take();
        let known = known.filter(|seen| seen.version == observed.resource_version);
        let mut seen = known.unwrap_or_else(|| Seen {
            holder: record.holder_identity.clone(),
            token: record.leader_transitions,
            version: observed.resource_version,
            since: now,
            lease: record.lease_duration(),
            // Of what came past the elections, and of our own terms, other things are told.
            told: record.holder_identity.is_empty()
                || observed.foreign_wait.is_some()
                || observed.mine.is_some(),
        });
        let age = now.since(seen.since);
        let (holder, token) = (&seen.holder, seen.token);
        log::debug!(
            "looked at the lease: held by {holder:?} (token {token}), the same for {}",
            brief(age)
        );
        if !leads && !seen.told && age >= seen.lease / LATE_DIVISOR {
            seen.told = true;
            log::info!(
                "{} has not renewed its lease for {}: in {} it may be taken",
                seen.holder,
                brief(age),
                brief(seen.lease.saturating_sub(age))
            );
        }
        self.seen = Some(seen);
    }

    /// Another holder of the lease was seen; empty for nobody. `leads`: it is this candidate.
    pub(super) fn new_leader(&mut self, identity: &str, leads: bool) {
        let seen = self.seen.as_ref().filter(|seen| seen.holder == identity);
        let token = match leads {
            true => self.open,
            false => seen.map(|seen| seen.token),
        };
        self.hail(identity, token.filter(|_| !identity.is_empty()));
    }

    /// To be called after every change: this candidate leads, or does not.
    pub(super) fn settle(&mut self, leads: bool) {
        if leads {
            return;
        }
        if let Some(token) = self.open.take() {
            self.announce(&Transition::TermOver { token });
        }
        let Some(seen) = &self.seen else { return };
        let (hailed, token) = &self.hailed;
        if seen.holder == *hailed && !hailed.is_empty() && token.is_some_and(|t| t < seen.token) {
            let (identity, token) = (seen.holder.clone(), seen.token);
            self.hail(&identity, Some(token));
        }
    }

    fn hail(&mut self, identity: &str, token: Option<u64>) {
        self.hailed = (identity.to_owned(), token);
        self.announce(&Transition::NewLeader {
            identity: identity.to_owned(),
            token,
        });
    }

    fn announce(&mut self, transition: &Transition) {
        for watcher in &mut self.watchers {
            watcher.tell(transition);
        }
    }
}

/// Somebody who watches. Who does not keep up misses some.
#[derive(Debug)]
struct Watcher {
    transitions: SyncSender<Transition>,
    /// It missed the last one.
    missed: bool,
}

impl Watcher {
    fn tell(&mut self, transition: &Transition) {
        let sent = self.transitions.try_send(transition.clone());
        let full = matches!(sent, Err(TrySendError::Full(_)));
        if full && !self.missed {
            log::warn!("whoever watches the election does not keep up: changes are left out");
        }
        self.missed = full;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_keep_up_misses_some_and_delays_nobody() {
        let mut announcer = Announcer::default();
        let (slow, quick) = (announcer.watch(2), announcer.watch(100));
        for token in 0..50 {
            announcer.started(token, Instant::BOOT);
            announcer.settle(false);
        }
        assert_eq!(slow.try_iter().count(), 2);
        assert_eq!(quick.try_iter().count(), 100);
    }

    #[test]
    fn a_term_is_over_once() {
        let mut announcer = Announcer::default();
        let told = announcer.watch(100);
        announcer.started(3, Instant::BOOT);
        announcer.settle(true);
        announcer.stopped(3, StopReason::Cancelled);
        announcer.settle(true);
        announcer.settle(false);
        announcer.settle(false);
        let told: Vec<_> = told.try_iter().collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[2], Transition::TermOver { token: 3 });
    }
}
