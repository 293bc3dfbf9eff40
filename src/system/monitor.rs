//! A value that threads share, and wait on for changes of.
//!
//! What is done under the lock here never leaves a value half changed, so a thread that panicked with it
//! does not keep the others from theirs.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A mutex, and the condition variable that goes with it.
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

    /// To look at it, or to change what nobody waits for.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it, and wakes all who wait.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits while it is so.
    pub(crate) fn wait_while(&self, is_so: impl FnMut(&mut T) -> bool) -> MutexGuard<'_, T> {
        let waited = self.changed.wait_while(self.lock(), is_so);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while it is so, but no longer than this; it may still be so.
    pub(crate) fn wait_while_for(
        &self,
        longest: Duration,
        is_so: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'_, T> {
        let waited = self.changed.wait_timeout_while(self.lock(), longest, is_so);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for a change, no longer than this (`None`: for ever), and perhaps for nothing.
    pub(crate) fn wait<'a>(
        &self,
        value: MutexGuard<'a, T>,
        longest: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        match longest {
            None => {
                let waited = self.changed.wait(value);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
            Some(longest) => {
                let waited = self.changed.wait_timeout(value, longest);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}
