//! A value that threads share and whose changes they can wait for.
//!
//! If a thread panics with the lock, the others continue: callers never leave a value half changed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A mutex with its condition variable.
#[derive(Debug, Default)]
pub(crate) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    pub(crate) fn new(value: T) -> Self {
        Monitor {
            value: Mutex::new(value),
            changed: Condvar::new(),
        }
    }

    /// Locks the value, to read it or to change a part that no thread waits for.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the value and wakes all waiting threads.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Blocks while `condition` returns true.
    pub(crate) fn wait_while(&self, condition: impl FnMut(&mut T) -> bool) -> MutexGuard<'_, T> {
        let waited = self.changed.wait_while(self.lock(), condition);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks while `condition` returns true, for `timeout` at most. It may still be true afterwards.
    pub(crate) fn wait_while_for(
        &self,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'_, T> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), timeout, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Blocks until the next change, for `timeout` at most (`None`: without limit). It may return early.
    pub(crate) fn wait<'a>(
        &self,
        value: MutexGuard<'a, T>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        match timeout {
            None => {
                let waited = self.changed.wait(value);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
            Some(timeout) => {
                let waited = self.changed.wait_timeout(value, timeout);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}
