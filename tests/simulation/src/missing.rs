//! Leaves a safeguard out, to show that the simulation would notice. Those of the program have
//! switches of their own; those of what the simulation plays itself (the clock that an elector is
//! told the time by, the process around a guard's decisions, what an elector is told by its owner) are
//! here.

use std::cell::Cell;

use elector::election::safeguard::{self, Safeguard};

use crate::clock::Shows;

/// What the simulation plays, and a program must do likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The time is the time since boot, not the time of day.
    NotWallClock,
    /// The time goes on while the machine is suspended.
    TimeRunsOnInSuspend,
    /// The guard stops the workload by itself when its time is over.
    GuardHoldsDeadline,
    /// The guard ends the workload when its elector has ended.
    GuardSeesElectorsEnd,
    /// Candidates look seldomer where the hour's requests run short.
    LooksPutOff,
}

/// What may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Safeguard(Safeguard),
    Rule(Rule),
}

impl Missing {
    /// All that can be left out, one at a time.
    pub fn all() -> Vec<Missing> {
        let rules = [
            Rule::NotWallClock,
            Rule::TimeRunsOnInSuspend,
            Rule::GuardHoldsDeadline,
            Rule::GuardSeesElectorsEnd,
            Rule::LooksPutOff,
        ];
        let safeguards = Safeguard::ALL.into_iter().map(Missing::Safeguard);
        safeguards
            .chain(rules.into_iter().map(Missing::Rule))
            .collect()
    }

    pub fn name(self) -> String {
        match self {
            Missing::Safeguard(safeguard) => format!("{safeguard:?}"),
            Missing::Rule(rule) => format!("{rule:?}"),
        }
    }
}

thread_local! {
    static RULE: Cell<Option<Rule>> = const { Cell::new(None) };
}

/// Leaves one out on this thread; `None` brings it back.
pub fn leave_out(missing: Option<Missing>) {
    let (safeguard, rule) = match missing {
        Some(Missing::Safeguard(safeguard)) => (Some(safeguard), None),
        Some(Missing::Rule(rule)) => (None, Some(rule)),
        None => (None, None),
    };
    safeguard::leave_out(safeguard);
    RULE.set(rule);
}

pub fn rule_holds(rule: Rule) -> bool {
    RULE.get() != Some(rule)
}

/// The clock that electors are told the time by.
pub fn clock() -> Shows {
    match RULE.get() {
        Some(Rule::NotWallClock) => Shows::Wall,
        Some(Rule::TimeRunsOnInSuspend) => Shows::Monotonic,
        _ => Shows::Boot,
    }
}
