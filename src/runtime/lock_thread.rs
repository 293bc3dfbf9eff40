//! The thread that calls the lock, so that a hanging request delays nothing else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::election::annotation::Annotation;
use crate::election::lock::{LockError, Observed, ResourceLock, Written};
use crate::election::record::LeaderElectionRecord;

/// Calls that may be queued. The elector makes one at a time; the rest is for events, which may be skipped.
const QUEUE: usize = 16;

/// A call of the lock.
pub(super) enum LockCall {
    Get(Duration),
    Create(LeaderElectionRecord, Duration),
    Update(LeaderElectionRecord, Duration),
    Annotate(Annotation, Duration),
    Event(String),
}

/// Result of a call.
pub(super) enum LockResult {
    Got(Result<Observed, LockError>),
    Wrote(Result<Written, LockError>),
    Annotated(Result<Written, LockError>),
}

/// Starts the thread, which ends once the sender is dropped and the last call has returned. `on_result` gets
/// each result, with the lock's shortest poll interval.
///
/// # Errors
/// Returns an error if no thread is left.
pub(super) fn start(
    mut lock: Box<dyn ResourceLock + Send>,
    mut on_result: impl FnMut(LockResult, Duration) + Send + 'static,
) -> io::Result<SyncSender<LockCall>> {
    let (calls, queue): (_, Receiver<LockCall>) = sync_channel(QUEUE);
    thread::Builder::new().name("lock".into()).spawn(move || {
        for call in queue {
            // If the lock panics, the elector gets an error instead of waiting forever.
            let panicked = panic_result(&call);
            let called = catch_unwind(AssertUnwindSafe(|| {
                (call_lock(&mut *lock, call), lock.min_poll_interval())
            }));
            let (result, interval) = called.unwrap_or((panicked, Duration::ZERO));
            if let Some(result) = result {
                on_result(result, interval);
            }
        }
    })?;
    Ok(calls)
}

/// Makes the call. An event has no result.
fn call_lock(lock: &mut dyn ResourceLock, call: LockCall) -> Option<LockResult> {
    match call {
        LockCall::Get(timeout) => Some(LockResult::Got(lock.get(timeout))),
        LockCall::Create(record, timeout) => Some(LockResult::Wrote(lock.create(&record, timeout))),
        LockCall::Update(record, timeout) => Some(LockResult::Wrote(lock.update(&record, timeout))),
        LockCall::Annotate(annotation, timeout) => {
            Some(LockResult::Annotated(lock.annotate(&annotation, timeout)))
        }
        LockCall::Event(event) => {
            lock.record_event(&event);
            None
        }
    }
}

/// Returns the result of a call in which the lock panics.
fn panic_result(call: &LockCall) -> Option<LockResult> {
    let why = "the lock panicked".to_owned();
    match call {
        LockCall::Get(_) => Some(LockResult::Got(Err(LockError::Unavailable(why)))),
        LockCall::Create(..) | LockCall::Update(..) => {
            Some(LockResult::Wrote(Err(LockError::OutcomeUnknown(why))))
        }
        LockCall::Annotate(..) => Some(LockResult::Annotated(Err(LockError::OutcomeUnknown(why)))),
        LockCall::Event(_) => None,
    }
}
