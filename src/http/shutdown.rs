//! The flag that a server's shutdown sets.

use std::time::Duration;

use crate::system::monitor::Monitor;

/// Flag that is set once, when the server shuts down; setting it wakes every waiting thread.
#[derive(Debug, Default)]
pub(super) struct ShutdownFlag(Monitor<bool>);

impl ShutdownFlag {
    pub(super) fn is_set(&self) -> bool {
        *self.0.lock()
    }

    pub(super) fn set(&self) {
        self.0.change(|set| *set = true);
    }

    /// Waits up to `time` for the flag; returns whether it is set.
    pub(super) fn wait(&self, time: Duration) -> bool {
        *self.0.wait_while_for(time, |set| !*set)
    }
}
