//! Rules of what the simulation itself plays: the clock that an elector is told the time by, the process
//! around a guard's decisions, and what an elector is told by its owner. Each can be left out, to show
//! that the checks notice.

use std::cell::Cell;

use crate::clock::Shows;

/// A rule that the simulated surroundings keep, and that a program must keep likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The time is the time since boot, not the time of day.
    NotWallClock,
    /// The time continues while the machine is suspended.
    TimeRunsOnInSuspend,
    /// The guard stops the workload by itself when its time is over.
    GuardHoldsDeadline,
    /// The guard ends the workload when its elector has ended.
    GuardSeesElectorsEnd,
    /// Candidates poll less often when the request budget runs short.
    LooksPutOff,
}

impl Rule {
    /// All rules.
    pub const ALL: [Rule; 5] = [
        Rule::NotWallClock,
        Rule::TimeRunsOnInSuspend,
        Rule::GuardHoldsDeadline,
        Rule::GuardSeesElectorsEnd,
        Rule::LooksPutOff,
    ];
}

thread_local! {
    static LEFT_OUT: Cell<Option<Rule>> = const { Cell::new(None) };
}

/// Leaves one rule out on this thread; `None` keeps all.
pub fn leave_out(rule: Option<Rule>) {
    LEFT_OUT.set(rule);
}

/// Returns whether the rule is kept on this thread.
pub fn rule_holds(rule: Rule) -> bool {
    LEFT_OUT.get() != Some(rule)
}

/// Returns the clock that electors are told the time by.
pub fn clock() -> Shows {
    match LEFT_OUT.get() {
        Some(Rule::NotWallClock) => Shows::Wall,
        Some(Rule::TimeRunsOnInSuspend) => Shows::Monotonic,
        _ => Shows::Boot,
    }
}
