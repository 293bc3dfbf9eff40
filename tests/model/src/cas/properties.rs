//! Properties that must hold in every state, and events that must occur in some.
//!
//! Each call's result is compared when it is reported, each landing when it happens ([`State::flaw`]):
//!
//! - A write reported as a success has landed, exactly once.
//! - A write reported as a conflict never lands afterwards. If it landed before, another write or an
//!   operator had replaced it by the time of the report.
//! - A write reported as certainly failed never lands.
//! - A read shows a state that was stored during the call, and `mine` names the own write in it, also
//!   under an annotation.
//! - An annotation changes nothing else, and leaves a foreign record foreign.

use stateright::Property;

use super::process::Reported;
use super::state::State;
use super::{Bounds, CasModel};

pub(super) fn of(bounds: &Bounds) -> Vec<Property<CasModel>> {
    let mut properties = vec![
        Property::always("no call has a wrong result", |_, state: &State| {
            state.flaw.is_none()
        }),
        Property::always("no write lands twice", lands_once),
        Property::always("each state has one acknowledged successor", one_successor),
        Property::sometimes("a conflict is reported", |_, state: &State| {
            state
                .writes()
                .any(|(_, write)| write.reported == Reported::Conflict)
        }),
        Property::sometimes("a write without a result lands", |_, state: &State| {
            let mut unknown = state
                .writes()
                .filter(|(_, write)| write.reported == Reported::Unknown);
            unknown.any(|(id, _)| state.landed(id) > 0)
        }),
        Property::sometimes(
            "a write succeeds after a lost answer",
            |_, state: &State| {
                let mut lost = state.writes().filter(|(_, write)| write.lost_answer);
                lost.any(|(_, write)| write.reported == Reported::Success)
            },
        ),
        Property::sometimes("a late write is refused", |_, state: &State| {
            state.late_refused
        }),
    ];
    if bounds.version_changes > 0 {
        let name = "a write succeeds over a changed version";
        properties.push(Property::sometimes(name, |_, state: &State| {
            let mut again = state.writes().filter(|(_, write)| write.sent > 1);
            again.any(|(_, write)| write.reported == Reported::Success)
        }));
    }
    if bounds.doubles > 0 {
        let name = "a doubled write succeeds";
        properties.push(Property::sometimes(name, |_, state: &State| {
            let mut doubled = state.writes().filter(|(_, write)| write.doubled);
            doubled.any(|(_, write)| write.reported == Reported::Success)
        }));
    }
    if bounds.processes.iter().any(|calls| calls.annotations > 0) {
        properties.extend(of_annotations(bounds));
    }
    if bounds.overwrites + bounds.deletions > 0 {
        let name = "a landed write is reported as a conflict";
        properties.push(Property::sometimes(name, |_, state: &State| {
            let mut writes = state.writes();
            writes.any(|(id, write)| write.reported == Reported::Conflict && state.landed(id) > 0)
        }));
    }
    properties
}

fn of_annotations(bounds: &Bounds) -> Vec<Property<CasModel>> {
    let conflicts = Property::sometimes("an annotation conflicts", |_, state: &State| {
        let mut writes = state.writes();
        writes.any(|(id, write)| id.is_annotation() && write.reported == Reported::Conflict)
    });
    let name = "a foreign record is paused";
    let foreign = Property::sometimes(name, |_, state: &State| {
        let mut shown = state.shown.iter();
        shown.any(|shown| shown.foreign && shown.paused.is_some())
    });
    let name = "a holder writes over an annotation";
    let over = Property::sometimes(name, |_, state: &State| {
        let mut pairs = state.stored.windows(2).zip(&state.shown);
        pairs.any(|(pair, below)| match (pair[0], pair[1], below.owner) {
            (Some(annotation), Some(write), Some(owner)) => {
                annotation.is_annotation() && owner.process == write.process
            }
            _ => false,
        })
    });
    match bounds.overwrites {
        0 => vec![conflicts, over],
        _ => vec![conflicts, foreign],
    }
}

fn lands_once(_: &CasModel, state: &State) -> bool {
    state.writes().all(|(id, _)| state.landed(id) <= 1)
}

/// Two acknowledged writes never replaced the same state.
fn one_successor(_: &CasModel, state: &State) -> bool {
    let successes = state
        .writes()
        .filter(|(_, write)| write.reported == Reported::Success);
    let bases: Vec<Option<usize>> = successes.map(|(id, _)| state.base(id)).collect();
    (1..bases.len()).all(|index| !bases[..index].contains(&bases[index]))
}
