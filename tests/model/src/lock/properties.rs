//! What must hold in every state, and what must happen in some.

use std::sync::Arc;

use elector::lock::gist::revision::Revision;
use stateright::Property;

use super::LockModel;
use super::state::{Flight, State, Told};
use crate::gist::WriteId;

pub fn of(model: &LockModel) -> Vec<Property<LockModel>> {
    let bounds = &model.bounds;
    let mut properties = vec![
        Property::always(
            "everybody agrees with the rule applied to the whole history",
            agrees,
        ),
        Property::always("no call comes to a wrong result", |_, state: &State| {
            state.flaw.is_none()
        }),
        Property::sometimes("a conflict is told", |_, state: &State| {
            state.writes().any(|(_, told)| told == Told::Conflict)
        }),
        Property::sometimes("a lost answer's write took effect", |_, state: &State| {
            state
                .writes()
                .any(|(id, told)| told == Told::Unknown && state.is_in_effect(id))
        }),
        Property::sometimes("a write that lands late is passed over", late),
        Property::sometimes("a success is told of a write that landed on others", walked),
    ];
    if model.vanishes() {
        properties.extend([
            Property::sometimes("a success is gone later", |_, state: &State| {
                state
                    .writes()
                    .any(|(id, told)| told == Told::Success && !state.is_in_effect(id))
            }),
            Property::sometimes("what a process knew is gone", |_, state: &State| {
                let mut known = state
                    .processes
                    .iter()
                    .filter_map(|one| one.protocol.effective());
                known.any(|(at, _)| state.place(at).is_none())
            }),
        ]);
    } else {
        properties.extend([
            Property::always("a success stays in effect", |_, state: &State| {
                state
                    .writes()
                    .all(|(id, told)| told != Told::Success || state.is_in_effect(id))
            }),
            Property::always(
                "a write told of as a conflict is not in effect",
                lost_stays_lost,
            ),
            Property::always("only a copy's conflict comes after an effect", only_copies),
            Property::always(
                "one write at the most succeeds each revision",
                one_successor,
            ),
        ]);
    }
    if bounds.overwrites > 0 {
        properties.extend([
            Property::sometimes("a person's record takes effect", |_, state: &State| {
                let gist = &state.gist;
                let mut effects = gist.effects(gist.head()).filter(|index| *index > 0);
                effects.any(|index| gist.entry(index).write.is_none())
            }),
            Property::sometimes("a record of ours that is pasted is passed over", pasted),
        ]);
    }
    if bounds.duplicates > 0 {
        let name = "a write in effect lands twice";
        properties.push(Property::sometimes(name, |_, state: &State| {
            let mut twice = state.flights.iter().filter(|flight| flight.landed > 1);
            twice.any(|flight| state.is_in_effect(flight.id))
        }));
    }
    properties
}

impl State {
    /// Every write, and what its process was told of it.
    fn writes(&self) -> impl Iterator<Item = (WriteId, Told)> {
        let processes = self.processes.iter().enumerate();
        processes.flat_map(|(process, one)| {
            let numbered = (1..).zip(&one.told);
            numbered.map(move |(number, told)| (WriteId { process, number }, *told))
        })
    }

    fn is_in_effect(&self, id: WriteId) -> bool {
        self.gist.took_effect(id, self.gist.head())
    }

    /// The writes that stand in the history, newest first, less what only another file's revision
    /// repeats.
    fn standing(&self) -> impl Iterator<Item = WriteId> {
        let past = self.gist.past(self.gist.head());
        let written = past.filter(|index| {
            let entry = self.gist.entry(*index);
            let below = entry.below.map(|below| &self.gist.entry(below).text);
            below != Some(&entry.text)
        });
        written.filter_map(|index| self.gist.entry(index).write)
    }

    fn flight(&self, id: WriteId) -> Option<&Flight> {
        let found = self.flights.iter().find(|flight| flight.id == id);
        found.map(Arc::as_ref)
    }

    /// Where a revision stands in the history.
    fn place(&self, name: Revision) -> Option<usize> {
        let mut past = self.gist.past(self.gist.head());
        past.find(|index| self.gist.entry(*index).name == name)
    }
}

/// What a process takes to be in effect at a revision is what the rule says.
fn agrees(_: &LockModel, state: &State) -> bool {
    let mut known = state
        .processes
        .iter()
        .filter_map(|one| one.protocol.effective());
    known.all(|(at, effect)| {
        let at = state.gist.find(at).map(|at| state.gist.entry(at));
        at.is_some_and(|at| state.gist.entry(at.effect).name == effect)
    })
}

fn lost_stays_lost(_: &LockModel, state: &State) -> bool {
    let head = state.gist.entry(state.gist.head());
    let in_effect = state.gist.entry(head.effect).write;
    let mut writes = state.writes();
    writes.all(|(id, told)| told != Told::Conflict || in_effect != Some(id))
}

/// A write that stands there twice, a second time where it is passed over, may be told of as a conflict
/// though its first copy took effect: by then something else is in its place.
fn only_copies(_: &LockModel, state: &State) -> bool {
    state.writes().all(|(id, told)| {
        let copies = || state.standing().filter(|copy| *copy == id).count();
        told != Told::Conflict || !state.is_in_effect(id) || copies() > 1
    })
}

fn one_successor(_: &LockModel, state: &State) -> bool {
    let told: Vec<Revision> = state
        .writes()
        .filter(|(_, told)| *told == Told::Success)
        .filter_map(|(id, _)| Some(state.flight(id)?.supersedes))
        .collect();
    (1..told.len()).all(|index| !told[..index].contains(&told[index]))
}

/// The writer gave it up and wrote again before it landed.
fn late(_: &LockModel, state: &State) -> bool {
    let standing: Vec<WriteId> = state.standing().collect();
    standing.iter().enumerate().any(|(place, id)| {
        let mut below = standing[place + 1..].iter();
        let overtaken = below.any(|b| b.process == id.process && b.number > id.number);
        overtaken && !state.is_in_effect(*id)
    })
}

/// Something that was passed over, or another file's revision, stands between a write and what it
/// superseded.
fn walked(_: &LockModel, state: &State) -> bool {
    let successes = state.writes().filter(|(_, told)| *told == Told::Success);
    let mut flights = successes.filter_map(|(id, _)| state.flight(id));
    flights.any(|flight| {
        let mut effects = state.gist.effects(state.gist.head());
        let written = effects.find(|index| state.gist.entry(*index).write == Some(flight.id));
        let below = written.and_then(|at| state.gist.entry(at).below);
        below.is_some_and(|below| state.gist.entry(below).name != flight.supersedes)
    })
}

/// A text with our fields stands there once more than its write landed.
fn pasted(_: &LockModel, state: &State) -> bool {
    state.flights.iter().any(|flight| {
        let copies = state.standing().filter(|id| *id == flight.id).count();
        copies > usize::from(flight.landed) && state.is_in_effect(flight.id)
    })
}
