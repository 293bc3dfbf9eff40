//! How often the workload was started, and how it ended: counters that its supervisor keeps.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What an exit code says, in classes: a metric with a value for each of 256 would be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitClass {
    /// 0.
    Success,
    /// 1 to 125: the program's own.
    Failure,
    /// 126: it could not be executed.
    NotExecutable,
    /// 127: it was not found.
    NotFound,
    /// 128 and more: killed by a signal, where the program does not use such codes itself.
    Signal,
}

impl ExitClass {
    /// Every class.
    pub const ALL: [ExitClass; 5] = [
        ExitClass::Success,
        ExitClass::Failure,
        ExitClass::NotExecutable,
        ExitClass::NotFound,
        ExitClass::Signal,
    ];

    /// The class of an exit code.
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

    /// The codes in it.
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

/// Counts for those who look in. The supervisor says what happens, from whatever thread.
#[derive(Debug, Default)]
pub struct WorkloadCounts {
    starts: AtomicU64,
    running: AtomicBool,
    exits: [AtomicU64; ExitClass::ALL.len()],
}

impl WorkloadCounts {
    /// The workload was started.
    pub fn started(&self) {
        self.starts.fetch_add(1, Ordering::Relaxed);
        self.running.store(true, Ordering::Relaxed);
    }

    /// Nothing is left of it. It ended with this code (128+n if signal n killed it); `None` where that
    /// is not known, or it was never started.
    pub fn ended(&self, code: Option<i32>) {
        if let Some(code) = code {
            self.exits[ExitClass::of(code) as usize].fetch_add(1, Ordering::Relaxed);
        }
        self.running.store(false, Ordering::Relaxed);
    }

    /// How often it was started.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// How often it ended with a code of this class.
    #[must_use]
    pub fn exits(&self, class: ExitClass) -> u64 {
        self.exits[class as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_is_counted_once_in_its_class() {
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
