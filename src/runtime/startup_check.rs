//! Check of the first calls to the store.

use crate::election::lock::LockError;

/// Check of the first reads or writes. Why: an error that an operator must fix ends the process at start,
/// where it is noticed, instead of being retried without end.
#[derive(Debug)]
pub(super) struct StartupCheck {
    succeeded: bool,
    /// Number of permanent errors so far.
    failures: u32,
    /// Number of permanent errors that end the election.
    max_failures: u32,
}

impl StartupCheck {
    pub(super) fn new(max_failures: u32) -> Self {
        StartupCheck {
            succeeded: false,
            failures: 0,
            max_failures,
        }
    }

    /// Returns whether all calls so far failed, and one permanently.
    pub(super) fn has_failed(&self) -> bool {
        !self.succeeded && self.failures > 0
    }

    pub(super) fn check<T>(&mut self, result: &Result<T, LockError>) -> Result<(), LockError> {
        match result {
            Ok(_) | Err(LockError::Conflict) => self.succeeded = true,
            Err(error) if !self.succeeded && error.is_permanent() => {
                self.failures += 1;
                if self.failures >= self.max_failures {
                    return Err(error.clone());
                }
            }
            Err(_) => {}
        }
        Ok(())
    }
}
