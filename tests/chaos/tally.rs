//! Counts of actions and results, printed at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Counts by name, in alphabetical order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    counts: BTreeMap<String, usize>,
    /// Total duration of the faults.
    pub(crate) time: Duration,
    /// Longest time from the end of all faults until a candidate led.
    pub(crate) slowest_recovery: Duration,
}

impl Tally {
    pub(crate) fn count(&mut self, what: &str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &str, times: usize) {
        *self.counts.entry(what.to_owned()).or_default() += times;
    }

    pub(crate) fn of(&self, what: &str) -> usize {
        self.counts.get(what).copied().unwrap_or_default()
    }

    pub(crate) fn merge(&mut self, other: &Tally) {
        for (what, times) in &other.counts {
            self.add(what, *times);
        }
        self.time += other.time;
        self.slowest_recovery = self.slowest_recovery.max(other.slowest_recovery);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .counts
            .keys()
            .map(String::len)
            .max()
            .unwrap_or_default();
        let minutes = self.time.as_secs_f64() / 60.0;
        writeln!(f, "  {:width$}  {minutes:.1}", "minutes with faults")?;
        let recovery = self.slowest_recovery.as_secs_f64();
        writeln!(f, "  {:width$}  {recovery:.1}s", "slowest recovery")?;
        for (what, times) in &self.counts {
            writeln!(f, "  {what:width$}  {times}")?;
        }
        Ok(())
    }
}
