//! Properties of every state.

use stateright::Property;

use super::QuorumModel;

pub fn all() -> Vec<Property<QuorumModel>> {
    vec![
        Property::always("one value per ballot", |_, state: &super::State| {
            !state.history.contradicts
        }),
        Property::always(
            "each chosen value replaces the one before",
            |_, state: &super::State| state.history.is_chain(),
        ),
        Property::always(
            "results fit the chosen values",
            |_, state: &super::State| state.wrong.is_none(),
        ),
        Property::always(
            "refused values are never chosen",
            |_, state: &super::State| !state.refused_was_chosen(),
        ),
        Property::sometimes("two writes succeed", |_, state: &super::State| {
            state.succeeded >= 2
        }),
        Property::sometimes(
            "a write is refused or unknown",
            |_, state: &super::State| state.conflicts + state.unknown > 0,
        ),
    ]
}
