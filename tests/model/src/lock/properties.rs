//! Properties that must hold in every state, and events that must occur in some.

use std::sync::Arc;

use elector::lock::gist::revision::Revision;
use stateright::Property;

use super::LockModel;
use super::state::{Flight, Reported, State};
use crate::gist::{ANNOTATION, WriteId};

pub fn of(model: &LockModel) -> Vec<Property<LockModel>> {
    let bounds = &model.bounds;
    let annotates = bounds.processes.iter().any(|calls| calls.annotations > 0);
    let mut properties = vec![
        Property::always("every process agrees with the rule", agrees),
        Property::always("no call has a wrong result", |_, state: &State| {
            state.flaw.is_none()
        }),
        Property::sometimes("a conflict is reported", |_, state: &State| {
            state
                .writes()
                .any(|(_, reported)| reported == Reported::Conflict)
        }),
        Property::sometimes(
            "a write without an answer is effective",
            |_, state: &State| {
                state
                    .writes()
                    .any(|(id, reported)| reported == Reported::Unknown && state.is_effective(id))
            },
        ),
        Property::sometimes("a late write is ignored", late_write_ignored),
        Property::sometimes("a write above others succeeds", succeeded_above_others),
    ];
    if model.loses_writes() {
        properties.extend([
            Property::sometimes("a successful write is lost later", |_, state: &State| {
                state
                    .writes()
                    .any(|(id, reported)| reported == Reported::Success && !state.is_effective(id))
            }),
            Property::sometimes("a known revision is lost", |_, state: &State| {
                let mut known = state
                    .processes
                    .iter()
                    .filter_map(|one| one.protocol.effective());
                known.any(|(at, _)| state.place(at).is_none())
            }),
        ]);
    } else {
        properties.extend([
            Property::always("a successful write stays effective", |_, state: &State| {
                state
                    .writes()
                    .all(|(id, reported)| reported != Reported::Success || state.is_effective(id))
            }),
            Property::always("a conflict is never effective", conflict_stays_ineffective),
            Property::always(
                "only a copy conflicts after being effective",
                only_copies_conflict,
            ),
            Property::always("at most one write succeeds each revision", one_successor),
        ]);
    }
    if annotates {
        properties.extend([
            Property::sometimes("an annotation conflicts", |_, state: &State| {
                let mut writes = state.writes();
                writes.any(|(id, reported)| id.is_annotation() && reported == Reported::Conflict)
            }),
            Property::sometimes("a holder writes over an annotation", holder_goes_on),
        ]);
    }
    if annotates && bounds.overwrites > 0 {
        let name = "a foreign record is paused";
        properties.push(Property::sometimes(name, |_, state: &State| {
            let mut effective = state.gist.effective_revisions(state.gist.head());
            effective.any(|index| {
                let entry = state.gist.entry(index);
                entry.write.is_none() && entry.paused.is_some()
            })
        }));
    }
    if bounds.overwrites > 0 {
        properties.extend([
            Property::sometimes("an operator's record is effective", |_, state: &State| {
                let gist = &state.gist;
                let mut effective_revisions = gist
                    .effective_revisions(gist.head())
                    .filter(|index| *index > 0);
                effective_revisions.any(|index| gist.entry(index).write.is_none())
            }),
            Property::sometimes(
                "a pasted record of the protocol is ignored",
                pasted_copy_ignored,
            ),
        ]);
    }
    if bounds.duplicates > 0 {
        let name = "an effective write lands twice";
        properties.push(Property::sometimes(name, |_, state: &State| {
            let mut twice = state.flights.iter().filter(|flight| flight.landed > 1);
            twice.any(|flight| state.is_effective(flight.id))
        }));
    }
    properties
}

impl State {
    /// Returns every write, and the result that its process got.
    fn writes(&self) -> impl Iterator<Item = (WriteId, Reported)> {
        let processes = self.processes.iter().enumerate();
        processes.flat_map(|(process, one)| {
            let annotated = (ANNOTATION + 1..).zip(&one.annotated);
            let numbered = (1..).zip(&one.reported).chain(annotated);
            numbered.map(move |(number, reported)| (WriteId { process, number }, *reported))
        })
    }

    fn is_effective(&self, id: WriteId) -> bool {
        self.gist.became_effective(id, self.gist.head())
    }

    /// Returns the writes in the history, newest first, without repetitions by revisions of another
    /// file.
    fn written(&self) -> impl Iterator<Item = WriteId> {
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

    /// Returns the position of a revision in the history.
    fn place(&self, name: Revision) -> Option<usize> {
        let mut past = self.gist.past(self.gist.head());
        past.find(|index| self.gist.entry(*index).name == name)
    }
}

/// Returns whether the effective revision that each process knows is the one of the rule.
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

/// A write is effective right on top of an annotation of the same process's record.
fn holder_goes_on(_: &LockModel, state: &State) -> bool {
    let gist = &state.gist;
    let entries: Vec<_> = gist
        .effective_revisions(gist.head())
        .map(|index| gist.entry(index))
        .collect();
    entries.windows(2).any(|pair| {
        let annotates = pair[1].write.is_some_and(WriteId::is_annotation);
        let holder = pair[1].owner.map(|owner| owner.process);
        annotates && holder.is_some() && pair[0].write.map(|write| write.process) == holder
    })
}

fn conflict_stays_ineffective(_: &LockModel, state: &State) -> bool {
    let head = state.gist.entry(state.gist.head());
    let effective = state.gist.entry(head.effect).write;
    let mut writes = state.writes();
    writes.all(|(id, reported)| reported != Reported::Conflict || effective != Some(id))
}

/// A write that landed twice may be reported as a conflict although its first copy became
/// effective, because another write is effective by then.
fn only_copies_conflict(_: &LockModel, state: &State) -> bool {
    state.writes().all(|(id, reported)| {
        let copies = || state.written().filter(|copy| *copy == id).count();
        reported != Reported::Conflict || !state.is_effective(id) || copies() > 1
    })
}

fn one_successor(_: &LockModel, state: &State) -> bool {
    let reported: Vec<Revision> = state
        .writes()
        .filter(|(_, reported)| *reported == Reported::Success)
        .filter_map(|(id, _)| Some(state.flight(id)?.supersedes))
        .collect();
    (1..reported.len()).all(|index| !reported[..index].contains(&reported[index]))
}

/// The writer had abandoned it and written again before it landed.
fn late_write_ignored(_: &LockModel, state: &State) -> bool {
    let written: Vec<WriteId> = state.written().collect();
    written.iter().enumerate().any(|(place, id)| {
        let mut below = written[place + 1..].iter();
        let overtaken = below.any(|b| b.process == id.process && b.number > id.number);
        overtaken && !state.is_effective(*id)
    })
}

/// An ignored revision, or one of another file, is between a write and the revision that it
/// superseded.
fn succeeded_above_others(_: &LockModel, state: &State) -> bool {
    let successes = state
        .writes()
        .filter(|(_, reported)| *reported == Reported::Success);
    let mut flights = successes.filter_map(|(id, _)| state.flight(id));
    flights.any(|flight| {
        let mut effective_revisions = state.gist.effective_revisions(state.gist.head());
        let written =
            effective_revisions.find(|index| state.gist.entry(*index).write == Some(flight.id));
        let below = written.and_then(|at| state.gist.entry(at).below);
        below.is_some_and(|below| state.gist.entry(below).name != flight.supersedes)
    })
}

/// A text with the protocol's fields occurs once more often than its write landed.
fn pasted_copy_ignored(_: &LockModel, state: &State) -> bool {
    state.flights.iter().any(|flight| {
        let copies = state.written().filter(|id| *id == flight.id).count();
        copies > usize::from(flight.landed) && state.is_effective(flight.id)
    })
}
