//! A quorum of stores as one store: CASPaxos, in which the client takes each acceptor's steps by conditional
//! writes.
//!
//! ```text
//!   read ───▶ read all ──┬─ a majority under one ballot ─────────────────────────▶ Read
//!                        └─ no majority for long, or an own write in doubt
//!                                  │
//!                                  ▼
//!   write ──▶ prepare a ballot at a majority ──▶ compare ──▶ accept at a majority ──▶ Wrote, Read
//!     │                                                          ▲
//!     └── ballot promised with the last accepted value ──────────┘
//! ```
//!
//! The rules are those of CASPaxos (D. Rystsov, 2018). In addition, a promise that was given together with an
//! accepted value counts only after a majority has accepted that value, and for one write. A write that may
//! have landed is in doubt until a majority shows its ballot or a higher one.

mod decisions;
mod members;

use std::sync::Arc;
use std::time::Duration;

use super::member::Member;
use super::state::{Ballot, State};
use crate::election::lock::LockError;
use crate::election::time::Instant;
use crate::lock::store::{Answer, Snapshot, Step, Store, Version};

/// Times that one phase reads a member.
const MOST_READS: u32 = 4;

/// Times that one call prepares a ballot.
const MOST_ROUNDS: u32 = 3;

/// Settings of a [`QuorumStore`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuorumConfig {
    /// Name of this process, which no other process has.
    pub process: String,
    /// Time for which a candidate observes an unfinished write before it finishes it. It should differ
    /// between processes.
    pub repair_after: Duration,
}

/// Value that a majority has accepted under one ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Chosen {
    ballot: Ballot,
    value: Option<Arc<str>>,
}

impl Chosen {
    fn version(&self) -> Option<Version> {
        self.value.as_ref()?;
        Some(Version(self.ballot.to_string().into()))
    }
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Purpose {
    /// To learn the value.
    Read,
    /// To replace the expected value.
    Write {
        expected: Option<Arc<str>>,
        value: Arc<str>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Reads every member.
    Poll,
    /// Asks every member for a promise.
    Prepare(Ballot),
    /// Asks every member to accept a value.
    Accept(Chosen),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Call {
    purpose: Purpose,
    phase: Phase,
    rounds: u32,
}

/// Progress of a member in a phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Turn {
    reads: u32,
    /// Ballot accepted before the write under way.
    writes: Option<Ballot>,
    /// The same for a write that may have landed.
    doubt: Option<Ballot>,
    end: Option<End>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum End {
    /// It was read, has promised, or has accepted. The state shows it.
    Done(State),
    /// It has promised a higher ballot.
    Refused,
    /// It does not take part, for this reason.
    Failed(String),
}

impl Turn {
    fn is_done(&self) -> bool {
        matches!(self.end, Some(End::Done(_)))
    }

    /// Returns the state that a finished turn showed.
    fn state(&self) -> Option<&State> {
        match &self.end {
            Some(End::Done(state)) => Some(state),
            _ => None,
        }
    }
}

/// Quorum of three or five stores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuorumStore<S> {
    process: Arc<str>,
    repair_after: Duration,
    members: Vec<Member<S>>,
    /// Identifier, once a majority has shown it.
    quorum: Option<Arc<str>>,
    /// Highest round that any member showed, or that this process has used.
    highest_round: u64,
    /// Newest value read or written.
    chosen: Option<Chosen>,
    /// Ballot that a majority promised when it accepted `chosen`. It is good for one write.
    promised: Option<Ballot>,
    /// Ballot of an own write that some members may have accepted, or may still accept.
    doubt: Option<Ballot>,
    /// Ballots that a poll showed without a majority for one of them, and since when.
    unsettled: Option<(Vec<Option<Ballot>>, Instant)>,
    call: Option<Call>,
    turns: Vec<Turn>,
}

impl<S: Store> QuorumStore<S> {
    /// Returns a quorum of these stores, which were not read yet.
    #[must_use]
    pub fn new(stores: Vec<S>, config: QuorumConfig) -> Self {
        let members = stores.into_iter().enumerate();
        let members: Vec<_> = members.map(|(n, store)| Member::new(store, n)).collect();
        QuorumStore {
            process: config.process.into(),
            repair_after: config.repair_after,
            turns: vec![Turn::default(); members.len()],
            members,
            quorum: None,
            highest_round: 0,
            chosen: None,
            promised: None,
            doubt: None,
            unsettled: None,
            call: None,
        }
    }

    fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    // ---- calls ----

    fn start(&mut self, purpose: Purpose) {
        self.call = Some(Call {
            purpose,
            phase: Phase::Poll,
            rounds: 0,
        });
    }

    /// Ends the call before, if it has no result yet.
    fn abandon(&mut self) {
        if let Some(call) = self.call.take() {
            self.promised = None;
            if let Phase::Accept(chosen) = call.phase {
                self.doubt = Some(chosen.ballot);
            }
        }
    }

    fn begin_phase(&mut self, now: Instant) -> Step {
        self.members.iter_mut().for_each(Member::end_phase);
        self.turns = vec![Turn::default(); self.members.len()];
        self.advance(now)
    }

    /// Returns a ballot above every one that is known.
    fn next_ballot(&mut self) -> Ballot {
        self.highest_round += 1;
        self.own_ballot(self.highest_round)
    }

    fn own_ballot(&self, round: u64) -> Ballot {
        Ballot {
            round,
            process: Arc::clone(&self.process),
        }
    }

    // ---- results ----

    /// Ends the call. No step of it begins a write from now on.
    fn end(&mut self) {
        self.call = None;
        self.members.iter_mut().for_each(Member::end_phase);
    }

    fn end_read(&mut self, result: Result<Chosen, LockError>) -> Step {
        self.end();
        Step::Read(result.map(|chosen| {
            let snapshot = self.snapshot(&chosen);
            self.choose(chosen);
            snapshot
        }))
    }

    fn end_write(&mut self, result: Result<Chosen, LockError>) -> Step {
        self.end();
        Step::Wrote(result.map(|chosen| {
            let version = Version(chosen.ballot.to_string().into());
            self.choose(chosen);
            version
        }))
    }

    fn choose(&mut self, chosen: Chosen) {
        // A promise is good for the write over the value with which it was given.
        let last = &chosen.ballot;
        let own = last.process == self.process;
        self.promised
            .take_if(|promised| !own || promised.round != last.round + 1);
        self.chosen = Some(chosen);
    }

    fn snapshot(&self, chosen: &Chosen) -> Snapshot {
        let shows = |state: &State| state.acceptor.accepted == chosen.ballot;
        let known = self.members.iter().zip(&self.turns);
        let known = known.filter(|(_, turn)| turn.state().is_some_and(shows));
        let known: Vec<_> = known
            .filter_map(|(member, _)| member.known.as_ref())
            .collect();
        let server_time = known.iter().filter_map(|known| known.server_time).max();
        // A member is also written when a ballot is prepared, so that the value is at least as old.
        let age = known
            .iter()
            .filter_map(|known| Some(known.server_time?.saturating_sub(known.written_at?)));
        Snapshot {
            value: chosen.value.as_ref().map(|value| value.as_bytes().into()),
            version: chosen.version(),
            server_time,
            written_at: server_time.zip(age.max()).map(|(time, age)| time - age),
        }
    }
}

impl<S: Store> Store for QuorumStore<S> {
    fn read(&mut self) -> Step {
        self.abandon();
        self.start(Purpose::Read);
        self.begin_phase(Instant::BOOT)
    }

    fn write(&mut self, expected: Option<&Version>, value: &[u8]) -> Step {
        self.abandon();
        let current = self.chosen.clone();
        let current = current.filter(|chosen| chosen.version().as_ref() == expected);
        let (Some(current), Ok(value)) = (current, std::str::from_utf8(value)) else {
            return Step::Wrote(Err(LockError::Conflict));
        };
        let value: Arc<str> = value.into();
        self.start(Purpose::Write {
            expected: current.value,
            value: Arc::clone(&value),
        });
        match self.promised.take() {
            None => self.prepare(Instant::BOOT),
            Some(ballot) => {
                let value = Some(value);
                self.accept(Instant::BOOT, Chosen { ballot, value })
            }
        }
    }

    fn handle(&mut self, answer: Answer) -> Step {
        let (now, index) = (answer.at, answer.member);
        let Some(member) = self.members.get_mut(index) else {
            return Step::Ask(Vec::new());
        };
        let event = member.handle(answer);
        let mut requests = Vec::new();
        self.take(index, event, &mut requests);
        if self.call.is_none() {
            return Step::Ask(requests);
        }
        self.advance_member(index, &mut requests);
        self.decide(now, requests)
    }

    fn impossible_version(&self) -> Version {
        Version::from("never")
    }

    fn describe(&self) -> String {
        format!("the quorum of {}", self.members.len())
    }
}
