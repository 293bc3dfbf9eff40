//! Counters of the workload's starts and exits, which its supervisor updates.

use std::array;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Classes of exit codes, so that a metric has five values instead of 256: success, failures that the
/// program defines, not executable, not found, and killed by a signal.
const CLASSES: [&str; 5] = ["0", "1-125", "126", "127", "128+"];

/// Returns the index of an exit code's class in [`CLASSES`].
fn class_of(code: i32) -> usize {
    match code {
        0 => 0,
        126 => 2,
        127 => 3,
        128.. => 4,
        _ => 1,
    }
}

/// Counters of the workload's starts and exits, shared between threads.
#[derive(Debug, Default)]
pub struct WorkloadCounts {
    starts: AtomicU64,
    running: AtomicBool,
    exits: [AtomicU64; CLASSES.len()],
}

impl WorkloadCounts {
    /// Counts a start.
    pub fn started(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
        self.running.store(true, Ordering::Relaxed);
    }

    /// Counts the end of the workload with this exit code (128+n if signal n killed it); `None` if the
    /// code is unknown or the start failed.
    pub fn ended(&self, code: Option<i32>) {
        if let Some(code) = code {
            self.exits[class_of(code)].fetch_add(1, Ordering::Relaxed);
        }
        self.running.store(false, Ordering::Relaxed);
    }

    /// Returns the number of starts.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// Returns whether the workload runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Returns the number of exits for each class of exit codes.
    #[must_use]
    pub fn exits(&self) -> [(&'static str, u64); CLASSES.len()] {
        array::from_fn(|n| (CLASSES[n], self.exits[n].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_counts_once_in_its_class() {
        let counts = WorkloadCounts::default();
        for code in 0..=255 {
            counts.started();
            assert!(counts.is_running());
            counts.ended(Some(code));
            assert!(!counts.is_running());
        }
        counts.ended(None);
        let exits = counts.exits().map(|(_, count)| count);
        assert_eq!(exits, [1, 125, 1, 1, 128]);
        assert_eq!(counts.starts(), 256);
    }
}
