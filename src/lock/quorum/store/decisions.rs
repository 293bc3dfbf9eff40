//! When a phase is decided, and what follows.

use std::sync::Arc;

use super::{Call, Chosen, End, MOST_ROUNDS, Phase, Purpose, QuorumStore, Turn};
use crate::election::lock::LockError;
use crate::election::time::Instant;
use crate::lock::quorum::member::Member;
use crate::lock::quorum::state::{Ballot, State};
use crate::lock::store::{Request, Step, Store};

impl<S: Store> QuorumStore<S> {
    /// Ends the phase if its outcome is certain, or if no member can change it any more.
    pub(super) fn decide(&mut self, now: Instant, requests: Vec<Request>) -> Step {
        let Some(call) = self.call.clone() else {
            return Step::Ask(requests);
        };
        let decided = match &call.phase {
            Phase::Poll => self.decide_poll(now),
            Phase::Prepare(ballot) => self.decide_prepare(now, &call, ballot),
            Phase::Accept(chosen) => self.decide_accept(&call, chosen),
        };
        decided.unwrap_or(Step::Ask(requests))
    }

    /// Returns the number of members whose turn has succeeded, and of those whose turn still may.
    pub(super) fn count(&self) -> (usize, usize) {
        let done = self.turns.iter().filter(|turn| turn.is_done()).count();
        let open = self.turns.iter().filter(|turn| turn.end.is_none()).count();
        (done, open)
    }

    pub(super) fn decide_poll(&mut self, now: Instant) -> Option<Step> {
        self.adopt();
        if let Some(why) = self.contradiction() {
            return Some(self.end_read(Err(LockError::Refused(why))));
        }
        let (done, open) = self.count();
        if let Some(chosen) = self.majority_value() {
            self.unsettled = None;
            if self.doubt.as_ref().is_some_and(|own| *own > chosen.ballot) {
                return Some(self.prepare(now));
            }
            // An earlier ballot cannot be chosen any more.
            self.doubt = None;
            return Some(self.end_read(Ok(chosen)));
        }
        // A member that still works for an earlier call is slow, and is not waited for without need.
        let members = self.turns.iter().zip(&self.members);
        let slow = members.filter(|(turn, member)| turn.end.is_none() && member.is_slow());
        let awaited = open - slow.count();
        if awaited > 0 || (done < self.majority() && open > 0) {
            return None;
        }
        if done < self.majority() {
            let error = self.unavailable("no majority of the members votes");
            return Some(self.end_read(Err(error)));
        }
        Some(self.settle(now))
    }

    /// Finishes a write that was left unfinished, or waits for that.
    pub(super) fn settle(&mut self, now: Instant) -> Step {
        let shown: Vec<_> = self
            .turns
            .iter()
            .map(|turn| turn.state().map(|state| state.acceptor.accepted.clone()))
            .collect();
        let since = match self.unsettled.take() {
            Some((before, since)) if before == shown => since,
            _ => now,
        };
        if self.doubt.is_none() && now.since(since) < self.repair_after {
            self.unsettled = Some((shown, since));
            return self.end_read(Err(LockError::Unfinished(format!(
                "{}: a write is under way",
                self.describe()
            ))));
        }
        self.prepare(now)
    }

    pub(super) fn prepare(&mut self, now: Instant) -> Step {
        let ballot = self.next_ballot();
        if let Some(call) = &mut self.call {
            call.rounds += 1;
            call.phase = Phase::Prepare(ballot);
        }
        self.begin_phase(now)
    }

    pub(super) fn decide_prepare(
        &mut self,
        now: Instant,
        call: &Call,
        ballot: &Ballot,
    ) -> Option<Step> {
        let (done, open) = self.count();
        if done >= self.majority() {
            let promises = self.turns.iter().filter_map(Turn::state);
            let newest = promises.max_by_key(|state| &state.acceptor.accepted);
            let newest = newest.and_then(|state| state.acceptor.value.clone());
            let value = match &call.purpose {
                Purpose::Read => newest,
                Purpose::Write { expected, .. } if *expected != newest => {
                    return Some(self.end_write(Err(LockError::Conflict)));
                }
                Purpose::Write { value, .. } => Some(Arc::clone(value)),
            };
            return Some(self.accept(
                now,
                Chosen {
                    ballot: ballot.clone(),
                    value,
                },
            ));
        }
        if done + open >= self.majority() {
            return None;
        }
        let refused = self.turns.iter().any(|turn| turn.end == Some(End::Refused));
        if refused && call.rounds < MOST_ROUNDS {
            return Some(self.prepare(now));
        }
        let error = self.unavailable("no majority of the members promises");
        Some(match (&call.purpose, refused) {
            (Purpose::Read, _) => self.end_read(Err(error)),
            (Purpose::Write { .. }, true) => self.end_write(Err(LockError::Conflict)),
            (Purpose::Write { .. }, false) => self.end_write(Err(error)),
        })
    }

    pub(super) fn accept(&mut self, now: Instant, chosen: Chosen) -> Step {
        // The ballot after it is promised together with it.
        self.highest_round = self.highest_round.max(chosen.ballot.round + 1);
        if let Some(call) = &mut self.call {
            call.phase = Phase::Accept(chosen);
        }
        self.begin_phase(now)
    }

    pub(super) fn decide_accept(&mut self, call: &Call, chosen: &Chosen) -> Option<Step> {
        let (done, open) = self.count();
        let is_write = call.purpose != Purpose::Read;
        if done >= self.majority() {
            self.doubt = None;
            self.promised = Some(self.own_ballot(chosen.ballot.round + 1));
            self.unsettled = None;
            let chosen = chosen.clone();
            return Some(match is_write {
                true => self.end_write(Ok(chosen)),
                false => self.end_read(Ok(chosen)),
            });
        }
        if done + open >= self.majority() {
            return None;
        }
        let may_land = |turn: &&Turn| turn.writes.is_some() || turn.doubt.is_some();
        let mut doubtful = self.turns.iter().filter(may_land);
        let landed = done > 0 || doubtful.clone().any(|turn| turn.end.is_some());
        if !landed && doubtful.next().is_some() {
            // An answer will tell whether the write was refused for certain.
            return None;
        }
        let refused = self.turns.iter().any(|turn| turn.end == Some(End::Refused));
        if landed {
            self.doubt = Some(chosen.ballot.clone());
        }
        let error = self.unavailable("no majority of the members accepts");
        Some(match (is_write, landed, refused) {
            (false, ..) => self.end_read(Err(error)),
            (true, true, _) => self.end_write(Err(LockError::OutcomeUnknown(error.to_string()))),
            (true, false, true) => self.end_write(Err(LockError::Conflict)),
            (true, false, false) => self.end_write(Err(error)),
        })
    }

    /// Learns the quorum's identifier, once a majority shows it.
    pub(super) fn adopt(&mut self) {
        if self.quorum.is_some() {
            return;
        }
        let shown = self.turns.iter().filter_map(Turn::state);
        let shown: Vec<_> = shown.map(|state| &state.membership.quorum).collect();
        let found = shown.iter().find(|quorum| {
            let same = shown.iter().filter(|other| other == quorum).count();
            same >= self.majority()
        });
        let Some(quorum) = found.map(|quorum| Arc::clone(quorum)) else {
            return;
        };
        for turn in &mut self.turns {
            if turn
                .state()
                .is_some_and(|state| state.membership.quorum != quorum)
            {
                turn.end = Some(End::Failed("belongs to another quorum".to_owned()));
            }
        }
        self.quorum = Some(quorum);
    }

    /// Returns the value that a majority shows under one ballot.
    pub(super) fn majority_value(&self) -> Option<Chosen> {
        self.quorum.as_ref()?;
        let shown = || self.turns.iter().filter_map(Turn::state);
        let found = shown().find(|state| {
            let ballot = &state.acceptor.accepted;
            let same = shown().filter(|other| other.acceptor.accepted == *ballot);
            same.count() >= self.majority()
        });
        found.map(|state| Chosen {
            ballot: state.acceptor.accepted.clone(),
            value: state.acceptor.value.clone(),
        })
    }

    /// Returns what is wrong if two members show different values under one ballot.
    pub(super) fn contradiction(&self) -> Option<String> {
        let shown: Vec<_> = self.turns.iter().filter_map(Turn::state).collect();
        let differs = |a: &&State| {
            shown.iter().any(|b| {
                a.acceptor.accepted == b.acceptor.accepted && a.acceptor.value != b.acceptor.value
            })
        };
        let state = shown.iter().copied().find(differs)?;
        Some(format!(
            "{}: two members show different values under the ballot {}, so a member was edited or \
             restored; stop every candidate, and create a new quorum",
            self.describe(),
            state.acceptor.accepted
        ))
    }

    /// Returns the error of a phase that no majority completed, with the reason for each member.
    pub(super) fn unavailable(&self, why: &str) -> LockError {
        let quorum = self.describe();
        if self.members.iter().all(Member::is_empty) {
            return LockError::NotFound(format!(
                "{quorum}: the members hold nothing yet; run elector init"
            ));
        }
        let turns = self.members.iter().zip(&self.turns);
        let reasons = turns.filter_map(|(member, turn)| {
            let reason = match &turn.end {
                Some(End::Done(_)) => return None,
                Some(End::Refused) => "follows another process",
                Some(End::Failed(why)) => why,
                None => "has not answered yet",
            };
            Some(format!("{} {reason}", member.describe()))
        });
        let reasons: Vec<String> = reasons.collect();
        LockError::Unavailable(format!("{quorum}: {why}: {}", reasons.join("; ")))
    }
}
