//! The thread that calls the lock, so that a hanging request delays nothing else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::election::lock::{LockError, Observed, ResourceLock, Written};
use crate::election::record::LeaderElectionRecord;

/// Calls that may be queued. The elector makes one at a time; the rest is for events, which may be skipped.
const QUEUE: usize = 16;

/// A call of the lock.
pub(super) enum LockCall {
    Get(Duration),
    Create(LeaderElectionRecord, Duration),
    Update(LeaderElectionRecord, Duration),
    Event(String),
}

/// Result of a call.
pub(super) enum LockResult {
    Got(Result<Observed, LockError>),
    Wrote(Result<Written, LockError>),
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
            if let Some(result) = call_lock(&mut *lock, call) {
                let interval = catch_panic(|| lock.min_poll_interval());
                on_result(result, interval.unwrap_or_default());
            }
        }
    })?;
    Ok(calls)
}

/// Makes the call. If the lock panics, the elector gets an error instead of waiting forever.
fn call_lock(lock: &mut dyn ResourceLock, call: LockCall) -> Option<LockResult> {
    match call {
        LockCall::Get(timeout) => {
            let result = catch_panic(|| lock.get(timeout));
            Some(LockResult::Got(result.unwrap_or_else(|| {
                Err(LockError::Unavailable("the lock panicked".into()))
            })))
        }
        LockCall::Create(record, timeout) => {
            Some(wrote(catch_panic(|| lock.create(&record, timeout))))
        }
        LockCall::Update(record, timeout) => {
            Some(wrote(catch_panic(|| lock.update(&record, timeout))))
        }
        LockCall::Event(event) => {
            catch_panic(|| lock.record_event(&event));
            None
        }
    }
}

fn wrote(result: Option<Result<Written, LockError>>) -> LockResult {
    LockResult::Wrote(
        result.unwrap_or_else(|| Err(LockError::OutcomeUnknown("the lock panicked".into()))),
    )
}

fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
