//! Counters of the workload's starts and exits, and its health, which its supervisor updates.

use std::array;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

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

/// Health of the workload's current or last run, by its health checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// There are no health checks.
    #[default]
    Unchecked,
    /// No check has succeeded yet.
    Starting,
    /// A check has succeeded.
    Healthy,
    /// Checks failed, and the workload was stopped for it.
    Unhealthy,
}

impl Health {
    const ALL: [Health; 4] = [
        Health::Unchecked,
        Health::Starting,
        Health::Healthy,
        Health::Unhealthy,
    ];

    /// Returns the name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unchecked => "unchecked",
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        }
    }
}

/// Counters of the workload's starts and exits, and its health, shared between threads.
#[derive(Debug, Default)]
pub struct WorkloadCounts {
    starts: AtomicU64,
    running: AtomicBool,
    health: AtomicU8,
    exits: [AtomicU64; CLASSES.len()],
}

impl WorkloadCounts {
    /// Sets the health of the current run.
    pub fn set_health(&self, health: Health) {
        self.health.store(health as u8, Ordering::Relaxed);
    }

    /// Returns the health of the current or last run.
    #[must_use]
    pub fn health(&self) -> Health {
        Health::ALL[usize::from(self.health.load(Ordering::Relaxed))]
    }

    /// Checks whether the workload is ready: it runs, and its health check has succeeded if it has one.
    ///
    /// # Errors
    /// Returns the reason if it is not ready.
    pub fn check_ready(&self) -> Result<(), &'static str> {
        match self.health() {
            _ if !self.is_running() => Err("the wrapped program does not run"),
            Health::Unchecked | Health::Healthy => Ok(()),
            Health::Starting => Err("the wrapped program has not answered WORKLOAD_HEALTH_URL yet"),
            Health::Unhealthy => Err("the wrapped program is unhealthy, and is being stopped"),
        }
    }

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
    fn running_answering_workload_is_ready() {
        let counts = WorkloadCounts::default();
        assert!(counts.check_ready().is_err());
        counts.started();
        assert_eq!(counts.check_ready(), Ok(()));
        for health in Health::ALL {
            counts.set_health(health);
            assert_eq!(counts.health(), health);
            let ready = matches!(health, Health::Unchecked | Health::Healthy);
            assert_eq!(counts.check_ready().is_ok(), ready, "{health:?}");
        }
        counts.set_health(Health::Healthy);
        counts.ended(Some(0));
        assert!(counts.check_ready().is_err());
    }

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
