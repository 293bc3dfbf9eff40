//! Steps of the members in a phase.

use super::{Call, End, MOST_READS, Phase, QuorumStore};
use crate::election::time::Instant;
use crate::lock::quorum::member::Event;
use crate::lock::quorum::state::Acceptor;
use crate::lock::store::{Request, Step, Store};

impl<S: Store> QuorumStore<S> {
    /// Lets every idle member take its next step, and ends the phase if that is decided.
    pub(super) fn advance(&mut self, now: Instant) -> Step {
        let mut requests = Vec::new();
        for index in 0..self.members.len() {
            self.advance_member(index, &mut requests);
        }
        self.decide(now, requests)
    }

    pub(super) fn advance_member(&mut self, index: usize, requests: &mut Vec<Request>) {
        while self.turns[index].end.is_none() && !self.members[index].is_busy() {
            match self.next_step(index) {
                Ok(event) => self.take(index, event, requests),
                Err(end) => self.turns[index].end = Some(end),
            }
        }
    }

    /// Begins the next operation of a member in this phase, or returns the end of its turn.
    pub(super) fn next_step(&mut self, index: usize) -> Result<Event, End> {
        let Some(Call { phase, .. }) = &self.call else {
            return Err(End::Failed("internal error: no call".to_owned()));
        };
        let (member, turn) = (&mut self.members[index], &mut self.turns[index]);
        let fresh = turn.reads > 0 || *phase != Phase::Poll;
        if member.known.is_none() || !fresh {
            if turn.reads == MOST_READS {
                return Err(End::Failed("changes too often".to_owned()));
            }
            turn.reads += 1;
            return Ok(member.read());
        }
        let size = self.turns.len();
        let member = &mut self.members[index];
        let state = member.vote(self.quorum.as_ref(), size);
        let state = state.map_err(End::Failed)?.clone();
        if !member.probed {
            return Ok(member.probe());
        }
        let Acceptor {
            promised, accepted, ..
        } = &state.acceptor;
        let acceptor = match phase {
            Phase::Poll => return Err(End::Done(state)),
            Phase::Prepare(ballot) if promised > ballot => return Err(End::Refused),
            Phase::Prepare(ballot) if promised == ballot => return Err(End::Done(state)),
            Phase::Prepare(ballot) => Acceptor {
                promised: ballot.clone(),
                ..state.acceptor
            },
            Phase::Accept(chosen) => {
                let turn = &mut self.turns[index];
                if *accepted == chosen.ballot {
                    return Err(End::Done(state));
                }
                if *promised > chosen.ballot {
                    // Nothing was accepted since the write, so that it did not land, and never will.
                    turn.doubt.take_if(|before| before == accepted);
                    return Err(End::Refused);
                }
                turn.writes = Some(accepted.clone());
                Acceptor {
                    promised: self.own_ballot(chosen.ballot.round + 1),
                    accepted: chosen.ballot.clone(),
                    value: chosen.value.clone(),
                }
            }
        };
        Ok(self.members[index].write(acceptor))
    }

    /// Takes in the result of a member's step.
    pub(super) fn take(&mut self, index: usize, event: Event, requests: &mut Vec<Request>) {
        if let Event::Ask(asked) = event {
            return requests.extend(asked);
        }
        self.note_rounds(index);
        let turn = &mut self.turns[index];
        let wrote = turn.writes.take();
        match event {
            Event::Doubt => turn.doubt = turn.doubt.take().or(wrote),
            Event::Failed(error) => turn.end = Some(End::Failed(error.to_string())),
            _ => {}
        }
    }

    pub(super) fn note_rounds(&mut self, index: usize) {
        let known = self.members[index].known.as_ref();
        if let Some(Ok(state)) = known.map(|known| &known.content) {
            let Acceptor {
                promised, accepted, ..
            } = &state.acceptor;
            let round = promised.round.max(accepted.round);
            self.highest_round = self.highest_round.max(round);
        }
    }
}
