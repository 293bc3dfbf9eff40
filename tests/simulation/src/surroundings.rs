//! Rules of the simulated surroundings: the clock that an elector uses, the process around a
//! guard's decisions, and the messages of an elector's owner. Each rule can be disabled to show
//! that the checks notice.

use std::cell::Cell;

use crate::clock::TimeSource;

/// A rule that the simulated surroundings keep, and that the program must keep as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The elector uses the time since boot, not the time of day.
    ClockIgnoresTimeOfDay,
    /// The elector's clock continues while the machine is suspended.
    ClockCountsSuspend,
    /// The guard stops the workload at its deadline without being told.
    GuardEnforcesDeadline,
    /// The guard stops the workload when its elector has exited.
    GuardNoticesElectorExit,
    /// Candidates poll less often when the request budget runs short.
    PollsDelayed,
}

impl Rule {
    /// All rules.
    pub const ALL: [Rule; 5] = [
        Rule::ClockIgnoresTimeOfDay,
        Rule::ClockCountsSuspend,
        Rule::GuardEnforcesDeadline,
        Rule::GuardNoticesElectorExit,
        Rule::PollsDelayed,
    ];
}

thread_local! {
    static DISABLED: Cell<Option<Rule>> = const { Cell::new(None) };
}

/// Disables one rule on this thread; `None` restores all.
pub fn disable(rule: Option<Rule>) {
    DISABLED.set(rule);
}

/// Returns whether a rule is kept on this thread.
pub fn is_kept(rule: Rule) -> bool {
    DISABLED.get() != Some(rule)
}

/// Returns the clock that electors use.
pub fn clock() -> TimeSource {
    match DISABLED.get() {
        Some(Rule::ClockIgnoresTimeOfDay) => TimeSource::Wall,
        Some(Rule::ClockCountsSuspend) => TimeSource::Monotonic,
        _ => TimeSource::Boot,
    }
}
