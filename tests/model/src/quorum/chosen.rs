//! Which values the members have accepted, and which of them were chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use elector::lock::quorum::state::{Ballot, State};

use super::MEMBERS;

/// Value of a write: its process and its number, from 1. The empty quorum's value is `None`.
pub type Value = Option<Arc<str>>;

/// What was accepted under one ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Accepted {
    value: Value,
    by: [bool; MEMBERS],
}

/// Everything that members have accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    ballots: BTreeMap<Ballot, Accepted>,
    /// Value that each written one replaces.
    bases: BTreeMap<Arc<str>, Value>,
    /// Whether two values were accepted under one ballot.
    pub contradicts: bool,
}

impl History {
    /// Notes what a member holds.
    pub fn note(&mut self, member: usize, text: &str) {
        let Ok(state) = State::parse(text.as_bytes()) else {
            return;
        };
        let acceptor = state.acceptor;
        let accepted = self.ballots.entry(acceptor.accepted);
        let accepted = accepted.or_insert_with(|| Accepted {
            value: acceptor.value.clone(),
            by: [false; MEMBERS],
        });
        self.contradicts |= accepted.value != acceptor.value;
        accepted.by[member] = true;
    }

    pub fn begin_write(&mut self, value: Arc<str>, base: Value) {
        self.bases.insert(value, base);
    }

    /// Returns the values that a majority accepted, in the order of their ballots.
    fn chosen(&self) -> impl Iterator<Item = &Value> {
        let ballots = self.ballots.values();
        let chosen =
            ballots.filter(|accepted| accepted.by.iter().filter(|by| **by).count() > MEMBERS / 2);
        chosen.map(|accepted| &accepted.value)
    }

    /// Returns the chosen values without repetitions.
    pub fn values(&self) -> Vec<&Value> {
        let mut values: Vec<_> = self.chosen().collect();
        values.dedup();
        values
    }

    /// Returns whether each chosen value replaces the one that was chosen before it.
    pub fn is_chain(&self) -> bool {
        let values = self.values();
        values.windows(2).all(|pair| {
            let base = pair[1].as_ref().and_then(|value| self.bases.get(value));
            base == Some(pair[0])
        })
    }

    /// Returns the place of a value among the chosen ones.
    pub fn position(&self, value: &Value) -> Option<usize> {
        self.values().iter().position(|chosen| *chosen == value)
    }
}
