//! Counters of the workload's starts and exits, which its supervisor updates.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Class of an exit code, so that a metric has five values instead of 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitClass {
    /// Code 0.
    Success,
    /// Codes 1 to 125, which the program defines.
    Failure,
    /// Code 126: the program could not be executed.
    NotExecutable,
    /// Code 127: the program was not found.
    NotFound,
    /// Codes from 128: killed by a signal, unless the program itself uses such codes.
    Signal,
}

impl ExitClass {
    /// All classes.
    pub const ALL: [ExitClass; 5] = [
        ExitClass::Success,
        ExitClass::Failure,
        ExitClass::NotExecutable,
        ExitClass::NotFound,
        ExitClass::Signal,
    ];

    /// Returns the class of an exit code.
    #[must_use]
    pub fn of(code: i32) -> Self {
        match code {
            0 => ExitClass::Success,
            126 => ExitClass::NotExecutable,
            127 => ExitClass::NotFound,
            128.. => ExitClass::Signal,
            _ => ExitClass::Failure,
        }
    }

    /// Returns the codes of the class, as in metrics and JSON.
    #[must_use]
    pub fn codes(self) -> &'static str {
        match self {
            ExitClass::Success => "0",
            ExitClass::Failure => "1-125",
            ExitClass::NotExecutable => "126",
            ExitClass::NotFound => "127",
            ExitClass::Signal => "128+",
        }
    }
}

/// Counters of the workload's starts and exits, shared between threads.
#[derive(Debug, Default)]
pub struct WorkloadCounts {
    starts: AtomicU64,
    running: AtomicBool,
    exits: [AtomicU64; ExitClass::ALL.len()],
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
            self.exits[ExitClass::of(code) as usize].fetch_add(1, Ordering::Relaxed);
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

    /// Returns the number of exits with a code of this class.
    #[must_use]
    pub fn exits(&self, class: ExitClass) -> u64 {
        self.exits[class as usize].load(Ordering::Relaxed)
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
        let exits = ExitClass::ALL.map(|class| counts.exits(class));
        assert_eq!(exits, [1, 125, 1, 1, 128]);
        assert_eq!(counts.starts(), 256);
    }
}
