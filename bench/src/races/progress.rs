//! Progress of the measurements, printed at intervals.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two reports.
const INTERVAL: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
struct State {
    done: BTreeMap<&'static str, usize>,
    over: bool,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

impl Progress {
    pub(super) fn count(&self, what: &'static str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state.done.entry(what).or_default() += 1;
    }

    pub(super) fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.over = true;
        self.changed.notify_all();
    }

    /// Prints reports until the end.
    pub(super) fn report(&self) {
        let begin = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.over {
            let waited = self.changed.wait_timeout(state, INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let done = state.done.iter().map(|(what, n)| format!("{n} {what}"));
            let done = match done.collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "nothing yet".to_owned(),
                done => done,
            };
            eprintln!("bench: {:4.0} s: {done}", begin.elapsed().as_secs_f64());
        }
    }
}
