//! Transitions of an election: logged, and passed to listeners.
//!
//! Events have the same names in the log, in the webhook and in the metrics.

use crate::election::action::StopReason;
use crate::election::lock::Observed;
use crate::election::time::Instant;
use crate::system::clock::BootClock;

/// A change of leadership that concerns programs beside this one.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// This candidate started leading.
    StartedLeading {
        /// Fencing token of the term.
        fencing_token: u64,
        /// Leadership deadline, until it is extended.
        valid_until: Instant,
    },
    /// This candidate renewed its lease.
    Renewed {
        /// Fencing token of the term.
        fencing_token: u64,
        /// Leadership deadline, until it is extended.
        valid_until: Instant,
    },
    /// This candidate stopped leading: its workload is being stopped.
    StoppedLeading {
        /// Fencing token of the term.
        fencing_token: u64,
        /// Reason for the end of the term.
        reason: StopReason,
        /// The reason in words. For a lease that was not renewed, it names the failures.
        detail: String,
    },
    /// The term is over: the lease was lost, or the workload has stopped and the lease is about to be
    /// released. After a graceful shutdown it follows
    /// [`StoppedLeading`](Transition::StoppedLeading), with renewals in between.
    TermOver {
        /// Fencing token of the term.
        fencing_token: u64,
    },
    /// The lease has another holder, this candidate included, or the holder began another term.
    NewLeader {
        /// Identity of the holder; empty if there is none.
        identity: String,
        /// Fencing token of the holder's term; `None` if there is none.
        fencing_token: Option<u64>,
    },
}

/// Name of [`Transition::StartedLeading`].
pub(super) const STARTED_LEADING: &str = "started_leading";
/// Name of [`Transition::StoppedLeading`].
pub(super) const STOPPED_LEADING: &str = "stopped_leading";
/// Name of [`Transition::NewLeader`].
pub(super) const NEW_LEADER: &str = "new_leader";

/// Receives every transition on the election's thread, and must not block.
type Listener = Box<dyn FnMut(&Transition) + Send>;

/// Derives transitions from what the election does, logs them and passes them on.
#[derive(Default)]
pub(super) struct Transitions {
    listeners: Vec<Listener>,
    /// Fencing token of this candidate's term, until its end has been announced.
    term: Option<u64>,
    /// Leader that was announced last, and its fencing token.
    announced: (String, Option<u64>),
    /// Holder of the observed record, and its fencing token.
    observed: Option<(String, u64)>,
}

impl Transitions {
    /// Adds a listener for every later transition.
    pub(super) fn listen(&mut self, listener: Listener) {
        self.listeners.push(listener);
    }

    /// Announces that a term of this candidate began.
    pub(super) fn started(&mut self, fencing_token: u64, valid_until: Instant) {
        self.term = Some(fencing_token);
        log::info!(
            event = STARTED_LEADING, fencing_token, uptime:% = BootClock::now(), valid_until:%;
            "started leading"
        );
        self.announce(&Transition::StartedLeading {
            fencing_token,
            valid_until,
        });
    }

    /// Announces that the leadership deadline moved.
    pub(super) fn renewed(&mut self, fencing_token: u64, valid_until: Instant) {
        log::debug!(event = "renewed", fencing_token, valid_until:%; "renewed lease");
        self.announce(&Transition::Renewed {
            fencing_token,
            valid_until,
        });
    }

    /// Announces that the workload of a term is being stopped.
    pub(super) fn stopped(&mut self, fencing_token: u64, reason: StopReason, detail: String) {
        let level = match reason {
            StopReason::Unhealthy => log::Level::Warn,
            reason if reason.is_loss() => log::Level::Warn,
            _ => log::Level::Info,
        };
        log::log!(
            level,
            event = STOPPED_LEADING, fencing_token, reason = reason.as_str(), detail;
            "stopped leading"
        );
        self.announce(&Transition::StoppedLeading {
            fencing_token,
            reason,
            detail,
        });
    }

    /// Takes note of a read.
    pub(super) fn observed(&mut self, observed: &Observed) {
        let record = observed.content.record();
        self.observed =
            record.map(|record| (record.holder_identity.clone(), record.leader_transitions));
    }

    /// Announces another holder of the lease; an empty identity means none. `leads` says whether it is
    /// this candidate.
    pub(super) fn new_leader(&mut self, identity: &str, leads: bool) {
        let observed = self.observed.as_ref();
        let observed = observed.filter(|(holder, _)| holder == identity);
        let fencing_token = match leads {
            true => self.term,
            false => observed.map(|(_, fencing_token)| *fencing_token),
        };
        self.announce_leader(
            identity,
            fencing_token.filter(|_| !identity.is_empty()),
            leads,
        );
    }

    /// Announces the end of this candidate's term, or another term of the announced leader. Call it
    /// after every change.
    pub(super) fn settle(&mut self, leads: bool) {
        if leads {
            return;
        }
        if let Some(fencing_token) = self.term.take() {
            self.announce(&Transition::TermOver { fencing_token });
        }
        let (leader, term) = &self.announced;
        if let Some((holder, fencing_token)) = &self.observed
            && holder == leader
            && !holder.is_empty()
            && term.is_some_and(|term| term < *fencing_token)
        {
            let (holder, fencing_token) = (holder.clone(), *fencing_token);
            self.announce_leader(&holder, Some(fencing_token), false);
        }
    }

    fn announce_leader(&mut self, identity: &str, fencing_token: Option<u64>, own: bool) {
        match identity {
            // The start of an own term has been logged.
            _ if own => {}
            "" => log::info!(event = NEW_LEADER, leader = ""; "observed no leader"),
            leader => {
                log::info!(event = NEW_LEADER, leader, fencing_token; "observed new leader");
            }
        }
        self.announced = (identity.to_owned(), fencing_token);
        self.announce(&Transition::NewLeader {
            identity: identity.to_owned(),
            fencing_token,
        });
    }

    fn announce(&mut self, transition: &Transition) {
        for listener in &mut self.listeners {
            listener(transition);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn term_is_over_once() {
        let mut transitions = Transitions::default();
        let (sender, received) = channel();
        transitions.listen(Box::new(move |transition| {
            sender.send(transition.clone()).unwrap();
        }));
        transitions.started(3, Instant::BOOT);
        transitions.settle(true);
        transitions.stopped(3, StopReason::Cancelled, String::new());
        transitions.settle(true);
        transitions.settle(false);
        transitions.settle(false);
        let received: Vec<_> = received.try_iter().collect();
        assert_eq!(received.len(), 3, "{received:?}");
        assert_eq!(received[2], Transition::TermOver { fencing_token: 3 });
    }
}
